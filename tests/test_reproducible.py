"""Same seed, same bits: again, elsewhere, from any memory, by any number of threads."""

import random
import sys
import threading

import numpy as np
import pytest
import scipy.sparse as sp
from threadpoolctl import threadpool_info, threadpool_limits

from skmtl import (
    MultiTaskSAEClassifier,
    MultiTaskSAERegressor,
    SparseAutoencoderTransformer,
    _autoencoder,
    _finish,
    _geometric_median,
    _gramian,
    _heads,
    _linalg,
    _logistic,
    _objectives,
    _refine,
    _ridge,
    _scratch,
    _selection,
    _threads,
    _training,
)
from skmtl.losses import _mixture
from tests.fresh import COMMON, data, digest, digests, digests_in, estimators, fit, run
from tests.instances import BALANCERS, DEAD_LATENTS, HEAD_PENALTIES, LOSSES, OPTIMIZERS, SPARSIFIERS

compiled = pytest.mark.compiled
ESTIMATORS = [SparseAutoencoderTransformer, MultiTaskSAEClassifier, MultiTaskSAERegressor]


@pytest.fixture(scope="module")
def expected():
    return digests()


def test_again(expected):
    assert digests() == expected


@pytest.mark.parametrize("n_jobs", [2, 3])
def test_for_any_number_of_threads(expected, n_jobs, monkeypatch):
    monkeypatch.setattr(_threads, "WORTH_A_THREAD", 1)
    monkeypatch.setattr(_threads, "thread_limit", lambda: n_jobs)
    monkeypatch.setattr(_threads, "_blas_threads", lambda: n_jobs)
    assert digests(n_jobs=n_jobs) == expected


@compiled
@pytest.mark.parametrize("n_threads", ["1", "2"])
def test_in_another_process(expected, n_threads):
    """Under another order of hashes, too."""
    environment = {"PYTHONHASHSEED": n_threads, "OPENBLAS_NUM_THREADS": n_threads}
    assert digests_in(**environment) == expected


BIG = """
import warnings
import numpy as np
from skmtl import MultiTaskSAEClassifier, SparseAutoencoderTransformer
from tests.fresh import COMMON, digest

warnings.simplefilter("ignore")
X = np.random.default_rng(0).random((3000, 90))
for params in (
    {"sparsifier": "jumprelu", "bias_init": "geometric_median", "transform_algorithm": "refine"},
    {"loss": "mixture"},
    {"sparsifier": "batch_topk", "n_jobs": 2},
):
    est = SparseAutoencoderTransformer(150, **COMMON | {"max_iter": 1} | params).fit(X)
    print(digest(est, X), digest(est, X[:900]), est.score(X[:900]))
    print(float(est.inverse_transform(est.transform(X[:900])).sum()))
est = MultiTaskSAEClassifier(150, head_selection="cv", **COMMON | {"max_iter": 1})
print(digest(est.fit(X, X[:, :2] > 0.5), X[:900]))
"""


@compiled
def test_for_any_number_of_blas_threads():
    """Large enough that BLAS would use them."""
    one, two = (run(BIG, OPENBLAS_NUM_THREADS=n, OMP_NUM_THREADS=n) for n in "12")
    assert one == two


@compiled
def test_of_rows_in_another_place(expected, tmp_path):
    X = data()[0]
    np.save(tmp_path / "X.npy", X)
    frozen = X.copy()
    frozen.flags.writeable = False
    for same in (np.load(tmp_path / "X.npy", mmap_mode="r"), frozen, np.asfortranarray(X)):
        found = {name: digest(fit(name, e, same)) for name, e in estimators().items()}
        assert found == expected


@compiled
def test_of_sparse_rows_in_any_order():
    """CSR with int64 indices, with each row's entries in reverse, with stored zeros; CSC; COO."""
    X = sp.csr_array(data()[0] * (np.random.default_rng(0).random(data()[0].shape) < 0.7))
    wide, mixed = X.copy(), X.copy()
    wide.indices, wide.indptr = wide.indices.astype(np.int64), wide.indptr.astype(np.int64)
    for row in (slice(*pair) for pair in zip(X.indptr[:-1], X.indptr[1:], strict=True)):
        mixed.indices[row], mixed.data[row] = X.indices[row][::-1], X.data[row][::-1]
    mixed.has_sorted_indices = False
    with_zeros = sp.csr_array(np.where(X.toarray() == 0, np.nan, X.toarray()))
    with_zeros.data[np.isnan(with_zeros.data)] = 0
    assert with_zeros.nnz > X.nnz
    expected = digests(X)
    for same in (wide, mixed, with_zeros, X.tocsc(), X.tocoo()):
        assert {n: digest(fit(n, e, same), X) for n, e in estimators().items()} == expected


# --- memory --------------------------------------------------------------------------------------


def empty_like_this(fill, offset):
    """``numpy.empty`` whose arrays hold a value and start so many bytes after a multiple of 64."""
    empty = np.empty

    def of_shape(shape, dtype=float, order="C"):
        dtype = np.dtype(dtype)
        if dtype.kind not in "biuf":
            return empty(shape, dtype, order)
        n_bytes = int(np.prod(shape)) * dtype.itemsize
        raw = empty(n_bytes + 128, np.uint8)
        start = -raw.ctypes.data % 64 + offset
        array = raw[start : start + n_bytes].view(dtype)
        array[:] = fill if dtype.kind == "f" else 99
        return array.reshape(shape, order=order)

    return of_shape


def variants():
    """One fit for each component, by its repr."""
    common = COMMON | {"batch_size": 40}
    for name, components in {
        "sparsifier": SPARSIFIERS,
        "dead_latents": DEAD_LATENTS,
        "optimizer": OPTIMIZERS,
        "balancer": BALANCERS,
        "head_penalty": HEAD_PENALTIES,
    }.items():
        for component in components:
            yield (
                f"classifier, {component!r}",
                MultiTaskSAEClassifier(16, **common, **{name: component}),
            )
    for loss in LOSSES:
        yield f"transformer, {loss!r}", SparseAutoencoderTransformer(16, loss=loss, **common)


EVERY = {**estimators(), **dict(variants())}


@pytest.mark.parametrize("name", EVERY)
def test_whatever_the_memory_held(name, monkeypatch):
    """Nothing is read before it is written; nothing in use is given to another; no bit depends
    on where an array begins. Without a compiler this holds for arrays inside kernels, too.
    """
    X = data()[0] / 4  # within [0, 1], as some losses ask
    expected = digest(fit(name, EVERY[name], X), X)
    for fill, offset in ((np.nan, 8), (-1e3, 40)):
        empty = empty_like_this(fill, offset)
        with monkeypatch.context() as patch:
            patch.setattr(np, "empty", empty)
            patch.setattr(
                np, "empty_like", lambda a, dtype=None, e=empty: e(a.shape, dtype or a.dtype)
            )
            patch.setattr(_scratch, "empty", lambda name, shape, dtype, e=empty: e(shape, dtype))
            assert digest(fit(name, EVERY[name], X), X) == expected


# --- generators ----------------------------------------------------------------------------------


def state_of_generators():
    return random.getstate(), [str(part) for part in np.random.get_state()]


def test_a_seeded_fit_leaves_the_global_generators_alone(expected):
    np.random.seed(7)
    before = state_of_generators()
    assert digests() == expected
    assert state_of_generators() == before


@pytest.mark.parametrize("cls", ESTIMATORS)
def test_a_generator_of_ones_own(cls):
    """A RandomState goes on from fit to fit; without a seed the global one does."""
    X, Y = data()[0], data()[0][:, :2] > 0.5

    def start(random_state):
        return cls(4, max_iter=1, tol=None, random_state=random_state).fit(X, Y).components_

    own = np.random.RandomState(3)
    first, second = start(own), start(own)
    assert not np.array_equal(first, second)
    np.testing.assert_array_equal(start(np.random.RandomState(3)), first)
    np.testing.assert_array_equal(start(3), first)
    start(np.random.RandomState(np.random.PCG64(3)))
    np.random.seed(3)
    np.testing.assert_array_equal(start(None), first)
    np.testing.assert_array_equal(start(None), second)
    with pytest.raises(ValueError, match=r"'random_state' parameter .* an instance of .*RandomS"):
        start(np.random.default_rng(0))


# --- BLAS ----------------------------------------------------------------------------------------

#: Whose functions multiply, or hand work to what does.
MODULES = [_autoencoder, _finish, _geometric_median, _gramian, _heads, _linalg, _logistic]
MODULES += [_objectives, _refine, _ridge, _selection, _training, _mixture]
NUMERIC = {module.__file__ for module in MODULES}


@compiled
@pytest.mark.parametrize("name", estimators())
def test_all_products_use_one_blas_thread(name):
    """Every call of a numeric function, from the start of a fit to its end and afterwards."""
    X = data()[0]
    seen, free = set(), set()

    def watch(frame, event, argument):
        if event == "call" and frame.f_code.co_filename in NUMERIC:
            (seen if _threads.OneThreadBLAS._inside else free).add(frame.f_code.co_name)

    estimator = estimators(n_jobs=2, max_iter=1)[name]
    threading.setprofile(watch)
    sys.setprofile(watch)
    try:
        digest(fit(name, estimator))
        if hasattr(estimator, "score_samples"):
            estimator.score_samples(X)
            estimator.inverse_transform(estimator.transform(X))
    finally:
        sys.setprofile(None)
        threading.setprofile(None)
    assert len(seen) > 20
    assert free <= {"check_X"}, free


def blas_threads():
    return [lib["num_threads"] for lib in threadpool_info() if lib["user_api"] == "blas"]


def test_limits_are_put_back(monkeypatch):
    """After a fit, and after one that fails."""
    X, Y, _ = data()
    with threadpool_limits(2, "blas"):
        before, seen = blas_threads(), []

        def balance(*args):
            seen.append(blas_threads())
            raise ZeroDivisionError

        fit("classifier", MultiTaskSAEClassifier(4, **COMMON, n_jobs=2)).predict(X)
        assert blas_threads() == before
        failing = BALANCERS[0].__class__()
        monkeypatch.setattr(type(failing), "balance", balance)
        with pytest.raises(ZeroDivisionError):
            MultiTaskSAEClassifier(4, balancer=failing, **COMMON).fit(X, Y)
        assert blas_threads() == before
        assert all(n == 1 for n in seen[0])
