"""Each proximal map against a generic minimizer; what zeros and means become."""

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from scipy.optimize import minimize

from skmtl.head_penalties import L2, GroupSparse, Heads, TowardsMean
from tests import instances

# Four tasks of 2, 3, 0 and 2 classes; the first and the last have the same.
HEADS = Heads(np.array([0, 2, 5, 5, 7]), np.array([0, 1, 2, 0]))
every_penalty = pytest.mark.parametrize("penalty", instances.HEAD_PENALTIES, ids=repr)


@every_penalty
@pytest.mark.parametrize("step", [0.3, 2.0])
def test_shrink_is_the_proximal_map(penalty, step, rng):
    V = rng.standard_normal((7, 3))

    def cost(u):
        U = u.reshape(V.shape)
        return penalty.value(U, HEADS) + np.sum((U - V) ** 2) / (2 * step)

    best = minimize(cost, 0.5 * V.ravel(), method="Powell", options={"xtol": 1e-9, "ftol": 1e-14})
    own = V.copy()
    penalty.shrink(own, step, HEADS, 1.0)
    assert cost(own.ravel()) <= best.fun + 1e-9
    assert_allclose(own, best.x.reshape(V.shape), atol=2e-3)
    again = V.copy()  # one number or an array of it are the same
    penalty.shrink(again, np.full(V.shape, step), HEADS, 1.0)
    assert_allclose(again, own, rtol=1e-12, atol=1e-15)


@every_penalty
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("order", ["C", "F"])
def test_shrink_works_in_place(penalty, dtype, order, rng):
    V = np.asarray(rng.standard_normal((7, 3)), dtype, order)
    V[:, 1] = 0  # a latent that nobody reads
    before = V.copy()
    penalty.shrink(V, np.full_like(V, 0.1), HEADS, 1.0)
    assert V.dtype == dtype and np.isfinite(V).all()
    assert_array_equal(V[:, 1], 0)
    assert np.abs(V).sum() < np.abs(before).sum()


@every_penalty
def test_value_is_of_the_paper(penalty, rng):
    V = rng.standard_normal((7, 3))
    expected = 0.0
    if isinstance(penalty, L2):
        expected = 0.5 * penalty.alpha * (V**2).sum()
    elif isinstance(penalty, GroupSparse):
        for j in range(3):
            for first, stop in [(0, 2), (2, 5), (5, 7)]:
                norm = np.sqrt((V[first:stop, j] ** 2).sum())
                expected += penalty.alpha * np.sqrt(stop - first) * norm
            expected += penalty.alpha_latent * np.sqrt(7) * np.sqrt((V[:, j] ** 2).sum())
    else:
        mean = (V[:2] + V[5:]) / 2
        expected = penalty.rho / 2 * (((V[:2] - mean) ** 2).sum() + ((V[5:] - mean) ** 2).sum())
        expected += penalty.alpha / 2 * (V**2).sum()
    assert_allclose(penalty.value(V, HEADS), expected)


def test_groups_vanish_whole(rng):
    V = rng.standard_normal((7, 40)) * rng.uniform(0, 1, 40)
    GroupSparse(alpha=0.5, warmup=0.0).shrink(V, 1.0, HEADS, 1.0)
    kept = np.stack([V[rows].any(axis=0) for rows in HEADS.of_tasks])
    assert kept.any() and not kept.all()
    for rows, own in zip(HEADS.of_tasks, kept, strict=True):
        assert_array_equal((V[rows] != 0).all(axis=0), own)
    GroupSparse(alpha=0.0, alpha_latent=0.2, warmup=0.0).shrink(V, 1.0, HEADS, 1.0)
    assert (V != 0).all(axis=0).any()
    assert_array_equal(V[:, ~(V != 0).any(axis=0)], 0)


def test_warmup(rng):
    V = rng.standard_normal((7, 3))
    early, late = V.copy(), V.copy()
    penalty = GroupSparse(alpha=0.4, warmup=0.5)
    penalty.shrink(early, 1.0, HEADS, 0.25)
    GroupSparse(alpha=0.2, warmup=0.0).shrink(late, 1.0, HEADS, 1.0)
    assert_allclose(early, late)


def test_a_very_strong_pull_gives_tasks_alike_one_head(rng):
    V = rng.standard_normal((7, 3))
    mean = (V[:2] + V[5:]) / 2
    other = V[2:5].copy()
    TowardsMean(rho=1e12, alpha=0.0).shrink(V, 0.1, HEADS, 1.0)
    assert_allclose(V[:2], mean)
    assert_allclose(V[5:], mean)
    assert_array_equal(V[2:5], other)
