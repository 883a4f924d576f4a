"""Products and sums of codes and of rows of X, dense or ``CSR``.

With k active latents a row, ``matmul``, its adjoint and the weight gradient cost k a row and a
feature where the dense products cost m; with a CSR X the encoder costs nnz(X) times m, its
gradient nnz(X) k.
"""

import numpy as np
import scipy.sparse as sp

from skmtl import _scratch
from skmtl._gradients import Product, Rows
from skmtl._layouts import CSR, values, with_values
from skmtl._numba import kernel
from skmtl._threads import cut, for_each, for_each_part

# Columns of a product's result that one call of BLAS computes: a share of work for a thread.
TILE = 512
# The same for the encoder's product, the largest of all: rows, and latents.
TILE_ROWS, TILE_LATENTS = 512, 4096


# --- products ------------------------------------------------------------------------------------


def product(X, W, out):
    """``X @ W.T``, (n, d) by (m, d), written into ``out``."""
    n_rows, n_columns = out.shape
    if isinstance(X, CSR):
        return matmul(X, transposed(W), out)
    if n_rows * n_columns <= TILE * TILE // 2:
        return np.matmul(X, W.T, out=out)
    tile_rows = TILE_ROWS if n_rows > TILE_ROWS else TILE_ROWS // 2
    tiles = [(i, j) for j in cut(n_columns, TILE_LATENTS) for i in cut(n_rows, tile_rows)]
    for_each(lambda tile: np.matmul(X[tile[0]], W[tile[1]].T, out=out[tile]), tiles)
    return out


def transposed(W):
    """``W.T`` in C order, by tiles that fit in cache; no copy where W lies so already."""
    if W.flags.f_contiguous:
        return W.T
    out = np.empty(W.shape[::-1], W.dtype)
    _transpose_tiles(W, out)
    return out


def product_among(X, W, b, among):
    """``X @ W.T + b`` at the columns ``among[i]`` of row i, (n, c); -1 where among is -1."""
    out = np.empty(among.shape, X.dtype)

    def part(rows):
        _product_among(X[rows], W, b, among[rows], out[rows])

    for_each_part(part, len(X), among.shape[1] * X.shape[1])
    return out


def matmul(code, W, out=None):
    """``code @ W``, (n, m) by (m, d)."""
    n_rows = code.shape[0]
    if out is None:
        out = np.empty((n_rows, W.shape[1]), W.dtype)
    if not isinstance(code, CSR):
        if n_rows <= TILE:
            return np.matmul(code, W, out=out)
        for_each(lambda rows: np.matmul(code[rows], W, out=out[rows]), cut(n_rows, TILE))
        return out

    def part(rows):
        _csr_matmul(code.data, code.indices, code.indptr[rows.start : rows.stop + 1], W, out[rows])

    for_each_part(part, n_rows, _per_row(code) * W.shape[1])
    return out


def add_adjoint(d_out, W, d_code):
    """Add ``d_out @ W.T`` to ``d_code`` in place, on the support where ``d_code`` is a CSR."""
    if not isinstance(d_code, CSR):
        if len(W) <= TILE:
            _add_product(d_out, W, d_code)
            return
        for_each(lambda tile: _add_product(d_out, W[tile], d_code[:, tile]), cut(len(W), TILE))
        return

    def part(rows):
        indptr = d_code.indptr[rows.start : rows.stop + 1]
        _csr_adjoint(d_out[rows], W, d_code.indices, indptr, d_code.data)

    for_each_part(part, len(d_out), _per_row(d_code) * W.shape[1])


def add_on_support(values, d_code):
    """Add an array to ``d_code`` in place, on the support where ``d_code`` is a CSR."""
    if isinstance(d_code, CSR):
        _gather(values, d_code.indices, d_code.indptr, d_code.data)
    else:
        d_code += values


def _add_product(A, W, out):
    out += np.matmul(A, W.T, out=_scratch.empty("adjoint", out.shape, out.dtype))


def _per_row(code):
    return 1 + len(code.data) // max(1, code.shape[0])


def weight_gradient(code, A, shift=None):
    """Gradient ``code.T @ (A - shift)``, (n, m) and (n, d) to (m, d).

    A `Product` of the rows that fire where the code is a CSR, not formed until it is used. ``A``
    may be a CSR (sparse X in the encoder's gradient), with a shift; a dense A is shifted before.
    """
    if isinstance(code, CSR):
        return Product(code, A, shift)
    if not isinstance(A, CSR):
        out = np.empty((code.shape[1], A.shape[1]), A.dtype)
        if len(out) <= TILE:
            return np.matmul(code.T, A, out=out)
        for_each(lambda tile: np.matmul(code[:, tile].T, A, out=out[tile]), cut(len(out), TILE))
        return out
    if shift is None:
        shift = np.zeros(A.shape[1], code.dtype)
    out = np.empty((A.shape[1], code.shape[1]), code.dtype)
    _gradient_of_sparse(A.data, A.indices, A.indptr, code, shift, sum_rows(code), out)
    return out.T  # the optimizer lets the parameter lie as its gradient does


def vector_product(column_sums, W):
    """``column_sums @ W``, (d,), from what ``column_sum`` gave."""
    if not isinstance(column_sums, Rows):
        return column_sums @ W
    blocks = cut(len(column_sums.index), TILE)  # sums of fixed blocks, added in their order
    sums = np.zeros((len(blocks), W.shape[1]), W.dtype)

    def of_block(b):
        _weighted_sum(column_sums.values[blocks[b]], column_sums.index[blocks[b]], W, sums[b])

    for_each(of_block, range(len(blocks)))
    return sums.sum(axis=0)


def row_products(X, shift=None):
    """``(X - shift) @ (X - shift).T``, (n, n), of a CSR X; a dense one comes shifted."""
    if not isinstance(X, CSR):
        return X @ X.T
    own = sp.csr_array((X.data, X.indices, X.indptr), shape=X.shape)
    out = (own @ own.T).toarray()
    if shift is not None:
        cross = own @ shift
        out += shift @ shift - cross - cross[:, None]
    return out


# --- sums ----------------------------------------------------------------------------------------


def add_row(X, row, out):
    """``X + row``, written into ``out``."""

    def part(rows):
        _add_row(X[rows], row, out[rows])

    for_each_part(part, *X.shape)
    return out


def column_sum(code):
    """The sum over rows, (m,); ``Rows`` where the code is a CSR."""
    if not isinstance(code, CSR):
        return sum_rows(code)
    columns = code.support.by_column
    total = np.add.reduceat(code.data[columns.order], columns.starts[:-1])
    return Rows(columns.active, total, code.shape[1])


def sum_rows(A):
    """``A.sum(axis=0)`` as a product, which is faster."""
    ones = _scratch.ones(len(A), A.dtype)
    return ones @ A


def add_firing(code, weight, counts, idle):
    """Add to ``counts``, (m,), the weights of the rows on which each latent is not zero.

    ``idle``, (m,), counts the rows up to the end of the batch since the last batch in which it was.
    """
    if isinstance(code, CSR):
        _add_firing_of_sparse(code.data, code.indices, code.indptr, weight, counts, idle)
    else:
        _add_firing(code, weight, counts, idle)


def weighted_moments(X, weight):
    """Weighted mean and variance of each column of X, (d,) float64, without densifying X."""
    share = np.asarray(weight, dtype=np.float64)
    share = share / share.sum()
    mean, variance = np.zeros((2, X.shape[1]))
    with np.errstate(over="ignore"):  # a loss says so where squares overflow
        if sp.issparse(X):
            _sparse_moments(X.data, X.indices, X.indptr, share, mean, variance)
        else:
            _moments(X, share, mean, variance)
    # A constant column has no variance, whatever rounding left of it.
    return mean, np.where(np.sqrt(variance) > 1e-12 * np.abs(mean), variance, 0)


# --- entry by entry ------------------------------------------------------------------------------


def relu(pre):
    """``max(pre, 0)`` of an array, in memory that the next step uses again."""
    code = _scratch.empty("code", pre.shape, pre.dtype)
    _relu(pre.reshape(-1), code.reshape(-1))
    return code


def relu_backward(code, d_code):
    """``d_code`` where the code is above 0, in place."""
    _zero_where_silent(values(code).reshape(-1), values(d_code).reshape(-1))
    return d_code


def dropped(X, share, rng):
    """Rows of X with a random share of their entries set to zero."""
    kept = rng.random(values(X).shape, dtype=np.float32) >= share
    return with_values(X, values(X) * kept)


# --- kernels -------------------------------------------------------------------------------------
# A latent's entries are taken by fours: a row of the result is then read and written once for four
# rows that are added to it.


@kernel
def _csr_matmul(data, indices, indptr, W, out):
    """out[i] = sum_p data[p] * W[indices[p]]"""
    for i in range(len(indptr) - 1):
        row = out[i]
        row[:] = 0
        p, stop = indptr[i], indptr[i + 1]
        while p + 4 <= stop:
            a, b, c, d = data[p], data[p + 1], data[p + 2], data[p + 3]
            W_a, W_b = W[indices[p]], W[indices[p + 1]]
            W_c, W_d = W[indices[p + 2]], W[indices[p + 3]]
            for f in range(len(row)):
                row[f] += a * W_a[f] + b * W_b[f] + c * W_c[f] + d * W_d[f]
            p += 4
        while p < stop:
            a, W_a = data[p], W[indices[p]]
            for f in range(len(row)):
                row[f] += a * W_a[f]
            p += 1


@kernel
def _gradient_of_sparse(data, indices, indptr, code, shift, column_sums, out):
    """out = (A - shift).T @ code"""
    for f in range(len(out)):
        out[f] = -shift[f] * column_sums
    for i in range(len(indptr) - 1):
        row = code[i]
        for p in range(indptr[i], indptr[i + 1]):
            x, own = data[p], out[indices[p]]
            for j in range(len(row)):
                own[j] += x * row[j]


@kernel
def _gather(values, indices, indptr, data):
    """data[p] += values[i, indices[p]]"""
    for i in range(len(indptr) - 1):
        for p in range(indptr[i], indptr[i + 1]):
            data[p] += values[i, indices[p]]


@kernel
def _csr_adjoint(d_out, W, indices, indptr, d_data):
    """d_data[p] += d_out[i] . W[indices[p]]"""
    for i in range(len(indptr) - 1):
        row = d_out[i]
        for p in range(indptr[i], indptr[i + 1]):
            atom = W[indices[p]]
            total = d_data.dtype.type(0)
            for f in range(len(row)):
                total += row[f] * atom[f]
            d_data[p] += total


@kernel
def _add_row(X, row, out):
    for i in range(len(X)):
        own, sums = X[i], out[i]
        for f in range(len(row)):
            sums[f] = own[f] + row[f]


@kernel
def _relu(pre, code):
    zero = pre.dtype.type(0)
    for p in range(len(pre)):
        code[p] = zero if pre[p] <= zero else pre[p]  # NaN stays


@kernel
def _zero_where_silent(code, d_code):
    zero = code.dtype.type(0)
    for p in range(len(code)):
        d_code[p] = d_code[p] if code[p] > zero else zero


@kernel
def _add_firing(code, weight, counts, idle):
    zero = code.dtype.type(0)
    idle[:] += len(code)
    for i in range(len(code)):
        own, w = code[i], weight[i]
        for j in range(len(own)):
            fires = own[j] != zero
            counts[j] += w if fires else zero
            idle[j] = 0 if fires else idle[j]


@kernel
def _add_firing_of_sparse(data, indices, indptr, weight, counts, idle):
    idle[:] += len(weight)
    for i in range(len(weight)):
        for p in range(indptr[i], indptr[i + 1]):
            if data[p] != 0:
                counts[indices[p]] += weight[i]
                idle[indices[p]] = 0


@kernel
def _transpose_tiles(W, out):
    m, d = W.shape
    for j0 in range(0, m, 16):
        for f0 in range(0, d, 16):
            for f in range(f0, min(f0 + 16, d)):
                for j in range(j0, min(j0 + 16, m)):
                    out[f, j] = W[j, f]


@kernel
def _product_among(X, W, b, among, out):
    for i in range(len(X)):
        row = X[i]
        for c in range(among.shape[1]):
            j = among[i, c]
            if j < 0:
                out[i, c] = -1
                continue
            atom = W[j]
            total = b[j]
            for f in range(len(row)):
                total += row[f] * atom[f]
            out[i, c] = total


@kernel
def _weighted_sum(weights, index, W, out):
    """out = sum_a weights[a] * W[index[a]]"""
    for a in range(len(index)):
        weight, row = weights[a], W[index[a]]
        for f in range(len(out)):
            out[f] += weight * row[f]


@kernel
def _moments(X, share, mean, variance):
    for i in range(len(X)):
        row, w = X[i], share[i]
        for f in range(len(mean)):
            mean[f] += w * row[f]
    # Centred before squaring: no cancellation where the data lie far from the origin.
    for i in range(len(X)):
        row, w = X[i], share[i]
        for f in range(len(mean)):
            from_mean = row[f] - mean[f]
            variance[f] += w * from_mean * from_mean


@kernel
def _sparse_moments(data, indices, indptr, share, mean, variance):
    held = np.zeros(len(mean))  # share of the rows with an entry, by column
    count = np.zeros(len(mean), np.int64)
    for i in range(len(share)):
        for p in range(indptr[i], indptr[i + 1]):
            mean[indices[p]] += share[i] * data[p]
            held[indices[p]] += share[i]
            count[indices[p]] += 1
    for i in range(len(share)):
        for p in range(indptr[i], indptr[i + 1]):
            from_mean = data[p] - mean[indices[p]]
            variance[indices[p]] += share[i] * from_mean * from_mean
    for f in range(len(mean)):
        if count[f] < len(share):
            variance[f] += max(1 - held[f], 0.0) * mean[f] * mean[f]
