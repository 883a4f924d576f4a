"""Labels and real targets: every type and container, gaps of every kind, and what is refused."""

import functools
from datetime import date
from decimal import Decimal

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import scipy.sparse as sp

from skmtl import metrics, model_selection, stack_tasks, unstack_tasks
from tests.hostile.case import Call, Case, copy_of, holds, same, untouched, warned
from tests.hostile.doors import CLASSIFIER, REGRESSOR, Duck, X, Y, fit, fitted, make, refused

CODES = Y.astype(int)
GAPS = np.random.default_rng(2).random(Y.shape) < 0.25
GAPPY = np.where(GAPS, np.nan, Y)


# --- labels in other clothes: the same model comes of them --------------------------------------


def relabelled(input, make_y, classes, plain=Y, uses=None, **params):
    """Labels whose sorted ``classes`` stand for 0, 1, 2 of the plain ones."""
    must = "the same model as for integers, predictions in y's own type"

    def calls():
        def do(use):
            y = make_y()
            before = copy_of(y)
            use(y)
            untouched(y, before)

        return {
            name: Call(functools.partial(do, functools.partial(use, plain, classes, params)), "y")
            for name, use in (uses or USES).items()
        }

    return Case(input, must, calls)


def _same_fit(plain, classes, params, y):
    _same_model(fit(CLASSIFIER, X, y, **params), fit(CLASSIFIER, X, plain), classes)


def _same_partial_fit(plain, classes, params, y):
    declared = (
        np.unique(plain[~np.isnan(plain)])
        if plain.ndim == 1
        else [np.unique(column[~np.isnan(column)]) for column in plain.T]
    )
    one = make(CLASSIFIER, **params).partial_fit(X, y, classes=list(classes))
    other = make(CLASSIFIER).partial_fit(X, plain, classes=declared)
    _same_model(one, other, classes)


def _same_model(one, other, classes):
    lists = [classes] if one.n_outputs_ == 1 else classes
    found = [one.classes_] if isinstance(one.classes_, np.ndarray) else one.classes_
    for mine, theirs in zip(found, lists, strict=True):
        holds(mine.tolist() == list(theirs), f"classes_ {mine} instead of {theirs}")
        holds(
            {type(label) for label in mine.tolist()} == {type(label) for label in theirs},
            f"classes_ of another type than {theirs}",
        )
    same(one.predict_proba(X), other.predict_proba(X))
    predicted, codes = (np.reshape(e.predict(X), (len(X), -1)) for e in (one, other))
    for t, theirs in enumerate(lists):
        expected = [theirs[int(code)] for code in codes[:, t]]
        holds(predicted[:, t].tolist() == expected, f"predict gave {predicted[:3, t]}")


def _same_score(plain, classes, params, y):
    one, other = fit(CLASSIFIER, X, y, **params), fit(CLASSIFIER, X, plain)
    same(one.score(X, y), other.score(X, plain))
    same(
        make(CLASSIFIER, **params).fit(X, y, X_val=X, y_val=y).validation_loss_curve_,
        make(CLASSIFIER).fit(X, plain, X_val=X, y_val=plain).validation_loss_curve_,
    )


def _same_metrics(plain, classes, params, y):
    missing = params.get("missing_label")
    predicted = fit(CLASSIFIER, X, y, **params).predict(X)
    expected = fit(CLASSIFIER, X, plain).predict(X)
    same(
        metrics.multitask_accuracy(y, predicted, missing_label=missing),
        metrics.multitask_accuracy(plain, expected),
    )


def _same_folds(plain, classes, params, y):
    missing = params.get("missing_label")
    folds = model_selection.MultiTaskKFold(2, missing_label=missing).split(X, y)
    expected = model_selection.MultiTaskKFold(2).split(X, plain)
    same([test for _, test in folds], [test for _, test in expected])


def _same_add_task(plain, classes, params, y):
    one, other = fit(CLASSIFIER, X, Y, **params), fit(CLASSIFIER, X, Y)
    one.add_task(X, y)
    same(one.task_coef_[2], other.add_task(X, plain).task_coef_[2])
    holds(one.classes_[2].tolist() == list(classes), f"classes_ {one.classes_[2]}")


USES = {
    "Classifier.fit": _same_fit,
    "Classifier.partial_fit": _same_partial_fit,
    "Classifier.score, y_val": _same_score,
    "metrics.multitask_accuracy": _same_metrics,
    "MultiTaskKFold.split": _same_folds,
}
ADD = {"Classifier.add_task": _same_add_task}


def table_of(*classes, dtype=object, gap=None):
    """y with these classes for 0, 1, 2; ``gap`` where the plain labels have gaps."""
    out = np.empty(Y.shape, dtype=dtype)
    for t, of_task in enumerate(classes):
        for i, code in enumerate(CODES[:, t]):
            out[i, t] = gap if gap is not None and GAPS[i, t] else of_task[code]
    return out


def column_of(classes, dtype=None):
    return np.array([classes[code] for code in CODES[:, 0]], dtype=dtype)


COLUMN, COLUMN_CLASSES = Y[:, 0], [0, 1, 2]
HUGE = [-(2**40), 7, 2**40]
HUGER, HUGEST = [2**53, 2**53 + 1, 2**53 + 2], [7, 2**63 + 1, 2**64 - 1]
WORDS, ANSWERS = ["a", "bb", "ccc"], ["no", "yes"]
FRAME = pd.DataFrame(GAPPY, columns=["first", "second"])


def lifted(to=object, gap=None):
    return np.array(
        [
            [gap if g else int(v) for v, g in zip(*row, strict=True)]
            for row in zip(Y, GAPS, strict=True)
        ],
        dtype=to,
    )


BOTH = [[0, 1, 2], [0, 1]]
FLOATS = [[0.0, 1.0, 2.0], [0.0, 1.0]]
RELABELLED = [
    relabelled("labels of 2**40 and -2**40", lambda: column_of(HUGE), HUGE, COLUMN),
    relabelled("negative labels", lambda: column_of([-3, -2, -1]), [-3, -2, -1], COLUMN),
    relabelled("int8 labels", lambda: column_of([0, 1, 2], "i1"), [0, 1, 2], COLUMN),
    relabelled("uint64 labels", lambda: column_of([0, 1, 2**62], "u8"), [0, 1, 2**62], COLUMN),
    relabelled("big-endian integers", lambda: column_of([0, 1, 2], ">i8"), [0, 1, 2], COLUMN),
    relabelled("integers in an object array", lambda: column_of(HUGE, object), HUGE, COLUMN),
    relabelled("strings", lambda: column_of(WORDS), WORDS, COLUMN),
    relabelled("strings in an object array", lambda: column_of(WORDS, object), WORDS, COLUMN),
    relabelled(
        "strings of NumPy's variable width",
        lambda: column_of(WORDS, np.dtypes.StringDType()),
        WORDS,
        COLUMN,
    ),
    relabelled("strings of digits", lambda: column_of(["0", "1", "10"]), ["0", "1", "10"], COLUMN),
    relabelled(
        "strings with spaces, umlauts and none",
        lambda: column_of(["", " ", "\u00fc"]),
        ["", " ", "\u00fc"],
        COLUMN,
    ),
    relabelled(
        "a string of 10,000 letters",
        lambda: column_of(["a" * 10_000, "b", "c"]),
        ["a" * 10_000, "b", "c"],
        COLUMN,
    ),
    relabelled("bools", lambda: Y[:, 1] == 1, [False, True], Y[:, 1]),
    relabelled(
        "bools in an object array", lambda: (Y[:, 1] == 1).astype(object), [False, True], Y[:, 1]
    ),
    relabelled("whole floats", lambda: Y[:, 0], [0.0, 1.0, 2.0], COLUMN),
    relabelled("list", lambda: CODES[:, 0].tolist(), [0, 1, 2], COLUMN),
    relabelled("tuple of strings", lambda: tuple(column_of(WORDS)), WORDS, COLUMN),
    relabelled("range", lambda: range(12), list(range(12)), np.arange(12.0)),
    relabelled(
        "pandas Series of categories",
        lambda: pd.Series(column_of(WORDS)).astype("category"),
        WORDS,
        COLUMN,
    ),
    relabelled(
        "pandas Series with another index",
        lambda: pd.Series(column_of(WORDS), index=range(100, 112)),
        WORDS,
        COLUMN,
    ),
    relabelled(
        "pandas nullable integers", lambda: pd.Series(CODES[:, 0], dtype="Int64"), [0, 1, 2], COLUMN
    ),
    relabelled(
        "pandas nullable bools",
        lambda: pd.Series(Y[:, 1] == 1, dtype="boolean"),
        [False, True],
        Y[:, 1],
    ),
    relabelled(
        "polars Series of strings", lambda: pl.Series(column_of(WORDS).tolist()), WORDS, COLUMN
    ),
    relabelled(
        "read-only, strided labels",
        lambda: np.broadcast_to(CODES[:, :1], (12, 3))[:, 1],
        [0, 1, 2],
        COLUMN,
    ),
    relabelled("two tasks, integers", lambda: CODES, BOTH),
    relabelled("two tasks, Fortran order", lambda: np.asfortranarray(CODES), BOTH),
    relabelled(
        "two tasks, lists of strings and bools",
        lambda: table_of(WORDS, [False, True]).tolist(),
        [WORDS, [False, True]],
    ),
    relabelled(
        "two tasks, strings and integers of 2**40",
        lambda: table_of(WORDS, [7, 2**40]),
        [WORDS, [7, 2**40]],
    ),
    relabelled("gaps as NaN", lambda: GAPPY.copy(), BOTH, GAPPY),
    relabelled("gaps as None", lambda: lifted(gap=None), BOTH, GAPPY),
    relabelled("gaps as None in a list", lambda: lifted(gap=None).tolist(), BOTH, GAPPY),
    relabelled("gaps as pd.NA", lambda: lifted(gap=pd.NA), BOTH, GAPPY),
    relabelled("gaps as NaT", lambda: lifted(gap=pd.NaT), BOTH, GAPPY),
    relabelled(
        "gaps as a NaN of its own kind", lambda: lifted(gap=-np.float32("nan")), BOTH, GAPPY
    ),
    relabelled(
        "gaps as None beside strings",
        lambda: table_of(WORDS, ANSWERS, gap=pd.NA),
        [WORDS, ANSWERS],
        GAPPY,
    ),
    relabelled(
        "gaps as -1, declared", lambda: np.where(GAPS, -1, CODES), BOTH, GAPPY, missing_label=-1
    ),
    relabelled(
        "gaps as '?', declared",
        lambda: table_of(WORDS, ANSWERS, gap="?"),
        [WORDS, ANSWERS],
        GAPPY,
        missing_label="?",
    ),
    relabelled(
        "gaps as -1 beside NaN",
        lambda: np.where(GAPS & (np.arange(12) % 2 == 0)[:, None], -1, GAPPY),
        BOTH,
        GAPPY,
        missing_label=-1,
    ),
    relabelled("pandas DataFrame with NaN", lambda: FRAME.copy(), BOTH, GAPPY),
    relabelled("pandas DataFrame, nullable", lambda: FRAME.astype("Int64"), BOTH, GAPPY),
    relabelled("pandas DataFrame, categories", lambda: FRAME.astype("category"), BOTH, GAPPY),
    relabelled(
        "polars DataFrame with nulls",
        lambda: pl.DataFrame(
            {"a": pl.Series(lifted()[:, 0].tolist()), "b": pl.Series(lifted()[:, 1].tolist())}
        ),
        BOTH,
        GAPPY,
    ),
    relabelled(
        "0/1 CSR, one column a task", lambda: sp.csr_array(CODES % 2), [[0, 1], [0, 1]], Y % 2
    ),
]
DAYS = [np.datetime64("2020-01-01"), np.datetime64("2020-01-02"), np.datetime64("2020-01-03")]
RELABELLED += [
    relabelled(
        "dates",
        lambda: np.datetime64("2020-01-01") + CODES[:, 0],
        [day.item() for day in DAYS],
        COLUMN,
        {name: USES[name] for name in ("Classifier.fit", "Classifier.score, y_val")},
    ),
    *[
        relabelled(
            f"gaps as a day, declared as a {type(gap).__name__}",
            lambda: pd.Series(np.datetime64("2020-01-01") + np.where(GAPS, 9, CODES)[:, 0]),
            [day.astype("M8[s]").item() for day in DAYS],
            GAPPY[:, 0],
            {name: use for name, use in USES.items() if name != "Classifier.partial_fit"},
            missing_label=gap,
        )
        for gap in (date(2020, 1, 10), pd.Timestamp("2020-01-10"), np.datetime64("2020-01-10"))
    ],
    relabelled("gaps as a Decimal NaN", lambda: lifted(gap=Decimal("NaN")), BOTH, GAPPY),
    relabelled("gaps as a signaling NaN", lambda: lifted(gap=Decimal("sNaN")), BOTH, GAPPY),
    relabelled(
        "pandas categories of integers above 2**53, with gaps",
        lambda: pd.Series(
            pd.Categorical.from_codes(np.where(GAPS, -1, CODES)[:, 0], HUGER), name="y"
        ),
        HUGER,
        GAPPY[:, 0],
    ),
    relabelled(
        "integers above 2**63 as objects", lambda: column_of(HUGEST, object), HUGEST, COLUMN
    ),
    relabelled(
        "two tasks, int64 and uint64",
        lambda: pd.DataFrame({"a": column_of(HUGER), "b": column_of(HUGEST, "u8")}),
        [HUGER, HUGEST],
        Y[:, [0, 0]],
    ),
    relabelled("labels of 2**40, to add", lambda: column_of(HUGE), HUGE, COLUMN, ADD),
    relabelled("strings, to add", lambda: column_of(WORDS), WORDS, COLUMN, ADD),
    relabelled("labels with gaps, to add", lambda: lifted()[:, 0], [0, 1, 2], GAPPY[:, 0], ADD),
]

# --- what is refused -----------------------------------------------------------------------------

LABEL_DOORS = {
    "Classifier.fit": ("y", lambda y: fit(CLASSIFIER, X, y)),
    "Classifier.partial_fit": (
        "y",
        lambda y: make(CLASSIFIER).partial_fit(X, y, classes=[0, 1, 2]),
    ),
    "Classifier.score": ("y", lambda y: fitted(CLASSIFIER).score(X, y)),
    "Classifier.fit(y_val=)": ("y_val", lambda y: make(CLASSIFIER).fit(X, Y, X_val=X, y_val=y)),
}
ADD_LABELS = {"Classifier.add_task": ("y", lambda y: fit(CLASSIFIER, X, Y).add_task(X, y))}
TARGET_DOORS = {
    "Regressor.fit": ("y", lambda y: fit(REGRESSOR, X, y)),
    "Regressor.partial_fit": ("y", lambda y: make(REGRESSOR).partial_fit(X, y)),
    "Regressor.score": ("y", lambda y: fitted(REGRESSOR).score(X, y)),
    "Regressor.fit(y_val=)": ("y_val", lambda y: make(REGRESSOR).fit(X, Y, X_val=X, y_val=y)),
}
ADD_TARGETS = {"Regressor.add_task": ("y", lambda y: fit(REGRESSOR, X, Y).add_task(X, y))}
METRIC_DOORS = {
    "multitask_accuracy(Y_true)": ("Y_true", lambda y: metrics.multitask_accuracy(y, Y)),
    "multitask_accuracy(Y_pred)": ("Y_pred", lambda y: metrics.multitask_accuracy(Y, y)),
    "multitask_r2(Y_true)": ("Y_true", lambda y: metrics.multitask_r2(y, Y)),
    "multitask_r2(Y_pred)": ("Y_pred", lambda y: metrics.multitask_r2(Y, y)),
    "multitask_log_loss(Y_true)": (
        "Y_true",
        lambda y: metrics.multitask_log_loss(y, fitted(CLASSIFIER).predict_proba(X)),
    ),
}
SPLIT_DOORS = {
    "MultiTaskKFold.split": ("y", lambda y: list(model_selection.MultiTaskKFold(2).split(X, y))),
    "LeaveTaskOut.split": ("y", lambda y: list(model_selection.LeaveTaskOut().split(X, y))),
    "multitask_train_test_split": (
        "Y",
        lambda y: model_selection.multitask_train_test_split(X, y, random_state=0),
    ),
    "unstack_tasks": ("Y", lambda y: unstack_tasks(X, y)),
    "stack_tasks": ("y", lambda y: stack_tasks([(X, y), (X, Y[:, 1])])),
}
FITS = {**LABEL_DOORS, **ADD_LABELS, **TARGET_DOORS, **ADD_TARGETS}
ALL = {**FITS, **METRIC_DOORS, **SPLIT_DOORS}
CLASSES = {**LABEL_DOORS, **ADD_LABELS}
NUMBERS = {**TARGET_DOORS, **ADD_TARGETS}


def without(doors, *names):
    return {name: door for name, door in doors.items() if not name.startswith(names)}


def only(doors, *names):
    return {name: door for name, door in doors.items() if name.startswith(names)}


def first_seen(doors):
    """The doors where nothing is known of y before."""
    calls = ("Classifier.fit", "Classifier.partial_fit", "Regressor.fit", "Regressor.partial_fit")
    return {n: d for n, d in doors.items() if n in calls or n.endswith("add_task")}


def broken(index, format="csr"):
    indicator = sp.csr_array(np.ones((12, 2))).asformat(format)
    if format == "coo":
        indicator.coords[1][3] = index
    else:
        indicator.indices[3] = index
    return indicator


def with_label(label, column=0):
    out = Y.astype(object)
    out[4, column] = label
    return out


def one_d(label):
    """One-dimensional labels, one of them another."""
    return with_label(label)[:, 0]


def days():
    return np.array(CODES[:, 0], dtype="M8[D]")


N = r"\b{name}\b"
REFUSED = [
    refused("y of three dimensions", lambda: np.zeros((12, 2, 2)), N + ".*dimensions", ALL),
    refused("y is a number", lambda: 3.5, N, ALL),
    refused("y is None", lambda: None, N, without(ALL, "stack_tasks")),
    refused("y is a dict", lambda: {"a": [0] * 12}, N, ALL),
    refused("y is a string", lambda: "abcabcabcabc", N, ALL),
    refused(
        "y is a pyarrow Table",
        lambda: pa.table({"a": Y[:, 0], "b": Y[:, 1]}),
        N + " must be an array, a list, or a frame of pandas or polars",
        {**CLASSES, **NUMBERS},
    ),
    refused("y is a set", lambda: set(range(12)), N, ALL),
    refused("rows of y of different lengths", lambda: [[0, 1], [0]] * 6, N + ".*lengths", ALL),
    refused("masked y", lambda: np.ma.masked_array(Y, GAPS), N + " must be a plain array", ALL),
    refused(
        "masked arrays as rows of y",
        lambda: list(np.ma.masked_array(Y, GAPS)),
        N + " must be a plain array",
        ALL,
    ),
    refused(
        "what turns into a masked y",
        lambda: Duck(np.ma.masked_array(Y, GAPS)),
        N + " must be a plain array",
        ALL,
    ),
    refused(
        "columns of one name",
        lambda: pd.DataFrame(Y, columns=["a", "a"]),
        "columns of " + N + " must have names of their own",
        ALL,
    ),
    refused("complex y", lambda: Y + 1j, "(?s)Complex data not supported.*" + N, ALL),
    refused("complex numbers in an object array", lambda: one_d(1j), N, {**CLASSES, **NUMBERS}),
    refused(
        "y of no tasks", lambda: np.empty((12, 0)), N, without(ALL, "multitask_", "Multi", "Leave")
    ),
    refused(
        "y of 5 rows beside X of 12",
        lambda: Y[:5],
        N,
        without(ALL, "Classifier.add", "Regressor.add", "stack"),
    ),
    refused(
        "1-D y of 5 rows beside X of 12",
        lambda: Y[:5, 0],
        N,
        only(
            ALL,
            "Classifier.fit",
            "Classifier.p",
            "Classifier.add",
            "Regressor.fit",
            "Regressor.p",
            "Regressor.add",
            "stack",
        ),
    ),
    refused(
        "y of no rows",
        lambda: np.empty((0, 2)),
        N,
        without(ALL, "Classifier.add", "Regressor.add", "stack"),
    ),
    refused(
        "y of three tasks after a fit of two",
        lambda: np.column_stack([Y, Y[:, 0]]),
        N + " must have 2 tasks",
        only(FITS, "Classifier.score", "Regressor.score", "Classifier.fit(y", "Regressor.fit(y"),
    ),
    refused(
        "y of two tasks, to add",
        lambda: Y,
        "add_task needs a " + N + " of one task",
        {**ADD_LABELS, **ADD_TARGETS},
    ),
    refused(
        "CSR with a column out of range",
        lambda: broken(99),
        N + " must be a valid sparse",
        without(ALL, "stack"),
        apart=True,
    ),
    refused(
        "CSR with a negative column",
        lambda: broken(-5),
        N + " must be a valid sparse",
        without(ALL, "stack"),
        apart=True,
    ),
    refused(
        "COO with a column of 10**9",
        lambda: broken(10**9, "coo"),
        N + " must be a valid sparse",
        without(ALL, "stack"),
        apart=True,
    ),
    refused(
        "no label at all (NaN)",
        lambda: np.full((12, 2), np.nan),
        N + " must hold at least one",
        only(
            ALL,
            "Classifier.fit",
            "Classifier.s",
            "Regressor.fit",
            "Regressor.s",
            "multitask_accuracy(Y_true",
            "multitask_r2(Y_true",
            "multitask_log",
        ),
    ),
    refused(
        "no label at all (None)",
        lambda: np.full(12, None),
        N,
        {**ADD_LABELS, **ADD_TARGETS, **only(ALL, "Classifier.fit", "Regressor.fit")},
    ),
    refused(
        "integers and strings in a task",
        lambda: with_label("a"),
        "task 0 of " + N + " mixes",
        LABEL_DOORS,
    ),
    refused(
        "integers and strings in 1-D y",
        lambda: one_d("a"),
        N + " mixes",
        first_seen(CLASSES),
    ),
    refused(
        "bools and integers in a task",
        lambda: with_label(True),
        "task 0 of " + N + " mixes",
        LABEL_DOORS,
    ),
    refused(
        "strings and bytes in a task",
        lambda: np.array([["a", 0], [b"b", 1]] * 6, dtype=object),
        "task 0 of " + N + " mixes",
        LABEL_DOORS,
    ),
    refused("tuples as labels", lambda: tuples(), N, CLASSES),
    refused(
        "bytes as labels",
        lambda: np.array([b"a", b"b", b"c"] * 4),
        N,
        first_seen(CLASSES),
    ),
    refused(
        "durations as labels",
        lambda: days() - days()[0],
        N,
        first_seen(CLASSES),
    ),
    refused(
        "dates in an object array",
        lambda: np.array([*days().tolist()], dtype=object),
        N,
        first_seen(CLASSES),
    ),
    refused(
        "durations in an object array",
        lambda: np.array([*(days() - days()[0])], dtype=object),
        N,
        first_seen(CLASSES),
    ),
    refused(
        "dates finer than a microsecond",
        lambda: days() + np.timedelta64(1, "ns"),
        "whole microseconds.*" + N,
        first_seen(CLASSES),
    ),
    refused(
        "dates of the year 10**15",
        lambda: np.array([2**62, 2**61, 5] * 4).astype("M8[D]"),
        "whole microseconds, of a year.*" + N,
        first_seen(CLASSES),
    ),
    refused(
        "dates after a fit to numbers",
        lambda: np.column_stack([days(), days()]).astype("M8[ns]"),
        "labels of.*" + N,
        only(LABEL_DOORS, "Classifier.p", "Classifier.s", "Classifier.fit(y"),
    ),
    refused(
        "integers above 2**53 beside floats",
        lambda: np.array([2**53, 2**53 + 1, 1.0] * 4, dtype=object),
        "beside floats.*" + N,
        first_seen(CLASSES),
    ),
    refused("Decimals as labels", lambda: one_d(Decimal(1)), N, CLASSES),
    refused("labels of 0.5", lambda: Y + 0.5, N, LABEL_DOORS),
    refused("1-D labels of 0.5", lambda: Y[:, 0] / 2, N, CLASSES),
    refused("infinite labels", lambda: np.where(Y == 1, np.inf, Y), "infinity.*" + N, LABEL_DOORS),
    refused(
        "labels of 2**70",
        lambda: one_d(2**70),
        N,
        first_seen(CLASSES),
    ),
    refused(
        "a label that fit did not see",
        lambda: Y + 9,
        "labels of.*" + N + ".* must be among the classes",
        only(LABEL_DOORS, "Classifier.p", "Classifier.fit(y"),
    ),
    refused(
        "strings after a fit to numbers",
        lambda: Y.astype(str),
        "labels of.*" + N,
        only(LABEL_DOORS, "Classifier.p", "Classifier.s", "Classifier.fit(y"),
    ),
    refused(
        "infinite targets", lambda: np.where(Y == 1, np.inf, Y), "infinity.*" + N, TARGET_DOORS
    ),
    refused("targets of 1e305", lambda: 1e305 * Y, "too large.*" + N, TARGET_DOORS),
    refused(
        "targets of 400 digits",
        lambda: one_d(10**400),
        N,
        first_seen(NUMBERS),
    ),
    refused(
        "longdouble targets of 1e400",
        lambda: Y.astype(np.longdouble) * np.longdouble("1e400"),
        "too large.*" + N,
        TARGET_DOORS,
    ),
    refused("words as targets", lambda: with_label("word"), "real numbers.*" + N, TARGET_DOORS),
    refused(
        "dates as targets",
        days,
        "real numbers.*" + N,
        first_seen(NUMBERS),
    ),
    refused(
        "dates in an object array as targets",
        lambda: np.array([*days().tolist()], dtype=object),
        "real numbers.*" + N,
        first_seen(NUMBERS),
    ),
    *[
        refused(
            f"a {type(value).__name__} of NumPy's among targets",
            functools.partial(with_label, value),
            "real numbers.*" + N,
            TARGET_DOORS,
        )
        for value in (np.datetime64("2020-01-01"), np.timedelta64(1, "D"))
    ],
    refused(
        "a list of durations as targets",
        lambda: list(days() - days()[0]),
        "real numbers.*" + N,
        first_seen(NUMBERS),
    ),
    refused("lists as targets", lambda: tuples(), N, NUMBERS),
    refused(
        "categories of words as targets",
        lambda: pd.Series(column_of(WORDS)).astype("category"),
        N,
        first_seen(NUMBERS),
    ),
]


def tuples():
    out = np.empty(12, dtype=object)
    for i, code in enumerate(CODES[:, 0]):
        out[i] = (int(code), 1)
    return out


# --- odd, and served -----------------------------------------------------------------------------


def like_targets(input, make_y, plain=Y):
    """Real targets in other clothes give the regressor that plain ones give."""

    def calls():
        def do(use):
            y = make_y()
            before = copy_of(y)
            same(use(y), use(plain), 1e-6)
            untouched(y, before)

        uses = {
            "Regressor.fit": lambda y: fit(REGRESSOR, X, y).predict(X),
            "Regressor.partial_fit": lambda y: make(REGRESSOR).partial_fit(X, y).predict(X),
            "Regressor.score": lambda y: fit(REGRESSOR, X, plain).score(X, y),
            "metrics.multitask_r2": lambda y: metrics.multitask_r2(y, np.ones(Y.shape)),
        }
        return {name: Call(functools.partial(do, use), "y") for name, use in uses.items()}

    return Case(input, "the same model as for float64", calls)


def serves(input, must, **calls):
    """What works in a way of its own: each call checks what it gives."""
    return Case(input, must, lambda: {name: Call(do) for name, do in calls.items()})


def _warns(cls, y, message, check):
    def do():
        check(warned(lambda: fit(cls, X, y), message))

    return do


def _one_empty(y=None):
    out = np.array(Y, dtype=object)
    out[:, 1] = y
    return out


def _is_gap(column):
    holds(all(value != value for value in column), f"predicted {column[:3]} for an empty task")


def _p_of_no_column(estimator):
    holds(estimator.predict_proba(X)[1].shape == (12, 0), "probabilities have columns")
    _is_gap(estimator.predict(X)[:, 1])


def _always(label):
    def check(estimator):
        holds((estimator.predict(X)[:, 1] == label).all(), "another class was predicted")
        same(estimator.predict_proba(X)[1], np.ones((12, 1)))

    return check


def _nan_task(estimator):
    _is_gap(estimator.predict(X)[:, 1])
    holds(np.isfinite(estimator.predict(X)[:, 0]).all(), "the other task has no prediction")
    holds(np.isfinite(estimator.loss_curve_).all(), "the loss is not finite")


def _weighted_empty(cls, message, check):
    weight = np.column_stack([np.ones(12), np.zeros(12)])

    def do():
        check(warned(lambda: make(cls).fit(X, Y, sample_weight=weight), message))

    return do


def _weight_zero_is_a_gap():
    """A regression task whose targets all weigh nothing is a task without targets."""
    weight = np.column_stack([np.ones(12), np.zeros(12)])
    one = make(REGRESSOR).fit(X, Y, sample_weight=weight)
    other = fit(REGRESSOR, X, np.column_stack([Y[:, 0], np.full(12, np.nan)]))
    same(one.loss_curve_, other.loss_curve_)
    same(one.predict(X), other.predict(X))
    same(one.score(X, Y), other.score(X, Y))


def _dates_in_units():
    """A fit to days knows them in every unit, and in pandas and polars."""
    days = np.datetime64("2020-01-01") + CODES
    clf = fit(CLASSIFIER, X, days)
    expected = fit(CLASSIFIER, X, CODES).score(X, CODES)
    predicted = clf.predict(X)
    for unit in ("h", "s", "ms", "us", "ns"):
        others = days.astype(f"M8[{unit}]")
        for other in (others, pd.DataFrame(others), pl.DataFrame(others.astype("M8[ms]"))):
            same(clf.score(X, other), expected)
            same(fit(CLASSIFIER, X, other).score(X, days), expected)
            same(metrics.multitask_accuracy(other, predicted), expected)
        clf.partial_fit(X, others)
        clf = fit(CLASSIFIER, X, days)


def _dates_beside():
    """Dates of other units, or beside other types, are predicted as they are."""
    s, ns = days().astype("M8[s]"), days().astype("M8[ns]")
    s[0] = np.datetime64("3000-01-01")  # beyond what 64 bits of nanoseconds can hold
    for y in (pd.DataFrame({"a": s, "b": ns}), pd.DataFrame({"a": ns, "b": CODES[:, 0]})):
        clf = fit(CLASSIFIER, X, y)
        predicted = clf.predict(X)
        holds(predicted.dtype.kind == "M" or isinstance(predicted[0, 0], date), "dates are numbers")
        for t, classes in enumerate(clf.classes_):
            codes = clf.predict_proba(X)[t].argmax(axis=1)
            same(predicted[:, t].astype(classes.dtype), classes[codes])


SERVED = [
    serves("dates in other units than in fit", "the same labels", fit=_dates_in_units),
    serves(
        "dates beside dates of other units, and beside integers",
        "predictions are those dates",
        fit=_dates_beside,
    ),
    like_targets("targets as integers", lambda: CODES),
    like_targets("targets as bools", lambda: CODES > 0, (Y > 0).astype(float)),
    like_targets("targets in float16", lambda: Y.astype("f2")),
    like_targets("targets in longdouble", lambda: Y.astype(np.longdouble)),
    like_targets("targets as objects with None", lambda: lifted(gap=None), GAPPY),
    like_targets("targets as a list with None", lambda: lifted(gap=None).tolist(), GAPPY),
    like_targets(
        "targets as Decimals, one NaN",
        lambda: np.array([*map(Decimal, GAPPY.ravel())], dtype=object).reshape(Y.shape),
        GAPPY,
    ),
    like_targets("targets as strings of digits", lambda: Y.astype(str)),
    like_targets("targets as nullable pandas columns", lambda: FRAME.astype("Float64"), GAPPY),
    like_targets(
        "targets as polars columns",
        lambda: pl.DataFrame({"a": GAPPY[:, 0], "b": GAPPY[:, 1]}),
        GAPPY,
    ),
    like_targets("targets as CSR", lambda: sp.csr_array(Y)),
    serves(
        "a task without any label",
        "a warning; its prediction is the missing label, its probabilities have no column",
        fit=_warns(CLASSIFIER, _one_empty(np.nan), "Task 1 has no label at all", _p_of_no_column),
        none=_warns(CLASSIFIER, _one_empty(None), "Task 1 has no label at all", _p_of_no_column),
    ),
    serves(
        "a task of one class",
        "a warning; that class is predicted with probability 1",
        fit=_warns(
            CLASSIFIER,
            np.column_stack([Y[:, 0], np.full(12, 7)]),
            "Task 1 has one class",
            _always(7),
        ),
        strings=_warns(CLASSIFIER, _one_empty("only"), "Task 1 has one class", _always("only")),
    ),
    serves(
        "a task without any target",
        "a warning; its prediction is NaN, and the loss is that of the other task",
        fit=_warns(
            REGRESSOR,
            np.column_stack([Y[:, 0], np.full(12, np.nan)]),
            "Task 1 has no target at all",
            _nan_task,
        ),
    ),
    serves(
        "a regression task whose targets all have weight 0",
        "the same warning and the same model as for a task without any target",
        warns=_weighted_empty(REGRESSOR, "Task 1 has no target", _nan_task),
        same=_weight_zero_is_a_gap,
    ),
    serves(
        "a constant target",
        "that number is predicted",
        fit=lambda: same(fit(REGRESSOR, X, np.full(12, 3.25)).predict(X), np.full(12, 3.25), 1e-3),
    ),
    serves(
        "targets of 1e-300 and of 1e290",
        "predictions in their own units, finite",
        small=lambda: holds(
            np.isfinite(fit(REGRESSOR, X, 1e-300 * Y).predict(X)).all(), "not finite"
        ),
        large=lambda: holds(
            np.isfinite(fit(REGRESSOR, X, 1e290 * Y).predict(X)).all(), "not finite"
        ),
    ),
    serves(
        "every row a class of its own",
        "twelve classes",
        fit=lambda: holds(len(fit(CLASSIFIER, X, np.arange(12)).classes_) == 12, "classes lost"),
    ),
]
