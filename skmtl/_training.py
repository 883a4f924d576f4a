"""The training loop: a function that can be read aloud.

``params`` are the arrays of the model, ``state`` all that changes while it trains: moments,
generator, what terms and balancers keep. Both are updated in place; with the two of them a fit
goes on where it stopped, bit for bit.
"""

import math
from copy import deepcopy
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import chain
from typing import Any

import numpy as np
from sklearn.exceptions import ConvergenceWarning

from skmtl import _gradients, _layouts
from skmtl._objectives import Batch, Place, Step
from skmtl._threads import BLOCK_ROWS, OneThreadBLAS, cut, for_each, workers
from skmtl._warn import warn

# Elements of X gathered at once: of small batches several, which costs less than one by one.
TAKE_SIZE = 1 << 17


@dataclass
class Settings:
    """How to train; the meaning of each is that of the estimators' parameter."""

    optimizer: Any
    learning_rate: float
    max_iter: int
    batch_size: int = 256
    schedule: Any = None  # progress -> factor of the learning rate; None is constant
    constraints: list = field(default_factory=list)
    after_step: Any = None  # (params, step sizes of an array by its name, progress): proximal maps
    dead_latents: Any = None  # what is done for them between epochs
    tol: float | None = None  # None: never stop early
    n_iter_no_change: int = 10
    early_stopping: bool = False
    streamed: bool = False  # partial_fit: there is no whole to have made progress in


@dataclass
class Data:
    """Rows to train or validate on. ``weight`` (n,) has mean one, as has each task's weight."""

    batch: Batch
    weight: np.ndarray
    groups: np.ndarray | None = None  # of rows; every batch is to hold its share of each, (n,)

    @property
    def n_rows(self):
        return len(self.weight)

    def take(self, index):
        """Some of the rows, in memory that the next ones taken use again."""
        taken = {
            name: None if array is None else _layouts.take_rows(array, index, name)
            for name, array in self.batch._asdict().items()
        }
        return Data(Batch(**taken), self.weight[index])

    def as_batch(self, rows):
        """A batch of a slice of the rows, and their weights as shares of that batch."""
        X, labels, label_weight, targets = self.batch
        share = self.weight.dtype.type(1 / (rows.stop - rows.start))
        X, weight = _layouts.some_rows(X, rows), self.weight[rows] * share
        if labels is None or label_weight is None:
            return Batch(X), weight
        return Batch(X, labels[rows], label_weight[rows] * share, _part(targets, rows)), weight

    def blocks(self):
        """Slices of at most a fixed number of rows."""
        return (slice(i, i + BLOCK_ROWS) for i in range(0, self.n_rows, BLOCK_ROWS))


@dataclass
class Progress:
    """How far a loop has come: all that changes in it beside ``params`` and ``state``."""

    epoch: int = 0
    batch: int = 0  # how many batches of the epoch are done,
    total: float = 0.0  # the sum of their losses times their rows,
    drawn_by: Any = None  # and the generator's state when the epoch's batches were drawn
    loss_curve: list = field(default_factory=list)  # mean loss of each epoch
    validation_curve: list = field(default_factory=list)
    best: float = np.inf  # the least watched loss so far,
    best_of_all: Any = None  # what there was then, with ``early_stopping``,
    stale: int = 0  # and how many epochs gained less than ``tol`` since
    stopped: bool = False

    @property
    def n_iter(self):
        return len(self.loss_curve)


class Watch:
    """Told of each epoch; may end the fit. This one does nothing."""

    def begin(self, epoch):
        pass

    def end(self, epoch, params, history):
        return False


class Journal:
    """Told of each batch, so that a fit can go on after an interruption. This one keeps nothing.

    A fit is a sequence of loops and of results in between, in an order that does not change.
    """

    def once(self, name, compute):
        """The result of ``compute()``, or what it was before the interruption."""
        return compute()

    def begin(self, params, state, progress):
        """A loop begins: bring all three to where it was interrupted."""

    def step(self, progress, n_batches):
        """A batch of the epoch's ``n_batches`` is done."""

    def end(self):
        """The loop has come to its end."""


def minibatches(n_rows, batch_size, rng, groups=None):
    """Index sets of the batches of an epoch, of sizes that differ by one at most.

    All rows in order where they fit in one batch. Equal sizes, since a short last batch would give
    its few rows the weight of a whole one. With ``groups`` (n,) the rows are dealt out group by
    group, so that each batch holds its share of each, up to one row.
    """
    if n_rows <= batch_size:
        return [np.arange(n_rows)]
    n_batches, order = -(-n_rows // batch_size), rng.permutation(n_rows)
    if groups is None:
        return np.array_split(order, n_batches)
    order = order[np.argsort(groups[order], kind="stable")]
    return [order[b::n_batches] for b in rng.permutation(n_batches)]


def batches(data, index_sets):
    """Of each batch: which rows are in it, the `Batch`, and the weights of its rows."""
    if not index_sets:
        return
    batch_elements = len(index_sets[0]) * _layouts.elements_per_row(data.batch.X)
    for group in cut(len(index_sets), max(1, TAKE_SIZE // batch_elements)):
        taken = data.take(np.concatenate(index_sets[group]))
        stop = 0
        for index in index_sets[group]:
            start, stop = stop, stop + len(index)
            yield index, *taken.as_batch(slice(start, stop))


def run_epoch(objective, params, state, data, settings, at, journal):
    """What is left of a pass over the rows; updates ``params``, ``state`` and ``at``.

    Returns the mean loss. ``state["fired"]``, (m,), is afterwards the weighted share of the rows
    on which each latent fired, each row under the parameters of its step.
    """
    rng = state["rng"]
    if at.batch == 0:
        at.total, at.drawn_by = 0.0, rng.bit_generator.state
        state["fired"] = np.zeros(len(params["b_enc"]))
        state.setdefault("idle", np.zeros(len(params["b_enc"]), np.int64))
    else:
        rng = deepcopy(rng)
        rng.bit_generator.state = at.drawn_by
    index_sets = minibatches(data.n_rows, settings.batch_size, rng, data.groups)
    n_batches = len(index_sets)
    for index, batch, weight in batches(data, index_sets[at.batch :]):
        # At the middle of the step: neither the first nor the last of a schedule is lost.
        progress = (at.epoch + (at.batch + 0.5) / n_batches) / settings.max_iter
        if settings.streamed:
            progress = 1.0
        place = None
        if not settings.streamed:
            place = Place(at.epoch, index, data.n_rows, state.setdefault("memory", {}))
        step = Step(weight, True, progress, state["rng"], place, data.n_rows)
        value = take_step(objective, params, state, batch, step, settings)
        if not math.isfinite(value):
            raise _diverged(at.epoch, data, settings)
        at.total += value * len(weight)
        at.batch += 1
        journal.step(at, n_batches)
    state["fired"] /= data.weight.sum(dtype=np.float64)
    return at.total / data.n_rows


def take_step(objective, params, state, batch, step, settings):
    """A step down the gradient on a batch; returns the loss before it, and does none if that is
    not finite.
    """
    lr = settings.learning_rate
    if settings.schedule is not None:
        lr *= settings.schedule(step.progress)
    again = replace(step, rng=deepcopy(step.rng)) if objective.observes else None
    value, grads = objective(params, state, batch, step)
    if not math.isfinite(value):
        return value
    update(params, grads, settings, state["optimizer"], lr)
    if settings.after_step is not None:
        of_optimizer = getattr(settings.optimizer, "step_sizes", _one_size)
        sizes = partial(of_optimizer, state=state["optimizer"], lr=lr)
        settings.after_step(params, sizes, step.progress)
    if again is not None:  # of the same noise
        objective.observe(params, state, batch, again)
    return value


def _one_size(name, state, lr):
    return lr


def update(params, grads, settings, state, lr):
    """A step of the optimizer, with the constraints of each parameter around it.

    Block of rows by block of rows: rows of a parameter are independent here.
    """
    optimizer = settings.optimizer

    def update_rows(block):
        name, gradient, part, constraints = block
        rows = _gradients.block(gradient, part)
        for constraint in constraints:
            constraint.project(rows, params[name])
        optimizer.update(name, rows, params, state, lr)
        for constraint in constraints:
            constraint.after_step(rows, params[name], lr)

    optimizer.begin(state)
    of_rows = []
    for name, gradient in grads.items():
        constraints = [c for c in settings.constraints if c.name == name]
        if not constraints and _gradients.is_one_block(gradient):
            optimizer.update(name, gradient, params, state, lr)
        else:
            of_rows += [(name, gradient, p, constraints) for p in _gradients.parts(gradient)]
    if of_rows:
        for_each(update_rows, of_rows)


def minimize(
    objective,
    params,
    state,
    data,
    settings,
    *,
    validation=None,
    watch=None,
    journal=None,
    n_jobs=None,
):
    """Epochs until the loss stops improving by ``tol``.

    The watched loss is the training loss, or with ``early_stopping`` that of ``validation``, whose
    best parameters are then restored.

    Returns
    -------
    Progress
    """
    watch, journal, at = watch or Watch(), journal or Journal(), Progress()
    journal.begin(params, state, at)
    with workers(n_jobs), np.errstate(over="ignore", invalid="ignore"):
        while at.epoch < settings.max_iter and not at.stopped:
            watch.begin(at.epoch)
            with OneThreadBLAS():  # once more: somebody may have let go of it
                mean_loss = run_epoch(objective, params, state, data, settings, at, journal)
            at.loss_curve.append(mean_loss)
            if settings.dead_latents is not None and not settings.streamed:
                before, after = at.epoch / settings.max_iter, (at.epoch + 1) / settings.max_iter
                settings.dead_latents.after_epoch(
                    objective, params, state, data, settings.optimizer, before, after
                )
            if validation is not None:
                freeze(objective, params, data)
                at.validation_curve.append(validate(objective, params, validation))
                if settings.early_stopping and not math.isfinite(at.validation_curve[-1]):
                    raise _diverged(at.epoch, validation, settings, "validation loss")
            at.stopped = bool(watch.end(at.epoch, params, at))
            at.stopped |= no_longer_improves(params, state, at, settings)
            at.epoch, at.batch = at.epoch + 1, 0
    journal.end()
    if not at.stopped and settings.tol is not None:
        warn(
            f"The loss was still improving after max_iter={settings.max_iter} epochs. Raise "
            "max_iter or learning_rate, or accept the result as it is.",
            ConvergenceWarning,
        )
    if at.best_of_all is not None:
        best_params, state["fired"] = at.best_of_all
        params.update(best_params)
    moments = chain.from_iterable(state["optimizer"].get("moments", {}).values())
    if not all(np.isfinite(array).all() for array in (*params.values(), *moments)):
        raise _diverged(at.n_iter - 1, data, settings)
    freeze(objective, params, data)
    state.pop("memory", None)
    return at


def no_longer_improves(params, state, at, settings):
    """Whether the watched loss has stalled; remembers the best, and with ``early_stopping`` the
    parameters it came from.
    """
    curve = at.validation_curve if settings.early_stopping else at.loss_curve
    at.stale = at.stale + 1 if curve[-1] > at.best - (settings.tol or 0.0) else 0
    if curve[-1] < at.best:
        at.best = curve[-1]
        if settings.early_stopping:
            at.best_of_all = deepcopy(params), state["fired"]
    return settings.tol is not None and at.stale >= settings.n_iter_no_change


def freeze(objective, params, data):
    """Let the sparsifier set its inference rule from the training rows."""
    objective.freeze(params, (data.batch.X[block] for block in data.blocks()), data.weight)


def validate(objective, params, data):
    """Mean loss over held-out rows: of the tasks that have labels there, else of the rows."""
    total = 0.0
    for block in data.blocks():
        batch = Batch(*(_part(a, block) for a in data.batch))
        total = total + objective.validate(params, batch, data.weight[block])
    mean = total / data.n_rows
    if data.batch.labels is None:
        return float(mean[0])
    return float(mean[data.batch.label_weight.any(axis=0)].mean())


def _part(array, block):
    return None if array is None else array[block]


def _diverged(epoch, data, settings, what="loss"):
    largest = max(float(abs(data.batch.X.max())), float(abs(data.batch.X.min())))
    return ValueError(
        f"The {what} must stay finite; it became NaN or infinite at epoch {epoch + 1}. Scale X "
        f"(its largest absolute value is {largest:.4g}; StandardScaler or MinMaxScaler help) or "
        f"lower learning_rate={settings.learning_rate:g}"
        + (", and scale X_val and y_val alike." if what != "loss" else ".")
    )
