"""Checkpoints: a fit resumed from any of its batches has the bits of one that ran through."""

import copy
import doctest
import errno
import io
import os
import pickle
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
import scipy.sparse as sp
from sklearn.base import clone

import skmtl
from skmtl import (
    Checkpoint,
    MultiTaskSAEClassifier,
    MultiTaskSAERegressor,
    SparseAutoencoderTransformer,
    _archive,
    _atomic,
    _checkpoint,
    _training,
)
from skmtl._files._objects import KINDS
from skmtl._values import Writer
from skmtl.dead_latents import AuxK, Resample
from skmtl.head_penalties import GroupSparse
from skmtl.losses import Mixture
from skmtl.sparsifiers import KL, L1, BatchTopK, TopK
from tests import instances
from tests.files.same import assert_same, results
from tests.killed import digest
from tests.test_callbacks import Recorder

pytestmark = [
    pytest.mark.filterwarnings("ignore:Task .* has"),
    pytest.mark.filterwarnings("ignore:.* tasks have fewer than"),
    pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning"),
]
QUICK = {"n_components": 8, "max_iter": 4, "tol": None, "batch_size": 10, "random_state": 0}


@pytest.fixture(scope="module")
def X():
    return np.random.default_rng(0).random((50, 5))


@pytest.fixture(scope="module")
def Y():
    rng = np.random.default_rng(1)
    Y = rng.integers(0, 3, (50, 3)).astype(float)
    Y[rng.random(Y.shape) < 0.3] = np.nan
    return Y


@pytest.fixture
def kept(monkeypatch):
    """Every snapshot that fits write, as bytes."""
    kept = []

    @contextmanager
    def collecting(path, previous=None):
        file = io.BytesIO()
        yield file
        kept.append(file.getvalue())

    monkeypatch.setattr(_checkpoint, "replacing", collecting)
    return kept


def assert_resumes(est, kept, path, *args, **kwargs):
    """Through, with snapshots, and resumed from each of them: the same estimator to the bit.

    From at most 40 of them; returns how many there are.
    """
    through = clone(est).fit(*args, **kwargs)
    watched = clone(est).set_params(checkpoint=Checkpoint(path, "0s")).fit(*args, **kwargs)
    snapshots = list(kept)
    assert_same_fit(watched, through, args[0])
    for snapshot in snapshots[:: -(-len(snapshots) // 40)]:
        path.write_bytes(snapshot)
        resumed = clone(est).set_params(checkpoint=Checkpoint(path, "0s", resume=True))
        assert_same_fit(resumed.fit(*args, **kwargs), through, args[0])
    return len(snapshots)


def assert_same_fit(est, other, X):
    est.checkpoint = None
    assert_same(est, other)
    assert_same(results(est, X), results(other, X))
    assert digest(est) == digest(other)  # and arrays that were one are one again


SPARSIFIERS = [s for s in instances.SPARSIFIERS if type(s).__name__ != "Softmax"]
OPTIONS = [
    *({"sparsifier": s} for s in SPARSIFIERS),
    {"sparsifier": KL(momentum=0.5)},
    *({"loss": loss} for loss in instances.LOSSES),
    *({"optimizer": optimizer, "weight_decay": 0.1} for optimizer in instances.OPTIMIZERS),
    *({"dead_latents": d, "max_iter": 5} for d in instances.DEAD_LATENTS),
    {"dead_latents": AuxK(window=0.3), "sparsifier": TopK(k=1)},
    {"dead_latents": Resample(times=2), "sparsifier": BatchTopK(k=1)},
    {"sparsifier": None, "decoder_norm": None},
    {"tied": True, "nested_sizes": [2, 5], "input_dropout": 0.2},
    {"transform_algorithm": "refine", "bias_init": "geometric_median"},
    {"early_stopping": True, "validation_fraction": 0.2, "tol": 1e-4, "learning_rate": 0.1},
    {"tol": 0.5, "n_iter_no_change": 2},
    *({"schedule": s, "tol": 1e-4} for s in ("linear_decay", "warmup_cosine")),
    {"sparsifier": L1(warmup=1.0, p_end=0.3), "batch_size": 99},
    {"n_jobs": 2, "n_components": 300},
]


@pytest.mark.compiled
@pytest.mark.parametrize("options", OPTIONS, ids=repr)
def test_transformer(options, X, kept, tmp_path):
    est = SparseAutoencoderTransformer(**QUICK | options)
    n_snapshots = assert_resumes(est, kept, tmp_path / "fit", X.astype(np.float32))
    if est.batch_size == 10 and est.tol is None:  # before the first, after each, at the end
        assert n_snapshots == 1 + 5 * est.max_iter + 1


TASKS = [
    *({"balancer": balancer} for balancer in instances.BALANCERS),
    *({"head_penalty": penalty, "tol": 0.01} for penalty in instances.HEAD_PENALTIES),
    {"pretrain_iter": 2, "pretrained_penalty": 0.1, "optimizer": "sgd"},
    {"pretrain_iter": 2, "n_members": 3, "max_iter": 2},
    {"head_selection": "cv", "max_iter": 1, "pretrain_iter": 1, "batch_size": 25},
    {
        "head_selection": "cv",
        "max_iter": 1,
        "n_members": 2,
        "batch_size": 25,
        "head_penalty": GroupSparse(0.1),
    },
    {"batching": "task_balanced", "compute_affinity": True, "early_stopping": True},
    {"skip_connection": True, "n_private_components": 2, "coactivation_penalty": 0.1},
    {"head_dropout": 0.3, "input_dropout": 0.1, "tied": True, "sparsifier": TopK(2, 3)},
    {"loss": Mixture(), "pretrain_iter": 1, "class_weight": "balanced"},
    {"early_stopping": True, "tol": 1e-4, "learning_rate": 0.1, "transform_algorithm": "refine"},
]


@pytest.mark.compiled
@pytest.mark.parametrize("options", TASKS, ids=repr)
def test_classifier(options, X, Y, kept, tmp_path):
    assert_resumes(MultiTaskSAEClassifier(**QUICK | options), kept, tmp_path / "fit", X, Y)


@pytest.mark.compiled
@pytest.mark.parametrize(
    "options",
    [
        {"head_penalty": "mean"},
        {"early_stopping": True, "pretrain_iter": 1},
        {"n_members": 2, "head_selection": "cv", "max_iter": 1, "batch_size": 25},
    ],
    ids=repr,
)
def test_regressor(options, X, Y, kept, tmp_path):
    est = MultiTaskSAERegressor(**QUICK | options)
    weight = np.linspace(0, 2, len(X))
    assert_resumes(est, kept, tmp_path / "fit", sp.csr_array(X * (X > 0.5)), Y, weight)


def test_validation_rows_are_watched_on(X, Y, kept, tmp_path):
    est = MultiTaskSAEClassifier(**QUICK)
    assert_resumes(est, kept, tmp_path / "fit", X[:30], Y[:30], X_val=X[30:], y_val=Y[30:])


def test_warm_start(X, kept, tmp_path):
    est = SparseAutoencoderTransformer(**QUICK, warm_start=True).fit(X)
    through = copy.deepcopy(est).fit(X)
    copy.deepcopy(est).set_params(checkpoint=Checkpoint(tmp_path / "fit", 1)).fit(X)
    (tmp_path / "fit").write_bytes(kept[2])
    checkpoint = Checkpoint(tmp_path / "fit", 1, resume=True)
    assert_same_fit(copy.deepcopy(est).set_params(checkpoint=checkpoint).fit(X), through, X)


def test_a_chain_of_warm_starts(X, tmp_path, monkeypatch):
    """Each fit goes on from the one before, whose snapshot is there; an interrupted one resumes."""
    checkpoint = Checkpoint(tmp_path / "fit", 1, resume=True)
    through = SparseAutoencoderTransformer(**QUICK, warm_start=True).fit(X).fit(X)
    est = SparseAutoencoderTransformer(**QUICK, warm_start=True, checkpoint=checkpoint).fit(X)
    steps, take_step = iter(range(12)), _training.take_step

    def interrupted(*args):
        if next(steps, None) is None:
            raise KeyboardInterrupt
        return take_step(*args)

    with pytest.raises(KeyboardInterrupt), monkeypatch.context() as patch:
        patch.setattr(_training, "take_step", interrupted)
        with pytest.warns(UserWarning, match=r"fit', of one that went on from another model.*anew"):
            est.fit(X)
    steps = iter(range(20 - 10))  # two epochs are kept
    with monkeypatch.context() as patch:
        patch.setattr(_training, "take_step", interrupted)
        assert_same_fit(est.fit(X), through, X)
    est.set_params(warm_start=False, checkpoint=checkpoint)
    with pytest.raises(ValueError, match=r"warm_start=True, here False; another model that warm"):
        est.fit(X)


def test_indices_of_any_integers_are_the_same_data(X, tmp_path):
    rows = sp.csr_array(np.where(X > 0.5, X, 0))
    wide = rows.copy()
    wide.indices, wide.indptr = wide.indices.astype(np.int64), wide.indptr.astype(np.int64)
    est = sae(tmp_path / "fit", 1).fit(rows)
    resumed = sae(tmp_path / "fit", 1, resume=True).fit(wide)
    assert_same(resumed._params, est._params)


def test_errors_name_the_path_that_was_given(X, tmp_path, monkeypatch):
    with pytest.raises(FileNotFoundError, match=r"nowhere.fit' must be in a folder that exists"):
        sae(tmp_path / "nowhere" / "fit").fit(X)

    def denied(path, mode):
        raise PermissionError(errno.EACCES, "Permission denied", path)

    monkeypatch.setattr(_atomic, "open", denied, raising=False)
    with pytest.raises(PermissionError, match=r"Permission denied: '.*[/\\]fit'"):
        sae(tmp_path / "fit").fit(X)


@pytest.mark.parametrize("make", [lambda: None, lambda: np.random.RandomState(3)])
def test_unseeded_fits_go_on_too(make, X, Y, kept, tmp_path):
    """What was drawn from ``random_state`` is in the snapshot: held-out rows, starts."""
    options = QUICK | {"early_stopping": True, "n_members": 2, "max_iter": 2}
    path = tmp_path / "fit"
    est = MultiTaskSAEClassifier(**options, checkpoint=path).set_params(random_state=make())
    est.set_params(checkpoint=Checkpoint(path, "0s")).fit(X, Y)
    for snapshot in kept[len(kept) // 2 :]:  # of the second member: its seed is there
        path.write_bytes(snapshot)
        again = {"checkpoint": Checkpoint(path, resume=True), "random_state": make()}
        resumed = clone(est).set_params(**again).fit(X, Y)
        assert_same(resumed._members, est._members)
        assert_same(results(resumed, X), results(est, X))


@pytest.mark.parametrize(
    "other", [np.random.RandomState(4), np.random.RandomState(np.random.PCG64(3))]
)
def test_another_random_state_is_another_fit(other, X, tmp_path):
    path = tmp_path / "fit"
    sae(path, random_state=np.random.RandomState(3)).fit(X)
    sae(path, resume=True, random_state=np.random.RandomState(3)).fit(X)
    with pytest.raises(ValueError, match=r"random_state=RandomState in state .*, here RandomState"):
        sae(path, resume=True, random_state=other).fit(X)


# --- when ---------------------------------------------------------------------------------------


def sae(path, every="60s", resume=False, **params):
    checkpoint = Checkpoint(path, every, resume)
    return SparseAutoencoderTransformer(**QUICK | {"checkpoint": checkpoint} | params)


@pytest.mark.parametrize(
    "every, n_snapshots", [(1, 6), (2, 4), (9, 2), ("60s", 2), ("0s", 22), ("0.0s", 22)]
)
def test_every(every, n_snapshots, X, kept, tmp_path):
    sae(tmp_path / "fit", every).fit(X)
    assert len(kept) == n_snapshots


def test_a_path_will_do(X, tmp_path):
    for path in (tmp_path / "fit", str(tmp_path / "other")):
        sae(None, checkpoint=path).fit(X)
        assert sorted(tmp_path.glob("*")) != []
        assert_same_fit(sae(path, resume=True).fit(X), sae(None, checkpoint=None).fit(X), X)


def test_without_a_snapshot_a_fit_begins_anew(X, tmp_path):
    through = sae(None, checkpoint=None).fit(X)
    assert_same_fit(sae(tmp_path / "fit", resume=True).fit(X), through, X)
    assert {path.name for path in tmp_path.iterdir()} == {"fit", "fit.previous"}


def test_without_resume_a_fit_begins_anew(X, Y, tmp_path):
    sae(tmp_path / "fit", learning_rate=0.1).fit(X)
    assert_same_fit(sae(tmp_path / "fit").fit(X), sae(None, checkpoint=None).fit(X), X)


@pytest.mark.parametrize("cls", [SparseAutoencoderTransformer, MultiTaskSAEClassifier])
def test_a_finished_fit_takes_no_step(cls, X, Y, tmp_path, monkeypatch):
    own = {"head_selection": "cv", "n_members": 2} if cls is MultiTaskSAEClassifier else {}
    est = cls(**QUICK | own, checkpoint=Checkpoint(tmp_path / "fit", resume=True)).fit(X, Y)
    monkeypatch.setattr(_training, "take_step", None)
    monkeypatch.setattr(_checkpoint, "replacing", None)  # and writes nothing
    assert_same_fit(clone(est).fit(X, Y), est.set_params(checkpoint=None), X)


def test_callbacks_hear_of_the_rest(X, kept, tmp_path):
    sae(tmp_path / "fit", 1).fit(X)
    (tmp_path / "fit").write_bytes(kept[2])  # the end of the second epoch is yet to come
    recorder = Recorder(stop_at=2)
    resumed = sae(tmp_path / "fit", 1, resume=True).set_callbacks(recorder).fit(X, None)
    assert recorder.events.count(("end", "epoch")) == 2
    assert resumed.n_iter_ == len(resumed.loss_curve_) == 3


# --- which fit ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "change, message",
    [
        (lambda a: a["X"].__setitem__((3, 2), 0.123), "another X"),
        (lambda a: a.update(X=a["X"].astype(np.float32)), "another X"),
        (lambda a: a["y"].__setitem__((3, 2), 0), "another y"),
        (lambda a: a.update(sample_weight=np.arange(50)), "another sample_weight"),
        (lambda a: a.update(X_val=a["X"][:9], y_val=a["y"][:9]), "another X_val"),
        (lambda a: a["est"].set_params(n_components=9), "n_components=8, here 9"),
        (lambda a: a["est"].set_params(max_iter=9), "max_iter=4, here 9"),
        (
            lambda a: a["est"].set_params(sparsifier__k=2),
            r"sparsifier=TopK\(.* k=3.*, here TopK\(.* k=2",
        ),
        (
            lambda a: a["est"].set_params(class_weight={0: 2, 1: 1, 2: 1.5}),
            "class_weight=None, here {0: 2, 1: 1, 2: 1.5}",
        ),
        (lambda a: a["est"].set_params(random_state=1), "random_state=0, here 1"),
        (lambda a: a["est"].set_params(random_state=None), "random_state=0, here None"),
    ],
)
def test_another_fit_is_refused(change, message, X, Y, tmp_path):
    path = tmp_path / "fit"
    Y = Y.copy()
    Y[3, 2] = 1
    est = MultiTaskSAEClassifier(**QUICK, sparsifier=TopK(k=3), checkpoint=Checkpoint(path))
    est.fit(X, Y)
    arguments = {"est": clone(est), "X": X.copy(), "y": Y.copy()}
    change(arguments)
    other = arguments.pop("est").set_params(checkpoint__resume=True)
    before = path.read_bytes()
    with pytest.raises(ValueError, match=f"checkpoint must be of this very fit.*{message}"):
        other.fit(**arguments)
    assert path.read_bytes() == before
    assert not other.__sklearn_is_fitted__()


def test_what_may_differ(X, tmp_path, capsys):
    sae(tmp_path / "fit", sparsifier=TopK(k=3)).fit(X)
    free = {"n_jobs": 2, "verbose": 1, "sparsifier": TopK(k=np.int64(3))}
    resumed = sae(tmp_path / "fit", 3, resume=True, **free).fit(X)
    assert resumed.n_iter_ == 4


def test_another_version_is_refused(X, tmp_path, monkeypatch):
    sae(tmp_path / "fit").fit(X)
    monkeypatch.setattr(_checkpoint, "__version__", "99")
    with pytest.raises(ValueError, match=r"this very fit.*skmtl=\S+, here 99"):
        sae(tmp_path / "fit", resume=True).fit(X)


# --- the file -------------------------------------------------------------------------------------


def test_a_damaged_snapshot(X, tmp_path):
    path, before = tmp_path / "fit", tmp_path / "fit.previous"
    through = sae(path, 1).fit(X).set_params(checkpoint=None)
    whole = path.read_bytes()
    path.write_bytes(whole[:-9])
    with pytest.warns(UserWarning, match=r"fit' must be a snapshot.*Resuming from.*fit.previous'"):
        assert_same_fit(sae(path, 1, resume=True).fit(X), through, X)
    before.unlink()
    for bad in (
        whole[:-9],
        b"",
        b"nonsense",
        whole[: len(whole) // 2] + whole[len(whole) // 2 + 1 :],
    ):
        path.write_bytes(bad)
        with pytest.raises(ValueError, match=r"checkpoint must be a snapshot of a fit.*Remove it"):
            sae(path, resume=True).fit(X)
        assert path.read_bytes() == bad
    path.unlink()
    before.write_bytes(whole)  # as if killed between the two renames
    assert_same_fit(sae(path, resume=True).fit(X), through, X)


def test_models_and_snapshots_are_told_apart(X, tmp_path):
    path = tmp_path / "fit"
    est = sae(path).fit(X)
    with pytest.raises(ValueError, match=r"must be a model file.*holds no estimator"):
        skmtl.load(path)
    skmtl.save(est, path)
    (tmp_path / "fit.previous").unlink()
    with pytest.raises(ValueError, match="checkpoint must be a snapshot of a fit"):
        sae(path, resume=True).fit(X)


def test_a_model_file_names_no_path(X, tmp_path):
    est = sae(tmp_path / "fit").fit(X)
    skmtl.save(est, tmp_path / "model")
    loaded = skmtl.load(tmp_path / "model")
    assert loaded.checkpoint is None
    assert est.checkpoint.path == tmp_path / "fit"
    writer = Writer("est", KINDS)
    node = writer.put(loaded)
    node["object"]["SparseAutoencoderTransformer"]["checkpoint"] = "/etc/passwd"
    with open(tmp_path / "model", "wb") as file:
        _archive.write(file, node, writer.arrays)
    with pytest.raises(ValueError, match="must be a model file"):
        skmtl.load(tmp_path / "model")


def test_pickles_and_clones_keep_it(X, tmp_path):
    est = sae(tmp_path / "fit", 2).fit(X)
    for copied in (clone(est), pickle.loads(pickle.dumps(est))):
        assert repr(copied.checkpoint) == repr(est.checkpoint)
    assert est.get_params()["checkpoint__every"] == 2


class Full:
    """A file on a disk that is full after some bytes."""

    def __init__(self, file, room):
        self.file, self.room = file, room

    def __enter__(self):
        self.file.__enter__()
        return self

    def __exit__(self, *error):
        self.file.__exit__(*error)

    def __getattr__(self, name):
        return getattr(self.file, name)

    def write(self, data):
        self.room -= len(data)
        if self.room < 0:
            raise OSError(errno.ENOSPC, "No space left on device")
        return self.file.write(data)


@pytest.mark.parametrize("fitted", [False, True])
def test_a_full_disk(fitted, X, tmp_path, monkeypatch):
    path = tmp_path / "fit"
    est = sae(path, 1)
    if fitted:
        est.fit(X)
    size = len(path.read_bytes()) if fitted else 4000
    room = iter([10**9, 10**9, 10**9, size // 2])
    monkeypatch.setattr(_atomic, "open", lambda *args: Full(open(*args), next(room)), raising=False)
    state = dict(vars(est))
    with pytest.raises(OSError, match="No space left"):
        est.fit(X)
    assert vars(est) == state
    assert {p.name for p in tmp_path.iterdir()} == {"fit", "fit.previous"}  # no half of one
    monkeypatch.undo()
    assert_same_fit(sae(path, 1, resume=True).fit(X), sae(None, checkpoint=None).fit(X), X)


def test_a_folder_that_cannot_be_written_to_is_found_at_once(X, tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setattr(_training, "take_step", None)
    for path in (tmp_path / "file" / "fit", tmp_path / "nowhere" / "fit"):
        for resume in (False, True):
            with pytest.raises(OSError):
                sae(path, resume=resume).fit(X)
    if os.geteuid():  # permissions do not bind root
        tmp_path.chmod(0o500)
        with pytest.raises(PermissionError):
            sae(tmp_path / "fit").fit(X)


def test_a_link_stays(X, tmp_path):
    (tmp_path / "there").mkdir()
    link = tmp_path / "fit"
    link.symlink_to(tmp_path / "there" / "fit")
    sae(link, 1).fit(X)
    assert link.is_symlink()
    assert {path.name for path in (tmp_path / "there").iterdir()} == {"fit", "fit.previous"}


def test_many_tasks(X, tmp_path):
    """Each task has arrays of its own, more than a model file may hold."""
    Y = np.random.default_rng(0).integers(0, 2, (50, 1500))
    est = MultiTaskSAEClassifier(**QUICK | {"max_iter": 1, "checkpoint": tmp_path / "fit"})
    through = clone(est).set_params(checkpoint=None).fit(X, Y)
    for _ in range(2):
        assert_same(est.fit(X, Y)._params, through._params)
        est.set_params(checkpoint=Checkpoint(tmp_path / "fit", resume=True))


# --- who ----------------------------------------------------------------------------------------


def test_partial_fit_and_add_task_write_none(X, Y, tmp_path):
    y = np.arange(50) % 2
    checkpoint = tmp_path / "fit"
    est = MultiTaskSAEClassifier(**QUICK, checkpoint=checkpoint)
    est.partial_fit(X, Y, classes=[[0, 1, 2]] * 3).add_task(X, y)
    assert not checkpoint.exists()


@pytest.mark.parametrize(
    "checkpoint, message",
    [
        (7, "'checkpoint' parameter"),
        (Checkpoint(7), "'path' parameter of Checkpoint"),
        (Checkpoint("fit", every=0), "'every' parameter of Checkpoint"),
        (Checkpoint("fit", every=1.5), "'every' parameter of Checkpoint"),
        (Checkpoint("fit", every="1 minute"), "'every' parameter of Checkpoint must be a number"),
        (Checkpoint("fit", every=True), "'every' parameter of Checkpoint must be a number"),
        (
            Checkpoint("fit", every="\u0666\u0660s"),
            "'every' parameter of Checkpoint must be a number",
        ),
        (Checkpoint("fit", resume="yes"), "'resume' parameter of Checkpoint"),
    ],
)
def test_bad_parameters(checkpoint, message, X):
    with pytest.raises(ValueError, match=message):
        sae(None, checkpoint=checkpoint).fit(X)


def test_state_of_ones_own_that_cannot_be_kept(X, tmp_path):
    class Own(TopK):
        def term(self, batch, fwd, adj, params, state, grads, step):
            state["mine"] = object()
            return 0.0

    with pytest.raises(TypeError, match=r"checkpoint must be made of .*object at .*\['mine'\]"):
        sae(tmp_path / "fit", 1, sparsifier=Own(k=2)).fit(X)


def test_the_example_of_the_docs():
    page = Path(__file__).parent.parent / "docs" / "reliability.rst"
    result = doctest.testfile(str(page), module_relative=False)
    assert result.attempted > 5 and result.failed == 0


@pytest.mark.parametrize("resume", [True, False])
@pytest.mark.parametrize("name", ["", ".", "folder", "a\0b"])
def test_a_folder_is_left_where_it_is(name, resume, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "folder" / "inside").mkdir(parents=True)
    est = SparseAutoencoderTransformer(4, checkpoint=Checkpoint(name, resume=resume))
    with pytest.raises(ValueError, match="checkpoint must be the path of a file"):
        est.fit(np.random.default_rng(0).random((20, 3)))
    assert [path.name for path in tmp_path.iterdir()] == ["folder"]
    assert [path.name for path in (tmp_path / "folder").iterdir()] == ["inside"]
