"""Threads: same bits for any number of them, no more than allowed, errors not lost."""

import argparse
import contextlib
import gc
import linecache
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import numba
import numpy as np
import pytest
import scipy.sparse as sp
from joblib import parallel_config
from threadpoolctl import threadpool_info, threadpool_limits

from skmtl import MultiTaskSAEClassifier, SparseAutoencoderTransformer, _scratch, _threads
from skmtl.sparsifiers import TopK


@pytest.fixture
def cut_finely(monkeypatch):
    """Small problems are cut like large ones."""
    monkeypatch.setattr(_threads, "WORTH_A_THREAD", 1)


@pytest.mark.compiled
@pytest.mark.parametrize("make", [np.asarray, sp.csr_array])
@pytest.mark.parametrize(
    "params",
    [
        {"sparsifier": TopK(8)},
        {"sparsifier": TopK(8, search_every=2)},
        {"sparsifier": None},
        {"sparsifier": None, "loss": "log_loss"},
        {"sparsifier": "l1"},
    ],
    ids=repr,
)
def test_fits_have_the_same_bits(params, make, cut_finely):
    rng = np.random.default_rng(0)
    X = (rng.random((1200, 30)) * (rng.random((1200, 30)) < 0.4)).astype(np.float32)
    common = {"max_iter": 3, "tol": None, "batch_size": 600, "random_state": 0} | params
    Y = rng.integers(0, 3, (1200, 4)).astype(float)
    Y[rng.random(Y.shape) < 0.5] = np.nan
    one, *others = (
        [
            SparseAutoencoderTransformer(1100, n_jobs=n_jobs, **common).fit(make(X))._params,
            MultiTaskSAEClassifier(1100, n_jobs=n_jobs, **common).fit(make(X), Y)._params,
        ]
        for n_jobs in (1, 2, 3)
    )
    for other in others:
        for a, b in zip(one, other, strict=True):
            assert all(np.array_equal(a[name], b[name]) for name in a)


def threads_used(n_jobs, n_blocks=40):
    """How many threads take part in work that gives each of them time to."""
    meet = threading.Barrier(2)

    def work(block):
        try:
            meet.wait(timeout=0.05)
        except threading.BrokenBarrierError:
            meet.reset()
        return threading.get_ident()

    with _threads.workers(n_jobs):
        assert all(
            lib["num_threads"] == 1 for lib in threadpool_info() if lib["user_api"] == "blas"
        )
        return len(set(_threads.for_each(work, range(n_blocks))))


def test_limits_are_obeyed(monkeypatch):
    monkeypatch.setattr(_threads, "thread_limit", lambda: 2)
    monkeypatch.setattr(_threads, "_blas_threads", lambda: 2)
    assert [threads_used(n, 8) for n in (None, 1, 2, 7)] == [1, 1, 2, 2]
    with parallel_config(n_jobs=2):
        assert threads_used(None, 8) == 2
    monkeypatch.setattr(_threads, "thread_limit", lambda: 1)
    assert threads_used(2, 8) == 1
    monkeypatch.setattr(_threads, "thread_limit", lambda: 2)
    monkeypatch.setattr(_threads, "_blas_threads", lambda: 1)
    assert threads_used(2, 8) == 1


def test_limits_are_read():
    with threadpool_limits(1, "blas"):
        assert _threads._blas_threads() == 1
    before = numba.get_num_threads()
    numba.set_num_threads(1)
    try:
        assert _threads.thread_limit() == 1
    finally:
        numba.set_num_threads(before)
    assert _threads.thread_limit() == before


def test_an_error_in_a_block_is_raised_and_ends_the_rest(monkeypatch):
    monkeypatch.setattr(_threads, "thread_limit", lambda: 2)
    monkeypatch.setattr(_threads, "_blas_threads", lambda: 2)
    done = []

    def work(block):
        done.append(block)
        time.sleep(0.001)
        if block == 1:
            raise ZeroDivisionError

    with _threads.workers(2), pytest.raises(ZeroDivisionError):
        _threads.for_each(work, range(1000))
    assert len(done) < 1000
    assert not any(t.name.startswith("ThreadPool") for t in threading.enumerate())


def test_results_come_in_order():
    with _threads.workers(2):
        assert _threads.for_each(lambda b: b**2, range(50)) == [b**2 for b in range(50)]


def test_scratch_is_used_again_within_a_region_only():
    outside = _scratch.empty("a", (3, 4), np.float32)
    assert outside is not _scratch.empty("a", (3, 4), np.float32)
    with _scratch.region():
        first = _scratch.empty("a", (30, 4), np.float32)
        again = _scratch.empty("a", (20, 4), np.float32)
        assert np.shares_memory(first, again) and again.shape == (20, 4)
        assert not np.shares_memory(first, _scratch.empty("a", (20, 4), np.float64))
        assert not np.shares_memory(first, _scratch.empty("b", (20, 4), np.float32))
        assert _scratch.empty("a", (50, 4), np.float32).flags.c_contiguous
        with _scratch.region():
            assert not np.shares_memory(again, _scratch.empty("a", (20, 4), np.float32))
    assert not np.shares_memory(again, _scratch.empty("a", (20, 4), np.float32))


class Library:
    """A BLAS whose number of threads is the process's or, with OpenMP, each thread's own."""

    def __init__(self, threading_layer, n_threads):
        self.threading_layer = threading_layer
        self.numbers = threading.local() if threading_layer == "openmp" else argparse.Namespace()
        self.default = self.numbers.n = n_threads

    @property
    def num_threads(self):
        return getattr(self.numbers, "n", self.default)

    def set_num_threads(self, n):
        self.numbers.n = n


@pytest.mark.parametrize("layer", ["pthreads", "openmp"])
def test_every_thread_is_limited_and_the_last_lets_go(layer, monkeypatch):
    lib = Library(layer, 4)
    monkeypatch.setattr(_threads, "_blas", lambda: [lib])
    monkeypatch.setattr(_threads, "thread_limit", lambda: 4)
    both, go_on, seen = threading.Barrier(2), threading.Event(), []

    def first():
        with _threads.OneThreadBLAS():
            both.wait(5)
            seen.append(lib.num_threads)
        both.wait(5)
        go_on.wait(5)
        seen.append(lib.num_threads)

    thread = threading.Thread(target=first)
    thread.start()
    with _threads.OneThreadBLAS():
        both.wait(5)
        both.wait(5)  # the other has left
        assert lib.num_threads == 1 and _threads._blas_threads() == 4
        with _threads.workers(3):
            assert set(_threads.for_each(lambda b: lib.num_threads, range(20))) == {1}
    go_on.set()
    thread.join(5)
    assert lib.num_threads == 4 and seen == [1, 4]


def test_a_number_that_somebody_sets_meanwhile_is_put_back(monkeypatch):
    lib = Library("pthreads", 4)
    monkeypatch.setattr(_threads, "_blas", lambda: [lib])
    with _threads.OneThreadBLAS():
        lib.set_num_threads(8)
        with _threads.OneThreadBLAS():
            assert lib.num_threads == 1
        assert lib.num_threads == 1
    assert lib.num_threads == 8
    with _threads.OneThreadBLAS():
        lib.set_num_threads(2)
    assert lib.num_threads == 2


def test_limits_of_other_threads_do_not_stand_in_the_way():
    """Whoever controls BLAS as threadpoolctl sees it."""
    wait, leave = threading.Event(), threading.Event()

    def hold():
        with threadpool_limits(2, "blas"):
            wait.set()
            leave.wait(5)

    thread = threading.Thread(target=hold)
    thread.start()
    wait.wait(5)
    try:
        assert threads_used(1) == 1
        assert _threads._blas_threads() == 2
    finally:
        leave.set()
        thread.join()


class RaisesAtLine:
    """A trace function that raises at the n-th call or line in some files, where a signal may.

    None comes in the middle of a yield, nor between the last line of a ``with`` and its end: there
    the line of the ``with`` is traced once more.
    """

    def __init__(self, n, files):
        self.n_left, self.files = n, files

    def __call__(self, frame, event, argument):
        code = frame.f_code
        if code.co_filename in self.files:
            line = linecache.getline(code.co_filename, frame.f_lineno).lstrip()
            if event == "call" or (event == "line" and not line.startswith("with ")):
                self.n_left -= 1
                if self.n_left == 0:
                    raise KeyboardInterrupt
            return self


def test_ctrl_c_at_either_end_of_a_context(monkeypatch):
    """At each call and line of what holds BLAS at one thread: it gets its threads back."""
    lib = Library("pthreads", 4)
    monkeypatch.setattr(_threads, "_blas", lambda: [lib])
    files = {_threads.__file__, contextlib.__file__}
    before, n = sys.gettrace(), 0
    while True:
        n += 1
        raises = RaisesAtLine(n, files)
        sys.settrace(raises)
        try:
            with _threads.OneThreadBLAS(), _threads.workers(2):
                _threads.for_each(lambda b: lib.num_threads, range(4))
        except KeyboardInterrupt:
            pass
        finally:
            sys.settrace(before)
        assert lib.num_threads == 4 and not _threads.OneThreadBLAS._inside, n
        assert _threads._here.team is None, n
        if raises.n_left > 0:
            break
    assert n > 100
    with ThreadPoolExecutor(1) as pool:  # no lock is left behind
        assert pool.submit(_threads.OneThreadBLAS._lock.acquire, timeout=5).result()
        pool.submit(_threads.OneThreadBLAS._lock.release).result()


def test_a_context_that_is_never_left(monkeypatch):
    """As after Ctrl-C between the two ends of a ``with``, and part of a cycle."""
    lib = Library("pthreads", 4)
    monkeypatch.setattr(_threads, "_blas", lambda: [lib])
    held = _threads.OneThreadBLAS().__enter__()
    held.itself = held
    assert lib.num_threads == 1
    del held
    gc.collect()
    assert lib.num_threads == 4 and not _threads.OneThreadBLAS._watched
