"""Sparse X: every format and every state that SciPy lets an array get into."""

import tempfile
from pathlib import Path

import numpy as np
import pandas as pd
import scipy.sparse as sp

from tests.hostile.doors import CODE_DOORS, TRANSFORMER, X_DOORS, X, fitted, like, lives, refused

HOLES = X * (np.random.default_rng(1).random(X.shape) < 0.5)


def dense():
    return HOLES.copy()


def as_format(format, kind="array", dtype=float):
    return getattr(sp, f"csr_{kind}")(HOLES.astype(dtype)).asformat(format)


def changed(change, format="csr"):
    """The array after something was done to its parts."""
    A = as_format(format)
    change(A)
    return A


def wide(A):
    A.indices, A.indptr = A.indices.astype(np.int64), A.indptr.astype(np.int64)
    return A


def unsorted():
    A = as_format("csr")
    for start, stop in zip(A.indptr[:-1], A.indptr[1:], strict=True):
        A.indices[start:stop] = A.indices[start:stop][::-1]
        A.data[start:stop] = A.data[start:stop][::-1]
    A.has_sorted_indices = False
    return A


def unsorted_that_says_sorted():
    A = unsorted()
    A.has_sorted_indices = A.has_canonical_format = True
    return A


def halves(format):
    """Each entry stored twice, a half each."""
    A = as_format("coo")
    rows, cols = np.tile(A.coords, 2)
    twice = sp.coo_array((np.tile(A.data / 2, 2), (rows, cols)), A.shape)
    if format == "coo":
        return twice
    order = np.argsort(rows, kind="stable")
    indptr = np.concatenate([[0], np.cumsum(np.bincount(rows, minlength=12))])
    return sp.csr_array((twice.data[order], cols[order], indptr), A.shape)


def explicit_zeros():
    full = sp.csr_array(np.ones(X.shape))
    full.data[:] = HOLES.ravel()
    return full


def frozen(A):
    for part in ("data", "indices", "indptr"):
        getattr(A, part).flags.writeable = False
    return A


def memmapped(A):
    with tempfile.TemporaryDirectory() as folder:
        for part in ("data", "indices", "indptr"):
            np.save(Path(folder) / f"{part}.npy", getattr(A, part))
            setattr(A, part, np.load(Path(folder) / f"{part}.npy", mmap_mode="r"))
    return A


def empty_rows():
    return HOLES * (np.arange(12) % 2)[:, None]


FORMATS = ("csr", "csc", "coo", "bsr", "lil", "dok", "dia")
FORMS = [
    *[like(f"{f} array", lambda f=f: as_format(f), dense) for f in FORMATS],
    *[like(f"{f} matrix", lambda f=f: as_format(f, "matrix"), dense) for f in FORMATS],
    like("CSR, float32", lambda: as_format("csr").astype("f4"), dense, rtol=2e-3),
    like("CSR, longdouble", lambda: as_format("csr").astype(np.longdouble), dense),
    like("CSR, int64 values", lambda: sp.csr_array((16 * HOLES).astype(int)), lambda: 16 * HOLES),
    like("CSR, bool", lambda: sp.csr_array(HOLES > 0), lambda: (HOLES > 0).astype(float)),
    like("CSR, int64 indices", lambda: wide(as_format("csr")), dense),
    like("CSC, int64 indices", lambda: wide(as_format("csc")), dense),
    like("CSR, read-only", lambda: frozen(as_format("csr")), dense),
    like("CSR, read-only memory map", lambda: memmapped(as_format("csr")), dense),
    like("CSR, read-only, int64, unsorted", lambda: frozen(wide(unsorted())), dense),
    like("CSR, unsorted indices", unsorted, dense),
    like("CSR, unsorted, claiming to be sorted", unsorted_that_says_sorted, dense),
    like("CSR, each entry in two halves", lambda: halves("csr"), dense),
    like("CSR, halves, read-only", lambda: frozen(halves("csr")), dense),
    like("COO, each entry in two halves", lambda: halves("coo"), dense),
    like("CSR, explicit zeros", explicit_zeros, dense),
    like("CSR, full", lambda: sp.csr_array(X), lambda: X),
    like(
        "DIA, a diagonal far outside",
        lambda: changed(at("offsets", 0, 10**9), "dia"),
        lambda: far_outside(),
        apart=True,
    ),
    like("CSR, more room than entries", lambda: roomy(), dense),
    like("CSR, big-endian values", lambda: changed_dtype(">f8"), dense),
    like("CSR, every other row empty", lambda: sp.csr_array(empty_rows()), empty_rows),
    like("CSR, no entry at all", lambda: sp.csr_array((12, 4)), lambda: np.zeros((12, 4))),
    like("COO, no entry at all", lambda: sp.coo_array((12, 4)), lambda: np.zeros((12, 4))),
    like(
        "CSR, slice of a larger one",
        lambda: sp.vstack([as_format("csr")] * 3).tocsr()[12:24],
        dense,
    ),
    like(
        "pandas frame of sparse columns",
        lambda: pd.DataFrame.sparse.from_spmatrix(as_format("csr", "matrix")),
        dense,
    ),
    like(
        "CSR of codes, unsorted, read-only",
        lambda: frozen(unsorted_codes()),
        lambda: codes(),
        CODE_DOORS,
    ),
]


def roomy():
    A = as_format("csr")
    A.data, A.indices = np.append(A.data, [9.0, 9.0]), np.append(A.indices, [0, 1]).astype("i4")
    return A


def far_outside():
    inside = as_format("dia")
    inside.data[0] = 0
    return inside.toarray()


def changed_dtype(dtype):
    A = as_format("csr")
    A.data = A.data.astype(dtype)
    return A


def codes():
    return np.round(fitted(TRANSFORMER).transform(X), 3)


def unsorted_codes():
    A = sp.csr_array(codes())
    A.indices, A.data = A.indices[::-1].copy(), A.data[::-1].copy()
    rows = np.repeat(np.arange(12), np.diff(A.indptr))[::-1]
    order = np.argsort(rows, kind="stable")
    return sp.csr_array((A.data[order], A.indices[order], A.indptr), A.shape)


def at(part, place, value):
    def change(A):
        array = (
            A.coords[0] if part == "rows" else A.coords[1] if part == "cols" else getattr(A, part)
        )
        array[place] = value

    return change


def listed(*columns, n_values=None):
    def change(A):
        A.rows[3], A.data[3] = list(columns), [1.0] * (n_values or len(columns))

    return change


def floating_places(A):
    A.coords = A.coords[0], A.coords[1] + 0.7


def shorter(part, by=1):
    def change(A):
        setattr(A, part, getattr(A, part)[:-by])

    return change


def of_shape(*shape):
    def change(A):
        A._shape = shape

    return change


def floating(A):
    A.indices = A.indices.astype(float)


NUMBERS = [
    lives("CSR of one row", lambda: sp.csr_array(HOLES[:1])),
    lives("CSR of one feature", lambda: sp.csr_array(HOLES[:, :1])),
    lives(
        "CSR of a million columns, ten entries",
        lambda: sp.csr_array(
            (np.ones(10), (np.arange(10), np.arange(10) * 99_999)), (12, 1_000_000)
        ),
        n_components=1,
    ),
    lives("CSR, one entry", lambda: sp.csr_array(([1.0], ([3], [2])), (12, 4))),
    lives("CSR, 1e-30", lambda: sp.csr_array(1e-30 * HOLES), unless="Scale X"),
    lives("CSR, 1e30", lambda: sp.csr_array(1e30 * HOLES), unless="Scale X"),
    lives("CSR, constant", lambda: sp.csr_array(np.full((12, 4), 0.7))),
]
BROKEN = "{name} must be a valid sparse array"
CODES = {**CODE_DOORS, **X_DOORS}


def masked_entries(format):
    A = sp.csr_array(X).asformat(format)
    A.data = np.ma.masked_array(A.data, A.data > 0.9)
    return A


REFUSED = [
    *[
        refused(
            f"{format.upper()} whose entries are a masked array",
            lambda format=format: masked_entries(format),
            "{name} must be a plain array",
        )
        for format in ("csr", "csc", "coo", "bsr", "dia")
    ],
    refused(
        "CSR, column 99 of 4", lambda: changed(at("indices", 3, 99)), BROKEN, CODES, apart=True
    ),
    refused(
        "CSR, column 10**9", lambda: changed(at("indices", 3, 10**9)), BROKEN, CODES, apart=True
    ),
    refused("CSR, column -5", lambda: changed(at("indices", 3, -5)), BROKEN, CODES, apart=True),
    refused(
        "CSC, row 99 of 12", lambda: changed(at("indices", 3, 99), "csc"), BROKEN, CODES, apart=True
    ),
    refused("CSC, row -5", lambda: changed(at("indices", 3, -5), "csc"), BROKEN, CODES, apart=True),
    refused(
        "BSR, block column 99",
        lambda: changed(at("indices", 1, 99), "bsr"),
        BROKEN,
        CODES,
        apart=True,
    ),
    refused(
        "COO, column 99 of 4", lambda: changed(at("cols", 3, 99), "coo"), BROKEN, CODES, apart=True
    ),
    refused(
        "COO, row 10**9", lambda: changed(at("rows", 3, 10**9), "coo"), BROKEN, CODES, apart=True
    ),
    refused("COO, row -5", lambda: changed(at("rows", 3, -5), "coo"), BROKEN, CODES, apart=True),
    refused(
        "CSR, indptr that falls", lambda: changed(at("indptr", 3, 0)), BROKEN, CODES, apart=True
    ),
    refused(
        "CSR, indptr beyond the entries",
        lambda: changed(at("indptr", -1, 10**6)),
        BROKEN,
        CODES,
        apart=True,
    ),
    refused(
        "CSR, negative indptr", lambda: changed(at("indptr", 1, -7)), BROKEN, CODES, apart=True
    ),
    refused(
        "CSR, indptr not from 0", lambda: changed(at("indptr", 0, 1)), BROKEN, CODES, apart=True
    ),
    refused("CSR, indptr too short", lambda: changed(shorter("indptr")), BROKEN, CODES, apart=True),
    refused(
        "CSR, fewer values than indices",
        lambda: changed(shorter("data", 5)),
        BROKEN,
        CODES,
        apart=True,
    ),
    refused(
        "CSR, fewer indices than values",
        lambda: changed(shorter("indices", 5)),
        BROKEN,
        CODES,
        apart=True,
    ),
    refused("CSR, indices that are floats", lambda: changed(floating), BROKEN, CODES, apart=True),
    refused(
        "COO, fewer values than places",
        lambda: changed(shorter("data", 5), "coo"),
        BROKEN,
        CODES,
        apart=True,
    ),
    refused("LIL, column 99 of 4", lambda: changed(listed(99), "lil"), BROKEN, CODES, apart=True),
    refused("LIL, column -5", lambda: changed(listed(-5), "lil"), BROKEN, CODES, apart=True),
    refused("LIL, column 2.5", lambda: changed(listed(2.5), "lil"), BROKEN, CODES, apart=True),
    refused(
        "LIL, more values than columns",
        lambda: changed(listed(0, 1, n_values=4), "lil"),
        BROKEN,
        CODES,
        apart=True,
    ),
    refused(
        "LIL, more columns than values",
        lambda: changed(listed(0, 1, 2, n_values=1), "lil"),
        BROKEN,
        CODES,
        apart=True,
    ),
    refused(
        "DIA, fewer offsets than diagonals",
        lambda: changed(shorter("offsets", 2), "dia"),
        BROKEN,
        CODES,
        apart=True,
    ),
    refused(
        "COO, places that are floats",
        lambda: changed(floating_places, "coo"),
        BROKEN,
        CODES,
        apart=True,
    ),
    refused("CSR, 4.0 columns", lambda: changed(of_shape(12, 4.0)), BROKEN, CODES),
    refused("COO, 4.5 columns", lambda: changed(of_shape(12, 4.5), "coo"), BROKEN, CODES),
    refused(
        "CSC, columns counted by a word", lambda: changed(of_shape(12, "4"), "csc"), BROKEN, CODES
    ),
    refused(
        "CSR with NaN", lambda: changed(at("data", 3, np.nan)), "Input {name} contains NaN", CODES
    ),
    refused(
        "CSR with infinity",
        lambda: changed(at("data", 3, np.inf)),
        "Input {name} contains infinity",
        CODES,
    ),
    refused(
        "COO with NaN",
        lambda: changed(at("data", 3, np.nan), "coo"),
        "Input {name} contains NaN",
        CODES,
    ),
    refused(
        "CSR of complex numbers",
        lambda: as_format("csr").astype(complex),
        r"(?s)\b{name}\b.*omplex",
        CODES,
    ),
    refused("CSR of no rows", lambda: sp.csr_array((0, 4)), r"\b{name}\b.*0 sample"),
    refused("CSR of no features", lambda: sp.csr_array((12, 0)), r"\b{name}\b.*0 feature"),
    refused("one-dimensional COO", lambda: sp.coo_array(np.ones(4)), r"\b{name}\b"),
    refused("COO of object values", lambda: objects(), r"\b{name}\b"),
]


def objects():
    A = as_format("coo")
    A.data = np.array(["word"] * A.nnz, dtype=object)
    return A
