"""Which entries of the pre-activations are held: the k largest of a row, or those above a floor."""

import numpy as np

from skmtl._layouts import CSR, Support
from skmtl._numba import kernel
from skmtl._threads import for_each_part


@kernel
def group_maxima(row, bias, top):
    """top[g] = max of (row + bias)[g], [g + G], [g + 2 G], ...,  G = len(top)"""
    n_groups = len(top)
    for g in range(n_groups):
        top[g] = row[g] + bias[g]
    start = n_groups
    while start < len(row):
        size = min(n_groups, len(row) - start)
        part, b = row[start : start + size], bias[start : start + size]
        for g in range(size):
            value = part[g] + b[g]
            top[g] = value if value > top[g] else top[g]
        start += size


@kernel
def floor_under(top, k, guess):
    """A floor of 0 or more that at least k of the maxima exceed, else 0; by bisection, few more."""
    half = top.dtype.type(0.5)
    low, high = top.dtype.type(0), top.dtype.type(0)
    for g in range(len(top)):
        high = top[g] if top[g] > high else high
    floor = guess if guess < high else half * high
    for _ in range(24):
        above = np.int32(0)
        for g in range(len(top)):
            above += np.int32(top[g] > floor)
        if above < k:
            high = floor
        else:
            low = floor
            if above <= k + k // 4:
                break
        floor = half * (low + high)
        if not low < floor < high:
            break
    return low


@kernel
def sift_down(heap, value):
    """Put value in the root's place of a heap whose parents are not above their children."""
    parent, size = 0, len(heap)
    while True:
        child = 2 * parent + 1
        if child >= size:
            break
        if child + 1 < size and heap[child + 1] < heap[child]:
            child += 1
        if heap[child] >= value:
            break
        heap[parent] = heap[child]
        parent = child
    heap[parent] = value


@kernel
def kth_largest(values, size, k, heap):
    """The k-th largest of the first ``size`` values, by a heap of those on its shorter side."""
    if size - k < k:
        few = heap[: size - k + 1]
        few[:] = -np.inf
        for p in range(size):
            if -values[p] > few[0]:
                sift_down(few, -values[p])
        return -few[0]
    few = heap[:k]
    few[:] = -np.inf
    for p in range(size):
        if values[p] > few[0]:
            sift_down(few, values[p])
    return few[0]


@kernel
def largest_positive(product, bias, k, indices, values, counts):
    """Row by row the k largest positive entries of product + bias, by ascending column.

    The columns lie in 16 k groups (of one column each in a narrow row). A floor that k groups reach
    is one that the k largest entries reach, so only entries above it, in such groups, are
    candidates; there are hardly more than k of them. What touches every entry is one pass of
    maxima, which needs no branch.
    """
    n_columns = product.shape[1]
    n_groups = 16 * k
    if 2 * n_groups > n_columns:
        n_groups = n_columns
    top = np.empty(n_groups, product.dtype)
    group = np.empty(n_groups + 1, np.int32)
    heap = np.empty(k, product.dtype)
    held_values = np.empty(n_columns + 1, product.dtype)
    held_columns = np.empty(n_columns + 1, np.int32)
    floor = product.dtype.type(0)
    for i in range(product.shape[0]):
        row = product[i]
        group_maxima(row, bias, top)
        floor = floor_under(top, k, floor)  # the last row's is a good guess
        n_hit, n_held = 0, 0
        for g in range(n_groups):
            group[n_hit] = g
            n_hit += top[g] > floor
        for start in range(0, n_columns, n_groups):
            for h in range(n_hit):
                j = start + group[h]
                if j >= n_columns:
                    break
                value = row[j] + bias[j]
                held_values[n_held] = value
                held_columns[n_held] = j
                n_held += value > floor
        if n_held > k:
            least = kth_largest(held_values, n_held, k, heap)
            ties = k  # how many entries equal to the k-th largest still fit
            for p in range(n_held):
                ties -= held_values[p] > least
        else:
            least, ties = floor, 0
        size = 0
        for p in range(n_held):
            tie = held_values[p] == least and ties > 0
            if held_values[p] > least or tie:
                ties -= tie
                values[i, size] = held_values[p]
                indices[i, size] = held_columns[p]
                size += 1
        counts[i] = size


def row_lists(product, bias, k):
    """Columns and values of the k largest positive entries of each row, and how many there are.

    Where a row has fewer, the rest of its columns are -1 and the rest of its values 0.
    """
    n_rows, n_columns = product.shape
    indices = np.full((n_rows, k), -1, dtype=np.int32)
    values = np.zeros((n_rows, k), dtype=product.dtype)
    counts = np.empty(n_rows, dtype=np.int64)

    def part(rows):
        largest_positive(product[rows], bias, k, indices[rows], values[rows], counts[rows])

    for_each_part(part, n_rows, n_columns)
    return indices, values, counts


@kernel
def count_above(pre, floor, counts):
    for i in range(len(pre)):
        row, n = pre[i], np.int64(0)
        for j in range(len(floor)):
            n += row[j] > floor[j]
        counts[i] = n


@kernel
def fill_above(pre, floor, indptr, indices, data):
    for i in range(len(pre)):
        row, p, stop = pre[i], indptr[i], indptr[i + 1]
        for j in range(len(floor)):
            if p == stop:
                break
            if row[j] > floor[j]:
                indices[p] = j
                data[p] = row[j]
                p += 1


def entries_above(pre, floor):
    """The entries of ``pre`` (n, m) above ``floor`` (m,), as a `CSR`."""
    counts = np.empty(len(pre), np.int64)

    def count(rows):
        count_above(pre[rows], floor, counts[rows])

    for_each_part(count, *pre.shape)
    indptr = np.zeros(len(pre) + 1, np.int64)
    np.cumsum(counts, out=indptr[1:])
    indices, data = np.empty(indptr[-1], np.int32), np.empty(indptr[-1], pre.dtype)

    def fill(rows):
        fill_above(pre[rows], floor, indptr[rows.start : rows.stop + 1], indices, data)

    for_each_part(fill, *pre.shape)
    return CSR(data, Support(indices, indptr, pre.shape[1]))


def only(code, held):
    """The entries of a CSR where the mask ``held`` is set."""
    indptr = np.zeros_like(code.indptr)
    np.cumsum(np.bincount(rows_of(code)[held], minlength=len(indptr) - 1), out=indptr[1:])
    return CSR(code.data[held], Support(code.indices[held], indptr, code.shape[1]))


def rows_of(code):
    """The row of each entry of a CSR."""
    return np.repeat(np.arange(code.shape[0]), np.diff(code.indptr))


def weighted_edge(values, weight, budget):
    """The least value that is kept, and the largest positive one that is not, or 0.

    Kept is a value while those strictly above it weigh less than ``budget``; ``weight`` None is
    one each. So equal values are kept or not together, and a weight of two is a value held twice.
    """
    zero = values.dtype.type(0)
    if weight is None:
        n_kept = int(np.ceil(budget))
        if len(values) <= n_kept:
            return zero, zero
        least = -np.partition(-values, n_kept - 1)[n_kept - 1]
    else:
        order = np.argsort(-values, kind="stable")
        above = np.cumsum(weight[order], dtype=np.float64) - weight[order]
        n_kept = np.searchsorted(above, budget * (1 - 1e-9))
        if n_kept == len(values):
            return zero, zero
        least = values[order[n_kept - 1]]
    return least, values[values < least].max(initial=0)


def weighted_floor(values, weight, budget):
    """Half-way between them: rounding moves no value across it."""
    least, dropped = weighted_edge(values, weight, budget)
    return (least + dropped) / 2


def column_floors(pre, weight, rate):
    """Of each column the floor above which it keeps a share ``rate`` of the rows, or 0.

    Kept is an entry while those strictly above it have less than that share of the weight.
    """
    if (weight == weight[0]).all():
        n_kept = int(np.ceil(rate * len(pre) * (1 - 1e-9)))
        last_kept = np.partition(pre, len(pre) - n_kept, axis=0)[len(pre) - n_kept]
    else:
        order = np.argsort(-pre, axis=0, kind="stable")
        own = weight.astype(np.float64)[order]
        n_kept = (np.cumsum(own, axis=0) - own < rate * own.sum(axis=0) * (1 - 1e-9)).sum(axis=0)
        last_kept = np.take_along_axis(pre, order, axis=0)[n_kept - 1, np.arange(pre.shape[1])]
    return np.maximum(np.nextafter(last_kept, -np.inf, dtype=pre.dtype), 0)


def floor_over_blocks(blocks, weight, k):
    """The floor above which k entries a row lie on average, over blocks of rows of any number.

    Only what may still be kept is remembered: about k entries a row.
    """
    weight, budget = per_row(weight, k)
    values, weights, dropped, start = [], [], 0, 0
    for block in blocks:
        held = entries_above(block, np.full(block.shape[1], dropped, block.dtype))
        values.append(held.data)
        if weight is not None:
            weights.append(weight[start : start + len(block)][rows_of(held)])
        start += len(block)
        if sum(map(len, values)) > 2 * budget:
            values, weights, dropped = heaviest(values, weights, budget)
    values, weights, _ = heaviest(values, weights, budget)
    return weighted_floor(values[0], weights[0] if weights else None, budget)


def per_row(weight, k):
    """Row weights, or None where all are equal, and what the kept entries may weigh."""
    if (weight == weight[0]).all():
        return None, k * len(weight)
    return weight, k * float(weight.sum(dtype=np.float64))


def heaviest(values, weights, budget):
    """What may be kept, and the next one: as lists of one array; and the value of the next."""
    values = np.concatenate(values)
    weights = np.concatenate(weights) if weights else None
    _, dropped = weighted_edge(values, weights, budget)
    held = values >= dropped
    return [values[held]], [] if weights is None else [weights[held]], dropped
