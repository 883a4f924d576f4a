"""From checked rows to rows to train on: what is held out, and what weights are measured in."""

from typing import Any, NamedTuple

import numpy as np

from skmtl import _linalg
from skmtl._objectives import Batch
from skmtl._training import Data
from skmtl._validation import held_out


class WeightedRows(NamedTuple):
    """Checked rows with their weights; labels and their weights where there are tasks.

    ``values`` are real targets as they were given, zero in gaps.
    """

    X: Any
    weight: np.ndarray
    codes: np.ndarray | None = None
    label_weight: np.ndarray | None = None
    values: np.ndarray | None = None

    def take(self, rows):
        return WeightedRows._make(None if part is None else part[rows] for part in self)


def training_data(estimator, table, validation, loss, draw_seed, kept=None):
    """Rows to train on, rows to validate on or None, and the scale of their weights and losses.

    Rows of weight zero are left out here, once. ``draw_seed()`` says which rows are held out.
    ``kept`` is the scale of earlier calls of ``partial_fit``.
    """
    held = table.weight > 0
    if validation is None and estimator.early_stopping:
        codes = table.codes
        if codes is not None:
            codes = np.where(table.label_weight > 0, codes, -1)  # others would judge nothing
        out = held_out(held, estimator.validation_fraction, draw_seed(), codes)
        validation, held = table.take(out), held & ~out
    if not held.all():
        table = table.take(held)
    scale = scale_of(table, loss, kept)
    if validation is not None:
        validation = scaled(validation, {**scale_of(validation), **of_targets(scale)})
    return scaled(table, scale), validation, scale


def scale_of(table, loss=None, kept=None):
    """Mean weights of rows and of labels, units of real targets, loss of the best constant.

    Zero where these rows do not tell. What an earlier call told stays: chunks of a stream are
    measured alike.
    """
    scale = {"weight": _mean(table.weight)}
    if table.codes is not None:
        scale["label_weight"] = _mean(table.label_weight)
    if loss is not None:
        moments = _linalg.weighted_moments(table.X, table.weight)
        scale["unit"] = np.asarray(loss.baseline(*moments))
        _refuse_vanishing(scale["unit"], table.X)
    if table.values is not None:
        scale["target_mean"], scale["target_scale"] = units_of(table.values, table.label_weight)
    for name, value in (kept or {}).items():
        told = kept["target_scale" if name == "target_mean" else name] > 0
        scale[name] = np.where(told, value, scale[name])
    return scale


def _refuse_vanishing(unit, X):
    """Where squares of X are below what its type can hold, every loss would be zero."""
    if 0 < unit < np.finfo(X.dtype).tiny:
        raise ValueError(
            f"X must vary by more than {X.dtype} can square; got rows with a loss of {unit:.3g}. "
            "Scale X (StandardScaler or MinMaxScaler help)."
        )


def of_targets(scale):
    """The part of the scale that the heads' parameters are measured in."""
    return {name: scale[name] for name in ("target_mean", "target_scale") if name in scale}


def units_of(values, weight):
    """Weighted mean and standard deviation of each column, (T,).

    The deviation is 1 where all values are the same; both are 0 without any weight.
    """
    counts = weight > 0
    lowest = np.min(values, axis=0, where=counts, initial=np.inf)
    lowest = np.where(counts.any(axis=0), lowest, 0)
    above = np.where(counts, values - lowest, 0)  # from there, a constant has no rounding error
    spread = above.max(axis=0, initial=0)
    above /= _or_one(spread)  # no square overflows
    share = weight / _or_one(weight.max(axis=0, initial=0))
    share /= _or_one(share.sum(axis=0))
    mean = (share * above).sum(axis=0)
    deviation = np.sqrt((share * (above - mean) ** 2).sum(axis=0))
    return lowest + spread * mean, _or_one(spread * deviation) * counts.any(axis=0)


def _mean(weight):
    largest = weight.max(axis=0, initial=0)  # divided out: no sum overflows
    return (weight / np.where(largest > 0, largest, 1)).mean(axis=0) * largest


def scaled(table, scale):
    """Rows and labels with weights of mean one, in X's dtype."""
    dtype, label_weight = table.X.dtype, None
    if table.codes is not None:
        label_weight = (table.label_weight / _or_one(scale["label_weight"])).astype(dtype)
    if table.values is not None:
        label_weight *= scale["target_scale"] > 0  # what nothing was learnt of is not judged
    labels = None if table.codes is None else table.codes.astype(np.int32)
    batch = Batch(table.X, labels, label_weight, _standardized(table, scale, dtype))
    return Data(batch, (table.weight / _or_one(scale["weight"])).astype(dtype))


def _standardized(table, scale, dtype):
    """Real targets in units of their tasks; zero where none counts."""
    if table.values is None:
        return None
    with np.errstate(over="ignore"):  # what validates may lie far off what was trained on
        targets = (table.values - scale["target_mean"]) / _or_one(scale["target_scale"])
        return np.where(table.label_weight > 0, targets, 0).astype(dtype)


def _or_one(value):
    return np.where(value > 0, value, 1)
