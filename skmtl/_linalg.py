"""Products with dense and sparse codes and inputs, and the two kinds of gradient.

A code is a dense (n, m) array or a ``CSR``; a gradient is a dense array or ``Rows``; an input X is
a dense array or a SciPy CSR array. Sparsifiers and objectives call these functions and do not ask
which they have. With k active latents a row, ``matmul``, its adjoint and the weight gradient cost
k a row and a feature where the dense products cost m.
"""

from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
import scipy.sparse as sp
from sklearn.utils.sparsefuncs import mean_variance_axis

from skmtl._numba import kernel

# Sparse loops beat BLAS below about one active latent in eight.
SPARSE_BELOW = 1 / 8


class CSR(NamedTuple):
    """Row i holds ``data[indptr[i]:indptr[i + 1]]`` in the columns ``indices[...]``, ascending."""

    data: np.ndarray
    indices: np.ndarray
    indptr: np.ndarray
    n_columns: int

    @property
    def shape(self):
        return len(self.indptr) - 1, self.n_columns


@dataclass(frozen=True)
class Rows:
    """A gradient that is zero outside the rows ``index`` of an array of ``n_rows`` rows."""

    index: np.ndarray
    values: np.ndarray
    n_rows: int


# --- codes ---------------------------------------------------------------------------------------


def pays_sparse(n_active, n_columns):
    """Whether codes with ``n_active`` of ``n_columns`` entries a row are better kept as CSR.

    Asked of the sparsifier's own k and not of the data, so that a fit never changes layout midway.
    """
    return n_active <= SPARSE_BELOW * n_columns


def from_row_lists(indices, values, counts, n_columns):
    """A code from the first ``counts[i]`` entries of row i of ``indices`` and ``values``."""
    held = np.arange(indices.shape[1]) < counts[:, None]
    indptr = np.concatenate([[0], np.cumsum(counts)])
    if pays_sparse(indices.shape[1], n_columns):
        return CSR(values[held], indices[held], indptr, n_columns)
    code = np.zeros((len(counts), n_columns), dtype=values.dtype)
    code[np.repeat(np.arange(len(counts)), counts), indices[held]] = values[held]
    return code


def to_dense(code):
    """The code as an (n, m) array."""
    if not isinstance(code, CSR):
        return code
    return sp.csr_array((code.data, code.indices, code.indptr), shape=code.shape).toarray()


def to_scipy(code):
    """The code as a SciPy CSR array without explicit zeros; shares nothing with it."""
    if not isinstance(code, CSR):
        return sp.csr_array(code)
    parts = (code.data, code.indices, code.indptr)
    out = sp.csr_array(parts, shape=code.shape, copy=True)  # what follows works in place
    out.eliminate_zeros()
    return out


def zeros_like(code):
    """An adjoint of ``code`` to add to: zeros on its support."""
    if isinstance(code, CSR):
        return code._replace(data=np.zeros_like(code.data))
    return np.zeros_like(code)


def values(code):
    """The entries held by a code, to be read or written in place: all of them, or the support."""
    return code.data if isinstance(code, CSR) else code


def with_values(code, new_values):
    """A code of the same layout and support that holds ``new_values``."""
    return code._replace(data=new_values) if isinstance(code, CSR) else new_values


def join(parts):
    """The sum of codes of any layout: the CSR itself if it is alone, else dense."""
    if len(parts) == 1:
        return parts[0]
    total = to_dense(parts[0]).copy()
    for part in parts[1:]:
        total += to_dense(part)
    return total


# --- products ------------------------------------------------------------------------------------


@kernel
def _csr_matmul(data, indices, indptr, W, out):
    for i in range(len(indptr) - 1):
        out[i] = 0
        for p in range(indptr[i], indptr[i + 1]):
            value, j = data[p], indices[p]
            for f in range(W.shape[1]):
                out[i, f] += value * W[j, f]


@kernel
def _csr_adjoint(d_out, W, indices, indptr, d_data):
    for i in range(len(indptr) - 1):
        for p in range(indptr[i], indptr[i + 1]):
            j = indices[p]
            total = d_data.dtype.type(0)
            for f in range(W.shape[1]):
                total += d_out[i, f] * W[j, f]
            d_data[p] += total


@kernel
def _csr_weight_gradient(data, indices, indptr, A, position, out):
    for i in range(len(indptr) - 1):
        for p in range(indptr[i], indptr[i + 1]):
            value, r = data[p], position[indices[p]]
            for f in range(A.shape[1]):
                out[r, f] += value * A[i, f]


def matmul(code, W):
    """``code @ W``, (n, m) by (m, d)."""
    if not isinstance(code, CSR):
        return code @ W
    out = np.empty((code.shape[0], W.shape[1]), dtype=W.dtype)
    _csr_matmul(code.data, code.indices, code.indptr, W, out)
    return out


def add_adjoint(d_out, W, d_code):
    """Add ``d_out @ W.T`` to ``d_code`` in place, on the support where ``d_code`` is a CSR."""
    if isinstance(d_code, CSR):
        _csr_adjoint(d_out, W, d_code.indices, d_code.indptr, d_code.data)
    else:
        d_code += d_out @ W.T


def weight_gradient(code, A):
    """``code.T @ A``, (n, m) and (n, d) to (m, d); ``Rows`` where the code is a CSR.

    ``A`` may be a SciPy CSR array (sparse X in the encoder's gradient).
    """
    if sp.issparse(A):
        if not isinstance(code, CSR):
            return np.ascontiguousarray((A.T @ code).T)
        active, position = _active(code)
        of_active = sp.csr_array(
            (code.data, position[code.indices], code.indptr), shape=(code.shape[0], len(active))
        )
        return Rows(active, np.ascontiguousarray((of_active.T @ A).toarray()), code.n_columns)
    if not isinstance(code, CSR):
        return code.T @ A
    active, position = _active(code)
    out = np.zeros((len(active), A.shape[1]), dtype=A.dtype)
    _csr_weight_gradient(code.data, code.indices, code.indptr, A, position, out)
    return Rows(active, out, code.n_columns)


def column_sum(code):
    """The sum over rows, (m,); ``Rows`` where the code is a CSR."""
    if not isinstance(code, CSR):
        return code.sum(axis=0)
    active, _ = _active(code)
    total = np.bincount(code.indices, weights=code.data, minlength=code.n_columns)
    return Rows(active, total[active].astype(code.data.dtype), code.n_columns)


def shift_gradient(gradient, column_sums, shift):
    """``(code.T @ (A - shift))`` from ``code.T @ A`` and the column sums of the code."""
    if isinstance(gradient, Rows):
        gradient.values[:] -= np.outer(column_sums.values, shift)
    else:
        gradient -= np.outer(column_sums, shift)
    return gradient


def _active(code):
    """The latents that fire in a CSR code, and where each of them stands in that list."""
    fires = np.zeros(code.n_columns, dtype=bool)
    fires[code.indices] = True
    return np.flatnonzero(fires), np.cumsum(fires) - 1


def dense_block(X):
    """A block of X as a dense array."""
    return X.toarray() if sp.issparse(X) else X


# --- gradients -----------------------------------------------------------------------------------


def add_gradient(grads, name, gradient):
    """Add to ``grads[name]``. Only this module knows the two kinds of gradient."""
    present = grads.get(name)
    if present is None:
        grads[name] = gradient
    elif isinstance(present, Rows) and isinstance(gradient, Rows):
        grads[name] = _add_rows(present, gradient)
    elif isinstance(present, Rows):
        total = np.array(gradient)
        total[present.index] += present.values
        grads[name] = total
    elif isinstance(gradient, Rows):
        present[gradient.index] += gradient.values
    else:
        present += gradient


def _add_rows(a, b):
    if np.array_equal(a.index, b.index):
        return replace(a, values=a.values + b.values)
    index = np.union1d(a.index, b.index)
    total = np.zeros((len(index), *a.values.shape[1:]), dtype=a.values.dtype)
    total[np.searchsorted(index, a.index)] += a.values
    total[np.searchsorted(index, b.index)] += b.values
    return Rows(index, total, a.n_rows)


def dense_gradient(gradient):
    """The gradient as an array of the parameter's shape."""
    if not isinstance(gradient, Rows):
        return gradient
    out = np.zeros((gradient.n_rows, *gradient.values.shape[1:]), dtype=gradient.values.dtype)
    out[gradient.index] = gradient.values
    return out


def weighted_moments(X, weight):
    """Weighted mean and variance of each column of X, (d,) float64, without densifying X."""
    weight = np.asarray(weight, dtype=np.float64)
    if sp.issparse(X):
        mean, variance = mean_variance_axis(sp.csr_matrix(X).astype(np.float64), 0, weights=weight)
    else:
        share = weight / weight.sum()
        blocks = [slice(i, i + 4096) for i in range(0, X.shape[0], 4096)]
        mean = sum(share[b] @ X[b] for b in blocks)
        # Centred before squaring: no cancellation where the data lie far from the origin.
        variance = sum(share[b] @ (X[b] - mean) ** 2 for b in blocks)
    # A constant column has no variance, whatever rounding left of it.
    return mean, np.where(variance > 1e-24 * mean**2, variance, 0)
