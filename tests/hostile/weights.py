"""Weights of rows and of labels."""

import numpy as np
import pandas as pd
import polars as pl
import scipy.sparse as sp

from skmtl import metrics
from tests.hostile.doors import (
    CLASSIFIER,
    ESTIMATORS,
    REGRESSOR,
    TRANSFORMER,
    Duck,
    X,
    Y,
    fit,
    fitted,
    like,
    make,
    refused,
    result,
)

CLASSES = {CLASSIFIER: {"classes": [[0, 1, 2], [0, 1]]}}
ROW_DOORS, LABEL_DOORS = {}, {}
for label, cls in ESTIMATORS.items():
    doors = {
        f"{label}.fit": lambda w, cls=cls: result(make(cls).fit(X, Y, sample_weight=w)),
        f"{label}.partial_fit": lambda w, cls=cls: result(
            make(cls).partial_fit(X, Y, sample_weight=w, **CLASSES.get(cls, {}))
        ),
        f"{label}.score": lambda w, cls=cls: fitted(cls).score(X, Y, sample_weight=w),
    }
    ROW_DOORS |= doors
    if cls is not TRANSFORMER:
        LABEL_DOORS |= doors
PREDICTED = 1 - Y
LABEL_DOORS |= {
    "metrics.multitask_f1": lambda w: metrics.multitask_f1(Y, PREDICTED, sample_weight=w),
    "metrics.multitask_r2": lambda w: metrics.multitask_r2(Y, PREDICTED, sample_weight=w),
}
ROW_DOORS |= LABEL_DOORS | {
    "Classifier.add_task": lambda w: result(
        fit(CLASSIFIER, X, Y).add_task(X, Y[:, 1], sample_weight=w)
    ),
    "Regressor.add_task": lambda w: result(
        fit(REGRESSOR, X, Y).add_task(X, Y[:, 1], sample_weight=w)
    ),
    "metrics.l0": lambda w: metrics.l0(X, sample_weight=w),
    "metrics.explained_variance": lambda w: metrics.explained_variance(X, X / 2, sample_weight=w),
}
ROW_DOORS, LABEL_DOORS = (
    {name: ("sample_weight", door) for name, door in doors.items()}
    for doors in (ROW_DOORS, LABEL_DOORS)
)
W = 1.0 + np.arange(12) % 3
OF_LABELS = 1.0 + np.arange(24).reshape(12, 2) % 5


def weights():
    return W.copy()


def of_labels():
    return OF_LABELS.copy()


def frozen(array):
    array = array.copy()
    array.flags.writeable = False
    return array


def changed(value, dtype=float):
    out = W.astype(dtype)
    out[3] = value
    return out


def changed_label(value):
    out = of_labels()
    out[3, 1] = value
    return out


FORMS = [
    like("weights as integers", lambda: W.astype(int), weights, ROW_DOORS),
    like("weights in float16", lambda: W.astype("f2"), weights, ROW_DOORS),
    like("weights in longdouble", lambda: W.astype(np.longdouble), weights, ROW_DOORS),
    like("weights as objects", lambda: W.astype(object), weights, ROW_DOORS),
    like("weights as a list", lambda: W.tolist(), weights, ROW_DOORS),
    like("weights, read-only", lambda: frozen(W), weights, ROW_DOORS),
    like("weights, strided", lambda: np.repeat(W, 2)[::2], weights, ROW_DOORS),
    like(
        "weights as a pandas Series", lambda: pd.Series(W, index=range(5, 17)), weights, ROW_DOORS
    ),
    like("weights as a polars Series", lambda: pl.Series(W), weights, ROW_DOORS),
    like("weights as strings of digits", lambda: W.astype(str), weights, ROW_DOORS),
    like("weights as bools", lambda: W > 1, lambda: (W > 1).astype(float), ROW_DOORS),
    like("weights of 1e-300", lambda: 1e-300 * W, weights, ROW_DOORS, rtol=1e-6),
    like("weights of 1e300", lambda: 1e300 * W, weights, ROW_DOORS, rtol=1e-6),
    like("weights of labels as integers", lambda: OF_LABELS.astype(int), of_labels, LABEL_DOORS),
    like("weights of labels as lists", lambda: OF_LABELS.tolist(), of_labels, LABEL_DOORS),
    like(
        "weights of labels, Fortran order",
        lambda: np.asfortranarray(OF_LABELS),
        of_labels,
        LABEL_DOORS,
    ),
    like("weights of labels, read-only", lambda: frozen(OF_LABELS), of_labels, LABEL_DOORS),
    like(
        "weights of labels as a DataFrame", lambda: pd.DataFrame(OF_LABELS), of_labels, LABEL_DOORS
    ),
    like(
        "weights of labels of 1e-300", lambda: 1e-300 * OF_LABELS, of_labels, LABEL_DOORS, rtol=1e-6
    ),
    like(
        "weights of labels of 1e300", lambda: 1e300 * OF_LABELS, of_labels, LABEL_DOORS, rtol=1e-6
    ),
]
N = r"\b{name}\b"
REFUSED = [
    refused(
        "a negative weight",
        lambda: changed(-1),
        "(?i)" + N + ".*negative|negative.*" + N,
        ROW_DOORS,
    ),
    refused(
        "all weights negative", lambda: -W, "(?i)" + N + ".*negative|negative.*" + N, ROW_DOORS
    ),
    refused("a weight that is NaN", lambda: changed(np.nan), N, ROW_DOORS),
    refused("a weight that is infinite", lambda: changed(np.inf), N, ROW_DOORS),
    refused("a weight that is None", lambda: changed(None, object), N, ROW_DOORS),
    refused("weights all zero", lambda: np.zeros(12), "(?i)" + N + ".*zero|zero.*" + N, ROW_DOORS),
    refused("weights of five rows for twelve", lambda: np.ones(5), N, ROW_DOORS),
    refused("no weights", lambda: np.ones(0), N, ROW_DOORS),
    refused("weights of three dimensions", lambda: np.ones((12, 2, 2)), N, ROW_DOORS),
    refused("weights that are words", lambda: np.full(12, "a"), N, ROW_DOORS),
    refused("a weight that is a word", lambda: changed("a", object), N, ROW_DOORS),
    refused("complex weights", lambda: W + 1j, N, ROW_DOORS),
    refused(
        "a masked array of weights",
        lambda: np.ma.masked_array(W, W > 2),
        N + " must be a plain",
        ROW_DOORS,
    ),
    refused("weights of dates", lambda: W.astype(int).astype("M8[s]"), N, ROW_DOORS),
    refused(
        "a duration among weights as objects",
        lambda: changed(np.timedelta64(1, "D"), object),
        N + " must be numbers; got timedelta64",
        ROW_DOORS,
    ),
    refused(
        "durations in a list",
        lambda: list(W.astype(int).astype("m8[D]")),
        N + " must be numbers; got timedelta64",
        ROW_DOORS,
    ),
    refused(
        "what turns into a masked array of weights",
        lambda: Duck(np.ma.masked_array(W, W > 2)),
        N + " must be a plain",
        ROW_DOORS,
    ),
    refused("weights in a dict", lambda: {0: 1.0}, N, ROW_DOORS),
    refused("weights in a string", lambda: "balanced", N, ROW_DOORS),
    refused(
        "weights of label: one negative", lambda: changed_label(-1), N + ".*negative", LABEL_DOORS
    ),
    refused(
        "weights of label: one NaN", lambda: changed_label(np.nan), N + ".*finite", LABEL_DOORS
    ),
    refused(
        "weights of label: one infinite", lambda: changed_label(np.inf), N + ".*finite", LABEL_DOORS
    ),
    refused("weights of labels all zero", lambda: np.zeros((12, 2)), N + ".*zero", LABEL_DOORS),
    refused(
        "weights of three tasks for two",
        lambda: np.ones((12, 3)),
        N + " must have shape",
        LABEL_DOORS,
    ),
    refused(
        "weights of one task for two", lambda: np.ones((12, 1)), N + " must have shape", LABEL_DOORS
    ),
    refused("weights (n_tasks, n)", lambda: np.ones((2, 12)), N + " must have shape", LABEL_DOORS),
    refused(
        "weights of labels that are words",
        lambda: np.full((12, 2), "a"),
        "^" + N + " must be numbers; got others: could not convert",
        LABEL_DOORS,
    ),
    refused(
        "weights of labels, masked rows in a list",
        lambda: list(np.ma.masked_array(OF_LABELS, OF_LABELS > 2)),
        N + " must be a plain",
        LABEL_DOORS,
    ),
    refused(
        "weights of labels, rows of different lengths",
        lambda: [[1.0, 2.0], [1.0]] * 6,
        N + ".*inhomogeneous",
        LABEL_DOORS,
    ),
    refused(
        "weights of labels, sparse",
        lambda: sp.csr_array(OF_LABELS),
        N + ".*sparse",
        LABEL_DOORS,
    ),
    refused(
        "weights of labels, masked",
        lambda: np.ma.masked_array(OF_LABELS),
        N + " must be a plain",
        LABEL_DOORS,
    ),
]
