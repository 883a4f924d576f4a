"""A fit that fails, is interrupted or diverges leaves the estimator as it was."""

import copy
import inspect
import os
import signal
import sys
import time
import traceback
import warnings

import numpy as np
import pytest
from sklearn.exceptions import NotFittedError
from sklearn.utils.validation import check_is_fitted

from skmtl import MultiTaskSAEClassifier, MultiTaskSAERegressor, SparseAutoencoderTransformer
from skmtl.head_penalties import GroupSparse
from tests import instances
from tests.files.same import assert_same
from tests.killed import digest

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

COMMON = {"n_components": 6, "max_iter": 2, "batch_size": 12, "random_state": 0}
OF_TASKS = COMMON | {
    "pretrain_iter": 1,
    "n_members": 2,
    "head_selection": "cv",
    "head_penalty": GroupSparse(0.01),
    "early_stopping": True,
    "dead_latents": "resample",
    "sparsifier": "batch_topk",
    "n_private_components": 2,
}
ESTIMATORS = [
    SparseAutoencoderTransformer(**COMMON, early_stopping=True, bias_init="geometric_median"),
    MultiTaskSAEClassifier(**OF_TASKS),
    MultiTaskSAERegressor(**OF_TASKS),
]


def problem():
    rng = np.random.default_rng(0)
    Y = np.column_stack([np.arange(48) % 2, np.arange(48) % 3]).astype(float)
    Y[rng.random(Y.shape) < 0.2] = np.nan
    return rng.random((48, 4)), Y


class RaisesAt:
    """A trace function that raises at the n-th call of a function of ours."""

    def __init__(self, n, error=KeyboardInterrupt):
        self.n_left, self.error, self.where = n, error, None

    def __call__(self, frame, event, argument):
        name, code = frame.f_globals.get("__name__", ""), frame.f_code
        if code.co_flags & inspect.CO_GENERATOR or code.co_name in ("__enter__", "__exit__"):
            return  # one left in the middle is closed by a finalizer, where Python ignores errors;
            # and no `with` guards its own two ends
        if name.startswith("skmtl.") and code.co_name != "wrapper":
            self.n_left -= 1
            if self.n_left == 0:
                self.where = f"{name}.{code.co_name}"
                raise self.error

    def during(self, call):
        before = sys.gettrace()
        sys.settrace(self)
        try:
            call()
        finally:
            sys.settrace(before)


def calls_of(est):
    """What may be interrupted, by name: each a function of an estimator."""
    X, Y = problem()
    calls = {"fit": lambda est: est.fit(X + 1, Y)}
    if isinstance(est, SparseAutoencoderTransformer):
        calls["partial_fit"] = lambda est: est.partial_fit(X + 1)
    else:
        classes = [[[0, 1], [0, 1, 2]]] if isinstance(est, MultiTaskSAEClassifier) else []
        calls["partial_fit"] = lambda est: est.partial_fit(X + 1, Y, *classes)
        calls["add_task"] = lambda est: est.add_task(X + 1, np.arange(48) % 2)
    return calls


CALLS = [
    (est, method, was_fitted)
    for est in ESTIMATORS
    for method in calls_of(est)
    for was_fitted in ((True,) if method == "add_task" else (True, False))
]


@pytest.mark.compiled
@pytest.mark.parametrize("n_moments", [12, pytest.param(200, marks=pytest.mark.long)])
@pytest.mark.parametrize(
    "est, method, was_fitted",
    CALLS,
    ids=[f"{type(est).__name__}-{method}-{was_fitted}" for est, method, was_fitted in CALLS],
)
def test_interrupted_anywhere(est, method, was_fitted, n_moments):
    """At moments from the first check to what is published last, by Ctrl-C and by an error."""
    X, Y = problem()
    call, est = calls_of(est)[method], copy.deepcopy(est)
    if method == "partial_fit":
        est.set_params(early_stopping=False)
    if was_fitted:
        est.fit(X, Y)
    for _ in range(2):  # some things are made once in a process
        count, tried = RaisesAt(0), copy.deepcopy(est)
        count.during(lambda tried=tried: call(tried))
    expected = vars(tried)
    places = set()
    for i, n in enumerate(np.linspace(1, -count.n_left, n_moments).astype(int)):
        error = KeyboardInterrupt if i % 2 else MemoryError
        tried, raises = copy.deepcopy(est), RaisesAt(n, error)
        before = dict(vars(tried))
        with pytest.raises(error):
            raises.during(lambda tried=tried: call(tried))
        assert list(vars(tried)) == list(before), raises.where
        assert all(vars(tried)[name] is value for name, value in before.items()), raises.where
        assert_same(vars(tried), vars(est), raises.where)
        if not was_fitted:
            with pytest.raises(NotFittedError):
                check_is_fitted(tried)
            assert not hasattr(tried, "n_features_in_")
        places.add(raises.where)
    assert len(places) > n_moments / 4
    assert_same(vars(call(tried)), expected)  # as if nothing had been


class Fails:
    """A callback that fails at one of its hooks."""

    def __init__(self, hook, error):
        self.hook, self.error, self.n = hook, error, 0

    def _called(self, hook):
        self.n += hook == self.hook
        if self.n == 3 or (self.n == 1 and hook in ("setup", "teardown")):
            self.n = 0
            raise self.error

    def setup(self, estimator, context):
        self._called("setup")

    def teardown(self, estimator, context):
        self._called("teardown")

    def on_fit_task_begin(self, estimator, context):
        self._called("begin")

    def on_fit_task_end(self, estimator, context):
        self._called("end")


@pytest.mark.parametrize("error", [KeyboardInterrupt, ZeroDivisionError])
@pytest.mark.parametrize("hook", ["setup", "begin", "end", "teardown"])
@pytest.mark.parametrize("was_fitted", [True, False])
def test_callbacks_that_fail(was_fitted, hook, error):
    X, Y = problem()
    for cls in (SparseAutoencoderTransformer, MultiTaskSAEClassifier, MultiTaskSAERegressor):
        est = cls(**COMMON)
        if was_fitted:
            est.fit(X, Y)
        est.set_callbacks(Fails(hook, error))
        before = dict(vars(est))
        with pytest.raises(error):
            est.fit(X + 1, Y)
        assert list(vars(est)) == list(before)
        assert all(vars(est)[name] is value for name, value in before.items())


# --- Ctrl-C -------------------------------------------------------------------------------------


LONG = {"n_components": 256, "batch_size": 512, "max_iter": 10**6, "tol": None, "random_state": 0}
LONG_FITS = {
    "training": SparseAutoencoderTransformer(**LONG, n_jobs=2),
    "heads": MultiTaskSAEClassifier(**LONG | {"max_iter": 3}, head_selection="cv", n_jobs=2),
    "members": MultiTaskSAERegressor(**LONG | {"max_iter": 3}, n_members=10**6, n_jobs=2),
    "finishing": MultiTaskSAEClassifier(
        **LONG | {"max_iter": 1}, head_penalty="group", n_members=10**6, n_jobs=2
    ),
}


def interrupted_by_signal(name, pipe):
    """Fit until a signal comes; say whether all is as it was, and works."""
    rng = np.random.default_rng(0)
    X, Y = rng.random((2000, 64)), rng.integers(0, 2, (2000, 6)).astype(float)
    est = copy.deepcopy(LONG_FITS[name])
    before = dict(vars(est))
    try:
        os.write(pipe, b"begins;")
        est.fit(X, Y)
    except KeyboardInterrupt:
        os.write(pipe, after_an_interruption(est, before, X, Y).encode())
    except BaseException as error:
        os.write(pipe, repr(error).encode())
    finally:
        os._exit(0)


def after_an_interruption(est, before, X, Y):
    """Whether the estimator is as it was, and the digest of another fit in this process."""
    try:
        as_it_was = vars(est) == before
        small = type(est)(4, max_iter=1, tol=None, random_state=0, n_jobs=2)
        return f"{as_it_was};{digest(small.fit(X, Y))}"
    except BaseException:
        return traceback.format_exc()[-900:]


@pytest.mark.compiled
@pytest.mark.skipif(not hasattr(os, "fork"), reason="interrupted processes are forked")
@pytest.mark.parametrize("name", LONG_FITS)
def test_ctrl_c(name):
    """A fit that would go on for hours ends within seconds, and the process can fit again."""
    rng = np.random.default_rng(len(name))
    said = set()
    for _ in range(3):
        read, write = os.pipe()
        process = os.fork()
        if process == 0:
            signal.signal(signal.SIGINT, signal.default_int_handler)
            interrupted_by_signal(name, write)
        os.close(write)
        assert os.read(read, 100) == b"begins;"
        time.sleep(rng.uniform(0.05, 1.5))
        os.kill(process, signal.SIGINT)
        deadline = time.monotonic() + 60
        while os.waitpid(process, os.WNOHANG) == (0, 0):
            if time.monotonic() > deadline:
                os.kill(process, signal.SIGKILL)
                pytest.fail("it hangs")
            time.sleep(0.01)
        said.add(os.read(read, 1000))
        os.close(read)
    assert len(said) == 1 and said.pop().startswith(b"True;"), said


# --- divergence -----------------------------------------------------------------------------------


@pytest.mark.parametrize("scale", [1e-30, 1.0, 1e30])
@pytest.mark.parametrize("rate", [1e-3, 1e10, 1e300])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("loss", instances.LOSSES, ids=repr)
def test_finite_or_an_error_that_says_what_to_do(loss, dtype, rate, scale):
    rng = np.random.default_rng(0)
    X, y = rng.random((30, 4)), np.arange(30) % 2
    bounded = "log" in type(loss).__name__.lower() or "bernoulli" in repr(loss)
    if not bounded:
        X = X * scale
    common = {"n_components": 6, "max_iter": 5, "tol": None, "batch_size": 10, "random_state": 0}
    for cls in (SparseAutoencoderTransformer, MultiTaskSAEClassifier, MultiTaskSAERegressor):
        if cls is not SparseAutoencoderTransformer and not getattr(loss, "amortized", True):
            continue
        for optimizer in ("sgd", "adam"):
            est = cls(**common, loss=loss, optimizer=optimizer, learning_rate=rate)
            with warnings.catch_warnings():
                warnings.simplefilter("error", RuntimeWarning)
                try:
                    est.fit(X.astype(dtype), y)
                except ValueError as error:
                    assert not est.__sklearn_is_fitted__()
                    if (scale, dtype) == (1e-30, np.float32) and "can square" in str(error):
                        continue  # refused before it trains
                    assert "The loss must stay finite" in str(error), error
                    assert "at epoch " in str(error) and f"learning_rate={rate:g}" in str(error)
                else:
                    assert all(np.isfinite(array).all() for array in est._params.values())
                    assert np.isfinite(est.loss_curve_).all()
                    assert np.isfinite(est.transform(X.astype(dtype))).all()
