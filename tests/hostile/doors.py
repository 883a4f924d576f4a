"""Every public call that takes an X, a y or a weight: what a case is given to.

A door is a name of the argument and a function of it, ``door(value)``, whose result is compared.
"""

import functools
import re
import warnings

import numpy as np
import scipy.sparse as sp

from skmtl import (
    MultiTaskSAEClassifier,
    MultiTaskSAERegressor,
    SparseAutoencoderTransformer,
    metrics,
)
from tests.hostile.case import Call, Case, copy_of, holds, same, untouched


class Duck:
    """Only convertible."""

    def __init__(self, array):
        self.array = array

    def __array__(self, dtype=None, copy=None):
        return np.array(self.array, dtype=dtype, subok=True)


rng = np.random.default_rng(0)
X = rng.integers(0, 17, (12, 4)) / 16  # numbers that every float holds exactly
Y = np.column_stack([np.arange(12) % 3, np.arange(12) % 2]).astype(float)
TRANSFORMER, CLASSIFIER, REGRESSOR = (
    SparseAutoencoderTransformer,
    MultiTaskSAEClassifier,
    MultiTaskSAERegressor,
)
ESTIMATORS = {"Transformer": TRANSFORMER, "Classifier": CLASSIFIER, "Regressor": REGRESSOR}


def make(cls, **params):
    return cls(**{"n_components": 6, "max_iter": 2, "tol": None, "random_state": 0, **params})


def fit(cls, *args, **params):
    return make(cls, **params).fit(*args)


@functools.cache
def fitted(cls, one_d=False, **params):
    """A fitted estimator for doors that read."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return fit(cls, X, Y[:, 0] if one_d else Y, **params)


def result(estimator):
    """What a fit gave: code and predictions for plain rows."""
    n_features = estimator.n_features_in_
    rows = X if n_features == X.shape[1] else np.resize(X, (12, n_features))
    if hasattr(estimator, "predict"):
        return [estimator.transform(rows), np.asarray(estimator.predict(rows), dtype=float)]
    return [estimator.transform(rows)]


def rows_of(value):
    """Labels for as many rows as there are."""
    n_rows = value.shape[0] if np.ndim(getattr(value, "shape", 0)) and value.shape else 12
    return np.resize(Y, (n_rows, 2)) if n_rows else Y[:0]


def _read_doors():
    doors = {}
    for label, cls in ESTIMATORS.items():
        methods = ["transform", "score"]
        if cls is TRANSFORMER:
            methods += ["score_samples"]
        elif cls is CLASSIFIER:
            methods += ["predict", "predict_proba", "predict_log_proba"]
        else:
            methods += ["predict"]
        for method in methods:
            doors[f"{label}.{method}"] = ("X", functools.partial(_read, cls, method))
    doors["Classifier.decision_function"] = (
        "X",
        lambda A: fitted(CLASSIFIER, one_d=True).decision_function(A),
    )
    doors["task_estimator.predict"] = (
        "X",
        lambda A: fitted(CLASSIFIER).task_estimator(0).predict(A),
    )
    return doors


def _read(cls, method, A):
    estimator = fitted(cls)
    if method == "score" and cls is not TRANSFORMER:
        return estimator.score(A, rows_of(A))
    return getattr(estimator, method)(A)


def _fit_doors():
    doors = {}
    for label, cls in ESTIMATORS.items():
        doors[f"{label}.fit"] = ("X", lambda A, cls=cls: result(fit(cls, A, rows_of(A))))
        doors[f"{label}.partial_fit"] = (
            "X",
            lambda A, cls=cls: result(_after(cls).partial_fit(A, rows_of(A))),
        )
        doors[f"{label}.fit(X_val=)"] = ("X_val", functools.partial(_validated, cls))
        if cls is not TRANSFORMER:
            doors[f"{label}.add_task"] = (
                "X",
                lambda A, cls=cls: result(_after(cls).add_task(A, rows_of(A)[:, 1])),
            )
    return doors


def _after(cls, y=Y):
    return fit(cls, X, y)


def _validated(cls, A):
    estimator = make(cls)
    if cls is TRANSFORMER:
        return estimator.fit(X, X_val=A).validation_loss_curve_
    return estimator.fit(X, Y, X_val=A, y_val=rows_of(A)).validation_loss_curve_


#: Doors of a fitted estimator, which know how wide X is; and those that learn it.
READ_X = _read_doors()
FIT_X = _fit_doors()
X_DOORS = {**FIT_X, **READ_X}
#: Doors for codes, (n, 6) or any width.
CODE_DOORS = {
    "Transformer.inverse_transform": ("X", lambda A: fitted(TRANSFORMER).inverse_transform(A)),
    "metrics.l0": ("code", metrics.l0),
    "metrics.firing_rate": ("code", metrics.firing_rate),
    "metrics.dead_fraction": ("code", metrics.dead_fraction),
}


def like(input, make_value, plain, doors=None, rtol=1e-9, must=None, apart=False):
    """Another form of plain numbers: each door gives what it gives for those."""
    must = must or "the same result as for the plain numbers"
    return Case(input, must, _calls(doors or X_DOORS, make_value, plain, rtol), None, apart)


def refused(input, make_value, error, doors=None, apart=False):
    """What no door takes."""
    doors = X_DOORS if doors is None else doors
    must = "ValueError: " + error.replace("{name}", "X").replace("\\", "")
    return Case(input, must, _calls(doors, make_value, None, 0), error, apart)


def _calls(doors, make_value, plain, rtol):
    def calls():
        return {
            name: Call(functools.partial(_through, door, make_value, plain, rtol), argument)
            for name, (argument, door) in doors.items()
        }

    return calls


def _through(door, make_value, plain, rtol):
    value = make_value()
    before = copy_of(value)
    try:
        got = door(value)
    finally:
        untouched(value, before)
    if plain is not None:
        same(got, _of_plain(door, plain), rtol)


@functools.cache
def _of_plain(door, plain):
    return door(plain())


def lives(input, make_value, make_y=rows_of, must=None, apart=False, unless=None, **params):
    """Odd numbers on which everything works: fit, go on, read, reconstruct; all of it finite.

    Or, in each estimator, the error that ``unless`` matches.
    """
    must = must or "fit and every method work; results are finite"
    if unless:
        must += f"; or ValueError: {unless}"

    def calls():
        return {
            label: Call(functools.partial(_live_unless, unless, cls, make_value, make_y, params))
            for label, cls in ESTIMATORS.items()
        }

    return Case(input, must, calls, None, apart)


def _live_unless(message, *args):
    try:
        _live(*args)
    except ValueError as error:
        if message is None or not re.search(message, str(error)):
            raise


def _live(cls, make_value, make_y, params):
    value = make_value()
    before, y = copy_of(value), make_y(value)
    estimator = fit(cls, value, y, **params).partial_fit(value, y)
    n_rows = value.shape[0]
    got = {"transform": estimator.transform(value)}
    if cls is TRANSFORMER:
        got["inverse_transform"] = estimator.inverse_transform(got["transform"])
        got["score_samples"] = estimator.score_samples(value)
        got["score"] = [estimator.score(value)]
    else:
        got["predict"] = np.asarray(estimator.predict(value), dtype=float)
    if cls is CLASSIFIER:
        for t, p in enumerate(estimator.predict_proba(value)):
            got[f"predict_proba[{t}]"] = p
            holds(np.allclose(p.sum(axis=1), 1), f"predict_proba[{t}] does not add up to 1")
        got["score"] = [estimator.score(value, y)]
    for name, array in got.items():
        array = array.toarray() if sp.issparse(array) else np.asarray(array)
        holds(np.isfinite(array).all(), f"{name} is not finite")
        holds(name == "score" or len(array) == n_rows, f"{name} has {len(array)} rows")
    untouched(value, before)
