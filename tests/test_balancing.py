"""Balancers, batches, fixed weights and affinity as a fit uses them."""

import pickle
import warnings

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose

from skmtl import MultiTaskSAEClassifier, MultiTaskSAERegressor
from skmtl._balancing import label_groups
from skmtl._gradients import dense_gradient
from skmtl._training import minibatches
from skmtl.balancers import BALANCERS, FAMO, IMTL, DualProj, Equal, PCGrad
from skmtl.losses import SquaredError
from skmtl.metrics import task_groups
from skmtl.sparsifiers import TopK, WinnerTakeAll
from tests import instances
from tests.gradients import assert_gradient_matches
from tests.problems import small_problem


def clf(**params):
    defaults = {"max_iter": 4, "tol": None, "random_state": 0, "batch_size": 32}
    return MultiTaskSAEClassifier(12, **defaults | params)


@pytest.fixture
def problem(rng):
    """Three tasks of about 50 labels a batch, one of them with three classes."""
    X = rng.random((120, 6))
    Y = np.column_stack([X[:, 0] > 0.5, X[:, 1] > 0.3, 3 * X[:, 2] // 1]).astype(float)
    Y[rng.random(Y.shape) < 0.3] = np.nan
    return X, Y


def assert_same_model(a, b):
    for name, array in a._params.items():
        assert np.array_equal(array, b._params[name]), name


# --- every balancer in a fit ---------------------------------------------------------------------


@pytest.mark.parametrize("balancer", instances.BALANCERS, ids=repr)
def test_fits_go_on_bit_for_bit(balancer, problem):
    """Whatever a balancer remembers is in the state; the number of threads does not matter."""
    X, Y = problem
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        whole = clf(balancer=balancer, input_dropout=0.2).fit(X, Y)
    half = clf(balancer=balancer, input_dropout=0.2, max_iter=2, warm_start=True).fit(X, Y)
    half = pickle.loads(pickle.dumps(half)).set_params(n_jobs=2).fit(X, Y)
    assert_same_model(whole, half)
    assert np.isfinite(whole.loss_curve_).all()
    equal = clf(input_dropout=0.2).fit(X, Y)
    differs = not np.array_equal(whole.encoder_components_, equal.encoder_components_)
    if not isinstance(balancer, PCGrad | DualProj):  # equal weights where nothing conflicts
        assert differs == (not isinstance(balancer, Equal))


@pytest.mark.parametrize("name", BALANCERS)
def test_names_and_streams(name, problem):
    X, Y = problem
    model = clf(balancer=name)
    for rows in (slice(0, 60), slice(60, 120)):
        model.partial_fit(X[rows], Y[rows], classes=[[0, 1], [0, 1], [0, 1, 2]])
    assert model.score(X, Y) > 0.3
    assert clf(balancer=name).fit(X, Y[:, 0] == 1).score(X, Y[:, 0] == 1) > 0.3  # one task


@pytest.mark.parametrize("name", BALANCERS)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_dtype_is_kept(name, dtype, problem):
    X, Y = problem
    model = clf(balancer=name).fit(X.astype(dtype), Y)
    assert all(array.dtype == dtype for array in model._params.values())


@pytest.mark.parametrize("name", ["log", "imtl", "mgda", "famo", "gradnorm"])
def test_weights_equal_repetition(name, problem, rng):
    X, Y = problem
    weight = rng.integers(0, 3, len(X))
    weighted = clf(balancer=name, batch_size=500).fit(X, Y, sample_weight=weight)
    repeated = clf(balancer=name, batch_size=500)
    repeated.fit(X.repeat(weight, axis=0), Y.repeat(weight, axis=0))
    assert_allclose(weighted.transform(X), repeated.transform(X), atol=1e-7)


def test_a_balancer_of_ones_own(problem):
    """Anything with the methods serves, and may ask for the Gramian or be told the losses."""
    X, Y = problem
    seen = []

    class Mine:
        needs_gramian, every, momentum = True, 2, 0.5

        def get_params(self, deep=True):
            return {}

        def init(self, n_tasks, priors):
            return {}

        def balance(self, losses, mass, gramian, state, step):
            seen.append(None if gramian is None else gramian.shape)
            return float(losses.mean()), np.full(len(losses), 1 / len(losses))

        def observe(self, losses, state):
            seen.append(losses.shape)

    clf(balancer=Mine(), max_iter=1).fit(X, Y)
    assert seen == [(3, 3), (3,), None, (3,)] * 2


# --- batches -------------------------------------------------------------------------------------


def counts_by_batch(batches, present):
    return np.array([present[rows].sum(axis=0) for rows in batches])


def test_every_batch_holds_its_share_of_disjoint_tasks(rng):
    sizes = rng.integers(3, 90, 29)
    labels = np.full((sizes.sum(), 29), -1)
    labels[np.arange(len(labels)), rng.permutation(np.repeat(np.arange(29), sizes))] = 0
    groups = label_groups(labels)
    batches = minibatches(len(labels), 128, np.random.default_rng(1), groups)
    assert sorted(np.concatenate(batches)) == list(range(len(labels)))
    assert max(map(len, batches)) - min(map(len, batches)) <= 1
    assert max(map(len, batches)) <= 128
    counts = counts_by_batch(batches, labels >= 0)
    share = sizes / len(batches)
    assert (counts >= np.floor(share)).all() and (counts <= np.ceil(share)).all()
    again = minibatches(len(labels), 128, np.random.default_rng(1), groups)
    assert all(np.array_equal(a, b) for a, b in zip(batches, again, strict=True))
    other = minibatches(len(labels), 128, np.random.default_rng(2), groups)
    assert not all(
        np.array_equal(np.sort(a), np.sort(b)) for a, b in zip(batches, other, strict=True)
    )


def test_overlapping_labels_are_spread_more_evenly(rng):
    present = rng.random((900, 8)) < np.linspace(0.01, 0.6, 8)
    groups = label_groups(np.where(present, 0, -1))
    errors = []
    for of in (None, groups):
        batches = minibatches(900, 60, np.random.default_rng(0), of)
        assert sorted(np.concatenate(batches)) == list(range(900))
        counts = counts_by_batch(batches, present)
        errors.append(np.abs(counts - present.sum(axis=0) / 15).max(axis=0))
    assert errors[1][0] <= 1  # the rarest to the label
    assert (errors[1] <= errors[0]).all() and errors[1].sum() < 0.6 * errors[0].sum()


def test_task_balanced_fits(problem):
    X, Y = problem
    model = clf(batching="task_balanced").fit(X, Y)
    assert_same_model(model, clf(batching="task_balanced", n_jobs=2).fit(X, Y))
    assert not np.array_equal(model.components_, clf().fit(X, Y).components_)
    whole = [clf(batching=b, batch_size=500).fit(X, Y) for b in ("shuffled", "task_balanced")]
    assert_same_model(*whole)


def own_samples(rng, n_tasks=10, n_rows=20):
    X = rng.random((n_tasks * n_rows, 4))
    Y = np.full((len(X), n_tasks), np.nan)
    Y[np.arange(len(X)), np.repeat(np.arange(n_tasks), n_rows)] = X[:, 0] > 0.5
    return X, Y


@pytest.mark.parametrize("balancer", [b for b in instances.BALANCERS if b.per_batch], ids=repr)
def test_few_labels_a_batch_are_warned_of_once(balancer, rng):
    X, Y = own_samples(rng)
    with pytest.warns(UserWarning, match="10 of 10 tasks have fewer than 8 labels") as caught:
        clf(balancer=balancer, max_iter=1).fit(X, Y)
    assert len(caught) == 1 and caught[0].filename == __file__
    for remedy in ("batching='task_balanced'", "larger batch_size", "balancer='equal'"):
        assert remedy in str(caught[0].message)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        clf(balancer=balancer, max_iter=1, batching="task_balanced").fit(X, Y)
        clf(balancer=balancer, max_iter=1, batch_size=200).fit(X, Y)
        clf(max_iter=1).fit(X, Y)
        clf(balancer="log", max_iter=1).fit(X, Y)


# --- fixed weights -------------------------------------------------------------------------------


def test_a_task_of_weight_zero_trains_its_head_alone(problem):
    X, Y = problem
    full = {"batch_size": 500, "weight_decay": 0.0}
    for balancer in ("equal", "log", "imtl", "famo"):
        both = clf(task_weights=[2, 0, 0], balancer=balancer, **full).fit(X, Y)
        alone = clf(balancer=balancer, task_weights=[2 / 3], **full).fit(X, Y[:, :1])
        assert_allclose(both.encoder_components_, alone.encoder_components_, atol=1e-9)
        assert all(coef.any() for coef in both.task_coef_)
    assert_same_model(clf(task_weights=[1, 1, 1]).fit(X, Y), clf().fit(X, Y))


def test_task_weights_by_name(problem):
    X, Y = problem
    frame = pd.DataFrame(Y, columns=["a", "b", "c"])
    named = clf(task_weights={"b": 0.5}).fit(X, frame)
    assert_same_model(named, clf(task_weights=[1, 0.5, 1]).fit(X, Y))
    assert_same_model(named, clf(task_weights={1: 0.5}).fit(X, Y))
    series = pd.Series({"b": 0.5, "a": 1.0})  # by its names too, in any order
    assert_same_model(named, clf(task_weights=series).fit(X, frame))
    assert not np.array_equal(named.components_, clf().fit(X, Y).components_)


@pytest.mark.parametrize(
    "task_weights, message",
    [
        ([1, 1], r"one entry per task \(3\); got shape \(2,\)"),
        ([1, -1, 1], "finite, not negative, and above zero for some task"),
        ([1, np.nan, 1], "finite, not negative"),
        ([0, 0, 0], "above zero for some task"),
        ({"d": 1.0}, r"names of tasks, \[0, 1, 2\]; got \['d'\]"),
        (["a", "b", "c"], "must be numbers"),
    ],
)
def test_task_weights_are_checked(task_weights, message, problem):
    with pytest.raises(ValueError, match=f"task_weights must be.*{message}|{message}"):
        clf(task_weights=task_weights).fit(*problem)


# --- affinity ------------------------------------------------------------------------------------


def test_affinity_tells_related_tasks(rng):
    """Two tasks of one half of the features, two of the other."""
    X = rng.random((400, 8))
    left, right = X[:, :4].sum(axis=1), X[:, 4:].sum(axis=1)
    Y = np.column_stack([left > 1.9, left > 2.1, right > 1.9, right > 2.1]).astype(float)
    model = clf(compute_affinity=True, max_iter=20, sparsifier=None).fit(X, Y)
    affinity = model.affinity_
    assert_allclose(affinity, affinity.T)
    assert_allclose(np.diagonal(affinity), 1)
    assert min(affinity[0, 1], affinity[2, 3]) > 0.2 + abs(affinity[:2, 2:]).max()
    assert task_groups(affinity, 2).tolist() == [0, 0, 1, 1]


def test_affinity_changes_nothing_else(problem):
    X, Y = problem
    model = clf(compute_affinity=True).fit(X, Y)
    assert_same_model(model, clf().fit(X, Y))
    assert model.affinity_.shape == (3, 3)
    assert clf(balancer=IMTL()).fit(X, Y).affinity_.shape == (3, 3)
    assert not hasattr(model.set_params(compute_affinity=False).fit(X, Y), "affinity_")
    empty = Y.copy()
    empty[:, 1] = np.nan
    with pytest.warns(UserWarning, match="no label at all"):
        model = clf(compute_affinity=True).fit(X, empty)
    assert np.isnan(model.affinity_[1]).all() and np.isfinite(model.affinity_[0, 2])


# --- in the objective ----------------------------------------------------------------------------


class Fixed(Equal):
    def balance(self, losses, mass, gramian, state, step):
        weights = np.array([0.5, -0.2, 0.0, 1.5])
        return float(weights @ losses), weights


@pytest.mark.parametrize("sparsifier", [TopK(k=1), TopK(k=3), WinnerTakeAll(rate=0.5)], ids=repr)
def test_weights_reach_the_shared_arrays_and_not_the_heads(sparsifier):
    """With weights held fixed the gradient is that of the weighted sum; heads take their own."""
    objective, params, state, batch, step = small_problem(SquaredError(), sparsifier, tasks=True)
    plain = objective(params, state, batch, step)[1]
    objective.tasks.balancer = Fixed()
    objective.tasks.task_weights = np.array([2.0, 1.0, 1.0, 0.0])
    heads = ("W_head", "b_head")
    assert_gradient_matches(objective, params, state, batch, step, skip=heads)
    grads = objective(params, state, batch, step)[1]
    for name in heads:
        assert np.array_equal(dense_gradient(grads[name]), dense_gradient(plain[name]))
    b_enc = (dense_gradient(g["b_enc"]) for g in (grads, plain))
    assert not np.array_equal(*b_enc)


def test_famo_is_told_the_losses_after_the_step(problem):
    """Of the same rows, under the same dropped inputs."""
    X, Y = problem
    told = []

    class Listens(FAMO):
        def balance(self, losses, mass, gramian, state, step):
            told.append(losses)
            return super().balance(losses, mass, gramian, state, step)

        def observe(self, losses, state):
            told.append(losses)

    start = clf(input_dropout=0.5, warm_start=True).fit(X, Y)
    start.set_params(balancer=Listens(), learning_rate=1e-12, max_iter=1)
    start._objective.tasks.balancer = Listens()  # of one kind, so that the fit may go on
    start._state["balancer"] = Listens().init(3, [np.ones(2)] * 3)
    start.fit(X, Y)
    assert len(told) == 8
    for before, after in zip(told[::2], told[1::2], strict=True):
        assert_allclose(after, before, rtol=1e-6)
    assert not np.allclose(told[0], told[2], rtol=1e-3)


@pytest.mark.parametrize("name", BALANCERS)
def test_real_targets(name, problem):
    """Units of a task do not matter to a fit of the regressor, whichever the balancer."""
    X, _ = problem
    Y = np.column_stack([X[:, 0] + X[:, 1], 1e3 * X[:, 2] - 5, -X[:, 0]])
    Y[::7, 1] = np.nan
    models = [
        MultiTaskSAERegressor(12, balancer=name, max_iter=4, tol=None, random_state=0).fit(X, y)
        for y in (Y, Y * [1, 1e-2, 1])
    ]
    assert np.isfinite(models[0].loss_curve_).all()
    assert_allclose(models[0].transform(X), models[1].transform(X), atol=1e-6)
