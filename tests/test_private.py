"""Private latents: gradients, a slow twin, and who may hear of whom."""

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from skmtl import _gradients, _layouts, _private
from skmtl._objectives import Batch, Step
from skmtl._private import Private
from skmtl.losses import LogLoss, SquaredError
from skmtl.sparsifiers import Gated, TopK
from tests import instances, naive
from tests.gradients import assert_gradient_matches
from tests.problems import N_CLASSES, small_problem

HEADS = ("W_head", "W_head_own", "b_head")
SIZES = [Private(3, 3), Private(3, 1), Private(2, 2, coactivation=0.7)]
every_size = pytest.mark.parametrize("private", SIZES, ids=repr)
every_layout = pytest.mark.parametrize("sparse", [False, True], ids=["dense", "csr"])
SPARSIFIERS = [
    s for s in instances.SPARSIFIERS if not {"W_dec", "threshold"} & set(s.pseudo_gradients)
]


def problem(sparsifier, private, of_labelled=False, loss=None, **options):
    objective, *rest = small_problem(
        loss or SquaredError(), sparsifier, tasks=True, private=private, **options
    )
    objective.tasks.of_labelled = of_labelled
    return objective, *rest


def unchecked(sparsifier):
    return (*HEADS, *sparsifier.buffers)


@every_layout
@every_size
@pytest.mark.parametrize("of_labelled", [False, True], ids=["all", "labelled"])
@pytest.mark.parametrize("sparsifier", [TopK(k=1), TopK(k=3)], ids=repr)
def test_gradient(sparsifier, private, sparse, of_labelled):
    objective, params, state, batch, step = problem(sparsifier, private, of_labelled, sparse=sparse)
    assert_gradient_matches(objective, params, state, batch, step, skip=HEADS)

    def of_heads(heads):
        """The heads' own objective: the sum of the task losses."""
        at = params | heads
        _, grads = objective(at, state, batch, step)
        rows = batch._replace(X=_layouts.as_rows(batch.X))
        return objective.tasks.losses(at, rows, *objective.read_by_heads(at, rows.X))[
            0
        ].sum(), grads

    assert_gradient_matches(of_heads, {name: params[name] for name in HEADS})


@pytest.mark.parametrize("sparsifier", SPARSIFIERS, ids=repr)
@pytest.mark.parametrize("loss", instances.ADDITIVE_LOSSES, ids=repr)
def test_gradient_beside_every_sparsifier(sparsifier, loss):
    objective, params, *args = problem(sparsifier, SIZES[2], loss=loss)
    assert_gradient_matches(objective, params, *args, skip=unchecked(sparsifier))


@pytest.mark.parametrize("options", ["nested", "tied", "no_reconstruction"])
def test_gradient_with_options(options):
    objective, params, *args = problem(TopK(k=3), SIZES[2])
    if options == "nested":
        objective.reconstruction.nested = (2, 3)
    elif options == "tied":
        objective.tied = True
        params = {n: v for n, v in params.items() if n not in ("W_enc", "W_enc_own")}
    else:
        objective.reconstruction_weight = 0.0
    assert_gradient_matches(objective, params, *args, skip=HEADS)


def test_gates_are_judged_beside_private_latents():
    """What private latents add stands beside the gates' reconstruction too."""
    objective, params, state, batch, step = problem(Gated(alpha=0.2), SIZES[0])
    skip = (*HEADS, "W_dec", "b_dec", "W_dec_own", "W_enc_own", "b_enc_own")
    assert_gradient_matches(objective, params, state, batch, step, skip=skip)


@every_size
def test_code_and_scores_equal_their_twin(private, rng):
    objective, params, _, batch, _ = problem(TopK(k=3), private)
    T = len(N_CLASSES)
    pre = (batch.X - params["b_dec"]) @ params["W_enc_own"].T + params["b_enc_own"]
    expected = np.hstack([naive.topk(own, private.k) for own in np.split(pre, T, axis=1)])
    code, own = objective.read_by_heads(params, batch.X)
    assert_allclose(_layouts.to_dense(own), expected, rtol=1e-12)
    scores = _layouts.to_dense(code) @ params["W_head"].T + params["b_head"]
    offsets = objective.tasks.offsets
    for t in range(T):
        heads = slice(offsets[t], offsets[t + 1])
        block = expected[:, t * private.size : (t + 1) * private.size]
        scores[:, heads] += block @ params["W_head_own"][heads].T
    assert_allclose(objective.scores(params, batch.X), scores, rtol=1e-12)
    allowed = batch.labels >= 0
    own = _private.encode(private, params, batch.X - params["b_dec"], True, allowed)
    mask = np.repeat(allowed, private.size, axis=1)
    assert_allclose(_layouts.to_dense(own), expected * mask, rtol=1e-12)


def test_ties_go_to_the_lower_latent():
    private = Private(4, 2)
    params = {
        "W_enc_own": np.zeros((4, 3)),
        "W_dec_own": np.zeros((4, 3)),
        "b_enc_own": np.array([1.0, 2.0, 1.0, 1.0]),
        "b_dec": np.zeros(3),
    }
    own = _private.encode(private, params, np.zeros((2, 3)), False)
    assert_array_equal(_layouts.to_dense(own), [[1, 2, 0, 0]] * 2)


def test_a_task_trains_its_block_on_its_own_rows_alone():
    objective, params, state, batch, step = problem(TopK(k=3), Private(3, 3))
    labels = batch.labels.copy()
    labels[:, 1] = -1
    labels[4, 1] = 0
    weight = np.where(labels >= 0, 0.1, 0)
    args = state, Batch(batch.X, labels, weight), step
    _, grads = objective(params, *args)
    block = slice(3, 6)
    of_one = _gradients.dense_gradient(grads["W_enc_own"])[block]
    alone = Batch(batch.X[4:5], labels[4:5], weight[4:5])
    _, grads = objective(params, state, alone, Step(step.weight[4:5]))
    assert_allclose(of_one, _gradients.dense_gradient(grads["W_enc_own"])[block], rtol=1e-10)
    labels[4, 1] = -1
    _, grads = objective(params, state, Batch(batch.X, labels, weight), step)
    assert_array_equal(_gradients.dense_gradient(grads["W_enc_own"])[block], 0)
    assert_array_equal(_gradients.dense_gradient(grads["W_dec_own"])[block], 0)


@pytest.mark.parametrize("loss", [SquaredError(), LogLoss()], ids=repr)
def test_coactivation_equals_its_twin(loss):
    values = []
    for strength in (0.0, 0.6):
        objective, params, state, batch, step = problem(
            TopK(k=3), Private(2, 2, coactivation=strength), loss=loss
        )
        values.append(objective(params, state, batch, step)[0])
    code = _layouts.to_dense(objective.forward(params, batch.X, step).code)
    shift = params["b_dec"] if objective.shifted else 0
    own = _private.encode(
        objective.private, params, batch.X - shift, objective.shifted, batch.labels >= 0
    )
    own, expected = _layouts.to_dense(own), 0.0
    for j in range(code.shape[1]):
        for k in range(own.shape[1]):
            expected += 0.6 * sum(step.weight * code[:, j] * own[:, k]) ** 2
    assert_allclose(values[1] - values[0], expected, rtol=1e-9)
