"""TopK:  code[i, j] = max(pre[i, j], 0) where pre[i, j] is among the k largest of row i, else 0.

The selection is piecewise constant, so the derivative is the identity on the kept, positive
entries: the default ``backward``. Of equal entries the lower index is kept.
"""

from numbers import Integral

import numpy as np

from skmtl import _linalg
from skmtl._numba import kernel
from skmtl._sklearn import Interval
from skmtl._threads import for_each_part
from skmtl.sparsifiers._base import Sparsifier


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


class TopK(Sparsifier):
    """Keep the k largest positive pre-activations of each row.

    Parameters
    ----------
    k : int, default=16
        Number of latents that may fire on a row. Clipped to the number of latents.
    search_every : int, default=1
        Epochs from one search over all latents to the next. In between, a row looks among the
        ``6 k`` that were its best at the last search, and the product with all latents, which is
        most of a step, is left out. 1 is exact. Of no effect on ``partial_fit``, on sparse X and
        after the fit.

    Notes
    -----
    A row with fewer than k positive pre-activations has fewer active latents. When k is at most
    an eighth of the latents, codes are kept sparse inside a fit: decoding and the weight
    gradients then cost k a row, not the number of latents.

    With ``search_every`` above 1 a fit also holds ``24 k`` bytes a training row. A row's best
    latents change little from epoch to epoch: on text embeddings (6144 latents, k = 32, 8 epochs)
    3 reached the exact fit's error in about three quarters of its time.

    References
    ----------
    Makhzani and Frey, "k-Sparse Autoencoders", arXiv:1312.5663. Gao et al., "Scaling and
    evaluating sparse autoencoders", arXiv:2406.04093.

    Examples
    --------
    >>> from skmtl.sparsifiers import TopK
    >>> TopK(k=8)
    TopK(k=8)
    """

    _parameter_constraints = {
        "k": [Interval(Integral, 1, None, closed="left")],
        "search_every": [Interval(Integral, 1, None, closed="left")],
    }
    #: Latents remembered at a search, as a multiple of k.
    remembered = 6

    def __init__(self, k=16, search_every=1):
        self.k = k
        self.search_every = search_every

    def encoder_norm(self, n_components, n_features):
        # Of random unit atoms the k nearest to a row each take about a share q of its square, and
        # overlap by as much: their sum is 1 + (k - 1) q times too long. A little shorter still
        # ended better on synthetic codes, digits and text embeddings.
        k = min(self.k, n_components)
        q = min(1.0, 2 * np.log(n_components / k) / n_features)
        return 0.7 / (1 + (k - 1) * q)

    def forward(self, pre, params, step):
        return TopK.encode(self, pre, np.zeros(pre.shape[1], pre.dtype), params, step)

    def encode(self, product, bias, params, step):
        n_components = product.shape[1]
        if self.search_every == 1 or step is None or step.place is None:
            k = min(self.k, n_components)
            indices, values, counts = row_lists(product, bias, k)
            return _linalg.from_row_lists(indices, values, counts, n_components)
        place, width = step.place, min(self.remembered * self.k, n_components)
        found, values, _ = row_lists(product, bias, width)
        if "among" not in place.memory:
            place.memory["among"] = np.empty((place.n_rows, width), np.int32)
        place.memory["among"][place.rows] = found
        return self.choose(values, found, n_components)

    def among(self, step):
        """Latents among which the rows of this step look, (n, c), or None for all."""
        place = step.place
        if self.search_every == 1 or place is None or place.epoch % self.search_every == 0:
            return None
        if "among" not in place.memory:  # a subclass with a search of its own remembers nothing
            return None
        return place.memory["among"][place.rows]

    def choose(self, pre, among, n_components):
        """Code of the k largest of the pre-activations of the latents ``among``, (n, c)."""
        k = min(self.k, n_components)
        positions, values, counts = row_lists(pre, np.zeros(pre.shape[1], pre.dtype), k)
        indices = np.take_along_axis(among, np.maximum(positions, 0), axis=1)
        return _linalg.from_row_lists(indices, values, counts, n_components)
