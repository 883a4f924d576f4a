"""Regressors, private latents, penalties and added tasks keep all they have, too."""

import numpy as np
import pytest
import scipy.sparse as sp

from skmtl import MultiTaskSAEClassifier, MultiTaskSAERegressor
from tests import instances
from tests.files.same import assert_same, results
from tests.files.test_save_load import QUICK, assert_goes_on_as, there_and_back

pytestmark = pytest.mark.filterwarnings("ignore:Task .* has", "ignore:.* fewer than 8 labels")
OPTIONS = [
    {"skip_connection": True, "weight_decay": 0.1},
    {"n_private_components": 3, "k_private": 2, "coactivation_penalty": 0.1, "tied": True},
    {"n_private_components": 2, "head_dropout": 0.2, "compute_affinity": True},
    {"pretrained_penalty": 0.1, "pretrain_iter": 1, "task_weights": [1.0, 2.0, 0.5]},
    {"batching": "task_balanced", "batch_size": 8},
    {"n_members": 3},
    *({"head_penalty": penalty} for penalty in instances.HEAD_PENALTIES),
]


@pytest.fixture(scope="module")
def X():
    return np.random.default_rng(0).random((40, 5))


@pytest.mark.parametrize("options", OPTIONS, ids=repr)
@pytest.mark.parametrize("cls", [MultiTaskSAEClassifier, MultiTaskSAERegressor])
def test_structure(cls, options, X):
    rng = np.random.default_rng(1)
    Y = rng.integers(0, 3, (40, 3)).astype(float)
    Y[rng.random(Y.shape) < 0.3] = np.nan
    est = cls(**QUICK | options).fit(X, Y)
    assert_goes_on_as(there_and_back(est), est, X, Y)


def test_regressors_labels(X):
    for Y in (X[:, 0], np.column_stack([X[:, 0], np.full(40, np.nan)])):
        est = MultiTaskSAERegressor(**QUICK).fit(X, Y)
        assert_same(there_and_back(est), est)
        assert_same(results(there_and_back(est), X), results(est, X))


def test_heads_finished_on_sparse_rows(X):
    rows = sp.csr_array(np.where(X > 0.5, X, 0))
    Y = np.column_stack([X[:, 0] > 0.5, X[:, 1] > 0.5])
    est = MultiTaskSAEClassifier(**QUICK, skip_connection=True, head_penalty="group").fit(rows, Y)
    assert_goes_on_as(there_and_back(est), est, rows, Y)


@pytest.mark.parametrize("n_private", [0, 2])
def test_an_added_task(n_private, X):
    Y = np.column_stack([np.arange(40) % 2, np.full(40, np.nan)])
    est = MultiTaskSAEClassifier(**QUICK, n_private_components=n_private).fit(X, Y)
    est.add_task(X, np.array(["a", "b"] * 20), name="late")
    loaded = there_and_back(est)
    assert_same(loaded, est)
    assert_same(loaded.predict(X), est.predict(X))
