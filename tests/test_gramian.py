"""The Gramian of the tasks' gradients against a backward pass for each; its average; affinity."""

from dataclasses import replace

import numpy as np
import pytest
from numpy.testing import assert_allclose

from skmtl._gramian import AveragedGramian, affinity
from skmtl._private import Private
from skmtl.losses import Mixture, SquaredError
from skmtl.sparsifiers import Gated, Softmax, TopK
from tests import instances, naive
from tests.problems import small_problem


def disjoint(batch):
    """Each row keeps one of its labels."""
    rows = np.arange(len(batch.labels))[:, None]
    own = np.arange(batch.labels.shape[1]) == np.array([0, 1, 3])[rows % 3]
    return batch._replace(
        labels=np.where(own, batch.labels, -1), label_weight=batch.label_weight * own
    )


def both_gramians(objective, params, state, batch, step, names=("W_enc", "b_enc")):
    """The fast one, as the objective hands it to the balancer, and the slow one."""
    state = dict(state)
    objective.tasks.average = AveragedGramian(every=1, momentum=0.0)
    objective(params, state, batch, replace(step, rng=np.random.default_rng(5)))
    mass = objective.tasks.mass(batch)
    mean_loss = np.where(mass > 0, 1 / np.where(mass > 0, mass, 1), 0)
    again = replace(step, rng=np.random.default_rng(5))
    gradients = naive.task_gradients(objective, params, state, batch, again, names)
    slow = gradients @ gradients.T * np.outer(mean_loss, mean_loss)
    return state["gramian"]["mean"], slow


def assert_same(fast, slow):
    assert slow[0, 1] != 0
    assert_allclose(fast, slow, rtol=1e-10, atol=1e-13 * slow.max())


@pytest.mark.parametrize("labels", ["gaps", "disjoint"])
@pytest.mark.parametrize("of_labelled", [False, True], ids=["all scores", "labelled"])
@pytest.mark.parametrize("sparse", [False, True], ids=["dense", "csr"])
@pytest.mark.parametrize("sparsifier", instances.SPARSIFIERS, ids=repr)
def test_gramian_equals_a_backward_pass_for_each_task(sparsifier, sparse, of_labelled, labels):
    objective, params, state, batch, step = small_problem(
        SquaredError(), sparsifier, tasks=True, sparse=sparse
    )
    objective.tasks.of_labelled = of_labelled
    if labels == "disjoint":
        batch = disjoint(batch)
    assert_same(*both_gramians(objective, params, state, batch, step))


@pytest.mark.parametrize("sparse", [False, True], ids=["dense", "csr"])
@pytest.mark.parametrize("sparsifier", [TopK(k=1), TopK(k=3), Gated()], ids=repr)
def test_gramian_of_tied_and_corrupted(sparsifier, sparse):
    objective, params, *args = small_problem(SquaredError(), sparsifier, tasks=True, sparse=sparse)
    objective.input_dropout = 0.3
    assert_same(*both_gramians(objective, params, *args))
    objective.tied = True
    del params["W_enc"]
    assert_same(*both_gramians(objective, params, *args, names=("W_dec", "b_enc")))


@pytest.mark.parametrize("sparsifier", instances.SPARSIFIERS, ids=repr)
def test_gramian_under_head_dropout(sparsifier):
    objective, params, *args = small_problem(SquaredError(), sparsifier, tasks=True)
    objective.tasks.dropout = 0.4
    assert_same(*both_gramians(objective, params, *args))


@pytest.mark.parametrize("sparsifier", [TopK(k=1), TopK(k=3)], ids=repr)
def test_gramian_beside_what_else_heads_read_and_real_targets(sparsifier):
    problem = small_problem(
        SquaredError(),
        sparsifier,
        tasks=True,
        kinds=["softmax", "squared_error", "softmax", "squared_error"],
        skip=True,
        private=Private(3, 1),
    )
    assert_same(*both_gramians(*problem))


def test_gramian_with_the_mixture():
    problem = small_problem(Mixture(distribution="gaussian"), Softmax(), tasks=True)
    assert_same(*both_gramians(*problem))


def test_the_gramian_changes_no_gradient():
    for sparsifier in instances.SPARSIFIERS:
        objective, params, state, batch, step = small_problem(
            SquaredError(), sparsifier, tasks=True
        )
        value, grads = objective(params, dict(state), batch, step)
        objective.tasks.average = AveragedGramian()
        again, others = objective(params, dict(state), batch, step)
        assert value == again
        for name in ("W_enc", "b_enc", "W_dec", "W_head"):
            a, b = (np.asarray(getattr(g[name], "values", g[name])) for g in (grads, others))
            assert a.dtype == object or np.array_equal(a, b), (sparsifier, name)


# --- the average ---------------------------------------------------------------------------------


def random_gramian(n, rng, rank=None):
    J = rng.standard_normal((n, rank or 2 * n))
    return J @ J.T


def test_average_of_tasks_that_are_always_there(rng):
    average, state, mean = AveragedGramian(every=1, momentum=0.5), {}, np.zeros((3, 3))
    for k in range(6):
        fresh = random_gramian(3, rng)
        share = max(0.5, 1 / (k + 1))
        mean = (1 - share) * mean + share * fresh
        assert_allclose(average(lambda fresh=fresh: fresh, np.ones(3), state), mean)


def test_absent_tasks_keep_their_average_and_it_stays_a_gramian(rng):
    average, state = AveragedGramian(every=1, momentum=0.9), {}
    for _ in range(50):
        here = rng.random(5) < 0.5
        before = state["gramian"]["mean"].copy() if state else np.zeros((5, 5))
        fresh = random_gramian(5, rng, rank=3) * np.outer(here, here)
        average(lambda fresh=fresh: fresh, here * 2.0, state)
        mean = state["gramian"]["mean"]
        away = ~here
        assert_allclose(mean[np.ix_(away, away)], before[np.ix_(away, away)])
        assert np.linalg.eigvalsh(mean)[0] > -1e-12 * np.trace(mean)
    assert (np.diagonal(mean) > 0).all()


def test_a_task_that_comes_rarely_is_measured_by_its_mean_loss(rng):
    """Half the labels in a batch halve the gradient of the sum, not that of the mean."""
    fresh, mass = random_gramian(2, rng), np.array([1.0, 0.5])
    got = AveragedGramian(every=1)(lambda: fresh * np.outer(mass, mass), mass, {})
    assert_allclose(got, fresh)


def test_recomputed_every_few_steps(rng):
    calls = []

    def compute():
        calls.append(1)
        return random_gramian(2, rng)

    average, state = AveragedGramian(every=3), {}
    due = [average(compute, np.ones(2), state) is not None for _ in range(7)]
    assert due == [True, False, False, True, False, False, True] and len(calls) == 3


def test_overflow_leaves_the_average_alone(rng):
    average, state = AveragedGramian(every=1), {}
    average(lambda: np.eye(2), np.ones(2), state)
    assert average(lambda: np.full((2, 2), np.inf), np.ones(2), state) is None
    assert_allclose(state["gramian"]["mean"], np.eye(2))


def test_affinity_is_the_mean_cosine():
    average, state = AveragedGramian(every=1, momentum=0.0), {}
    G = np.array([[4.0, 1.0, 0], [1.0, 1.0, 0], [0, 0, 0]])
    average(lambda: G, np.array([1.0, 1, 0]), state)
    average(lambda: G * [[1, -1, 1], [-1, 1, 1], [1, 1, 1]] * 1e9, np.array([1.0, 1, 0]), state)
    got = affinity(state)
    assert_allclose(got[:2, :2], np.eye(2), atol=1e-15)
    assert np.isnan(got[2]).all() and np.isnan(got[:, 2]).all()
