"""What the estimators share, as functions: from parameters to a fit, from arrays to rows.

An estimator validates, calls ``start`` (or ``resume``), ``train`` once or twice, and publishes.
"""

from copy import deepcopy
from numbers import Integral, Real
from os import PathLike

import numpy as np
import scipy.sparse as sp
from sklearn.utils.validation import check_random_state

from skmtl import _layouts, _linalg
from skmtl._autoencoder import init_params
from skmtl._checkpoint import Checkpoint
from skmtl._components import resolve
from skmtl._constraints import UnitAtoms
from skmtl._geometric_median import geometric_median
from skmtl._objectives import (
    Additive,
    MixtureLikelihood,
    Objective,
    WeightDecay,
    check_refinable,
)
from skmtl._schedules import SCHEDULES
from skmtl._sklearn import HasMethods, Interval, StrOptions
from skmtl._threads import map_row_blocks
from skmtl._training import Settings, Watch, freeze, minimize
from skmtl.dead_latents import DEAD_LATENTS
from skmtl.losses import LOSSES
from skmtl.optimizers import OPTIMIZERS
from skmtl.sparsifiers import SPARSIFIERS, Relu, Softmax

# Rows from which a sparsifier learns the scale of the data.
CALIBRATION_ROWS = 4096
# Indices of latents are 32-bit integers.
MOST_LATENTS = 2**31 - 1
LOSS_METHODS = ["check_X", "initial_bias", "baseline", "link", "per_row", "value_and_grad"]
COMMON_CONSTRAINTS: dict = {
    "n_components": [Interval(Integral, 1, MOST_LATENTS, closed="both")],
    "sparsifier": [
        StrOptions({"auto", *SPARSIFIERS}),
        HasMethods(["init", "forward", "backward", "term", "freeze"]),
        None,
    ],
    "loss": [StrOptions(set(LOSSES)), HasMethods(LOSS_METHODS)],
    "optimizer": [StrOptions(set(OPTIMIZERS)), HasMethods(["init", "begin", "update"])],
    "learning_rate": [Interval(Real, 0, None, closed="neither")],
    "schedule": [StrOptions(set(SCHEDULES))],
    "batch_size": [Interval(Integral, 1, None, closed="left")],
    "max_iter": [Interval(Integral, 1, None, closed="left")],
    "tol": [Interval(Real, 0, None, closed="left"), None],
    "n_iter_no_change": [Interval(Integral, 1, None, closed="left")],
    "early_stopping": ["boolean"],
    "validation_fraction": [Interval(Real, 0, 1, closed="neither")],
    "warm_start": ["boolean"],
    "random_state": ["random_state"],
    "verbose": ["verbose"],
    "n_jobs": [
        Interval(Integral, 1, None, closed="left"),
        Interval(Integral, None, -1, closed="right"),
        None,
    ],
    "checkpoint": [str, PathLike, Checkpoint, None],
    "decoder_norm": [StrOptions({"unit"}), None],
    "bias_init": [StrOptions({"mean", "geometric_median", "zero"})],
    "weight_decay": [Interval(Real, 0, None, closed="left")],
    "input_dropout": [Interval(Real, 0, 1, closed="left")],
    "nested_sizes": ["array-like", None],
    "dead_latents": [StrOptions({"auto", *DEAD_LATENTS}), HasMethods(["term", "after_epoch"])],
    "tied": ["boolean"],
    "transform_algorithm": [StrOptions({"encoder", "refine"})],
    "sparse_output": ["boolean"],
}


def components(estimator):
    """Loss and sparsifier of an estimator, resolved and checked against each other."""
    loss, chosen = resolve(estimator.loss, LOSSES), estimator.sparsifier
    is_mixture = getattr(loss, "is_mixture", False)
    if isinstance(chosen, str) and chosen == "auto":
        chosen = "softmax" if is_mixture else "topk"
    sparsifier = Relu() if chosen is None else resolve(chosen, SPARSIFIERS)
    if is_mixture and not isinstance(sparsifier, Softmax):
        raise ValueError(
            "sparsifier must be 'auto' or 'softmax' with loss='mixture', whose code is the mixing "
            f"weights; got {chosen!r}."
        )
    return loss, sparsifier


def build_objective(estimator, loss, sparsifier, *, decayed=(), **more):
    """What is minimized, from an estimator's parameters; the rest goes to `Objective`."""
    terms = _decay_terms(estimator, loss, decayed)
    if estimator.transform_algorithm == "refine":
        check_refinable(loss)
    if getattr(loss, "is_mixture", False):
        _refuse_beside_mixture(estimator)
        return Objective(sparsifier, MixtureLikelihood(loss), terms=terms, **more)
    return Objective(
        sparsifier,
        Additive(loss, _nested(estimator)),
        terms=terms,
        dead_latents=dead_latents_of(estimator, sparsifier),
        input_dropout=estimator.input_dropout,
        tied=estimator.tied,
        **more,
    )


def dead_latents_of(estimator, sparsifier):
    """What is done for latents that stop firing: "auto" asks the sparsifier."""
    chosen = estimator.dead_latents
    if isinstance(chosen, str) and chosen == "auto":
        chosen = getattr(sparsifier, "dead_latents", "ignore")
    return resolve(chosen, DEAD_LATENTS)


def _nested(estimator):
    if estimator.nested_sizes is None:
        return ()
    sizes, n_components = list(estimator.nested_sizes), estimator.n_components
    whole = all(isinstance(size, Integral) for size in sizes)
    ascending = len(sizes) > 0 and sizes == sorted(set(sizes))
    if not whole or not ascending or not all(0 < s <= n_components for s in sizes):
        raise ValueError(
            "nested_sizes must be ascending numbers of latents, each at least 1 and at most "
            f"n_components={n_components}; got {estimator.nested_sizes!r}."
        )
    return tuple(int(size) for size in sizes if size < n_components)


def _refuse_beside_mixture(estimator):
    values = {name: getattr(estimator, name) for name in ("input_dropout", "nested_sizes", "tied")}
    values = {n: v for n, v in values.items() if v is not None and not np.all(np.equal(v, 0))}
    if estimator.dead_latents not in ("auto", "ignore"):
        values["dead_latents"] = estimator.dead_latents
    for name, value in values.items():
        raise ValueError(
            f"{name} must be left at its default with loss='mixture', whose decoder holds one "
            f"component per row; got {value!r}."
        )


# --- start, resume, train -------------------------------------------------------------------


def seed_of(estimator, journal):
    """The next number drawn from ``random_state``, the same one when a fit is resumed."""
    return journal.once("seed", lambda: check_random_state(estimator.random_state).randint(2**31))


def start(estimator, objective, data, unit, seed, member=0):
    """Fresh ``params`` and ``state``; of the data only their weighted distribution matters.

    The members of an ensemble differ in their generator.
    """
    X, weight = data.batch.X, data.weight
    loss, sparsifier = objective.reconstruction.loss, objective.sparsifier
    rng = np.random.default_rng([seed, member] if member else seed)
    if estimator.bias_init == "zero":
        b_dec = np.zeros(X.shape[1])
    elif estimator.bias_init == "mean":
        b_dec = loss.initial_bias(_linalg.weighted_moments(X, weight)[0])
    else:
        b_dec = loss.initial_bias(geometric_median(X, weight, rng))
    params = init_params(estimator.n_components, X.shape[1], X.dtype, b_dec, rng)
    if estimator.tied:
        del params["W_enc"]
    elif hasattr(sparsifier, "encoder_norm"):
        params["W_enc"] *= X.dtype.type(sparsifier.encoder_norm(*params["W_enc"].shape))
    if getattr(loss, "is_mixture", False):
        loss.init(params, X, weight, rng)
    params.update(sparsifier.init(estimator.n_components, X.dtype, rng))
    if hasattr(sparsifier, "calibrate"):
        some = np.arange(data.n_rows)
        if data.n_rows > CALIBRATION_ROWS:
            some = rng.choice(data.n_rows, CALIBRATION_ROWS, replace=False)
        sparsifier.calibrate(objective.pre(params, X[some]), weight[some], unit, params)
    return params, {"rng": rng}


def resume(estimator, objective):
    """Copies of a fitted estimator's ``params`` and ``state``, to train on.

    What the arrays depend on must not have changed: the number of latents, and the kind of each
    component. Their constants may have changed, and so may the rate.
    """
    now, then = (_structure(estimator, o) for o in (objective, estimator._objective))
    now["n_components"] = estimator.n_components
    now["n_private_components"] = getattr(estimator, "n_private_components", 0)
    now["n_members"] = getattr(estimator, "n_members", 1)
    now["optimizer"] = type(resolve(estimator.optimizer, OPTIMIZERS)).__name__
    for name in now:
        if now[name] != then[name]:
            raise ValueError(
                f"{name} must stay as it was while a fit goes on (warm_start, partial_fit): "
                f"{then[name]}; got {now[name]}. Set it back, or fit a new estimator."
            )
    return deepcopy(estimator._params), deepcopy(estimator._state)


def add_arrays(estimator, params, state, arrays):
    """Let a fit that goes on train arrays that it did not have before."""
    new = {name: array for name, array in arrays.items() if name not in params}
    if new:
        params.update(new)
        began = resolve(estimator.optimizer, OPTIMIZERS).init(new)
        state["optimizer"]["moments"].update(began["moments"])


def _structure(estimator, objective):
    """What the shapes and meanings of the fitted arrays depend on, by parameter."""
    loss = objective.reconstruction.loss
    return {
        "n_components": len(estimator._params["W_dec"]),
        "n_members": 1 + len(getattr(estimator, "_members", ())),
        "n_private_components": estimator._params.get("W_head_own", np.empty((0, 0))).shape[1],
        "sparsifier": type(objective.sparsifier).__name__,
        "loss": repr(loss) if getattr(loss, "is_mixture", False) else type(loss).__name__,
        "tied": objective.tied,
        "optimizer": estimator._state["optimizer"]["kind"],
        "balancer": type(objective.tasks.balancer).__name__ if objective.tasks else None,
    }


def _decay_terms(estimator, loss, extra=()):
    """L2 on the weight matrices; not on unit-norm atoms, whose norm is fixed."""
    if not estimator.weight_decay:
        return []
    free_atoms = () if _unit_atoms(estimator, loss) else ("W_dec",)
    encoder = () if estimator.tied else ("W_enc",)
    return [WeightDecay(estimator.weight_decay, (*encoder, *free_atoms, *extra))]


def _unit_atoms(estimator, loss):
    return estimator.decoder_norm == "unit" and not getattr(loss, "is_mixture", False)


def train(
    estimator, objective, params, state, data, *, unit=1.0, max_iter=None, stops=True, **more
):
    """Run the loop with an estimator's settings; keeps the optimizer's state in ``state``.

    ``unit`` is what ``tol`` is measured in. ``max_iter`` overrides the estimator's;
    ``stops=False`` runs all of it, at a constant rate. The rest goes to the loop.
    """
    optimizer = resolve(estimator.optimizer, OPTIMIZERS)
    if "optimizer" not in state:
        buffers = getattr(objective.sparsifier, "buffers", ())
        state["optimizer"] = optimizer.init({n: a for n, a in params.items() if n not in buffers})
        state["optimizer"]["kind"] = type(optimizer).__name__
    loss = objective.reconstruction.loss
    settings = Settings(
        optimizer=optimizer,
        learning_rate=float(estimator.learning_rate),
        max_iter=estimator.max_iter if max_iter is None else max_iter,
        batch_size=estimator.batch_size,
        schedule=SCHEDULES[estimator.schedule] if stops else None,
        constraints=[
            *([UnitAtoms(), UnitAtoms("W_dec_own")] if _unit_atoms(estimator, loss) else []),
            *getattr(objective.sparsifier, "constraints", ()),
        ],
        after_step=objective.tasks.after_step if _shrinks_heads(objective) else None,
        dead_latents=dead_latents_of(estimator, objective.sparsifier),
        tol=estimator.tol * unit if stops and estimator.tol is not None else None,
        n_iter_no_change=estimator.n_iter_no_change,
        early_stopping=estimator.early_stopping and stops,
        streamed=not stops,
    )
    return minimize(objective, params, state, data, settings, n_jobs=estimator.n_jobs, **more)


def _shrinks_heads(objective):
    return objective.tasks is not None and objective.tasks.penalty is not None


class EpochWatch(Watch):
    """Tells scikit-learn's callbacks and, with ``verbose``, the user of each epoch.

    Parameters
    ----------
    estimator : estimator
    context : CallbackContext
        The root context of the fit.
    X, y : array-like
        Handed to the callbacks.
    objective : Objective
        What is trained.
    data : Data
        What it is trained on.
    attributes : callable
        From ``params`` to the fitted attributes, for callbacks that look at the model.
    what : str
        Name of the task, "epoch" or "pretraining epoch".
    """

    def __init__(self, estimator, context, X, y, objective, data, attributes, what="epoch"):
        self.estimator, self.context, self.X, self.y = estimator, context, X, y
        self.objective, self.data, self.attributes, self.what = objective, data, attributes, what

    def begin(self, epoch):
        self._epoch_context = self.context.subcontext(task_name=self.what)
        self._epoch_context.call_on_fit_task_begin(estimator=self.estimator, X=self.X, y=self.y)

    def end(self, epoch, params, history):
        if self.estimator.verbose:
            held_out = history.validation_curve
            print(
                f"[{type(self.estimator).__name__}] {self.what} {epoch + 1}: "
                f"loss {history.loss_curve[-1]:.6f}"
                + (f", validation loss {held_out[-1]:.6f}" if held_out else "")
            )
        return self._epoch_context.call_on_fit_task_end(
            estimator=self.estimator,
            X=self.X,
            y=self.y,
            reconstruction_attributes=lambda: self._as_fitted(deepcopy(params)),
        )

    def _as_fitted(self, params):
        """Fitted attributes as if the fit ended here; made only if a callback asks."""
        freeze(self.objective, params, self.data)
        return self.attributes(params)


# --- after the fit --------------------------------------------------------------------------


def code_attributes(params, objective):
    """Fitted attributes both estimators publish."""
    W_dec = params["W_dec"]
    W_enc = objective.with_encoder(params).get("W_enc", np.zeros_like(W_dec))  # mixtures have none
    return {
        "_params": params,
        "_objective": objective,
        "_n_features_out": len(W_dec),
        "components_": W_dec,
        "encoder_components_": W_enc,
        "encoder_bias_": params["b_enc"],
        "decoder_bias_": params["b_dec"],
    }


def codes(estimator, X):
    """Code of each row, dense or CSR as ``sparse_output`` says, row block by row block."""
    objective, params = estimator._objective, estimator._params
    refined = estimator.transform_algorithm == "refine"
    if estimator.sparse_output:
        blocks = map_row_blocks(
            lambda block: _layouts.to_scipy(objective.code(params, X[block], refined)),
            X.shape[0],
            estimator.n_jobs,
        )
        return sp.vstack(blocks, format="csr")
    out = np.empty((X.shape[0], len(params["W_dec"])), dtype=params["W_dec"].dtype)

    def encode(block):
        _layouts.to_dense(objective.code(params, X[block], refined), out[block])

    map_row_blocks(encode, X.shape[0], estimator.n_jobs)
    return out


def publish(estimator, attributes, state, history, goes_on):
    """Set all fitted attributes at once, at the end of a fit."""
    curves = ("loss_curve_", "validation_loss_curve_")
    before = [getattr(estimator, curve) if goes_on else [] for curve in curves]
    if not goes_on:
        vars(estimator).pop("task_names_in_", None)  # an earlier fit's y may have had names
    vars(estimator).update(attributes)
    estimator._state = state
    estimator.firing_rate_ = state["fired"]
    estimator.loss_curve_ = before[0] + history.loss_curve
    estimator.validation_loss_curve_ = before[1] + history.validation_curve
    estimator.n_iter_ = history.n_iter
