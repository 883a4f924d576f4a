"""Memory that is used again from one step to the next.

``empty`` is ``numpy.empty``, but within ``region`` an array asked for under the same name by the
same thread lies where the last one of that name lay. So nothing taken from here may outlive the
step, or the block of rows, that asked for it.
"""

import threading
from contextlib import contextmanager
from functools import cache

import numpy as np

_of_thread = threading.local()


def begin():
    """Keep arrays of this thread from now on."""
    _of_thread.kept = {}


@contextmanager
def region():
    """Keep arrays of this thread until the region is left."""
    before = getattr(_of_thread, "kept", None)
    begin()
    try:
        yield
    finally:
        _of_thread.kept = before


@cache
def _many_ones(dtype):
    return np.ones(1 << 12, dtype)


def ones(n, dtype):
    """A vector of ones, not to be written to."""
    return _many_ones(dtype)[:n] if n <= 1 << 12 else np.ones(n, dtype)


def empty(name, shape, dtype):
    """A C-contiguous array of any content."""
    kept = getattr(_of_thread, "kept", None)
    if kept is None:
        return np.empty(shape, dtype)
    array = kept.get((name, dtype))
    if array is None or array.shape != shape:
        n_rows, n_columns = shape
        size = n_rows * n_columns
        flat = None if array is None else array.base
        if flat is None or flat.size < size:
            flat = np.empty(size, dtype)
        kept[name, dtype] = array = flat[:size].reshape(shape)
    return array
