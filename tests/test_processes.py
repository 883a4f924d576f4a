"""Many threads, forks and workers at once: the same results, no more threads than allowed."""

from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.fresh import digests, run

pytestmark = pytest.mark.compiled

WATCHED = """
import os, threading, time, warnings
from concurrent.futures import ThreadPoolExecutor
from threadpoolctl import threadpool_info
from skmtl.balancers import Equal
from tests.fresh import *

warnings.simplefilter("ignore")

def blas_threads():
    return [lib["num_threads"] for lib in threadpool_info() if lib["user_api"] == "blas"]

class Watching(Equal):
    "Sees how many threads there are in the midst of a fit."
    seen = set()

    def balance(self, *args):
        teams = sum(t.name.startswith("ThreadPool") for t in threading.enumerate())
        Watching.seen.add((max(blas_threads()), teams))
        return super().balance(*args)

def watched(n_jobs=2, **params):
    return MultiTaskSAEClassifier(
        8, balancer=Watching(), n_jobs=n_jobs, **COMMON | {"max_iter": 2, "batch_size": 30} | params
    )

def fit_and_hash(_=None):
    return digest(fit("classifier", watched()))

from skmtl import _threads
_threads.WORTH_A_THREAD = 1  # small problems are cut like large ones
before = blas_threads()
"""

THREADS = """
import numba
numba.get_num_threads()  # starts the layer
_threads.thread_limit = _threads._blas_threads = lambda: 2
expected, (X, _, _) = fit_and_hash(), data()
Watching.seen.clear()
shared = fit("classifier", MultiTaskSAEClassifier(8, head_selection="cv", n_jobs=2, **COMMON))
rows = np.tile(X, (20, 1))
predicted, code = shared.predict(rows), shared.transform(rows)

def work(i):
    for _ in range(3):
        assert fit_and_hash() == expected
        np.testing.assert_array_equal(shared.predict(rows), predicted)
        np.testing.assert_array_equal(shared.transform(rows), code)

def own():
    threads = [threading.Thread(target=work, args=(i,)) for i in range(8)]
    failed = []
    threading.excepthook = lambda args: failed.append(args.exc_value)
    for t in threads: t.start()
    for t in threads: t.join(500)
    assert not any(t.is_alive() for t in threads) and not failed, failed

own()
assert {blas for blas, _ in Watching.seen} == {1}, Watching.seen
assert max(teams for _, teams in Watching.seen) <= 2 * 8, Watching.seen  # a helper for each
assert blas_threads() == before
assert threading.active_count() == 1
print("fine")
"""


@pytest.mark.parametrize("layer", ["default", "workqueue"])
def test_eight_threads_at_once(layer):
    """Each with estimators of its own, and all with one that predicts."""
    assert run(WATCHED + THREADS, NUMBA_THREADING_LAYER=layer).endswith("fine\n")


FORKS = """
import multiprocessing, signal

def in_child(work):
    "Whether a child that forks here ends well, within a time limit."
    pid = os.fork()
    if pid == 0:
        signal.alarm(300)
        code = 1
        try:
            work()
            code = 0
        except BaseException:
            import traceback
            traceback.print_exc()
        finally:
            os._exit(code)
    status = os.waitpid(pid, 0)[1]
    assert status == 0, status

def child():
    assert threading.active_count() == 1
    assert not _threads.OneThreadBLAS._inside and blas_threads() == before
    assert fit_and_hash() == expected
    assert blas_threads() == before

expected = fit_and_hash()
in_child(child)  # after a fit
with multiprocessing.get_context("fork").Pool(2) as pool:
    assert pool.map_async(fit_and_hash, range(4)).get(500) == [expected] * 4

stop = threading.Event()
def busy():
    while not stop.is_set():
        fit_and_hash()
threads = [threading.Thread(target=busy) for _ in range(2)]
for t in threads: t.start()
for _ in range({n_forks}):  # while other threads fit
    time.sleep(0.02)
    in_child(child)
stop.set()
for t in threads: t.join()

class Forking(Watching):
    def balance(self, *args):
        if os.getpid() == parent and not done:
            done.append(os.fork())
            if done[0] == 0:
                signal.alarm(300)
        return super().balance(*args)

parent, done = os.getpid(), []
found = digest(fit("classifier", watched().set_params(balancer=Forking())))  # in the midst of one
assert blas_threads() == before and not _threads.OneThreadBLAS._inside
if done[0] == 0:
    os._exit(found != expected)
assert found == expected and os.waitpid(done[0], 0)[1] == 0
print("fine")
"""


@pytest.mark.parametrize(
    "n_forks", [5, pytest.param(200, marks=pytest.mark.long)], ids=lambda n: f"{n} forks"
)
def test_forks(n_forks):
    """After a fit, while other threads fit, and in the midst of one that goes on in the child."""
    script = WATCHED + FORKS.replace("{n_forks}", str(n_forks))
    assert run(script, timeout=600 + 10 * n_forks).endswith("fine\n")


COLD = """
import signal

def first(_=None):
    return digest(fit("", SparseAutoencoderTransformer(4, **COMMON | {"max_iter": 1})))

with ThreadPoolExecutor(4) as pool:
    results = pool.map(first, range(4))
    if os.environ.get("FORKS"):
        time.sleep(1)
        pid = os.fork()  # while the others compile
        if pid == 0:
            signal.alarm(400)
            os._exit(first() == "")
        status = os.waitpid(pid, 0)[1]
        assert status == 0, status
    results = set(results)
assert len(results) == 1
print(*results)
"""


@pytest.mark.parametrize(
    "n_processes", [2, pytest.param(4, marks=pytest.mark.long)], ids=lambda n: f"{n} processes"
)
def test_first_calls_at_once(n_processes, tmp_path):
    """Processes of four threads each, one of them forks, and nothing compiled yet."""

    def start(number):
        forks = "1" if number == 0 else None
        return run(WATCHED + COLD, NUMBA_CACHE_DIR=str(tmp_path), FORKS=forks)

    with ThreadPoolExecutor(n_processes) as pool:
        cold = set(pool.map(start, range(n_processes)))
    warm = run(WATCHED + COLD, NUMBA_CACHE_DIR=str(tmp_path))
    assert cold == {warm}


WORKERS = """
from joblib import Parallel, delayed

def job(number):
    Watching.seen.clear()
    return digests(), fit_and_hash(), max(Watching.seen)

if __name__ == "__main__":
    expected, watched_one, _ = job(0)
    for backend in ("loky", "threading", "multiprocessing"):
        done = Parallel(2, backend=backend, timeout=500)(delayed(job)(i) for i in range(2))
        for all_of_them, one, (blas, teams) in done:
            assert (all_of_them, one) == (expected, watched_one), backend
            assert blas == 1 and teams <= 4, (backend, blas, teams)
        assert blas_threads() == before, backend
    print("fine")
"""


def test_workers_of_joblib():
    """The same bits. BLAS has one thread, a fit with ``n_jobs=2`` one helper; the two workers may
    be threads themselves, with a pool of their own.
    """
    assert run(WATCHED + WORKERS).endswith("fine\n")


def test_workers_of_dask():
    distributed = pytest.importorskip("distributed")
    expected = digests()
    options = {"processes": True, "dashboard_address": None}
    with distributed.LocalCluster(n_workers=2, threads_per_worker=2, **options) as cluster:
        with distributed.Client(cluster) as client:
            done = [client.submit(digests, pure=False) for _ in range(6)]
            assert client.gather(done) == [expected] * 6
