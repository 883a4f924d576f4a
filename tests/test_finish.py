"""Heads at the minimum of their own problem, against plain proximal gradient steps on arrays."""

import numpy as np
import pytest
import scipy.sparse as sp
from numpy.testing import assert_allclose

from skmtl import MultiTaskSAEClassifier, MultiTaskSAERegressor, _finish
from skmtl.head_penalties import GroupSparse
from tests.naive import finished_heads

CASES = {
    "dense codes": {"sparsifier": None},
    "sparse codes": {"sparsifier": "topk", "n_components": 64},
    "latents for all tasks": {"head_penalty": GroupSparse(0.002, 0.01)},
    "skip": {"skip_connection": True},
}


def problem(cls, n_tasks=3):
    rng = np.random.default_rng(0)
    X = rng.random((40, 6)) * (rng.random((40, 6)) < 0.6)
    Y = X[:, :n_tasks] + X[:, 3:4] if cls is MultiTaskSAERegressor else X[:, :n_tasks].round()
    if cls is MultiTaskSAEClassifier:
        Y[:, 0] += X[:, 3] > 0.5  # three classes
    Y[rng.random(Y.shape) < 0.3] = np.nan
    return X, Y


def finished(cls, X, Y, monkeypatch, n_steps=_finish.N_STEPS, **options):
    """A fit, and on what its heads were finished: tasks, names, rows read, and the bounds."""
    seen = []

    def spy(*args):
        bounds = of(*args)
        tasks, _, names, read = args
        seen.append((tasks, names, read, bounds))
        return bounds

    of = _finish._bounds
    monkeypatch.setattr(_finish, "_bounds", spy)
    monkeypatch.setattr(_finish, "N_STEPS", n_steps)
    options = {"n_components": 12, "head_penalty": "group", "max_iter": 5, "tol": None} | options
    model = cls(**options, random_state=0).fit(X, Y)
    monkeypatch.setattr(_finish, "_bounds", of)
    return model, *seen[-1]


def as_arrays(model, read):
    """What all heads read of the rows, the 1 of the bias last, and the weight of each label."""
    parts, weights = [], []
    for batch, code, _, weight in read:
        columns = [code, batch.X] if "W_skip" in model._params else [code]
        columns = [c if isinstance(c, np.ndarray) else as_dense(c) for c in columns]
        parts.append(np.hstack([*columns, np.ones((len(weight), 1))]))
        weights.append(weight)
    return np.vstack(parts), np.vstack(weights)


def as_dense(code):
    return sp.csr_array((code.data, code.indices, code.indptr), shape=code.shape).toarray()


@pytest.mark.parametrize("sparse", [False, True])
@pytest.mark.parametrize("cls", [MultiTaskSAEClassifier, MultiTaskSAERegressor])
@pytest.mark.parametrize("name", CASES)
def test_bound_of_the_curvature(name, cls, sparse, monkeypatch):
    X, Y = problem(cls)
    X = sp.csr_array(X) if sparse else X
    model, _, names, read, D = finished(cls, X, Y, monkeypatch, 1, **CASES[name])
    Z, weight = as_arrays(model, read)
    curvature = 2 if cls is MultiTaskSAERegressor else 1 / 2
    given = [batch.label_weight * (batch.labels >= 0) for batch, *_ in read]
    assert_allclose(weight, curvature * np.vstack(given))
    bound = np.concatenate([D[n][0] for n in names if n != "b_head"] + [D["b_head"][:1]])
    held = (Z != 0).any(axis=0)
    of_tasks = [(Z[:, held] * w[:, None]).T @ Z[:, held] for w in weight.T]
    for S in of_tasks:  # weights hold h_t
        assert np.linalg.eigvalsh(np.diag(bound[held]) - S).min() > -1e-10
    # No larger than it must be: one direction, x, has that much, where it is one task's.
    if cls is MultiTaskSAERegressor:
        half = np.diag(bound[held]) / 2
        assert any(np.linalg.eigvalsh(half - S).min() < 0 for S in of_tasks)


@pytest.mark.compiled
@pytest.mark.parametrize("cls", [MultiTaskSAEClassifier, MultiTaskSAERegressor])
@pytest.mark.parametrize("name", CASES)
def test_heads_end_at_the_minimum(name, cls, monkeypatch):
    X, Y = problem(cls)
    model, tasks, _, read, _ = finished(cls, X, Y, monkeypatch, **CASES[name])
    Z, _ = as_arrays(model, read)
    weight = np.vstack([batch.label_weight * (batch.labels >= 0) for batch, *_ in read])
    answers = np.vstack([b.labels if b.targets is None else b.targets for b, *_ in read])
    V, value = finished_heads(Z, answers, weight, tasks.offsets, tasks.penalty)
    own = np.hstack([model._params[n] for n in ("W_head", "W_skip") if n in model._params])
    own = np.hstack([own, model._params["b_head"][:, None]])
    assert value(own) < value(V) + 1e-4 * (value(0 * V) - value(V))
    if name != "sparse codes":  # of which there are more than rows
        assert ((own == 0) == (V == 0)).mean() > 0.9


@pytest.mark.compiled
def test_many_tasks_of_few_labels(monkeypatch):
    """Separable, and the curvature of one task is far from that of the others."""
    rng = np.random.default_rng(0)
    X = rng.standard_normal((100, 8))
    Y = (X @ rng.standard_normal((8, 10)) + rng.standard_normal((100, 10))).round().clip(-1, 1)
    Y[rng.random(Y.shape) < 0.9] = np.nan
    values = []
    for n_steps in (0, _finish.N_STEPS, 3000):
        options = {"sparsifier": "topk", "n_components": 64, "max_iter": 20}
        model, tasks, _, read, _ = finished(
            MultiTaskSAEClassifier, X, Y, monkeypatch, n_steps, **options
        )
        Z, _ = as_arrays(model, read)
        weight = np.vstack([batch.label_weight * (batch.labels >= 0) for batch, *_ in read])
        labels = np.vstack([batch.labels for batch, *_ in read])
        _, value = finished_heads(Z, labels, weight, tasks.offsets, tasks.penalty, n_steps=0)
        values.append(value(np.column_stack([model._params["W_head"], model._params["b_head"]])))
    start, end, minimum = values
    assert minimum <= end < minimum + 0.01 * (start - minimum)


@pytest.mark.parametrize("scale", [1e-4, 1e4])
def test_latents_of_any_scale(scale, monkeypatch):
    """A latent in another unit has its weights in that unit's inverse: the bound knows."""
    X, Y = problem(MultiTaskSAEClassifier)
    model, tasks, names, read, D = finished(
        MultiTaskSAEClassifier, X, Y, monkeypatch, 1, sparsifier=None
    )
    factors = np.where(np.arange(12) % 2, scale, 1.0)
    scaled = [(batch, code * factors, *rest) for batch, code, *rest in read]
    of_scaled = _finish._bounds(tasks, model._params, names, scaled)
    live = np.vstack([code for _, code, *_ in read]).any(axis=0)
    assert_allclose(of_scaled["W_head"][:, live], (D["W_head"] * factors**2)[:, live], rtol=1e-9)
    assert_allclose(of_scaled["b_head"], D["b_head"], rtol=1e-9)
