"""pickle, joblib and skops keep an estimator whole, and warn where the version is another."""

import copy
import pickle
import pickletools
import warnings

import joblib
import numpy as np
import pytest
from sklearn.exceptions import InconsistentVersionWarning

import skmtl
from skmtl import MultiTaskSAEClassifier, MultiTaskSAERegressor, SparseAutoencoderTransformer
from skmtl.sparsifiers import TopK
from tests import instances
from tests.files.same import assert_same, results

QUICK = {"n_components": 6, "max_iter": 3, "tol": None, "random_state": 0}


@pytest.fixture(scope="module")
def X():
    return np.random.default_rng(0).random((40, 5)).astype(np.float32)


@pytest.fixture(scope="module")
def fitted(X):
    Y = np.array([["a", 1], ["b", None]] * 20, dtype=object)
    return MultiTaskSAEClassifier(**QUICK, sparsifier=TopK(k=2), weight_decay=0.1).fit(X, Y)


WAYS = {
    "pickle": lambda est, path: pickle.loads(pickle.dumps(est)),
    "pickle, oldest protocol": lambda est, path: pickle.loads(pickle.dumps(est, 0)),
    "joblib": lambda est, path: joblib.load(joblib.dump(est, path)[0]),
    "joblib, compressed": lambda est, path: joblib.load(joblib.dump(est, path, compress=3)[0]),
    "joblib, mapped": lambda est, path: joblib.load(joblib.dump(est, path)[0], mmap_mode="r"),
    "deepcopy": lambda est, path: copy.deepcopy(est),
}


@pytest.mark.filterwarnings("ignore:Task .* has one class", "error:.*was saved by")
@pytest.mark.parametrize("way", WAYS)
def test_ways(way, fitted, X, tmp_path):
    loaded = WAYS[way](fitted, tmp_path / "model")
    assert "_skmtl_version" not in vars(loaded)
    assert_same(results(loaded, X), results(fitted, X))
    assert loaded.components_.flags.writeable == (way != "joblib, mapped")
    again = copy.deepcopy(fitted)
    Y = np.array([["a", 1], ["b", 1]] * 20, dtype=object)
    assert_same(results(loaded.partial_fit(X, Y), X), results(again.partial_fit(X, Y), X))


@pytest.mark.parametrize("mmap_mode", ["r", "c"])
def test_mapped_files_are_saved_as_any(mmap_mode, fitted, tmp_path):
    joblib.dump(fitted, tmp_path / "mapped")
    mapped = joblib.load(tmp_path / "mapped", mmap_mode=mmap_mode)
    skmtl.save(mapped, tmp_path / "a")
    assert_same(skmtl.load(tmp_path / "a"), fitted)


@pytest.mark.parametrize("other", ["0.0.1", None])
@pytest.mark.parametrize("cls", [SparseAutoencoderTransformer, MultiTaskSAEClassifier])
def test_version_warning(cls, other):
    state = cls().__getstate__()
    assert state.pop("_skmtl_version") == skmtl.__version__
    if other is not None:
        state["_skmtl_version"] = other
    est = cls.__new__(cls)
    what = f"{cls.__name__} was saved by skmtl {other or 'of unknown version'} and is loaded by"
    with pytest.warns(InconsistentVersionWarning, match=what):
        est.__setstate__(state)
    assert_same(est, cls())
    assert state.get("_skmtl_version") == other  # the caller's own is left alone


def test_version_warning_points_at_the_caller(monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr("skmtl._versions.__version__", "9.9")
        written = pickle.dumps(SparseAutoencoderTransformer())
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        pickle.loads(written)
    assert [warning.filename for warning in caught] == [__file__]
    assert "skmtl 9.9" in str(caught[0].message)


# --- skops ------------------------------------------------------------------------------------


def every_kind(X):
    """Estimators that hold, between them, an object of each class."""
    Y = np.array([["a", 1], ["b", 2]] * 20, dtype=object)
    for kind, params in {
        "sparsifier": [None, *instances.SPARSIFIERS[:-1]],
        "loss": instances.LOSSES,
        "optimizer": instances.OPTIMIZERS,
        "dead_latents": instances.DEAD_LATENTS,
    }.items():
        for param in params:
            yield SparseAutoencoderTransformer(**QUICK, **{kind: param}, weight_decay=0.1).fit(X)
    for balancer in instances.BALANCERS:
        yield MultiTaskSAEClassifier(**QUICK, balancer=balancer).fit(X, Y)
    for penalty in instances.HEAD_PENALTIES:
        yield MultiTaskSAEClassifier(**QUICK, head_penalty=penalty).fit(X, Y)
    own = {"n_private_components": 2, "pretrained_penalty": 0.1, "pretrain_iter": 1}
    yield MultiTaskSAERegressor(**QUICK, **own).fit(X, X[:, :2])


def test_skops_trusted_names_all_there_is(X):
    """As skops finds them: by the classes of what is in an estimator."""
    named = set()
    for est in every_kind(X):
        strings = []
        for opcode, argument, _ in pickletools.genops(pickle.dumps(est, 2)):
            if opcode.name == "GLOBAL":
                strings.append(argument.replace(" ", "."))
        named |= {name for name in strings if name.startswith("skmtl.")}
    assert named <= set(skmtl.SKOPS_TRUSTED)
    assert skmtl.SKOPS_TRUSTED == sorted(set(skmtl.SKOPS_TRUSTED))
    assert named == set(skmtl.SKOPS_TRUSTED)


def test_skops(X):
    io = pytest.importorskip("skops.io")
    for est in every_kind(X):
        written = io.dumps(est)
        assert set(io.get_untrusted_types(data=written)) <= set(skmtl.SKOPS_TRUSTED)
        loaded = io.loads(written, trusted=skmtl.SKOPS_TRUSTED)
        assert_same(results(loaded, X), results(est, X))
