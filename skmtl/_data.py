"""From checked rows to rows to train on: what is held out, and what weights are measured in."""

from typing import Any, NamedTuple

import numpy as np

from skmtl import _linalg
from skmtl._objectives import Batch
from skmtl._training import Data
from skmtl._validation import held_out


class WeightedRows(NamedTuple):
    """Checked rows with their weights; labels and their weights where there are tasks."""

    X: Any
    weight: np.ndarray
    codes: np.ndarray | None = None
    label_weight: np.ndarray | None = None

    def take(self, rows):
        return WeightedRows._make(None if part is None else part[rows] for part in self)


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
    labels = None if table.codes is None else table.codes.astype(np.int32)
    batch = Batch(table.X, labels, label_weight)
    return Data(batch, (table.weight / _or_one(scale["weight"])).astype(dtype))


def _or_one(value):
    return np.where(value > 0, value, 1)
