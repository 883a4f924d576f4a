"""Checkpoints: a fit resumed from any of its batches has the bits of one that ran through."""

import io
from contextlib import contextmanager

import numpy as np
import pytest
from sklearn.base import clone

from skmtl import (
    Checkpoint,
    MultiTaskSAEClassifier,
    SparseAutoencoderTransformer,
    _checkpoint,
)
from skmtl.dead_latents import AuxK, Resample
from skmtl.head_penalties import GroupSparse
from skmtl.losses import Mixture
from skmtl.sparsifiers import KL, L1, BatchTopK, TopK
from tests import instances
from tests.files.same import assert_same, results

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
