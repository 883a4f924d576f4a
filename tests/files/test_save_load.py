"""A loaded estimator is the one that was saved: to the bit, and as it goes on training."""

import hashlib
import io
import json
import os
import stat
import zipfile
from collections import OrderedDict

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
import sklearn
from sklearn.base import clone
from sklearn.callback import ProgressBar
from sklearn.model_selection import GridSearchCV

import skmtl
from skmtl import MultiTaskSAEClassifier, SparseAutoencoderTransformer
from skmtl._files._classes import CLASSES, COMPONENTS, ESTIMATORS, PARTS
from skmtl.balancers import Equal
from skmtl.sparsifiers import TopK
from tests import instances
from tests.files.same import assert_same, results

pytestmark = pytest.mark.filterwarnings("ignore:Task .* has")
QUICK = {"n_components": 8, "max_iter": 2, "tol": None, "batch_size": 16, "random_state": 0}


def saved(est):
    file = io.BytesIO()
    skmtl.save(est, file)
    return file.getvalue()


def there_and_back(est):
    return skmtl.load(io.BytesIO(saved(est)))


@pytest.fixture(scope="module")
def X():
    return np.random.default_rng(0).random((40, 5))


@pytest.fixture(scope="module")
def Y():
    rng = np.random.default_rng(1)
    Y = rng.integers(0, 3, (40, 3)).astype(float)
    Y[rng.random(Y.shape) < 0.3] = np.nan
    return Y


def assert_goes_on_as(loaded, est, X, *y):
    """Both give the same, and still do after more training."""
    assert_same(loaded, est)
    assert_same(results(loaded, X), results(est, X))
    assert loaded.score(X, *y) == est.score(X, *y)
    if not est.early_stopping:
        assert_same(loaded.partial_fit(X, *y), est.partial_fit(X, *y))
        assert_same(there_and_back(loaded), est)
    for one in (loaded, est):
        one.set_params(warm_start=True).fit(X, *y)
    assert_same(loaded, est)


OPTIONS = [
    *({"sparsifier": s} for s in instances.SPARSIFIERS if type(s).__name__ != "Softmax"),
    *({"loss": loss} for loss in instances.LOSSES),
    *({"optimizer": optimizer, "weight_decay": 0.1} for optimizer in instances.OPTIMIZERS),
    *({"dead_latents": d, "max_iter": 4} for d in instances.DEAD_LATENTS),
    {"sparsifier": None, "loss": "squared_error", "decoder_norm": None},
    {"tied": True, "nested_sizes": [2, 5], "input_dropout": 0.2},
    {"nested_sizes": np.array([2, 5]), "sparse_output": True},
    {"transform_algorithm": "refine", "bias_init": "geometric_median"},
    {"early_stopping": True, "validation_fraction": 0.25, "schedule": "linear_decay"},
    {"n_jobs": 2, "n_components": 300, "verbose": False},
]


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("options", OPTIONS, ids=repr)
def test_transformer(options, dtype, X):
    est = SparseAutoencoderTransformer(**QUICK | options).fit(X.astype(dtype))
    assert_goes_on_as(there_and_back(est), est, X.astype(dtype))


@pytest.mark.parametrize(
    "options",
    [
        *({"sparsifier": s} for s in instances.SPARSIFIERS[::4]),
        *({"balancer": balancer} for balancer in instances.BALANCERS),
        {"loss": "mixture", "pretrain_iter": 1},
        {"pretrain_iter": 2, "reconstruction_weight": 0.1, "weight_decay": 0.1},
        {"class_weight": "balanced", "early_stopping": True},
    ],
    ids=repr,
)
def test_classifier(options, X, Y):
    est = MultiTaskSAEClassifier(**QUICK | options).fit(X, Y)
    assert_goes_on_as(there_and_back(est), est, X, Y)


def test_instances_cover_what_a_file_may_hold():
    lists = vars(instances).values()
    tried = {type(c) for each in lists if isinstance(each, list) for c in each}
    assert {cls for cls in tried if hasattr(cls, "get_params")} == set(COMPONENTS)
    assert len(CLASSES) == len({*ESTIMATORS, *COMPONENTS, *PARTS})  # no name twice


LABELS = {
    "bools": [False, True, True],
    "large integers": [2**63 - 1, -(2**63), 2**40],
    "uint64": np.array([2**64 - 1, 2**63, 5], np.uint64),
    "int8": np.array([-7, 3, 3], np.int8),
    "floats": [1.0, 2.0, 1.0],
    "strings": ["a", "longer than others", "é☃𝄞\ud800"],
    "fixed strings": np.array(["x", "yy", "x"]),
    "gaps": np.array([None, "?", "a"], dtype=object),
    "numbers with gaps": [np.nan, 4.0, 5.0],
    "two tasks": np.array([["a", 2**62], ["b", -1], ["a", 7]], dtype=object),
    "bool and string": np.array([[True, "b"], [False, "a"], [True, None]], dtype=object),
    "an empty task": np.array([[1.0, np.nan], [2, np.nan], [1, np.nan]]),
    "dates": np.array(["2020-01-01", "2021-05-05", "2020-01-01"], dtype="M8[D]"),
    "one column": np.array([[1], [2], [1]]),
    "a series": pd.Series([3, 1, 3], name="kind"),
    "a frame": pd.DataFrame({"a": ["u", None, "v"], "b": pd.array([1, 2, None], "Int64")}),
}


@pytest.mark.parametrize("kind", LABELS)
def test_labels(kind, X):
    y = LABELS[kind]
    take = np.arange(len(X)) % 3
    y = y.iloc[take] if hasattr(y, "iloc") else [y[i] for i in take]
    y = np.array(y, dtype=LABELS[kind].dtype) if isinstance(LABELS[kind], np.ndarray) else y
    frame = pd.DataFrame(X, columns=[f"ü{j}" for j in range(5)])
    est = MultiTaskSAEClassifier(**QUICK).fit(frame, y)
    loaded = there_and_back(est)
    assert_same(loaded, est)
    assert_same(loaded.predict(frame), est.predict(frame))
    assert_same(loaded.feature_names_in_, est.feature_names_in_)
    assert_same(loaded.partial_fit(frame, y), est.partial_fit(frame, y))


@pytest.mark.parametrize(
    "parameters",
    [
        {},
        {"sparsifier": TopK(k=3), "tol": float("inf"), "learning_rate": -0.0},
        {"tol": float("nan"), "n_components": np.int64(7), "learning_rate": np.float32(0.1)},
        {"random_state": np.random.RandomState(3), "nested_sizes": (2, 4)},
        {"class_weight": [{"a": 2, np.str_("b"): 0.5}, {True: 1.0, -3: 2}], "missing_label": "?"},
        {"class_weight": {np.datetime64("2020"): 1.0, (1, 2): 3}, "missing_label": np.nan},
        {"balancer": Equal(), "max_iter": -1, "sparsifier": 7},  # for fit to refuse
        {"nested_sizes": np.asfortranarray(np.arange(6).reshape(2, 3))},
        {"nested_sizes": [np.empty((0, 3), bool), np.array([None, "a", 1.5], object)]},
    ],
    ids=lambda p: ",".join(p) or "none",
)
def test_unfitted(parameters):
    est = MultiTaskSAEClassifier(**parameters)
    loaded = there_and_back(est)
    assert_same(loaded, est)
    assert not loaded.__sklearn_is_fitted__()
    if isinstance(est.random_state, np.random.RandomState):
        est.random_state.standard_normal(3)  # leaves one more, drawn and not given yet
        loaded = there_and_back(est)
        assert loaded.random_state.standard_normal() == est.random_state.standard_normal()


def test_what_changed_after_the_fit_is_kept(X):
    est = SparseAutoencoderTransformer(**QUICK).fit(X).set_output(transform="pandas")
    est.set_params(sparsifier=TopK(k=1), n_jobs=2)
    est.note_ = {"who": ("me", 1)}
    loaded = there_and_back(est)
    assert_same(loaded, est)
    pd.testing.assert_frame_equal(loaded.transform(X), est.transform(X))
    assert_same(clone(loaded), clone(est))


def test_sparse_X(X):
    est = SparseAutoencoderTransformer(**QUICK).fit(sp.csr_array(X * (X > 0.5)))
    assert_goes_on_as(there_and_back(est), est, sp.csr_array(X * (X > 0.5)))


def test_one_object_stays_one(X):
    """As under pickle: memory is not taken twice, and two arrays that are equal stay two."""
    est = SparseAutoencoderTransformer(**QUICK, optimizer="adam", sparsifier=None).fit(X)
    loaded = there_and_back(est)
    assert loaded.components_ is loaded._params["W_dec"]
    m, v = loaded._state["optimizer"]["moments"]["W_dec"]
    assert not np.shares_memory(m, v)
    assert m.flags.writeable


# --- the file ---------------------------------------------------------------------------------


def test_others_can_read_it(X, tmp_path):
    est = SparseAutoencoderTransformer(**QUICK).fit(X)
    skmtl.save(est, tmp_path / "model.skmtl")
    with zipfile.ZipFile(tmp_path / "model.skmtl") as archive:
        assert archive.testzip() is None
        assert {info.compress_type for info in archive.infolist()} == {zipfile.ZIP_STORED}
        manifest = archive.read("manifest.json")
        digest, name = archive.read("manifest.json.sha256").decode().split()
        assert (digest, name) == (hashlib.sha256(manifest).hexdigest(), "manifest.json")
        described = json.loads(manifest)
        assert described["skmtl"] == skmtl.__version__
        arrays = [
            np.load(archive.open(f"arrays/{i}.npy"), allow_pickle=False)
            for i in range(len(described["arrays"]))
        ]
    assert any(np.array_equal(array, est.components_) for array in arrays)
    for array, entry in zip(arrays, described["arrays"], strict=True):
        assert entry["sha256"] == hashlib.sha256(array.tobytes(order="A")).hexdigest()
        assert [array.dtype.str, list(array.shape)] == [entry["dtype"], entry["shape"]]


def test_same_model_same_bytes(X, tmp_path):
    est = SparseAutoencoderTransformer(**QUICK)
    skmtl.save(est.fit(X), str(tmp_path / "model"))
    assert (tmp_path / "model").read_bytes() == saved(clone(est).fit(X)) == saved(est)
    assert saved(skmtl.load(tmp_path / "model")) == saved(est)


def test_file_objects(X, tmp_path):
    """Several in one file, from where it stands to its end."""
    est = SparseAutoencoderTransformer(**QUICK).fit(X)
    with open(tmp_path / "two", "wb") as file:
        file.write(b"before")
        skmtl.save(est, file)
    with open(tmp_path / "two", "rb", buffering=0) as file:
        file.read(6)
        assert_same(skmtl.load(file), est)
        assert not file.closed
    with open(tmp_path / "two") as text, pytest.raises(TypeError, match="binary mode"):
        skmtl.load(text)
    with pytest.raises(ValueError, match=r"path must be a model file.*does not begin"):
        skmtl.load(open(tmp_path / "two", "rb"))


def test_file_that_takes_a_little_at_a_time(X):
    class Slow(io.BytesIO):
        def write(self, data):
            return super().write(bytes(data[:1000]))

    est, slow = SparseAutoencoderTransformer(**QUICK).fit(X), Slow()
    skmtl.save(est, slow)
    assert slow.getvalue() == saved(est)


def test_file_replaced_whole_or_not_at_all(X, tmp_path, monkeypatch):
    est = SparseAutoencoderTransformer(**QUICK)
    path = tmp_path / "model"
    skmtl.save(est, path)
    before = path.read_bytes()

    def fail(*_):
        raise OSError(28, "No space left on device")

    for name in ("fsync", "replace"):
        with monkeypatch.context() as patch, pytest.raises(OSError, match="No space"):
            patch.setattr(os, name, fail)
            skmtl.save(est.fit(X), path)
        assert path.read_bytes() == before
        assert os.listdir(tmp_path) == ["model"]
    (tmp_path / "link").symlink_to(path)
    skmtl.save(est, tmp_path / "link")
    assert (tmp_path / "link").is_symlink()
    assert path.read_bytes() == saved(est)
    umask = os.umask(0)
    os.umask(umask)
    assert stat.S_IMODE(path.stat().st_mode) == 0o666 & ~umask
    with pytest.raises(FileNotFoundError):
        skmtl.save(est, tmp_path / "nowhere" / "model")
    with pytest.raises(FileNotFoundError):
        skmtl.load(tmp_path / "nowhere")
    with pytest.raises(IsADirectoryError):
        skmtl.load(tmp_path)


def test_arrays_of_other_byte_order(X):
    est = SparseAutoencoderTransformer(nested_sizes=np.array([2, 5], ">i4"))
    loaded = there_and_back(est)
    assert loaded.nested_sizes.tolist() == [2, 5]
    assert loaded.nested_sizes.dtype == np.int32


# --- what is not saved --------------------------------------------------------------------------


class MyTopK(TopK):
    pass


class Transformer(SparseAutoencoderTransformer):
    pass


@pytest.mark.parametrize(
    ("est", "message"),
    [
        (GridSearchCV(SparseAutoencoderTransformer(), {}), "got GridSearchCV.*best_estimator_"),
        (Transformer(), "got Transformer"),
        (3, "got int"),
        (SparseAutoencoderTransformer(sparsifier=MyTopK()), r"MyTopK at est\.sparsifier.*pickle"),
        (SparseAutoencoderTransformer(sparsifier=TopK), r"got abc.ABCMeta|got .*type at est"),
        (MultiTaskSAEClassifier(class_weight={"a": {1}}), r"set at est\.class_weight\['a'\]"),
        (MultiTaskSAEClassifier(class_weight=OrderedDict()), "OrderedDict at est.class_weight"),
        (MultiTaskSAEClassifier(nested_sizes=[2, 2**128]), r"int at est\.nested_sizes\[1\]"),
        (MultiTaskSAEClassifier(nested_sizes=np.ones(2, complex)), "ndarray at est.nested"),
        (MultiTaskSAEClassifier(nested_sizes=np.ones(2, np.longdouble)), "ndarray at est.nested"),
        (MultiTaskSAEClassifier(nested_sizes=np.ma.ones(2)), "MaskedArray at est.nested"),
        (MultiTaskSAEClassifier(nested_sizes=np.array([2, {1}], object)), r"nested_sizes.flat\[1"),
        (MultiTaskSAEClassifier(random_state=np.random.default_rng), "at est.random_state"),
        (MultiTaskSAEClassifier(missing_label=pd.NA), "at est.missing_label"),
    ],
)
def test_refused(est, message, tmp_path):
    with pytest.raises(TypeError, match=message):
        skmtl.save(est, tmp_path / "model")
    assert os.listdir(tmp_path) == []


def test_objects_of_scikit_learn_are_refused_by_name():
    with sklearn.config_context(enable_metadata_routing=True):
        est = MultiTaskSAEClassifier().set_fit_request(sample_weight=True)
    with pytest.raises(TypeError, match=r"MetadataRequest at est\._metadata_request"):
        saved(est)
    with pytest.raises(TypeError, match=r"ProgressBar at est\._skl_callbacks\[0\]"):
        saved(MultiTaskSAEClassifier().set_callbacks(ProgressBar()))


def test_refused_where_it_could_not_be_loaded(X):
    est = SparseAutoencoderTransformer(**QUICK).fit(X)
    est.n_jobs = "many"
    with pytest.raises(ValueError, match=r"est must be as a fit leaves it.*n_jobs"):
        saved(est)
    loop = []
    loop.append(loop)
    with pytest.raises(ValueError, match="holds itself"):
        saved(SparseAutoencoderTransformer(nested_sizes=loop))
    with pytest.raises(ValueError, match="in arrays"):
        saved(SparseAutoencoderTransformer(nested_sizes=[1] * 100_000))


@pytest.mark.parametrize(
    "labels",
    [
        int,
        str,
        object,
        lambda Y: [[f"label {code}" for code in row] for row in Y],
        lambda Y: pd.DataFrame(Y.astype(str), columns=[f"task {t}" for t in range(1000)]),
    ],
    ids=["int", "str", "object", "lists", "a frame"],
)
def test_a_thousand_tasks(labels, X):
    Y = np.random.default_rng(0).integers(0, 3, (40, 1000))
    Y = labels(Y) if not isinstance(labels, type) else Y.astype(str).astype(labels)
    est = MultiTaskSAEClassifier(8, max_iter=1, random_state=0).fit(X, Y)
    loaded = there_and_back(est)
    assert_same(loaded, est)
    assert loaded.classes_[7] is loaded._targets.classes[7]
    assert saved(loaded) == saved(est)
    est.note_ = [np.zeros(1) for _ in range(30_000)]
    with pytest.raises(ValueError, match="small arrays in lists that take"):
        saved(est)


def test_many_values_are_kept_as_arrays(X):
    est = SparseAutoencoderTransformer(**QUICK).fit(X)
    est.loss_curve_ = np.linspace(0, 1, 100_000).tolist()
    assert_same(there_and_back(est), est)
