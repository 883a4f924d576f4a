"""Threads: the only module that starts them or limits those of others.

Rows are cut into blocks of a fixed size that does not depend on the number of threads, every
block is computed with one BLAS thread, and no two blocks write to the same place. So the bits of
a result do not depend on ``n_jobs``.
"""

import threading
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from typing import Any

from joblib import effective_n_jobs
from threadpoolctl import ThreadpoolController

BLOCK_ROWS = 1024


@cache
def _controller():
    return ThreadpoolController()  # scanning the loaded libraries takes milliseconds: do it once


class OneThreadBLAS:
    """Context in which BLAS uses one thread; counted, since threadpoolctl's limit is global."""

    _lock = threading.Lock()
    _depth = 0
    _limit: Any = None

    def __enter__(self):
        cls = OneThreadBLAS
        with cls._lock:
            if cls._depth == 0:
                cls._limit = _controller().limit(limits=1, user_api="blas")
                cls._limit.__enter__()
            cls._depth += 1
        return self

    def __exit__(self, *error):
        cls = OneThreadBLAS
        with cls._lock:
            cls._depth -= 1
            if cls._depth == 0:
                cls._limit.__exit__(*error)
                cls._limit = None


def map_row_blocks(function, n_rows, n_jobs=None):
    """Call ``function(slice)`` for each block of rows; return the results in order.

    Parameters
    ----------
    function : callable
        Takes a slice of rows. Called from several threads when ``n_jobs`` allows.
    n_rows : int
        Number of rows, cut into blocks of 1024.
    n_jobs : int or None
        As in joblib: None is 1 unless a ``joblib.parallel_config`` says otherwise.

    Returns
    -------
    list
    """
    blocks = [slice(i, min(i + BLOCK_ROWS, n_rows)) for i in range(0, n_rows, BLOCK_ROWS)]
    if len(blocks) == 1:
        return [function(blocks[0])]
    n_threads = min(effective_n_jobs(n_jobs), len(blocks))
    with OneThreadBLAS():
        if n_threads == 1:
            return [function(block) for block in blocks]
        with ThreadPoolExecutor(n_threads) as pool:
            return list(pool.map(function, blocks))
