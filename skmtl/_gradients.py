"""Gradients of a parameter: a dense array, ``Rows``, or a ``Product`` that is yet to be formed.

The optimizer goes through a gradient block by block: a block of a `Product` is formed, used and
forgotten while it is in cache, and no array of the parameter's size is ever filled.
"""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from skmtl import _scratch
from skmtl._numba import kernel
from skmtl._threads import cut

# Elements of a block: with weights and moments it stays in a core's own cache.
BLOCK_SIZE = 1 << 16


@dataclass(frozen=True)
class Rows:
    """A gradient that is zero outside the rows ``index`` of an array of ``n_rows`` rows."""

    index: np.ndarray
    values: np.ndarray
    n_rows: int


@kernel
def _product_rows(data, starts, rows, order, A, out):
    """out[a] = sum_q data[order[q]] * A[rows[q]]"""
    for a in range(len(starts) - 1):
        row = out[a]
        row[:] = 0
        q, stop = starts[a], starts[a + 1]
        while q + 4 <= stop:
            u, v = data[order[q]], data[order[q + 1]]
            w, z = data[order[q + 2]], data[order[q + 3]]
            A_u, A_v, A_w, A_z = A[rows[q]], A[rows[q + 1]], A[rows[q + 2]], A[rows[q + 3]]
            for f in range(len(row)):
                row[f] += u * A_u[f] + v * A_v[f] + w * A_w[f] + z * A_z[f]
            q += 4
        while q < stop:
            u, A_u = data[order[q]], A[rows[q]]
            for f in range(len(row)):
                row[f] += u * A_u[f]
            q += 1


@kernel
def _sparse_product_rows(data, starts, rows, order, A, out):
    """The same for ``A = (data, indices, indptr)`` of a CSR array."""
    A_data, A_indices, A_indptr = A
    for a in range(len(starts) - 1):
        row = out[a]
        row[:] = 0
        for q in range(starts[a], starts[a + 1]):
            u, i = data[order[q]], rows[q]
            for p in range(A_indptr[i], A_indptr[i + 1]):
                row[A_indices[p]] += u * A_data[p]


@dataclass(frozen=True)
class Product:
    """The gradient ``code.T @ (A - shift)`` of a sparse code: zero where no row fires.

    Row ``index[a]`` of it is the sum over the rows on which that latent fires.
    """

    code: Any
    A: Any
    shift: np.ndarray | None = None

    @property
    def index(self):
        return self.code.support.by_column.active

    @property
    def n_rows(self):
        return self.code.shape[1]

    def block(self, part):
        """Some of the rows that are not zero, in memory that the next block uses again."""
        columns, data = self.code.support.by_column, self.code.data
        index = columns.active[part]
        starts = columns.starts[part.start : part.stop + 1]
        out = _scratch.empty("gradient", (len(index), self.A.shape[1]), data.dtype)
        entries = (data, starts, columns.rows, columns.order)
        if isinstance(self.A, np.ndarray):
            _product_rows(*entries, self.A, out)
        else:
            _sparse_product_rows(*entries, (self.A.data, self.A.indices, self.A.indptr), out)
        if self.shift is not None:
            order = columns.order[starts[0] : starts[-1]]
            sums = np.add.reduceat(data[order], starts[:-1] - starts[0])
            out -= np.outer(sums, self.shift)
        return Rows(index, out, self.n_rows)

    def formed(self):
        """The whole gradient as `Rows`."""
        rows = self.block(slice(0, len(self.index)))
        return replace(rows, values=rows.values.copy())


def is_one_block(gradient):
    """Whether a gradient is an array that the optimizer goes through at once."""
    if not isinstance(gradient, np.ndarray):
        return False
    return gradient.size <= BLOCK_SIZE or not gradient.flags.c_contiguous


def parts(gradient):
    """Slices of the rows of a gradient, for ``block``."""
    if is_one_block(gradient):
        return [slice(0, len(gradient))]
    n_rows = len(gradient if isinstance(gradient, np.ndarray) else gradient.index)
    return cut(n_rows, max(1, BLOCK_SIZE // _width(gradient)))


def block(gradient, part):
    """Some rows of a gradient, as `Rows`."""
    if isinstance(gradient, Product):
        return gradient.block(part)
    if isinstance(gradient, Rows):
        return replace(gradient, index=gradient.index[part], values=gradient.values[part])
    return Rows(np.arange(part.start, part.stop), gradient[part], len(gradient))


def _width(gradient):
    if isinstance(gradient, Product):
        return gradient.A.shape[1]
    values = gradient.values if isinstance(gradient, Rows) else gradient
    return int(np.prod(values.shape[1:]))


def formed(gradient):
    """The gradient as an array or `Rows`."""
    return gradient.formed() if isinstance(gradient, Product) else gradient


def add_gradient(grads, name, gradient):
    """Add to ``grads[name]``. Only this module knows the kinds of gradient."""
    present = grads.get(name)
    if present is None:
        grads[name] = gradient
        return
    present, gradient = formed(present), formed(gradient)
    if isinstance(present, Rows) and isinstance(gradient, Rows):
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
    gradient = formed(gradient)
    if not isinstance(gradient, Rows):
        return gradient
    out = np.zeros((gradient.n_rows, *gradient.values.shape[1:]), dtype=gradient.values.dtype)
    out[gradient.index] = gradient.values
    return out


def stacked(parts, n_rows):
    """One gradient from those of blocks of rows, ``(first row, gradient)`` each."""
    parts = sorted(parts, key=lambda part: part[0])
    if not isinstance(parts[0][1], Rows):
        return np.concatenate([gradient for _, gradient in parts])
    index = np.concatenate([first + rows.index for first, rows in parts])
    return Rows(index, np.concatenate([rows.values for _, rows in parts]), n_rows)
