"""Threads: the only module that starts them or limits those of others, and that knows of forks.

Work is cut into blocks of rows or of latents. How dense products are cut depends on shapes alone;
whatever else is cut computes each row, or each latent, by itself. Every block uses one BLAS
thread, and no two blocks write to the same place. So the bits of a result do not depend on
``n_jobs``.
"""

import os
import threading
import weakref
from collections import deque
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import contextmanager
from functools import cache, partial
from typing import Any

from joblib import effective_n_jobs
from threadpoolctl import ThreadpoolController

from skmtl import _scratch
from skmtl._numba import thread_limit

BLOCK_ROWS = 1024
# Elements that must be touched before a second thread pays for waking it.
WORTH_A_THREAD = 1 << 17


class _Here(threading.local):
    """What each thread has for itself."""

    team: Any = None  # not inherited: blocks do not cut themselves once more

    def __init__(self):
        self.inside = set()  # as in `OneThreadBLAS`
        self.allowed = {}  # of the libraries in which each thread has a number of its own


_here = _Here()


@cache
def _blas():
    found = ThreadpoolController()  # scanning the loaded libraries takes milliseconds: do it once
    return found.select(user_api="blas").lib_controllers


def _blas_threads():
    """How many threads others allow BLAS."""
    allowed = [_allowed_of(lib).get(lib) or lib.num_threads for lib in _blas()]
    return max(allowed, default=thread_limit())


def _allowed_of(lib):
    by_thread = getattr(lib, "threading_layer", None) == "openmp"
    return _here.allowed if by_thread else OneThreadBLAS._allowed


def _set_threads(lib, n_threads):
    """Set it, whoever set it last: threadpoolctl 3.8 heeds one thread and ignores others."""
    let_go = getattr(lib, "clear_controlling_thread", lambda force: None)
    let_go(force=True)
    lib.set_num_threads(n_threads)
    let_go(force=True)


class OneThreadBLAS:
    """Context in which BLAS uses one thread.

    Most libraries have one number for the whole process: there the last to leave puts back what
    was. What somebody else sets meanwhile is seen when the context is next entered: it is then
    what will be put back.

    Ctrl-C may come at either end of a ``with``, where nothing guards it. So to leave twice is to
    leave once, and where leaving did not come to its end, it is done when the context is let go.
    """

    _lock = threading.RLock()  # what is let go may be so anywhere, in here too
    _inside: set = set()  # a mark for each that was entered and not left
    _allowed: dict = {}  # by library
    _watched: dict = {}  # by mark, not in the context: what goes with it is not called

    def __enter__(self):
        cls, mark, of_thread = OneThreadBLAS, object(), _here.inside
        self._leave = leave = partial(cls._left, mark, of_thread)
        cls._watched[mark] = weakref.ref(self, lambda gone: leave())
        with cls._lock:
            cls._inside.add(mark)  # first: nothing is put back from now on
            of_thread.add(mark)
            for lib in _blas():
                n_threads = lib.num_threads
                if n_threads != 1 or lib not in _allowed_of(lib):
                    _allowed_of(lib)[lib] = n_threads
                if n_threads != 1:
                    _set_threads(lib, 1)
        return self

    def __exit__(self, *error):
        self._leave()

    @classmethod
    def _left(cls, mark, of_thread):
        with cls._lock:
            cls._inside.discard(mark)
            of_thread.discard(mark)
            if not _here.inside:
                cls._put_back(_here.allowed)
            if not cls._inside:
                cls._put_back(cls._allowed)
            cls._watched.pop(mark, None)

    @staticmethod
    def _put_back(allowed):
        for lib, n_threads in allowed.items():
            if lib.num_threads == 1 != n_threads:
                _set_threads(lib, n_threads)
        allowed.clear()


def _begin_helper():
    """In each thread of a team."""
    _scratch.begin()
    for lib in _blas():
        if lib.num_threads != 1:  # each thread has a number of its own
            _set_threads(lib, 1)


def _after_fork_in_child():
    """Only the thread that forked lives on: no team of its own, no limits of the others."""
    _here.team = None
    OneThreadBLAS._inside.intersection_update(_here.inside)
    if not _here.inside:
        OneThreadBLAS._put_back(OneThreadBLAS._allowed)
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
        n_threads = min(wanted, thread_limit(), _blas_threads()) if wanted > 1 else 1
        outer = _here.team
        try:
            try:
                if n_threads == 1:
                    _here.team = None
                    yield
                else:
                    with ThreadPoolExecutor(n_threads - 1, initializer=_begin_helper) as pool:
                        _here.team = Team(pool, n_threads)
                        yield
            finally:
                _here.team = outer
        finally:
            _here.team = outer  # Ctrl-C may have come just before that


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
    team = _here.team
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
    team = _here.team
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
