"""What a model of several tasks does, whatever its targets: parameters, fit, transform, scores.

A subclass says what a target is. Beside ``fit``, ``predict`` and ``score`` it has

``_head``               the kind of its heads, of `_heads.KINDS`
``_learn_targets``      what tasks there are, and the `Entries` of each row
``_entry_weight``       weight of each entry beside ``sample_weight``
``_target_attributes``  what is published of the heads

Tasks of both kinds in one model differ in their heads alone: `Tasks` takes the kind of each task,
and labels and real targets lie beside each other in a `Batch`. What such an estimator would need
of its own is to be told which columns of y are which, and to predict and score column by column.
"""

import warnings
from copy import deepcopy
from dataclasses import dataclass, replace
from functools import partial
from itertools import pairwise
from numbers import Integral, Real
from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from sklearn.base import (
    BaseEstimator,
    ClassNamePrefixFeaturesOutMixin,
    MultiOutputMixin,
    TransformerMixin,
)
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils.validation import check_is_fitted

from skmtl import _balancing, _data, _fitting, _layouts, _validation, _versions
from skmtl._added import with_head, with_moments, with_task
from skmtl._arrays import check_same_rows
from skmtl._checkpoint import journal_of
from skmtl._components import resolve
from skmtl._finish import finish_heads
from skmtl._gramian import affinity
from skmtl._heads import WEIGHTS, init_heads, init_skip
from skmtl._objectives import Batch, StayNear, Tasks
from skmtl._private import Private, init_private, private_attributes
from skmtl._selection import code_and_X, judge_heads, place_heads
from skmtl._sklearn import CallbackSupportMixin, HasMethods, Interval, StrOptions
from skmtl._targets import check_names
from skmtl._threads import map_row_blocks, workers
from skmtl._warn import warn
from skmtl.balancers import BALANCERS
from skmtl.head_penalties import HEAD_PENALTIES, Heads

#: Weight matrices that weight decay reaches beside encoder and decoder.
DECAYED = (*WEIGHTS, "W_head_own", "W_enc_own")
#: Codes from here on have squares whose sums may overflow.
LARGEST = 1e150
#: Fitted attributes that a fit with other parameters may lack.
OPTIONAL_ATTRIBUTES = ("affinity_", "head_selection_", "task_private_coef_", "task_skip_coef_")
MatrixLike = Any  # array-like, SciPy sparse, pandas or polars


@dataclass
class Problem:
    """What a call of ``fit`` trains: from where, on which rows, towards what."""

    X: Any  # as checked
    y: Any  # as given
    targets: Any  # what a target is: `TaskLabels` or `TaskTargets`
    data: _data.Data
    held_out: _data.Data | None
    alone: Any  # objective of pretraining
    objective: Any
    params: dict
    state: dict
    goes_on: bool  # from a fit before
    journal: Any


class MultiTaskSAE(
    CallbackSupportMixin,
    ClassNamePrefixFeaturesOutMixin,
    TransformerMixin,
    MultiOutputMixin,
    BaseEstimator,
):
    """One sparse code shared by several tasks, and a head for each."""

    _head: str
    _params: dict
    _state: dict
    _members: list  # of an ensemble's members after the first, params and state
    _objective: Any
    affinity_: np.ndarray
    head_selection_: np.ndarray

    _parameter_constraints: dict = {
        **_fitting.COMMON_CONSTRAINTS,
        "reconstruction_weight": [Interval(Real, 0, None, closed="left")],
        "pretrain_iter": [Interval(Integral, 0, None, closed="left")],
        "balancer": [StrOptions(set(BALANCERS)), HasMethods(["init", "balance"])],
        "batching": [StrOptions({"shuffled", "task_balanced"})],
        "task_weights": ["array-like", dict, None],
        "compute_affinity": ["boolean"],
        "n_private_components": [Interval(Integral, 0, _fitting.MOST_LATENTS, closed="both")],
        "k_private": [Interval(Integral, 1, None, closed="left"), None],
        "coactivation_penalty": [Interval(Real, 0, None, closed="left")],
        "pretrained_penalty": [Interval(Real, 0, None, closed="left")],
        "skip_connection": ["boolean"],
        "head_dropout": [Interval(Real, 0, 1, closed="left")],
        "head_penalty": [StrOptions(set(HEAD_PENALTIES)), HasMethods(["shrink"]), None],
        "n_members": [Interval(Integral, 1, None, closed="left")],
        "head_selection": [StrOptions({"shared", "cv"})],
    }

    def __init__(
        self,
        n_components: int = 64,
        *,
        sparsifier: Any = "auto",
        loss: Any = "squared_error",
        optimizer: Any = "adam",
        learning_rate: float = 1e-3,
        schedule: str = "constant",
        batch_size: int = 256,
        max_iter: int = 200,
        tol: float | None = 1e-4,
        n_iter_no_change: int = 10,
        early_stopping: bool = False,
        validation_fraction: float = 0.1,
        warm_start: bool = False,
        random_state: Any = None,
        verbose: int | bool = 0,
        n_jobs: int | None = None,
        decoder_norm: str | None = "unit",
        bias_init: str = "mean",
        weight_decay: float = 0.0,
        input_dropout: float = 0.0,
        nested_sizes: ArrayLike | None = None,
        dead_latents: Any = "auto",
        tied: bool = False,
        transform_algorithm: str = "encoder",
        sparse_output: bool = False,
        checkpoint: Any = None,
        reconstruction_weight: float = 1.0,
        pretrain_iter: int = 0,
        balancer: Any = "equal",
        batching: str = "shuffled",
        task_weights: Any = None,
        compute_affinity: bool = False,
        n_private_components: int = 0,
        k_private: int | None = None,
        coactivation_penalty: float = 0.0,
        pretrained_penalty: float = 0.0,
        skip_connection: bool = False,
        head_dropout: float = 0.0,
        head_penalty: Any = None,
        head_selection: str = "shared",
        n_members: int = 1,
    ) -> None:
        self.n_components = n_components
        self.sparsifier = sparsifier
        self.loss = loss
        self.optimizer = optimizer
        self.learning_rate = learning_rate
        self.schedule = schedule
        self.batch_size = batch_size
        self.max_iter = max_iter
        self.tol = tol
        self.n_iter_no_change = n_iter_no_change
        self.early_stopping = early_stopping
        self.validation_fraction = validation_fraction
        self.warm_start = warm_start
        self.random_state = random_state
        self.verbose = verbose
        self.n_jobs = n_jobs
        self.decoder_norm = decoder_norm
        self.bias_init = bias_init
        self.weight_decay = weight_decay
        self.input_dropout = input_dropout
        self.nested_sizes = nested_sizes
        self.dead_latents = dead_latents
        self.tied = tied
        self.transform_algorithm = transform_algorithm
        self.sparse_output = sparse_output
        self.checkpoint = checkpoint
        self.reconstruction_weight = reconstruction_weight
        self.pretrain_iter = pretrain_iter
        self.balancer = balancer
        self.batching = batching
        self.task_weights = task_weights
        self.compute_affinity = compute_affinity
        self.n_private_components = n_private_components
        self.k_private = k_private
        self.coactivation_penalty = coactivation_penalty
        self.pretrained_penalty = pretrained_penalty
        self.skip_connection = skip_connection
        self.head_dropout = head_dropout
        self.head_penalty = head_penalty
        self.head_selection = head_selection
        self.n_members = n_members

    def _set_up(
        self,
        X,
        y,
        sample_weight,
        task_mask,
        *,
        goes_on,
        validation=(None, None),
        streamed=False,
        declared=None,
    ):
        """Check and weigh what is given, and build what is minimized.

        ``declared`` is what is known of tasks whose rows are yet to come.
        """
        goes_on = goes_on and self.__sklearn_is_fitted__()
        loss, sparsifier = self._components()
        if self.pretrained_penalty and not (self.pretrain_iter or goes_on or streamed):
            raise ValueError(
                "pretrain_iter must be at least 1 where pretrained_penalty is set: without it "
                f"there is nothing to stay near; got pretrain_iter={self.pretrain_iter}."
            )
        if y is None:
            raise ValueError(
                f"This {type(self).__name__} estimator requires y to be passed, but the target y "
                "is None."
            )
        X = _validation.check_X(self, X, loss, reset=not goes_on)
        targets, entries = self._learn_targets(y, task_mask, goes_on, declared)
        check_same_rows(X, entries.codes)
        rows = self._weighed(X, entries, sample_weight, targets, streamed)
        if not (goes_on or streamed):
            rows = self._leave_weightless(targets, rows)
        held_out = self._validation_table(validation, targets, loss)
        journal = journal_of(self, rows, held_out, goes_on=goes_on, streamed=streamed)
        data, held_out, scale = _data.training_data(
            self,
            rows,
            held_out,
            loss,
            partial(_fitting.seed_of, self, journal),
            self._kept_scale(streamed) if goes_on else None,
        )
        if self.batching == "task_balanced":
            data = replace(data, groups=_balancing.label_groups(data.batch.labels))
        alone, objective = self._objectives(scale, data, targets, loss, sparsifier)
        if self.batching == "shuffled" and not streamed:
            balancer = objective.tasks.balancer
            _balancing.warn_of_few_labels(balancer, data.batch.labels, self.batch_size)
        if goes_on:
            params, state = _fitting.resume(self, objective)
            objective.tasks.later = self._objective.tasks.later
            _fitting.add_arrays(self, params, state, self._init_skip(params, targets))
        else:
            params, state = self._start(data, targets, alone, objective, scale, journal)
        state["scale"] = scale
        return Problem(
            X, y, targets, data, held_out, alone, objective, params, state, goes_on, journal
        )

    def _components(self):
        """Loss and sparsifier."""
        loss, sparsifier = _fitting.components(self)
        if getattr(loss, "is_mixture", False) and not loss.amortized:
            raise ValueError(
                "loss must give each row a code of its own for the heads to read; got "
                f"{loss!r}, whose mixing weights are the same for all rows. Use amortized=True."
            )
        return loss, sparsifier

    def _kept_scale(self, streamed):
        """What stays of the units of the fit that goes on: in a stream all of them."""
        scale = self._state["scale"]
        return scale if streamed else _data.of_targets(scale)

    def _weighed(self, X, entries, sample_weight, targets, streamed):
        """The rows with the weights of rows and entries."""
        check_names(sample_weight, targets, "sample_weight")
        weight, entry_weight = _validation.check_entry_weight(sample_weight, X, entries.codes >= 0)
        entry_weight = entry_weight * self._entry_weight(targets, entries.codes, entry_weight)
        if not streamed and not entry_weight.any():  # a chunk of partial_fit may bring no label
            raise ValueError(
                "y must hold at least one label that counts; with these weights all labels have "
                "weight zero."
            )
        return _data.WeightedRows(X, weight, entries.codes, entry_weight, entries.values)

    def _entry_weight(self, targets, codes, weight):
        return 1.0

    def _leave_weightless(self, targets, rows):
        """The rows without the entries of tasks that are left out for want of any weight."""
        for t in np.flatnonzero((rows.codes >= 0).any(axis=0) & ~rows.label_weight.any(axis=0)):
            warn(f"Task {targets.name(int(t))!r} has no label whose weight is above zero.")
        return rows

    def _validation_table(self, validation, targets, loss):
        """The rows given to validate on, each label of weight one; None without any."""
        X_val, y_val = validation
        if (X_val is None) != (y_val is None):
            raise ValueError("X_val and y_val must be given together; got only one of them.")
        if X_val is None:
            return None
        X_val = _validation.check_X(self, X_val, loss, reset=False, name="X_val")
        codes, values = targets.entries(y_val, name="y_val")
        check_same_rows(X_val, codes, "y_val", "X_val")
        if not (codes >= 0).any():
            raise ValueError("y_val must hold at least one label; got only missing values.")
        weight = np.ones(X_val.shape[0])
        return _data.WeightedRows(X_val, weight, codes, (codes >= 0).astype(float), values)

    def _objectives(self, scale, data, targets, loss, sparsifier):
        """What pretraining minimizes, and what joint training minimizes."""
        balancer = resolve(self.balancer, BALANCERS)
        tasks = Tasks(
            targets.offsets,
            balancer,
            _few_labelled(data.batch.labels, targets.offsets),
            self._head,
            average=_balancing.average_for(balancer, self.compute_affinity),
            task_weights=_balancing.check_task_weights(self.task_weights, targets),
            dropout=float(self.head_dropout),
        )
        if self.head_penalty is not None:
            tasks.penalty = resolve(self.head_penalty, HEAD_PENALTIES)
            tasks.heads = Heads(targets.offsets, self._kinds(targets))
        weight = float(self.reconstruction_weight) / _unit(scale)
        build = partial(_fitting.build_objective, self, loss, sparsifier)
        alone = build(reconstruction_weight=1 / _unit(scale))
        objective = build(decayed=DECAYED, reconstruction_weight=weight, tasks=tasks)
        objective.private = self._private(loss, scale)
        if self.pretrained_penalty:
            objective.terms.append(StayNear(self.pretrained_penalty))
        return alone, objective

    def _private(self, loss, scale):
        """Sizes of the private latents; None without any."""
        if not self.n_private_components:
            return None
        if getattr(loss, "is_mixture", False):
            raise ValueError(
                "n_private_components must be 0 with loss='mixture', whose latents share out each "
                f"row among them; got {self.n_private_components}."
            )
        size = int(self.n_private_components)
        strength = self.coactivation_penalty / _unit(scale) / _unit(scale)  # no square overflows
        return Private(size, int(self.k_private or size), float(strength))

    def _start(self, data, targets, alone, objective, scale, journal, member=0):
        """Fresh ``params`` and ``state`` of code, heads and balancer."""
        seed = _fitting.seed_of(self, journal)
        params, state = _fitting.start(self, alone, data, _unit(scale), seed, member)
        params.update(init_heads(self.n_components, targets.offsets, data.batch.X.dtype))
        params.update(self._init_skip(params, targets))
        if objective.private is not None:
            params.update(init_private(objective.private, targets.offsets, params, state["rng"]))
        state["priors"] = _priors(data, targets.offsets)
        state["balancer"] = objective.tasks.balancer.init(targets.n_tasks, state["priors"])
        return params, state

    def _init_skip(self, params, targets):
        W_dec = params["W_dec"]
        skips = self.skip_connection
        return init_skip(W_dec.shape[1], targets.offsets, W_dec.dtype) if skips else {}

    def _kinds(self, targets):
        """Equal for tasks whose heads may be compared."""
        return np.zeros(targets.n_tasks, int)

    def _train(self, problem, max_iter=None):
        """Pretrain, train and publish; ``max_iter`` epochs of ``partial_fit`` or until it stops."""
        X, y, objective, goes_on = problem.X, problem.y, problem.objective, problem.goes_on

        def attributes(params):
            return self._attributes(params, problem.targets, objective, problem.state["scale"])

        pretrain_iter = 0 if goes_on else self.pretrain_iter
        context = self._init_callback_context(
            max_subtasks=self.n_members * (pretrain_iter + (max_iter or self.max_iter))
        )
        context.call_on_fit_task_begin(estimator=self, X=X, y=y)
        watched = (self, context, X, y, objective, problem.data, attributes)
        watch = partial(_fitting.EpochWatch, *watched)
        pretrain_curve, history = self._run(problem, max_iter, watch)
        if goes_on:
            pretrain_curve = self.pretrain_loss_curve_
        best = None if max_iter is not None else self._judge_heads(problem)
        chosen = self._place_heads(problem, best)
        fitted = attributes(problem.params) | {"pretrain_loss_curve_": pretrain_curve} | chosen
        if objective.tasks.average is not None:
            fitted["affinity_"] = affinity(problem.state)
        fitted["_members"] = self._train_members(problem, max_iter, watch, best)
        for name in OPTIONAL_ATTRIBUTES:  # of an earlier fit
            self.__dict__.pop(name, None)
        _fitting.publish(self, fitted, problem.state, history, goes_on)
        context.call_on_fit_task_end(estimator=self, X=X, y=y)
        return self

    def _train_members(self, problem, max_iter, watch, best):
        """``params`` and ``state`` of the members after the first, each trained as that was."""
        members = []
        parts = problem.data, problem.targets, problem.alone, problem.objective
        scale = problem.state["scale"]
        for m in range(1, self.n_members):
            if problem.goes_on:
                params, state = deepcopy(self._members[m - 1])
                _fitting.add_arrays(self, params, state, self._init_skip(params, problem.targets))
            else:
                params, state = self._start(*parts, scale, problem.journal, m)
            own = replace(problem, params=params, state=state | {"scale": scale})

            self._run(own, max_iter, lambda what, m=m: watch(f"member {m + 1}, {what}"))
            self._place_heads(own, best)
            members.append((own.params, own.state | {"scale": scale}))  # one for all
        return members

    def _run(self, problem, max_iter=None, watch_of=lambda what: None):
        """Pretrain and train in place; the loss curve of the former, the history of the latter."""
        pretrain_curve = []
        if self.pretrain_iter and not problem.goes_on:
            pretrain_curve = self._pretrain(problem, watch_of("pretraining epoch"))
        history = _fitting.train(
            self,
            problem.objective,
            problem.params,
            problem.state,
            problem.data,
            max_iter=max_iter,
            stops=max_iter is None,
            validation=problem.held_out,
            watch=watch_of("epoch"),
            journal=problem.journal,
        )
        if max_iter is None and getattr(problem.objective.tasks.penalty, "finishes", False):
            with workers(self.n_jobs):
                finish_heads(problem.objective, problem.params, problem.data)
        return pretrain_curve, history

    def _judge_heads(self, problem):
        """Which head each task is to get, for all members; None where the trained ones stay."""
        if self.head_selection == "shared":
            return None

        def judge():
            seed = _fitting.seed_of(self, problem.journal)
            without = partial(self._params_without, problem)
            with workers(self.n_jobs):
                return judge_heads(problem.objective, problem.data, without, seed)

        return problem.journal.once("heads", judge)

    def _place_heads(self, problem, best):
        """Put other heads in place of trained ones; what to publish of it."""
        if best is None:
            return {}
        params = problem.params
        skip = init_skip(params["W_dec"].shape[1], problem.targets.offsets, params["W_dec"].dtype)
        _fitting.add_arrays(self, params, problem.state, skip)
        with workers(self.n_jobs):
            chosen = place_heads(problem.objective, params, problem.data, best)
        return {"head_selection_": chosen}

    def _params_without(self, problem, kept):
        """Parameters of a model fitted like this one, to the rows ``kept``, (n,) of bool."""
        batch = Batch(*(None if array is None else array[kept] for array in problem.data.batch))
        groups = problem.data.groups
        if groups is not None:
            groups = _balancing.label_groups(batch.labels)
        data = replace(problem.data, batch=batch, weight=problem.data.weight[kept], groups=groups)
        parts = data, problem.targets, problem.alone, problem.objective, problem.state["scale"]
        params, state = self._start(*parts, problem.journal)
        state["scale"] = problem.state["scale"]
        again = replace(problem, data=data, params=params, state=state, goes_on=False)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)  # the fit to all rows has told
            self._run(again)
        return params

    def _pretrain(self, problem, watch):
        """Epochs of reconstruction alone; the optimizer's state ends with them."""
        state = {"rng": problem.state["rng"]}
        history = _fitting.train(
            self,
            problem.alone,
            problem.params,
            state,
            problem.data,
            max_iter=self.pretrain_iter,
            stops=False,
            watch=watch,
            journal=problem.journal,
        )
        if self.pretrained_penalty:
            names = [name for name in StayNear.names if name in problem.params]
            problem.state["pretrained"] = {name: problem.params[name].copy() for name in names}
        return history.loss_curve

    def _attributes(self, params, targets, objective, scale):
        """All that depends on the parameters, as attributes by name."""
        out = _fitting.code_attributes(params, objective)
        heads = [slice(*pair) for pair in pairwise(targets.offsets)]
        read = [(params["W_head"][head] != 0).any(axis=0) for head in heads]
        out |= {
            "_targets": targets,
            "_members": [],
            "n_outputs_": targets.n_tasks,
            "task_map_": np.column_stack(read),
        }
        if "W_head_own" in params:
            out |= private_attributes(params, targets.offsets, out)
        if "W_skip" in params:
            out["task_skip_coef_"] = [params["W_skip"][head] for head in heads]
        if targets.names is not None:
            out["task_names_in_"] = np.array(targets.names, dtype=object)
        return out | self._target_attributes(params, targets, scale)

    # --- one more task ------------------------------------------------------------------------

    def _add_head(self, X, fit_head, targets, prior, scale):
        """Put a head beside those that stay, for each member by what its heads read of X.

        ``scale`` holds what its task is measured in.
        """
        members = []
        for params, kept in [(self._params, self._state), *self._members]:
            with workers(self.n_jobs):
                read = code_and_X(self._objective, params, X, "W_skip" in params)
                if not max(read.max(), -read.min()) < LARGEST:
                    raise ValueError(
                        "X must give codes whose squares are numbers; got codes as large as "
                        f"{max(read.max(), -read.min()):.3g}. Scale X as the rows of fit were."
                    )
                W, b = fit_head(read)
            state, width = deepcopy(kept), params["W_head"].shape[1]
            state["optimizer"] = with_moments(state, len(b))
            state["priors"] = [*state["priors"], prior]
            balancer = self._objective.tasks.balancer
            state["balancer"] = balancer.init(targets.n_tasks, state["priors"])
            state.pop("gramian", None)
            for name, value in scale.items():
                state["scale"][name] = np.append(state["scale"][name], value)
            members.append((with_head(params, W[:, :width], W[:, width:], b), state))
        params, state = members[0]
        objective = with_task(self._objective, targets.offsets)
        self.__dict__.update(self._attributes(params, targets, objective, state["scale"]))
        if hasattr(self, "affinity_"):
            self.affinity_ = np.pad(self.affinity_, (0, 1), constant_values=np.nan)
        if hasattr(self, "head_selection_"):
            self.head_selection_ = np.append(self.head_selection_, "both")  # that is what it reads
        self._state, self._members = state, members[1:]
        return self

    # --- after the fit ----------------------------------------------------------------------

    def transform(self, X: MatrixLike) -> Any:
        """Shared sparse code of X.

        Parameters
        ----------
        X : array-like or sparse matrix of shape (n_samples, n_features)
            Rows to encode.

        Returns
        -------
        code : ndarray or sparse array of shape (n_samples, n_components)
            What the heads read; with "refine" the same latents with other amplitudes.
        """
        return _fitting.codes(self, self._check_rows(X))

    def _scores(self, X):
        """Scores of all heads on checked rows, (n, total number of classes)."""
        members = [self._params, *(params for params, _ in self._members)]

        def of_block(block):
            scores = [self._objective.scores(params, X[block]) for params in members]
            return scores[0] if len(scores) == 1 else self._joint(scores)

        blocks = map_row_blocks(of_block, X.shape[0], self.n_jobs)
        return blocks[0] if len(blocks) == 1 else np.concatenate(blocks)

    def _joint(self, scores):
        """Scores of an ensemble from those of its members."""
        return sum(scores) / scores[0].dtype.type(len(scores))

    def _check_rows(self, X):
        check_is_fitted(self)
        return _validation.check_X(self, X, self._objective.reconstruction.loss, reset=False)

    def __sklearn_is_fitted__(self):
        return hasattr(self, "_params")

    __getstate__, __setstate__ = _versions.getstate, _versions.setstate

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        tags.transformer_tags.preserves_dtype = ["float64", "float32"]
        return tags


def _few_labelled(codes, offsets):
    """Whether so few labels are there that scores are formed for them alone."""
    n_cells = np.count_nonzero(codes >= 0, axis=0) @ np.diff(offsets)
    return bool(_layouts.pays_sparse(n_cells, codes.shape[0] * offsets[-1]))


def _unit(scale):
    """What the best constant reconstruction loses."""
    return float(scale["unit"]) or 1.0


def _priors(data, offsets):
    """Weighted share of each class of each task; None for a task without any class.

    A task that has classes and no label yet (declared in ``partial_fit``) gets equal shares.
    """
    priors: list[np.ndarray | None] = []
    for t, (start, stop) in enumerate(pairwise(offsets)):
        present, n_classes = data.batch.labels[:, t] >= 0, stop - start
        count = np.bincount(
            data.batch.labels[present, t],
            weights=data.batch.label_weight[present, t],
            minlength=n_classes,
        )
        if n_classes == 0:
            priors.append(None)
        elif count.sum() > 0:
            priors.append(count / count.sum())
        else:
            priors.append(np.full(n_classes, 1 / n_classes))
    return priors
