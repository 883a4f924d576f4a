"""TopK:  code[i, j] = max(pre[i, j], 0) where pre[i, j] is among the k largest of row i, else 0.

The selection is piecewise constant, so the derivative is the identity on the kept, positive
entries: the default ``backward``. Of equal entries the lower index is kept.
"""

from numbers import Integral

import numpy as np

from skmtl import _linalg
from skmtl._numba import kernel
from skmtl._sklearn import Interval
from skmtl.sparsifiers._base import Sparsifier


@kernel
def sort_by_column(indices, values, size):
    """Insertion sort of the first ``size`` entries of two arrays."""
    for a in range(1, size):
        value, column = values[a], indices[a]
        b = a - 1
        while b >= 0 and indices[b] > column:
            values[b + 1] = values[b]
            indices[b + 1] = indices[b]
            b -= 1
        values[b + 1] = value
        indices[b + 1] = column


@kernel
def largest_positive(pre, k, indices, values, counts):
    """Row by row the k largest positive entries, by ascending column.

    A heap holds the best so far, the worst of them at its root; an entry enters only if it is
    strictly larger than the root, which gives equal entries to the lower column.
    """
    for i in range(pre.shape[0]):
        heap_value, heap_index, size = values[i], indices[i], 0
        for j in range(pre.shape[1]):
            value = pre[i, j]
            if not value > 0:
                continue
            if size < k:  # grow: put at the end, move up while worse than the parent
                child = size
                size += 1
                while child > 0:
                    parent = (child - 1) // 2
                    # Equal to the parent: the newcomer has the higher column, so it is worse.
                    if heap_value[parent] < value:
                        break
                    heap_value[child] = heap_value[parent]
                    heap_index[child] = heap_index[parent]
                    child = parent
                heap_value[child] = value
                heap_index[child] = j
            elif value > heap_value[0]:  # replace the root, move down past worse children
                parent = 0
                while True:
                    child = 2 * parent + 1
                    if child >= k:
                        break
                    right = child + 1
                    if right < k and (
                        heap_value[right] < heap_value[child]
                        or (
                            heap_value[right] == heap_value[child]
                            and heap_index[right] > heap_index[child]
                        )
                    ):
                        child = right
                    # The newcomer has the highest column of all: on equal values it is worse.
                    if heap_value[child] >= value:
                        break
                    heap_value[parent] = heap_value[child]
                    heap_index[parent] = heap_index[child]
                    parent = child
                heap_value[parent] = value
                heap_index[parent] = j
        counts[i] = size
        sort_by_column(heap_index, heap_value, size)


class TopK(Sparsifier):
    """Keep the k largest positive pre-activations of each row.

    Parameters
    ----------
    k : int, default=16
        Number of latents that may fire on a row. Clipped to the number of latents.

    Notes
    -----
    A row with fewer than k positive pre-activations has fewer active latents. When k is at most
    an eighth of the latents, codes are kept sparse inside a fit: decoding and the weight
    gradients then cost k a row, not the number of latents.

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

    _parameter_constraints = {"k": [Interval(Integral, 1, None, closed="left")]}

    def __init__(self, k=16):
        self.k = k

    def forward(self, pre, params, step):
        n_rows, n_components = pre.shape
        k = min(self.k, n_components)
        indices = np.empty((n_rows, k), dtype=np.int64)
        values = np.empty((n_rows, k), dtype=pre.dtype)
        counts = np.empty(n_rows, dtype=np.int64)
        largest_positive(pre, k, indices, values, counts)
        return _linalg.from_row_lists(indices, values, counts, n_components)
