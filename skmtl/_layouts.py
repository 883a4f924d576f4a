"""What codes and batches of X are: a dense (n, m) array, or a ``CSR`` that holds its support.

Those who call these functions do not ask which they have.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import scipy.sparse as sp

from skmtl import _scratch
from skmtl._numba import kernel

# Sparse loops beat BLAS below about one active latent in eight.
SPARSE_BELOW = 1 / 8


@dataclass(frozen=True, eq=False)
class Support:
    """Where a sparse code may differ from zero.

    Row i holds the columns ``indices[indptr[i]:indptr[i + 1]]``, ascending.
    """

    indices: np.ndarray
    indptr: np.ndarray
    n_columns: int

    @cached_property
    def by_column(self):
        """The same entries column by column, rows ascending, as a `Columns`."""
        count = np.zeros(self.n_columns, dtype=np.int64)
        rows = np.empty(len(self.indices), dtype=np.int32)
        order = np.empty(len(self.indices), dtype=np.int32)
        _transpose(self.indices, self.indptr, count, rows, order)
        active = np.flatnonzero(count)
        starts = np.concatenate([[0], np.cumsum(count[active])])
        return Columns(active, starts, rows, order)


@dataclass(frozen=True, eq=False)
class Columns:
    """Column ``active[a]`` has entries q in ``range(starts[a], starts[a + 1])``.

    Entry q lies in row ``rows[q]`` and is number ``order[q]`` of the row-wise code.
    """

    active: np.ndarray
    starts: np.ndarray
    rows: np.ndarray
    order: np.ndarray


@dataclass(frozen=True, eq=False)
class CSR:
    """A sparse code, or rows of a sparse X: ``data`` on a support."""

    data: np.ndarray
    support: Support

    @property
    def dtype(self):
        return self.data.dtype

    @property
    def indices(self):
        return self.support.indices

    @property
    def indptr(self):
        return self.support.indptr

    @property
    def shape(self):
        return len(self.support.indptr) - 1, self.support.n_columns


# --- which of the two ----------------------------------------------------------------------------


def pays_sparse(n_active, n_columns):
    """Whether codes with ``n_active`` of ``n_columns`` entries a row are better kept as CSR.

    Asked of the sparsifier's k and not of the data: a batch never changes the layout.
    """
    return n_active <= SPARSE_BELOW * n_columns


def csr_from_row_lists(indices, values, counts, n_columns):
    """A `CSR` of the first ``counts[i]`` entries of row i of ``indices`` and ``values``."""
    n_rows, k = indices.shape
    indptr = np.concatenate([[0], np.cumsum(counts)])
    full = indptr[-1] == n_rows * k
    held = slice(None) if full else np.arange(k) < counts[:, None]
    support = Support(indices[held].reshape(-1), indptr, n_columns)
    return CSR(values[held].reshape(-1), support)


def from_row_lists(indices, values, counts, n_columns):
    """The same as a code: in the layout that pays."""
    code = csr_from_row_lists(indices, values, counts, n_columns)
    return laid_out(code, indices.shape[1])


def laid_out(code, k):
    """The CSR itself, or dense where ``k`` entries a row are too many for it to pay."""
    return code if pays_sparse(k, code.shape[1]) else to_dense(code)


def as_rows(X):
    """A dense X as it is, a SciPy CSR array as a `CSR` that shares its memory."""
    if not sp.issparse(X):
        return X
    return CSR(X.data, Support(X.indices, X.indptr, X.shape[1]))


def to_dense(code, out=None):
    """The code as an (n, m) array, written into ``out`` where one is given."""
    if out is None:
        out = np.empty(code.shape, values(code).dtype)
    if isinstance(code, CSR):
        _fill(code.data, code.indices, code.indptr, out)
    else:
        out[:] = code
    return out


def dense_block(X):
    """Rows of X as a dense array."""
    return to_dense(X) if isinstance(X, CSR) else X


def to_scipy(code):
    """The code as a SciPy CSR array without explicit zeros; shares nothing with it."""
    if not isinstance(code, CSR):
        return sp.csr_array(code)
    parts = (code.data, code.indices, code.indptr)
    out = sp.csr_array(parts, shape=code.shape, copy=True)  # what follows works in place
    out.eliminate_zeros()
    return out


# --- entries -------------------------------------------------------------------------------------


def values(code):
    """The entries held by a code, to be read or written in place: all of them, or the support."""
    return code.data if isinstance(code, CSR) else code


def with_values(code, new_values):
    """A code of the same layout and support that holds ``new_values``."""
    return CSR(new_values, code.support) if isinstance(code, CSR) else new_values


def zeros_like(code):
    """An adjoint of ``code`` to add to: zeros on its support."""
    if isinstance(code, CSR):
        return with_values(code, np.zeros_like(code.data))
    out = _scratch.empty("d_code", code.shape, code.dtype)
    out.fill(0)
    return out


def elements_per_row(X):
    """How many elements a row of X holds, on average."""
    return max(1, X.nnz // X.shape[0]) if sp.issparse(X) else X.shape[1]


def columns(code, first, stop):
    """The latents ``range(first, stop)`` of a code, and where their entries are in its values."""
    if not isinstance(code, CSR):
        return code[:, first:stop], (slice(None), slice(first, stop))
    held = np.flatnonzero((code.indices >= first) & (code.indices < stop))
    indptr = np.searchsorted(held, code.indptr)
    support = Support(code.indices[held] - np.int32(first), indptr, stop - first)
    return CSR(code.data[held], support), held


def join(parts):
    """The sum of codes: a CSR if all are, else dense."""
    if len(parts) == 1:
        return parts[0]
    if all(isinstance(part, CSR) for part in parts):
        total = sum(sp.csr_array((p.data, p.indices, p.indptr), shape=p.shape) for p in parts)
        total.sort_indices()
        return as_rows(total)
    total = to_dense(parts[0])
    for part in parts[1:]:
        total += to_dense(part)
    return total


# --- rows ----------------------------------------------------------------------------------------


def take_rows(X, index, name="rows"):
    """``X[index]``; where dense, in memory that the next step uses again under this name."""
    if sp.issparse(X) or isinstance(X, CSR):
        indptr = np.zeros(len(index) + 1, X.indptr.dtype)
        np.cumsum(X.indptr[index + 1] - X.indptr[index], out=indptr[1:])
        data, indices = np.empty(indptr[-1], X.dtype), np.empty(indptr[-1], X.indices.dtype)
        _take_rows(X.data, X.indices, X.indptr, index, data, indices)
        return CSR(data, Support(indices, indptr, X.shape[1]))
    out = _scratch.empty(name, (len(index), X.shape[1]), X.dtype)
    return X.take(index, 0, out, "clip")  # which needs no copy of out, unlike "raise"


def some_rows(X, rows):
    """A slice of rows of an array or a CSR, as a view."""
    if not isinstance(X, CSR):
        return X[rows]
    indptr = X.indptr[rows.start : rows.stop + 1]
    held = slice(indptr[0], indptr[-1])
    return CSR(X.data[held], Support(X.indices[held], indptr - indptr[0], X.shape[1]))


def rows_at(code, index):
    """Some rows of a code, in the same layout."""
    return take_rows(code, index) if isinstance(code, CSR) else code[index]


def stack_rows(parts):
    """Codes of one layout below each other."""
    if not isinstance(parts[0], CSR):
        return np.concatenate(parts)
    counts = np.concatenate([np.diff(part.indptr) for part in parts])
    indices = np.concatenate([part.indices for part in parts])
    indptr = np.concatenate([[0], np.cumsum(counts)])
    support = Support(indices, indptr, parts[0].shape[1])
    return CSR(np.concatenate([part.data for part in parts]), support)


# --- kernels -------------------------------------------------------------------------------------


@kernel
def _transpose(indices, indptr, count, rows, order):
    for p in range(len(indices)):
        count[indices[p]] += 1
    next_ = np.empty_like(count)
    total = 0
    for j in range(len(count)):
        next_[j] = total
        total += count[j]
    for i in range(len(indptr) - 1):
        for p in range(indptr[i], indptr[i + 1]):
            q = next_[indices[p]]
            next_[indices[p]] += 1
            rows[q] = i
            order[q] = p


@kernel
def _fill(data, indices, indptr, out):
    for i in range(len(indptr) - 1):
        row = out[i]
        row[:] = 0
        for p in range(indptr[i], indptr[i + 1]):
            row[indices[p]] = data[p]


@kernel
def _take_rows(data, indices, indptr, index, new_data, new_indices):
    q = 0
    for i in index:
        for p in range(indptr[i], indptr[i + 1]):
            new_data[q] = data[p]
            new_indices[q] = indices[p]
            q += 1
