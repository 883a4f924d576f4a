"""What heads read: the code, X beside it. Gradients, layouts and twins."""

from dataclasses import replace

import numpy as np
import pytest
from numpy.testing import assert_allclose

from skmtl import _gradients, _layouts
from skmtl._objectives import WeightDecay
from skmtl.losses import SquaredError
from skmtl.sparsifiers import L1, TopK, WinnerTakeAll
from tests import instances, naive
from tests.gradients import assert_gradient_matches
from tests.problems import small_problem

CODES = [TopK(k=1), TopK(k=3), L1(alpha=0.3)]
HEADS = ("W_head", "W_skip", "b_head")
every_layout = pytest.mark.parametrize("sparse", [False, True], ids=["dense", "csr"])
few_labels = pytest.mark.parametrize("of_labelled", [False, True], ids=["all", "labelled"])
every_kind = pytest.mark.parametrize("kinds", instances.HEADS, ids=str)


def problem_with_skip(sparsifier, sparse, of_labelled=False, kinds="softmax"):
    objective, *rest = small_problem(
        SquaredError(), sparsifier, tasks=True, kinds=kinds, skip=True, sparse=sparse
    )
    objective.tasks.of_labelled = of_labelled
    return objective, *rest


@every_layout
@few_labels
@every_kind
@pytest.mark.parametrize("sparsifier", CODES, ids=repr)
def test_gradient_with_skip(sparsifier, kinds, sparse, of_labelled):
    objective, params, state, batch, step = problem_with_skip(
        sparsifier, sparse, of_labelled, kinds
    )
    objective.terms.append(WeightDecay(0.3, ("W_enc", "W_head", "W_skip")))
    assert_gradient_matches(objective, params, state, batch, step, skip=HEADS)

    def of_heads(heads):
        """The heads' own objective: the sum of the task losses."""
        at = params | heads
        _, grads = objective(at, state, batch, step)
        rows = batch._replace(X=_layouts.as_rows(batch.X))
        code = objective.forward(at, rows.X, step).code
        decay = sum(0.15 * np.vdot(heads[name], heads[name]) for name in ("W_head", "W_skip"))
        return objective.tasks.losses(at, rows, code)[0].sum() + decay, grads

    assert_gradient_matches(of_heads, {name: params[name] for name in HEADS})


@every_layout
@few_labels
@every_kind
def test_scores_and_losses_equal_their_twin(kinds, sparse, of_labelled):
    objective, params, _, batch, step = problem_with_skip(TopK(k=3), sparse, of_labelled, kinds)
    code = objective.forward(params, _layouts.as_rows(batch.X), step).code
    X = batch.X.toarray() if sparse else batch.X
    scores = naive.scores(_layouts.to_dense(code), X, params)
    assert_allclose(objective.scores(params, batch.X), scores, rtol=1e-10)
    offsets, weight = objective.tasks.offsets, batch.label_weight
    expected = naive.softmax_losses(scores, offsets, batch.labels, weight)
    if batch.targets is not None:
        squared = naive.squared_losses(scores, offsets, batch.targets, weight)
        expected = np.where(np.broadcast_to(kinds, 4) == "softmax", expected, squared)
    assert_allclose(objective.validate(params, batch, step.weight), expected, rtol=1e-10)


@every_layout
@every_kind
@pytest.mark.parametrize("sparsifier", CODES, ids=repr)
def test_scores_of_labelled_classes_alone_give_the_same_with_skip(sparsifier, kinds, sparse):
    results = []
    for of_labelled in (False, True):
        objective, *args = problem_with_skip(sparsifier, sparse, of_labelled, kinds)
        value, grads = objective(*args)
        results.append({n: _gradients.dense_gradient(g) for n, g in grads.items()} | {"": value})
    for name, gradient in results[0].items():
        assert_allclose(gradient, results[1][name], rtol=1e-10, atol=1e-13, err_msg=name)


@every_layout
@few_labels
@pytest.mark.parametrize("sparsifier", [*CODES, WinnerTakeAll(rate=0.5)], ids=repr)
def test_gradient_with_head_dropout(sparsifier, sparse, of_labelled):
    """With the latents that are left out held fixed, the gradient is the value's."""
    objective, params, state, batch, step = problem_with_skip(sparsifier, sparse, of_labelled)
    objective.tasks.dropout = 0.4

    def with_same_latents(params):
        return objective(params, state, batch, replace(step, rng=np.random.default_rng(3)))

    assert_gradient_matches(with_same_latents, params, skip=HEADS)
    value, _ = with_same_latents(params)
    other, _ = objective(params, state, batch, replace(step, rng=np.random.default_rng(4)))
    assert value != other
