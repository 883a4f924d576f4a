"""Dense X: other forms of the same numbers, odd numbers, and what no estimator can take."""

import tempfile
from pathlib import Path

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import scipy.sparse as sp

from tests.hostile.doors import (
    CODE_DOORS,
    FIT_X,
    TRANSFORMER,
    X_DOORS,
    Duck,
    X,
    fitted,
    like,
    lives,
    refused,
)


def frozen(array):
    array = array.copy()
    array.flags.writeable = False
    return array


def memmapped(array, mode="r"):
    """The array in a file that nobody can name any more."""
    with tempfile.TemporaryDirectory() as folder:
        np.save(Path(folder) / "X.npy", array)
        return np.load(Path(folder) / "X.npy", mmap_mode=mode)


def unaligned(array):
    raw = np.zeros(array.nbytes + 1, dtype=np.uint8)[1:]
    out = raw.view(array.dtype).reshape(array.shape)
    out[:] = array
    return out


class Subclass(np.ndarray):
    """An array whose arithmetic is not to be trusted."""

    def __array_ufunc__(self, *args, **kwargs):
        raise AssertionError("arithmetic of the user's own class")


def with_value(value, dtype=np.float64):
    bad = X.astype(dtype)
    bad[2, 1] = value
    return bad


def plain():
    return X.copy()


def sixteen():
    return 16 * X


FORMS = [
    like("float16", lambda: X.astype(np.float16), plain),
    like("float32", lambda: X.astype(np.float32), plain, rtol=2e-3),
    like("longdouble", lambda: X.astype(np.longdouble), plain),
    like("big-endian float64", lambda: X.astype(">f8"), plain),
    like("big-endian float32", lambda: X.astype(">f4"), plain, rtol=2e-3),
    like("object array of floats", lambda: X.astype(object), plain),
    like("object array of ints", lambda: (16 * X).astype(int).astype(object), sixteen),
    like("int8", lambda: (16 * X).astype(np.int8), sixteen),
    like("uint64", lambda: (16 * X).astype(np.uint64), sixteen),
    like("bool", lambda: X > 0.5, lambda: (X > 0.5).astype(float)),
    like("list of lists", lambda: X.tolist(), plain),
    like("tuple of arrays", lambda: tuple(X.copy()), plain),
    like("read-only array", lambda: frozen(X), plain),
    like("read-only float32", lambda: frozen(X.astype("f4")), plain, rtol=2e-3),
    like("read-only memory map", lambda: memmapped(X), plain),
    like("copy-on-write memory map", lambda: memmapped(X, "c"), plain),
    like("Fortran order", lambda: np.asfortranarray(X), plain),
    like("read-only Fortran order", lambda: frozen(np.asfortranarray(X)), plain),
    like("every other row of an array", lambda: np.repeat(X, 2, axis=0)[::2], plain),
    like("every other column of an array", lambda: np.repeat(X, 2, axis=1)[:, ::2], plain),
    like("rows in reverse (negative stride)", lambda: X[::-1].copy()[::-1], plain),
    like(
        "broadcast row (stride 0)", lambda: np.broadcast_to(X[3], X.shape), lambda: X[[3] * len(X)]
    ),
    like("unaligned memory", lambda: unaligned(X), plain),
    like("subclass of ndarray with its own arithmetic", lambda: X.view(Subclass), plain),
    like("object with __array__ only", lambda: Duck(X), plain),
    like("numeric strings", lambda: X.astype(str), plain),
    like("pandas DataFrame", lambda: pd.DataFrame(X), plain),
    like("pandas DataFrame, string columns", lambda: pd.DataFrame(X, columns=[*"abcd"]), plain),
    like("pandas nullable Float64", lambda: pd.DataFrame(X).astype("Float64"), plain),
    like(
        "pandas mixed nullable and NumPy dtypes",
        lambda: pd.DataFrame(16 * X).astype({0: "Int64", 1: "float32", 2: "int8"}),
        sixteen,
        rtol=2e-3,
    ),
    like(
        "pandas categorical of numbers",
        lambda: pd.DataFrame(16 * X).astype(int).astype("category"),
        sixteen,
    ),
    like(
        "pandas sparse columns",
        lambda: pd.DataFrame(X).astype(pd.SparseDtype(float, 0.0)),
        plain,
    ),
    like(
        "pandas arrow-backed",
        lambda: pd.DataFrame(X).convert_dtypes(dtype_backend="pyarrow"),
        plain,
    ),
    like("polars DataFrame", lambda: pl.DataFrame(X, schema=[*"abcd"]), plain),
    like("negative zeros", lambda: np.where(X == 0, -0.0, X), plain),
]
NUMBERS = [
    lives("one row", lambda: X[:1].copy()),
    lives("two rows", lambda: X[:2].copy()),
    lives("one feature", lambda: X[:, :1].copy()),
    lives("one row of one feature", lambda: X[:1, :1].copy()),
    lives("more features than rows", lambda: np.resize(X, (3, 40))),
    lives("all zero", lambda: np.zeros((12, 4))),
    lives("constant", lambda: np.full((12, 4), 0.7)),
    lives("constant column", lambda: np.where(np.arange(4) == 1, 3.3, X)),
    lives("all rows equal", lambda: np.repeat(X[:1], 12, axis=0)),
    lives("every row twice", lambda: np.repeat(X[:6], 2, axis=0)),
    lives("every column twice", lambda: np.repeat(X, 2, axis=1)),
    lives("1e-30", lambda: 1e-30 * X, unless="Scale X"),
    lives("1e-30 in float32", lambda: (1e-30 * X).astype("f4"), unless="Scale X"),
    lives("1e-320, subnormal", lambda: 1e-320 * X, unless="Scale X"),
    lives("1e-42 in float32, subnormal", lambda: (1e-42 * X).astype("f4"), unless="Scale X"),
    lives("1e30", lambda: 1e30 * X, unless="Scale X"),
    lives(
        "1e15 in float32, whose squares are 1e30", lambda: (1e15 * X).astype("f4"), unless="Scale X"
    ),
    lives("1e100", lambda: 1e100 * X, unless="Scale X"),
    lives("columns of 1e-15 and 1e15", lambda: X * [1e-15, 1e15, 1, 1]),
    lives("1e8 with differences of 1", lambda: 1e8 + X),
    lives(
        "one row 1e6 times the others", lambda: X * np.where(np.arange(12) == 3, 1e6, 1)[:, None]
    ),
    lives("dead rows of zeros", lambda: X * (np.arange(12) % 3 > 0)[:, None]),
]
INVERSE = {k: d for k, d in CODE_DOORS.items() if k.endswith("inverse_transform")}


def code():
    return np.round(fitted(TRANSFORMER).transform(X), 3)


class Raises:
    """What does not give its numbers."""

    def __init__(self, error):
        self.error = error

    def __array__(self, *args, **kwargs):
        raise self.error


FRAME = r"{name} must be an array, a list, or a frame of pandas or polars; got pyarrow"
FINITE = "The loss must stay finite.*Scale X"
TRAIN_X = {name: door for name, door in FIT_X.items() if name.endswith("fit")}
REFUSED = [
    refused(
        "1e30 in float32, whose squares overflow", lambda: (1e30 * X).astype("f4"), FINITE, TRAIN_X
    ),
    refused("1e300 in float64, whose squares overflow", lambda: 1e300 * X, FINITE, TRAIN_X),
    refused(
        "1e300, to add a task or to score",
        lambda: 1e300 * X,
        "{name} must (give codes|have a variance)",
        {k: X_DOORS[k] for k in ("Classifier.add_task", "Regressor.add_task", "Transformer.score")},
    ),
    refused(
        "integers of 400 digits",
        lambda: 10**400 * (16 * X).astype(int).astype(object),
        r"\b{name}\b.*too large",
    ),
    refused("NaN", lambda: with_value(np.nan), "Input {name} contains NaN"),
    refused("NaN in float32", lambda: with_value(np.nan, "f4"), "Input {name} contains NaN"),
    refused("infinity", lambda: with_value(np.inf), "Input {name} contains infinity"),
    refused("-infinity", lambda: with_value(-np.inf), "Input {name} contains infinity"),
    refused(
        "float16 that overflowed",
        lambda: with_value(np.inf, "f2"),
        "Input {name} contains infinity",
    ),
    refused(
        "longdouble above 1e308",
        lambda: with_value(np.longdouble("1e400"), np.longdouble),
        "Input {name} contains infinity",
    ),
    refused("None among numbers", lambda: with_value(None, object), "Input {name} contains NaN"),
    refused(
        "pd.NA in a nullable column",
        lambda: pd.DataFrame(with_value(np.nan)).astype("Float64"),
        "Input {name} contains NaN",
    ),
    refused(
        "null in a polars column",
        lambda: pl.DataFrame([*map(list, X.T[:3]), [None] * 12], schema=[*"abcd"]),
        "Input {name} contains NaN",
    ),
    refused(
        "masked array",
        lambda: np.ma.masked_array(X, X > 0.9),
        "{name} must be a plain array; got a numpy masked array",
    ),
    refused(
        "masked array that masks nothing",
        lambda: np.ma.masked_array(X),
        "{name} must be a plain array",
    ),
    refused(
        "masked arrays as rows of a list",
        lambda: list(np.ma.masked_array(X, X > 0.9)),
        "{name} must be a plain array",
    ),
    refused(
        "what turns into a masked array",
        lambda: Duck(np.ma.masked_array(X, X > 0.9)),
        "{name} must be a plain array",
    ),
    refused("complex", lambda: X.astype(complex), r"(?s)\b{name}\b.*Complex data not supported"),
    refused("words", lambda: np.full((12, 4), "word"), r"\b{name}\b.*could not convert string"),
    refused(
        "a word in an object array",
        lambda: with_value("word", object),
        r"\b{name}\b.*could not convert string",
    ),
    refused("bytes", lambda: np.full((12, 4), b"word"), r"\b{name}\b.*could not convert string"),
    refused("dates", lambda: X.astype(int).astype("M8[s]"), r"\b{name}\b"),
    refused(
        "a date of NumPy's in an object array",
        lambda: with_value(np.datetime64("2020-01-01"), object),
        "{name} must be numbers; got datetime64",
    ),
    refused(
        "a duration in an object column",
        lambda: pd.DataFrame(with_value(np.timedelta64(1, "D"), object)),
        "{name} must be numbers; got timedelta64",
    ),
    refused(
        "lists of dates",
        lambda: X.astype(int).astype("M8[D]").astype(object).tolist(),
        r"\b{name}\b.*'datetime.date'",
    ),
    refused(
        "lists of durations of NumPy's",
        lambda: [list(row) for row in X.astype(int).astype("m8[D]")],
        "{name} must be numbers; got timedelta64",
    ),
    refused("pandas dates", lambda: pd.DataFrame(X).apply(pd.to_datetime), r"\b{name}\b"),
    refused(
        "pandas categories that are words",
        lambda: pd.DataFrame({c: pd.Categorical(["u", "v"] * 6) for c in "abcd"}),
        r"\b{name}\b.*could not convert string",
    ),
    refused(
        "record array", lambda: np.zeros((12, 4), dtype=[("a", float), ("b", int)]), r"\b{name}\b"
    ),
    refused("object array of lists", lambda: with_value([1, 2], object), r"\b{name}\b"),
    refused("lists of different lengths", lambda: [[1.0, 2.0], [3.0]] * 6, r"\b{name}\b"),
    refused("one-dimensional", lambda: X[0].copy(), r"(?s)\b{name}\b.*2D array"),
    refused("three-dimensional", lambda: np.zeros((12, 4, 1)), r"\b{name}\b.*dim 3"),
    refused("a number", lambda: 3.5, r"(?s)\b{name}\b.*2D array"),
    refused("a string", lambda: "X", r"(?s)\b{name}\b"),
    refused("a dict", lambda: {"a": [1.0] * 12}, r"(?s)\b{name}\b"),
    refused("a set", lambda: {1.0, 2.0}, r"(?s)\b{name}\b"),
    refused("a generator", lambda: (row for row in X), r"(?s)\b{name}\b"),
    refused(
        "None",
        lambda: None,
        r"(?s)\b{name}\b",
        {k: d for k, d in X_DOORS.items() if "X_val" not in k},
    ),
    refused("no rows", lambda: np.empty((0, 4)), r"\b{name}\b.*0 sample"),
    refused("no features", lambda: np.empty((12, 0)), r"\b{name}\b.*0 feature"),
    refused("empty list", lambda: [], r"(?s)\b{name}\b"),
    refused("pyarrow Table", lambda: pa.table(dict(zip("abcd", X.T, strict=True))), FRAME),
    refused(
        "pyarrow RecordBatch",
        lambda: pa.table(dict(zip("abcd", X.T, strict=True))).to_batches()[0],
        FRAME,
    ),
    *[
        refused(f"an object whose __array__ raises {error!r}", lambda e=error: Raises(e), message)
        for error, message in {
            RuntimeError("gone"): r"\b{name} is not valid: RuntimeError\('gone'\)",
            OSError("no disk"): r"\b{name} is not valid: OSError",
            KeyError("a"): r"\b{name} is not valid: KeyError",
            ValueError("no"): r"\b{name} is not valid: no",
        }.items()
    ],
    refused(
        "rows of different types in a list", lambda: [[1.0, 2.0, 3.0, "a"]] * 12, r"\b{name}\b"
    ),
]
CODES = [
    refused(
        "codes of another width", lambda: X, "{name} must have 6 columns, one per latent", INVERSE
    ),
    refused(
        "codes with NaN", lambda: np.full((12, 6), np.nan), "Input {name} contains NaN", CODE_DOORS
    ),
    refused(
        "a masked array of codes",
        lambda: np.ma.masked_array(np.ones((12, 6))),
        "{name} must be a plain array",
        CODE_DOORS,
    ),
    refused("one-dimensional codes", lambda: np.ones(6), r"(?s)\b{name}\b.*2D array", CODE_DOORS),
    refused("words as codes", lambda: np.full((12, 6), "word"), r"\b{name}\b", CODE_DOORS),
    refused("no codes", lambda: np.empty((0, 6)), r"\b{name}\b.*0 sample", CODE_DOORS),
    refused("dates as codes", lambda: np.zeros((12, 6), "M8[s]"), r"\b{name}\b", CODE_DOORS),
    *[
        like(f"codes as {form}", lambda change=change: change(code()), code, CODE_DOORS, rtol=1e-6)
        for form, change in {
            "read-only array": frozen,
            "Fortran order": np.asfortranarray,
            "float32": lambda code: code.astype("f4"),
            "read-only memory map": memmapped,
            "list": lambda code: code.tolist(),
            "pandas DataFrame": pd.DataFrame,
            "CSR": sp.csr_array,
            "COO": sp.coo_matrix,
        }.items()
    ],
]
