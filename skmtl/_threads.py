"""Threads: the only module that starts them or limits those of others, and that knows of forks.

Work is cut into blocks of rows or of latents. How dense products are cut depends on shapes alone;
whatever else is cut computes each row, or each latent, by itself. Every block uses one BLAS
thread, and no two blocks write to the same place. So the bits of a result do not depend on
``n_jobs``.
"""

import os
import threading
from collections import deque
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import contextmanager
from functools import cache
from typing import Any

from joblib import effective_n_jobs
from threadpoolctl import ThreadpoolController

from skmtl import _scratch
from skmtl._numba import thread_limit

BLOCK_ROWS = 1024
# Elements that must be touched before a second thread pays for waking it.
WORTH_A_THREAD = 1 << 17
_here = threading.local()  # not inherited: blocks do not cut themselves once more


@cache
def _controller():
    return ThreadpoolController()  # scanning the loaded libraries takes milliseconds: do it once


def _blas_threads():
    found = _controller().select(user_api="blas").lib_controllers
    return max((lib.num_threads for lib in found), default=thread_limit())


class OneThreadBLAS:
    """Context in which BLAS uses one thread; counted, since threadpoolctl's limit is global."""

    _lock = threading.Lock()
    _depth = 0
    _limit: Any = None
    #: Threads that BLAS was allowed before we came.
    n_allowed = 1

    def __enter__(self):
        cls = OneThreadBLAS
        with cls._lock:
            if cls._depth == 0:
                cls.n_allowed = _blas_threads()
                cls._limit = _controller().limit(limits=1, user_api="blas")
                cls._limit.__enter__()
            cls._depth += 1
        _here.limits = getattr(_here, "limits", 0) + 1
        return self

    def __exit__(self, *error):
        _here.limits -= 1
        with OneThreadBLAS._lock:
            OneThreadBLAS._set_depth(OneThreadBLAS._depth - 1)

    @classmethod
    def _set_depth(cls, depth):
        cls._depth = depth
        if depth == 0 and cls._limit is not None:
            cls._limit.__exit__(None, None, None)
            cls._limit = None


def _after_fork_in_child():
    """Only the thread that forked lives on: no team of its own, no limits of the others."""
    _here.team = None
    OneThreadBLAS._set_depth(getattr(_here, "limits", 0))
    OneThreadBLAS._lock.release()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(
        before=OneThreadBLAS._lock.acquire,
        after_in_parent=OneThreadBLAS._lock.release,
        after_in_child=_after_fork_in_child,
    )


@contextmanager
def workers(n_jobs=None):
    """Context in which ``for_each`` uses threads, BLAS one in each of them.

    Parameters
    ----------
    n_jobs : int or None
        As in joblib: None is 1 unless a ``joblib.parallel_config`` says otherwise. Never more
        than ``numba.get_num_threads()`` and threadpoolctl's limit on BLAS allow.
    """
    with OneThreadBLAS(), _scratch.region():
        wanted = effective_n_jobs(n_jobs)
        n_threads = min(wanted, thread_limit(), OneThreadBLAS.n_allowed) if wanted > 1 else 1
        outer = getattr(_here, "team", None)
        try:
            if n_threads == 1:
                _here.team = None
                yield
            else:
                with ThreadPoolExecutor(n_threads - 1, initializer=_scratch.begin) as pool:
                    _here.team = Team(pool, n_threads)
                    yield
        finally:
            _here.team = outer


class Team:
    """This thread and those of a pool, which share out work between them."""

    def __init__(self, pool, n_threads):
        self.pool, self.n_threads = pool, n_threads

    def do(self, function, blocks):
        results: list = [None] * len(blocks)
        left = deque(range(len(blocks)))  # taking from a deque is atomic

        def take_part():
            while left:
                try:
                    b = left.popleft()
                except IndexError:  # another thread took the last
                    return
                try:
                    results[b] = function(blocks[b])
                except BaseException:
                    left.clear()  # nothing more after an error, in any thread
                    raise

        n_helpers = min(self.n_threads, len(blocks)) - 1
        helpers = [self.pool.submit(take_part) for _ in range(n_helpers)]
        team, _here.team = _here.team, None  # a block does not cut itself once more
        try:
            take_part()
        finally:
            _here.team = team
            wait(helpers)
        for helper in helpers:
            helper.result()
        return results


def cut(n, size):
    """Slices of at most ``size`` that cover ``range(n)``."""
    return [slice(i, min(i + size, n)) for i in range(0, n, size)]


def for_each(function, blocks):
    """``[function(block) for block in blocks]``, on the threads of ``workers`` if there are any."""
    team = getattr(_here, "team", None)
    if team is None or len(blocks) == 1:
        return [function(block) for block in blocks]
    return team.do(function, blocks)


def for_each_part(function, n, cost):
    """``function(slice)`` over a cut of ``range(n)`` that results must not depend on.

    Parameters
    ----------
    function : callable
        Takes a slice; writes where no other slice does.
    n : int
        Number of rows or latents.
    cost : int
        Elements touched for each of them; little work is not cut.
    """
    team = getattr(_here, "team", None)
    if team is None or n * cost < 2 * WORTH_A_THREAD:
        function(slice(0, n))
    else:  # several parts a thread: none waits long for the last
        n_parts = min(4 * team.n_threads, n * cost // WORTH_A_THREAD, n)
        team.do(function, cut(n, -(-n // n_parts)))


def map_row_blocks(function, n_rows, n_jobs=None):
    """Call ``function(slice)`` for each block of rows; return the results in order.

    Parameters
    ----------
    function : callable
        Takes a slice of rows. Called from several threads when ``n_jobs`` allows.
    n_rows : int
        Number of rows, cut into blocks of 1024.
    n_jobs : int or None
        As in `workers`.

    Returns
    -------
    list
    """
    blocks = cut(n_rows, BLOCK_ROWS)
    if len(blocks) == 1:
        with OneThreadBLAS():
            return [function(blocks[0])]
    with workers(n_jobs):
        return for_each(function, blocks)
