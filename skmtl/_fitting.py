"""What the estimators share, as functions: from parameters to a fit, from arrays to rows.

An estimator validates, calls ``start`` (or ``resume``), ``train`` once or twice, and publishes.
"""

from copy import deepcopy
from numbers import Integral, Real
from typing import Any, NamedTuple

import numpy as np
import scipy.sparse as sp
from sklearn.utils.validation import check_random_state

from skmtl import _linalg
from skmtl._autoencoder import init_params
from skmtl._components import resolve
from skmtl._constraints import UnitAtoms
from skmtl._objectives import Additive, Batch, MixtureLikelihood, WeightDecay
from skmtl._schedules import SCHEDULES
from skmtl._sklearn import HasMethods, Interval, StrOptions
from skmtl._threads import map_row_blocks
from skmtl._training import Data, Settings, Watch, freeze, minimize
from skmtl._validation import held_out
from skmtl.losses import LOSSES
from skmtl.optimizers import OPTIMIZERS
from skmtl.sparsifiers import SPARSIFIERS, Relu, Softmax

LOSS_METHODS = ["check_X", "initial_bias", "baseline", "link", "per_row", "value_and_grad"]
COMMON_CONSTRAINTS: dict = {
    "n_components": [Interval(Integral, 1, None, closed="left")],
    "sparsifier": [
        StrOptions({"auto", *SPARSIFIERS}),
        HasMethods(["init", "forward", "backward", "term", "freeze"]),
        None,
    ],
    "loss": [StrOptions(set(LOSSES)), HasMethods(LOSS_METHODS)],
    "optimizer": [StrOptions(set(OPTIMIZERS)), HasMethods(["init", "step"])],
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
    "n_jobs": [Integral, None],
    "decoder_norm": [StrOptions({"unit"}), None],
    "bias_init": [StrOptions({"mean", "zero"})],
    "weight_decay": [Interval(Real, 0, None, closed="left")],
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


def reconstruction(loss):
    """The part of the objective that a loss belongs to."""
    return (MixtureLikelihood if getattr(loss, "is_mixture", False) else Additive)(loss)


# --- data -----------------------------------------------------------------------------------


class Table(NamedTuple):
    """Checked rows with their weights; labels and their weights where there are tasks."""

    X: Any
    weight: np.ndarray
    codes: np.ndarray | None = None
    label_weight: np.ndarray | None = None

    def take(self, rows):
        return Table._make(None if part is None else part[rows] for part in self)


def training_data(estimator, table, validation, loss, kept=None):
    """Rows to train on, rows to validate on or None, and the scale of their weights and losses.

    Rows of weight zero are left out here, once. ``kept`` is the scale of earlier calls of
    ``partial_fit``.
    """
    held = table.weight > 0
    if validation is None and estimator.early_stopping:
        out = held_out(held, estimator.validation_fraction, estimator.random_state, table.codes)
        validation, held = table.take(out), held & ~out
    if not held.all():
        table = table.take(held)
    scale = scale_of(table, loss, kept)
    if validation is not None:
        validation = scaled(validation, scale_of(validation))
    return scaled(table, scale), validation, scale


def scale_of(table, loss=None, kept=None):
    """Mean row weight, mean label weight of each task, and the loss of the best constant.

    Zero where these rows do not tell. What an earlier call told stays: chunks of a stream are
    measured alike.
    """
    scale = {"weight": _mean(table.weight)}
    if table.codes is not None:
        scale["label_weight"] = _mean(table.label_weight)
    if loss is not None:
        moments = _linalg.weighted_moments(table.X, table.weight)
        scale["unit"] = np.asarray(loss.baseline(*moments))
    for name, value in (kept or {}).items():
        scale[name] = np.where(value > 0, value, scale[name])
    return scale


def _mean(weight):
    largest = weight.max(axis=0, initial=0)  # divided out: no sum overflows
    return (weight / np.where(largest > 0, largest, 1)).mean(axis=0) * largest


def scaled(table, scale):
    """Rows and labels with weights of mean one, in X's dtype."""
    dtype, label_weight = table.X.dtype, None
    if table.codes is not None:
        label_weight = (table.label_weight / _or_one(scale["label_weight"])).astype(dtype)
    batch = Batch(table.X, table.codes, label_weight)
    return Data(batch, (table.weight / _or_one(scale["weight"])).astype(dtype))


def _or_one(value):
    return np.where(value > 0, value, 1)


# --- start, resume, train -------------------------------------------------------------------


def start(estimator, X, weight, loss, sparsifier):
    """Fresh ``params`` and ``state``; of the data only their weighted distribution matters."""
    rng = np.random.default_rng(check_random_state(estimator.random_state).randint(2**31))
    mean, _ = _linalg.weighted_moments(X, weight)
    b_dec = loss.initial_bias(mean) if estimator.bias_init == "mean" else np.zeros(len(mean))
    params = init_params(estimator.n_components, X.shape[1], X.dtype, b_dec, rng)
    if getattr(loss, "is_mixture", False):
        loss.init(params, X, weight, rng)
    params.update(sparsifier.init(estimator.n_components, X.dtype, rng))
    return params, {"rng": rng}


def resume(estimator, objective):
    """Copies of a fitted estimator's ``params`` and ``state``, to train on.

    What the arrays depend on must not have changed: the number of latents, and the kind of each
    component. Their constants may have changed, and so may the rate.
    """
    now, then = (_structure(estimator, o) for o in (objective, estimator._objective))
    now["n_components"] = estimator.n_components
    now["optimizer"] = type(resolve(estimator.optimizer, OPTIMIZERS)).__name__
    for name in now:
        if now[name] != then[name]:
            raise ValueError(
                f"{name} must stay as it was while a fit goes on (warm_start, partial_fit): "
                f"{then[name]}; got {now[name]}. Set it back, or fit a new estimator."
            )
    return deepcopy(estimator._params), deepcopy(estimator._state)


def _structure(estimator, objective):
    """What the shapes and meanings of the fitted arrays depend on, by parameter."""
    loss = objective.reconstruction.loss
    return {
        "n_components": len(estimator._params["W_dec"]),
        "sparsifier": type(objective.sparsifier).__name__,
        "loss": repr(loss) if getattr(loss, "is_mixture", False) else type(loss).__name__,
        "optimizer": estimator._state["optimizer"]["kind"],
        "balancer": type(objective.tasks.balancer).__name__ if objective.tasks else None,
    }


def decay_terms(estimator, loss, extra=()):
    """L2 on the weight matrices; not on unit-norm atoms, whose norm is fixed."""
    if not estimator.weight_decay:
        return []
    free_atoms = () if _unit_atoms(estimator, loss) else ("W_dec",)
    return [WeightDecay(estimator.weight_decay, ("W_enc", *free_atoms, *extra))]


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
        constraints=[UnitAtoms()] if _unit_atoms(estimator, loss) else [],
        tol=estimator.tol * unit if stops and estimator.tol is not None else None,
        n_iter_no_change=estimator.n_iter_no_change,
        early_stopping=estimator.early_stopping and stops,
        streamed=not stops,
    )
    return minimize(objective, params, state, data, settings, **more)


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
    return {
        "_params": params,
        "_objective": objective,
        "_n_features_out": len(W_dec),
        "components_": W_dec,
        "encoder_components_": params.get("W_enc", np.zeros_like(W_dec)),
        "encoder_bias_": params["b_enc"],
        "decoder_bias_": params["b_dec"],
    }


def codes(estimator, X):
    """Code of each row, dense or CSR as ``sparse_output`` says, row block by row block."""
    objective, params = estimator._objective, estimator._params
    if estimator.sparse_output:
        blocks = map_row_blocks(
            lambda block: _linalg.to_scipy(objective.code(params, X[block])),
            X.shape[0],
            estimator.n_jobs,
        )
        return sp.vstack(blocks, format="csr")
    out = np.empty((X.shape[0], len(params["W_dec"])), dtype=params["W_dec"].dtype)

    def encode(block):
        out[block] = _linalg.to_dense(objective.code(params, X[block]))

    map_row_blocks(encode, X.shape[0], estimator.n_jobs)
    return out


def publish(estimator, attributes, state, data, history, goes_on):
    """Set all fitted attributes at once, at the end of a fit."""
    curves = ("loss_curve_", "validation_loss_curve_")
    before = [getattr(estimator, curve) if goes_on else [] for curve in curves]
    if not goes_on:
        vars(estimator).pop("task_names_in_", None)  # an earlier fit's y may have had names
    vars(estimator).update(attributes)
    estimator._state = state
    estimator.firing_rate_ = firing_rate(estimator, data)
    estimator.loss_curve_ = before[0] + history.loss_curve
    estimator.validation_loss_curve_ = before[1] + history.validation_curve
    estimator.n_iter_ = history.n_iter


def firing_rate(estimator, data):
    """Weighted share of the rows on which each latent is active, (n_components,)."""
    objective, params = estimator._objective, estimator._params

    def weighted_count(block):
        code = _linalg.to_dense(objective.code(params, data.batch.X[block]))
        return data.weight[block].astype(np.float64) @ (code != 0)

    counts = map_row_blocks(weighted_count, data.n_rows, estimator.n_jobs)
    return np.sum(counts, axis=0) / data.n_rows
