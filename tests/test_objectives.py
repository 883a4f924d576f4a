"""Gradients of every loss, sparsifier and layout against finite differences; shards; twins."""

import copy
from dataclasses import replace
from itertools import product

import numpy as np
import pytest
from numpy.testing import assert_allclose

from skmtl import MultiTaskSAEClassifier, _gradients, _layouts
from skmtl._objectives import Batch, Objective, StayNear, Step, Tasks, WeightDecay
from skmtl._softmax_heads import softmax_by_task, softmax_loss
from skmtl.losses import SquaredError
from skmtl.sparsifiers import KL, L1, BatchTopK, Gated, Softmax, TopK, WinnerTakeAll
from tests import instances, naive
from tests.gradients import assert_gradient_matches
from tests.problems import N_CLASSES, labels_with_gaps, small_problem

PAIRS = [
    *product(instances.ADDITIVE_LOSSES, instances.SPARSIFIERS),
    *((loss, Softmax()) for loss in instances.MIXTURES),
]
HEADS = ("W_head", "b_head")
every_kind = pytest.mark.parametrize("kinds", instances.HEADS, ids=str)
ACROSS_ROWS = (KL, BatchTopK, WinnerTakeAll)


def unchecked(sparsifier):
    """What no finite difference can tell: it is checked elsewhere, or no gradient is meant."""
    return (*sparsifier.buffers, *sparsifier.pseudo_gradients)


def sums_over_rows(sparsifier):
    return not isinstance(sparsifier, ACROSS_ROWS) and "target_l0" not in str(
        sparsifier.get_params()
    )


@pytest.mark.parametrize("sparse", [False, True], ids=["dense", "csr"])
@pytest.mark.parametrize("loss, sparsifier", PAIRS, ids=repr)
def test_gradient(loss, sparsifier, sparse):
    objective, params, *args = small_problem(loss, sparsifier, sparse=sparse)
    assert_gradient_matches(objective, params, *args, skip=unchecked(sparsifier))


@pytest.mark.parametrize("loss, sparsifier", PAIRS, ids=repr)
def test_gradient_with_tasks(loss, sparsifier):
    objective, params, *args = small_problem(loss, sparsifier, tasks=True)
    assert_gradient_matches(objective, params, *args, skip=HEADS + unchecked(sparsifier))


@pytest.mark.parametrize("loss", instances.ADDITIVE_LOSSES, ids=repr)
def test_gated_holds_the_decoder_of_its_gates_fixed(loss):
    """With that decoder really held fixed, every gradient is the value's."""
    objective, params, *args = small_problem(loss, Gated(alpha=0.2))
    judge, at = objective.reconstruction.judge, params

    def judged_at(params, X, weight, fwd, code):
        fixed = params | {"W_dec": at["W_dec"], "b_dec": at["b_dec"]}
        shifted = at["b_dec"] - params["b_dec"]  # the target too is measured from b_dec
        if loss.shifts_input:
            fwd = replace(fwd, input=fwd.input - shifted)
        return judge(fixed, X, weight, fwd, code)

    objective.reconstruction.judge = judged_at
    assert_gradient_matches(objective, params, *args)


@pytest.mark.parametrize("sparse", [False, True], ids=["dense", "csr"])
@pytest.mark.parametrize("loss", instances.ADDITIVE_LOSSES, ids=repr)
@pytest.mark.parametrize("sparsifier", [TopK(k=1), TopK(k=3), L1(alpha=0.3)], ids=repr)
def test_gradient_of_nested_tied_and_corrupted(loss, sparsifier, sparse):
    for options in ("nested", "tied", "input_dropout", "all"):
        objective, params, state, batch, step = small_problem(loss, sparsifier, sparse=sparse)
        if options in ("nested", "all"):
            objective.reconstruction.nested = (2, 3)
        if options in ("tied", "all"):
            objective.tied = True
            del params["W_enc"]
        if options in ("input_dropout", "all"):
            objective.input_dropout = 0.3

        def same_noise(params, *args, objective=objective, step=step):
            return objective(params, *args, replace(step, rng=np.random.default_rng(5)))

        assert_gradient_matches(same_noise, params, state, batch)


@pytest.mark.parametrize("k", [1, 3])
def test_nested_loss_is_the_mean_over_prefixes(k):
    objective, params, state, batch, step = small_problem(SquaredError(), TopK(k=k))
    objective.reconstruction.nested = (2, 5)
    code = _layouts.to_dense(objective.forward(params, batch.X, step).code)
    losses = [
        step.weight
        @ ((code[:, :s] @ params["W_dec"][:s] + params["b_dec"] - batch.X) ** 2).sum(axis=1)
        for s in (2, 5, 8)
    ]
    assert_allclose(objective(params, state, batch, step)[0], np.mean(losses))


@every_kind
@pytest.mark.parametrize("sparsifier", [TopK(k=1), TopK(k=3)], ids=repr)
def test_heads_take_their_own_gradient(sparsifier, kinds):
    """Heads are trained by the sum of the task losses, whatever the balancer's weights."""
    objective, params, state, batch, step = small_problem(
        SquaredError(), sparsifier, tasks=True, kinds=kinds
    )

    def sum_of_losses(params):
        _, grads = objective(params, state, batch, step)
        code = objective.forward(params, batch.X, step).code
        heads = {name: grads[name] for name in HEADS}
        return objective.tasks.losses(params, batch, code)[0].sum(), heads

    assert_gradient_matches(
        lambda heads: sum_of_losses(params | heads), {name: params[name] for name in HEADS}
    )


def test_gradient_of_weight_decay():
    objective, params, *args = small_problem(SquaredError(), TopK(k=1))
    objective.terms.append(WeightDecay(0.3, ("W_enc", "W_dec")))
    assert_gradient_matches(objective, params, *args)


def test_gradient_of_staying_near():
    objective, params, state, *args = small_problem(SquaredError(), TopK(k=1))
    rng = np.random.default_rng(1)
    names = StayNear.names & params.keys()
    state["pretrained"] = {n: params[n] + rng.standard_normal(params[n].shape) for n in names}
    objective.terms.append(StayNear(0.3))
    assert_gradient_matches(objective, params, state, *args)


@pytest.mark.parametrize("loss, sparsifier", PAIRS, ids=repr)
def test_gradient_at_reconstruction_weight_zero(loss, sparsifier):
    objective, params, *args = small_problem(loss, sparsifier, tasks=True)
    objective.reconstruction_weight = 0.0
    assert_gradient_matches(objective, params, *args, skip=HEADS + unchecked(sparsifier))


@pytest.mark.parametrize("k", [1, 3])
def test_sparse_and_dense_codes_agree(k, monkeypatch):
    """The layout of a code changes cost, not results."""
    values = []
    for share in (0.0, 1.0):
        monkeypatch.setattr(_layouts, "SPARSE_BELOW", share)
        objective, params, *args = small_problem(SquaredError(), TopK(k=k), tasks=True)
        code = objective.forward(params, args[1].X, args[2]).code
        assert isinstance(code, _layouts.CSR) == (share == 1.0)
        value, grads = objective(params, *args)
        values.append((value, {n: _gradients.dense_gradient(g) for n, g in grads.items()}))
    assert_allclose(values[0][0], values[1][0], rtol=1e-12)
    for name, gradient in values[0][1].items():
        assert_allclose(gradient, values[1][1][name], rtol=1e-10, atol=1e-13, err_msg=name)


@every_kind
@pytest.mark.parametrize("loss, sparsifier", [p for p in PAIRS if sums_over_rows(p[1])], ids=repr)
def test_shards_add_up_to_the_batch(loss, sparsifier, kinds):
    """Values and gradients are sums over rows, unless a sparsifier looks across them."""
    objective, params, state, batch, step = small_problem(loss, sparsifier, tasks=True, kinds=kinds)
    value, grads = objective(params, state, batch, step)
    shards = []
    for rows in (slice(0, 5), slice(5, 12)):
        part = Batch(*(None if array is None else array[rows] for array in batch))
        shards.append(objective(params, state, part, Step(step.weight[rows])))
    assert_allclose(sum(v for v, _ in shards), value, rtol=1e-12)
    for name, gradient in grads.items():
        total = sum(_gradients.dense_gradient(g[name]) for _, g in shards)
        assert_allclose(total, _gradients.dense_gradient(gradient), rtol=1e-9, atol=1e-13)


@every_kind
def test_masked_labels_change_nothing(kinds):
    """A gap, a weight of zero and whatever label lies under it are one and the same."""
    objective, params, state, batch, step = small_problem(
        SquaredError(), TopK(k=3), tasks=True, kinds=kinds
    )
    gaps = batch.labels < 0
    assert gaps.any()
    other = batch._replace(labels=np.where(gaps, 0, batch.labels))
    if batch.targets is not None:
        other = other._replace(targets=np.where(gaps, 1e9, batch.targets))
    for a, b in zip(
        _flat(objective(params, state, batch, step)),
        _flat(objective(params, state, other, step)),
        strict=True,
    ):
        assert np.array_equal(a, b)


def _flat(result):
    value, grads = result
    return [np.asarray(value), *(_gradients.dense_gradient(grads[n]) for n in sorted(grads))]


def test_task_losses_equal_their_twin(rng):
    labels, weight = labels_with_gaps(20, rng)
    offsets = np.concatenate([[0], np.cumsum(N_CLASSES)])
    scores = rng.standard_normal((20, offsets[-1])) * 30
    losses, d_scores = np.zeros(4), np.empty_like(scores)
    softmax_loss(scores, offsets, np.ones(4, bool), labels, weight, d_scores, losses)
    assert_allclose(losses, naive.softmax_losses(scores, offsets, labels, weight), rtol=1e-12)
    p = scores.copy()
    softmax_by_task(p, offsets)
    for t in (0, 1, 3):
        own = p[:, offsets[t] : offsets[t + 1]]
        assert_allclose(own.sum(axis=1), 1)
        one_hot = np.eye(N_CLASSES[t])[np.maximum(labels[:, t], 0)] * (labels[:, [t]] >= 0)
        expected = weight[:, [t]] * (own - one_hot)
        assert_allclose(d_scores[:, offsets[t] : offsets[t + 1]], expected, atol=1e-14)


def test_extreme_scores_stay_finite():
    scores = np.array([[1000.0, -1000.0, 0.0]])
    losses, d_scores = np.zeros(1), np.empty_like(scores)
    softmax_loss(
        scores,
        np.array([0, 3]),
        np.ones(1, bool),
        np.array([[1]]),
        np.ones((1, 1)),
        d_scores,
        losses,
    )
    assert losses[0] == 2000 and np.isfinite(d_scores).all()


def test_objective_leaves_its_inputs_alone():
    for loss, sparsifier in PAIRS:
        objective, params, state, batch, step = small_problem(loss, sparsifier, tasks=True)
        before = copy.deepcopy((params, batch, step.weight))
        objective(params, state, batch, step)
        for name, array in before[0].items():
            assert np.array_equal(array, params[name])
        assert all(np.array_equal(a, b) for a, b in zip(before[1], batch, strict=True))
        assert np.array_equal(before[2], step.weight)


def test_objective_has_no_registry():
    """The equations take any object with the methods; nothing is looked up by name."""

    class Halved(TopK):
        def forward(self, pre, params, step):
            code = super().forward(pre, params, step)
            return _layouts.with_values(code, _layouts.values(code) / 2)

        def backward(self, fwd, adj, params, grads, step):
            super().backward(fwd, adj, params, grads, step)
            adj.pre[0] = _layouts.with_values(fwd.code, _layouts.values(adj.pre[0]) / 2)

    objective, params, *args = small_problem(SquaredError(), Halved(k=1))
    assert isinstance(objective, Objective)
    assert_gradient_matches(objective, params, *args)


@pytest.mark.parametrize("sparsifier", [TopK(k=1), TopK(k=3), KL()], ids=repr)
@pytest.mark.parametrize("n_classes", [(2, 2, 2, 2), N_CLASSES])
def test_scores_of_labelled_classes_alone_give_the_same(sparsifier, n_classes):
    """Forming scores only where there is a label changes cost, not results."""
    objective, params, state, batch, step = small_problem(SquaredError(), sparsifier, tasks=True)
    offsets = np.concatenate([[0], np.cumsum(n_classes)])
    labels = np.where(batch.labels < np.array(n_classes), batch.labels, -1)
    labels[3] = -1  # a row without any label
    batch = batch._replace(labels=labels)
    rng = np.random.default_rng(1)
    params["W_head"] = rng.standard_normal((offsets[-1], 8))
    params["b_head"] = rng.standard_normal(offsets[-1])
    results = []
    for of_labelled in (False, True):
        objective.tasks = Tasks(offsets, objective.tasks.balancer, of_labelled)
        results.append(objective(params, state, batch, step))
    assert_allclose(results[0][0], results[1][0], rtol=1e-12)
    for name, gradient in results[0][1].items():
        a, b = (_gradients.dense_gradient(g) for g in (gradient, results[1][1][name]))
        assert_allclose(a, b, rtol=1e-10, atol=1e-13, err_msg=name)


def test_few_labels_train_the_same_model(rng):
    """One label a row among 20 tasks: the two ways to form scores train alike."""
    X, Y = rng.random((200, 5)), np.full((200, 20), np.nan)
    Y[np.arange(200), rng.integers(0, 20, 200)] = rng.integers(0, 2, 200)
    models = []
    for below in (0.0, 1.0):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(_layouts, "SPARSE_BELOW", below)
            model = MultiTaskSAEClassifier(8, sparsifier=None, max_iter=5, tol=None, random_state=0)
            models.append(model.fit(X, Y))
    assert [m._objective.tasks.of_labelled for m in models] == [False, True]
    for name, array in models[0]._params.items():
        assert_allclose(array, models[1]._params[name], atol=1e-10, err_msg=name)
