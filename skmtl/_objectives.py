"""What is minimized: ``(params, state, batch, step) -> value, grads``.

value = reconstruction_weight / baseline * sum_i w_i (loss_i + penalties)  +  balance(task losses)

The row weights w_i of a batch sum to one on average; so do those of each task over its labels.
The training loop, the optimizers and the gradient check know nothing else about a model.
"""

from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, NamedTuple

import numpy as np
from scipy.special import logsumexp

from skmtl import _autoencoder, _gramian, _heads, _layouts, _linalg, _private, _scratch
from skmtl._autoencoder import Adjoints
from skmtl._gradients import add_gradient, dense_gradient
from skmtl._layouts import CSR
from skmtl._refine import refine


class Batch(NamedTuple):
    """Rows of the data. ``labels`` (n, T) integers, -1 for missing; ``label_weight`` (n, T).

    For a task of real targets the labels are 0, and the values are in ``targets`` (n, T).
    """

    X: Any
    labels: np.ndarray | None = None
    label_weight: np.ndarray | None = None
    targets: np.ndarray | None = None


@dataclass
class Place:
    """Where in a fit a step is. A stream and inference have none."""

    epoch: int
    rows: np.ndarray  # of the training rows, those in the batch
    n_rows: int  # how many training rows there are
    memory: dict  # what a part keeps from step to step, until the fit ends


@dataclass
class Step:
    """What the loop knows and the parts of an objective may ask."""

    weight: np.ndarray  # of each row, (n,); sums to one on average over the batches
    train: bool = True
    progress: float = 1.0  # share of the fit that lies behind, 1 in partial_fit
    rng: np.random.Generator | None = None
    place: Place | None = None
    epoch_rows: int = 0  # rows in an epoch

    def with_weight(self, weight):
        return Step(weight, self.train, self.progress, self.rng, self.place, self.epoch_rows)


def check_refinable(loss):
    """Raise a ValueError unless amplitudes can be found by least squares."""
    if getattr(loss, "is_mixture", False) or not getattr(loss, "shifts_input", False):
        raise ValueError(
            "transform_algorithm='refine' needs loss='squared_error', since it finds amplitudes by "
            f"least squares; got {loss!r}. Use 'encoder'."
        )


@dataclass
class Additive:
    """Reconstruction by ``link(code @ W_dec + b_dec)``, judged by a loss.

    With ``nested`` prefixes of the latents the loss is the mean over prefixes s, each of which
    must reconstruct X alone, by code[:, :s] @ W_dec[:s] + b_dec.
    """

    loss: Any
    nested: tuple = ()

    def value_and_backward(self, params, X, weight, fwd, adj, grads):
        if self.nested:
            return self._nested(params, X, weight, fwd, adj, grads)
        fwd.recon, target = self._compared(params, X, fwd)
        adj.recon = _scratch.empty("d_recon", fwd.recon.shape, fwd.recon.dtype)
        value = self.loss.value_and_grad(fwd.recon, target, weight, adj.recon)
        _autoencoder.decoder_backward(params, fwd, adj, grads)
        return value

    def _nested(self, params, X, weight, fwd, adj, grads):
        target = self.target(params, X, fwd)
        stops = [*self.nested, fwd.code.shape[1]]
        weight = weight / weight.dtype.type(len(stops))
        recons = _autoencoder.decode_prefixes(params, fwd.code, stops, self.loss.shifts_input)
        recons = [_with(recon, fwd.beside) for recon in recons]
        d_recons, value = [], 0.0
        for recon in recons:
            d_recons.append(np.empty_like(recon))
            value += self.loss.value_and_grad(recon, target, weight, d_recons[-1])
        fwd.recon = recons[-1]
        _autoencoder.prefixes_backward(params, fwd.code, stops, d_recons, adj, grads)
        return value

    def judge(self, params, X, weight, fwd, code):
        """Loss of another code and its gradient in that code, the decoder held fixed."""
        recon = _autoencoder.decode(params, code, self.loss.shifts_input, "judged")
        _with(recon, fwd.beside)
        d_recon = np.empty_like(recon)
        value = self.loss.value_and_grad(recon, self.target(params, X, fwd), weight, d_recon)
        d_code = _layouts.with_values(code, np.zeros_like(_layouts.values(code)))
        _linalg.add_adjoint(d_recon, params["W_dec"], d_code)
        return value, d_code

    def residual(self, params, X, fwd):
        """What the reconstruction leaves over, on the scale of X."""
        return self.target(params, X, fwd) - self.loss.link(fwd.recon)

    def per_row(self, params, X, fwd):
        return self.loss.per_row(*self._compared(params, X, fwd))

    def _compared(self, params, X, fwd):
        """Reconstruction and X, both measured from ``b_dec`` where only their difference counts."""
        recon = _autoencoder.decode(params, fwd.code, self.loss.shifts_input)
        return _with(recon, fwd.beside), self.target(params, X, fwd)

    def target(self, params, X, fwd):
        if isinstance(X, np.ndarray):
            return fwd.input if fwd.target is None else fwd.target
        X = _layouts.to_dense(X)  # a batch, never the whole of X
        if self.loss.shifts_input:
            X -= params["b_dec"]
        return X

    def code(self, params, X, fwd):
        return fwd.code

    def inverse(self, params, code):
        return self.loss.link(code @ params["W_dec"] + params["b_dec"])


def _with(recon, beside):
    """A reconstruction and, in place, what private latents add to it."""
    if beside is not None:
        recon += beside
    return recon


@dataclass
class MixtureLikelihood:
    """The origin's p(x) = sum_h alpha_h p_dec(x; h), alpha the code."""

    loss: Any

    def value_and_backward(self, params, X, weight, fwd, adj, grads):
        return self.loss.value_and_backward(X, weight, fwd, adj, params, grads)

    def per_row(self, params, X, fwd):
        return -logsumexp(self.loss.log_joint(X, fwd.pre, params), axis=1)

    def code(self, params, X, fwd):
        if self.loss.amortized:
            return fwd.code
        return self.loss.responsibilities(X, fwd.pre, params)

    def inverse(self, params, code):
        return code @ self.loss.means(params)


@dataclass
class Tasks:
    """The task part: a head per task, their losses combined by the balancer."""

    offsets: np.ndarray
    balancer: Any
    of_labelled: bool = False  # whether scores are formed only where there is a label
    kinds: Any = "softmax"  # of the heads: that of each task, or one for all
    average: Any = None  # of the Gramian of the tasks' gradients, where that is wanted
    task_weights: np.ndarray | None = None  # fixed factors of the balancer's weights
    dropout: float = 0.0  # share of the code's latents that heads do not see in a training step
    penalty: Any = None  # on the heads' weights, and
    heads: Any = None  # whose these are, as it is told
    later: tuple = ()  # the first classes of heads that were added to a fitted model

    def __post_init__(self):
        kinds = np.broadcast_to(self.kinds, len(self.offsets) - 1)
        found = {kind: kinds == kind for kind in sorted(_heads.KINDS)}
        self.of_kind = {kind: of_kind for kind, of_kind in found.items() if of_kind.any()}

    def value_and_backward(self, params, state, batch, fwd, adj, grads, step, gramian_of):
        """``gramian_of`` gives the batch's Gramian, from ``d_scores``."""
        losses, d_scores = self.losses(params, batch, fwd.code, fwd.own)
        mass, gramian = self.mass(batch), None
        if self.average is not None:
            gramian = self.average(partial(gramian_of, d_scores), mass, state)
            if not getattr(self.balancer, "needs_gramian", False):
                gramian = None
        value, weights = self.balancer.balance(losses, mass, gramian, state["balancer"], step)
        if self.task_weights is not None:
            weights = weights * self.task_weights
            value = float(weights @ losses)
        _heads.heads_backward(params, fwd.code, d_scores, weights, self.offsets, adj.code, grads)
        if "W_skip" in params:
            _heads.skip_backward(params, batch.X, d_scores, self.offsets, grads)
        if fwd.own is not None:
            W, by_class = params["W_head_own"], _heads.by_class(weights, self.offsets, params)
            args = W, d_scores, by_class, self.offsets, adj.own, grads
            _private.heads_backward(fwd.own, *args)
        return value

    def after_step(self, params, step_sizes, progress):
        """Shrink the heads' weights as their penalty asks."""
        for name in _heads.WEIGHTS:
            if name in params:
                self.penalty.shrink(params[name], step_sizes(name), self.heads, progress)

    def heads_backward(self, params, batch, code, d_scores, grads):
        """Gradients of the heads alone."""
        d_code = _layouts.with_values(code, np.zeros_like(_layouts.values(code)))
        weights = np.zeros(len(self.offsets) - 1)
        _heads.heads_backward(params, code, d_scores, weights, self.offsets, d_code, grads)
        if "W_skip" in params:
            _heads.skip_backward(params, batch.X, d_scores, self.offsets, grads)

    def losses(self, params, batch, code, own=None):
        return _heads.losses_and_grad(
            params, code, batch, self.offsets, self.of_kind, self.of_labelled, own
        )

    def mass(self, batch):
        """What the labels of each task weigh in the batch; zero for a task of weight zero."""
        mass = _heads.label_mass(batch.labels, batch.label_weight)
        return mass if self.task_weights is None else mass * (self.task_weights > 0)


@dataclass
class Objective:
    """Sparse code, a reconstruction, and perhaps tasks on it."""

    sparsifier: Any
    reconstruction: Any
    reconstruction_weight: float = 1.0  # over the loss's baseline, where tasks stand beside it
    tasks: Tasks | None = None
    terms: list = field(default_factory=list)
    dead_latents: Any = None  # what is done for them in each step
    input_dropout: float = 0.0  # share of the entries of X that training sets to zero
    tied: bool = False  # W_enc is W_dec
    private: Any = None  # sizes of the tasks' private latents

    @property
    def shifted(self):
        return getattr(self.reconstruction.loss, "shifts_input", False)

    def __call__(self, params, state, batch, step):
        """Value on a batch, and gradients by name; parameters without one are left out."""
        grads: dict = {}
        params = self.with_encoder(params)
        batch = batch._replace(X=_layouts.as_rows(batch.X))
        fwd = self._forward_in_training(params, batch.X, step)
        if "fired" in state:
            _linalg.add_firing(
                fwd.code, step.weight * len(step.weight), state["fired"], state["idle"]
            )
        adj = Adjoints(code=_layouts.zeros_like(fwd.code))
        if self.private is not None:
            allowed = (batch.labels >= 0) & (batch.label_weight > 0)
            fwd.own = _private.encode(self.private, params, fwd.input, self.shifted, allowed)
            fwd.beside = _private.reconstruct(params, fwd.own)
            adj.own = _layouts.with_values(fwd.own, np.zeros_like(fwd.own.data))
        own = step.with_weight(step.weight * self.reconstruction_weight)
        self._hand_in(params, batch.X, own.weight, fwd)
        value = 0.0
        if self.reconstruction_weight > 0:
            value += self.reconstruction.value_and_backward(
                params, batch.X, own.weight, fwd, adj, grads
            )
        if self.tasks is not None:
            value += self._tasks(self.tasks, params, state, batch, fwd, adj, grads, step)
        for term in (self.sparsifier.term, *self.terms, *self._of_dead_latents()):
            value += term(batch, fwd, adj, params, state, grads, own)
        if self.private is not None:
            value += _private.coactivation(self.private, fwd, adj, step.weight)
            _private.backward(params, fwd, adj, self.shifted, grads)
        self.sparsifier.backward(fwd, adj, params, grads, step)
        _autoencoder.encoder_backward(params, fwd.input, self.shifted, adj, grads)
        if self.tied:
            add_gradient(grads, "W_dec", grads.pop("W_enc"))
        return value, grads

    def _tasks(self, tasks, params, state, batch, fwd, adj, grads, step):
        own, kept = self._as_read(fwd, step)
        args = params, state, batch, own
        more = grads, step, partial(self._task_gramian, params, fwd, own, kept, step)
        if own is fwd:
            return tasks.value_and_backward(*args, adj, *more)
        of_code = np.zeros_like(_layouts.values(own.code))
        d_read = Adjoints(_layouts.with_values(own.code, of_code), own=adj.own)
        value = tasks.value_and_backward(*args, d_read, *more)
        of_read = _layouts.values(d_read.code)
        if kept is not None:
            of_read *= kept
        if getattr(self.sparsifier, "read", None) is not None:
            adj.pre.append(_linalg.relu_backward(own.code, d_read.code))
        else:
            of_code = _layouts.values(adj.code)
            of_code += of_read
        return value

    def _of_dead_latents(self):
        return [] if self.dead_latents is None else [self.dead_latents.term]

    def _as_read(self, fwd, step):
        """The signals as heads read them in training, and the factors by which dropout did it."""
        own, share = fwd, self.tasks.dropout if self.tasks else 0.0
        if getattr(self.sparsifier, "read", None) is not None:
            own = replace(fwd, code=self.sparsifier.read(fwd))
        if not share:
            return own, None
        of_code = _layouts.values(own.code)
        kept = step.rng.random(of_code.shape, dtype=np.float32) >= share
        kept = kept / of_code.dtype.type(1 - share)
        return replace(own, code=_layouts.with_values(own.code, of_code * kept)), kept

    def _task_gramian(self, params, fwd, own, kept, step, d_scores):
        """Of the gradients of the tasks' losses in ``W_enc`` and ``b_enc``, (T, T)."""
        tasks: Any = self.tasks
        adjoints: list = []
        for t in range(len(tasks.offsets) - 1):
            rows, d_own = _heads.scores_adjoint_of(t, d_scores, tasks.offsets)
            if not len(rows):
                adjoints.append(None)
                continue
            code = _layouts.rows_at(own.code, rows)
            d_code = _heads.code_adjoint_of(t, params, code, d_own, tasks.offsets)
            if kept is not None:
                factors = _layouts.rows_at(_layouts.with_values(own.code, kept), rows)
                of_code = _layouts.values(d_code)
                of_code *= _layouts.values(factors)
            adj = Adjoints(d_code)
            grads: dict = {}
            if getattr(self.sparsifier, "read", None) is not None:
                adj.pre.append(_linalg.relu_backward(code, d_code))
            else:
                pre = None if fwd.pre is None else fwd.pre[rows]
                there = replace(fwd, pre=pre, code=_layouts.rows_at(fwd.code, rows))
                of_rows = step.with_weight(step.weight[rows])
                self.sparsifier.backward(there, adj, params, grads, of_rows)
            d_pre = _layouts.join(adj.pre)
            add_gradient(grads, "b_enc", _linalg.column_sum(d_pre))
            adjoints.append((rows, d_pre, dense_gradient(grads["b_enc"])))
        shift = params["b_dec"] if self.shifted and isinstance(fwd.input, CSR) else None
        return _gramian.gramian(fwd.input, shift, adjoints)

    @property
    def observes(self):
        """Whether the balancer wants to know what a step did to the losses of its own batch."""
        return self.tasks is not None and getattr(self.tasks.balancer, "observe", None) is not None

    def observe(self, params, state, batch, step):
        """Tell the balancer the losses of the batch, as the step left them."""
        tasks: Any = self.tasks
        params = self.with_encoder(params)
        batch = batch._replace(X=_layouts.as_rows(batch.X))
        own, _ = self._as_read(self._forward_in_training(params, batch.X, step), step)
        losses, _ = tasks.losses(params, batch, own.code, self._own_code(params, own))
        tasks.balancer.observe(losses, state["balancer"])

    def with_encoder(self, params):
        return params | {"W_enc": params["W_dec"]} if self.tied else params

    def _forward_in_training(self, params, X, step):
        if not self.input_dropout:
            return self.forward(params, X, step)
        fwd = self.forward(params, _linalg.dropped(X, self.input_dropout, step.rng), step)
        fwd.target = _autoencoder.encoder_input(params, X, self.shifted, "target")
        return fwd

    def _hand_in(self, params, X, weight, fwd):
        """What terms may ask of the equations."""
        fwd.pre_of = partial(_autoencoder.pre_of, params, fwd)
        if isinstance(self.reconstruction, Additive):
            fwd.judge = partial(self.reconstruction.judge, params, X, weight, fwd)
            fwd.residual = partial(self.reconstruction.residual, params, X, fwd)

    def forward(self, params, X, step):
        params = self.with_encoder(params)
        return _autoencoder.encode(params, X, self.shifted, self.sparsifier, step)

    # --- at inference: a row's result depends on that row alone -----------------------------------

    def infer(self, params, X):
        """Signals of a block of rows, no training-time rule applied."""
        return self.forward(params, X, Step(weight=np.ones(X.shape[0], X.dtype), train=False))

    def code(self, params, X, refined=False):
        X = _layouts.as_rows(X)
        return self.reconstruction.code(params, X, self._inferred(params, X, refined))

    def row_losses(self, params, X, refined=False):
        """Reconstruction loss of each row, (n,)."""
        X = _layouts.as_rows(X)
        return self.reconstruction.per_row(params, X, self._inferred(params, X, refined))

    def _inferred(self, params, X, refined):
        fwd = self.infer(params, X)
        if refined:
            check_refinable(self.reconstruction.loss)
            target = self.reconstruction.target(params, X, fwd)
            fwd.code = refine(fwd.code, params["W_dec"], target)
        return fwd

    def scores(self, params, X):
        """Scores of all heads, (n, total number of classes)."""
        X = _layouts.as_rows(X)
        code, own = self.read_by_heads(params, X)
        tasks: Any = self.tasks
        return _heads.scores(params, code, X, own, tasks.offsets, tasks.later)

    def read_by_heads(self, params, X):
        """Code of rows, and that of all tasks' private latents, where there are some."""
        fwd = self.infer(params, X)
        return fwd.code, self._own_code(params, fwd)

    def _own_code(self, params, fwd):
        """The code of all tasks' private latents on rows of which no label is known."""
        if self.private is None:
            return None
        return _private.encode(self.private, params, fwd.input, self.shifted)

    def validate(self, params, batch, weight):
        """Weighted sums over rows: of the task losses, (T,), or else of the row losses, (1,)."""
        if self.tasks is not None:
            batch = batch._replace(X=_layouts.as_rows(batch.X))
            return self.tasks.losses(params, batch, *self.read_by_heads(params, batch.X))[0]
        return np.array([weight.astype(np.float64) @ self.row_losses(params, batch.X)])

    def freeze(self, params, blocks, weight):
        """Let the sparsifier set what inference needs from the training rows."""
        self.sparsifier.freeze((self.pre(params, X) for X in blocks), weight, params)

    def pre(self, params, X):
        """Pre-activations, (n, m): a new array, whoever is handed it may keep it."""
        params = self.with_encoder(params)
        rows = _autoencoder.encoder_input(params, _layouts.as_rows(X), self.shifted)
        product, bias = _autoencoder.product_and_bias(params, rows, self.shifted)
        return product + bias

    def residual(self, params, X):
        """What the reconstruction of a block of rows leaves over, on the scale of X."""
        fwd = self.infer(params, X)
        fwd.recon = _autoencoder.decode(params, fwd.code, self.shifted)
        return self.reconstruction.residual(params, X, fwd)


@dataclass
class WeightDecay:
    """``amount / 2 * sum of squares`` of the named weight matrices, a term."""

    amount: float
    names: tuple

    def __call__(self, batch, fwd, adj, params, state, grads, step):
        value = 0.0
        for name in self.names:
            W = params.get(name)
            if W is None:  # a mixture may have no encoder
                continue
            add_gradient(grads, name, W.dtype.type(self.amount) * W)
            value += 0.5 * self.amount * float(np.vdot(W, W))
        return value


@dataclass
class StayNear:
    """``amount / 2 * sum of (parameter - its value after pretraining)^2``, a term.

    Over encoder and decoder; nothing where there was no pretraining (``state["pretrained"]``).
    """

    amount: float
    names = ("W_enc", "b_enc", "W_dec", "b_dec")

    def __call__(self, batch, fwd, adj, params, state, grads, step):
        value = 0.0
        for name, start in state.get("pretrained", {}).items():
            moved = params[name] - start
            add_gradient(grads, name, moved.dtype.type(self.amount) * moved)
            value += 0.5 * self.amount * float(np.vdot(moved, moved))
        return value
