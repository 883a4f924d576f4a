"""Formulas in the form that holds, each on the input that breaks the other form.

Elsewhere: logits far out (``tests/losses``), ties and k above the width (``tests/sparsifiers/
test_topk.py``), the rates of KL at 0 and 1 (``test_penalties.py``), JumpReLU's threshold beside
its closed form (``test_jumprelu.py``), moments far from the origin (``tests/test_linalg.py``), and
losses of tasks with gaps over batches (``tests/test_scales.py``).
"""

import numpy as np
import pytest
from numpy.testing import assert_allclose
from scipy.special import log_softmax, softmax

from skmtl import MultiTaskSAEClassifier, SparseAutoencoderTransformer, _linalg
from skmtl._autoencoder import Adjoints, Signals
from skmtl._constraints import UnitAtoms
from skmtl._gradients import Rows
from skmtl._objectives import Step
from skmtl._softmax_heads import softmax_by_task, softmax_loss
from skmtl.losses import LogLoss, SquaredError
from skmtl.optimizers import Adam
from skmtl.sparsifiers import L1
from tests.hostile.doors import X, Y, make

DTYPES = [np.float32, np.float64]


def heads(scores, labels, n_classes, dtype):
    """Losses and gradient of one row, by the kernel of the heads."""
    scores, offsets = np.array([scores], dtype), np.cumsum([0, *n_classes])
    labels = np.array([labels], np.int32)
    d_scores, losses = np.zeros_like(scores), np.zeros(len(n_classes))
    own, weight = np.ones(len(n_classes), bool), np.ones(labels.shape, dtype)
    softmax_loss(scores, offsets, own, labels, weight, d_scores, losses)
    return losses, d_scores[0]


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("scores", [[1000, 0, -1000], [0, 1000], [-1e30, 1e30], [17, 0]])
def test_cross_entropy_of_logits_far_out(scores, dtype):
    """exp(1000) overflows, and -log(1 - p) of p = sigmoid(17) = 1 would be infinite in float32."""
    for label in range(len(scores)):
        losses, d_scores = heads(scores, [label], [len(scores)], dtype)
        expected = -log_softmax(np.array(scores, float))[label]
        assert_allclose(losses[0], expected, rtol=1e-6, atol=1e-30)
        one_hot = np.arange(len(scores)) == label
        assert_allclose(d_scores, softmax(np.array(scores, float)) - one_hot, atol=1e-6)


def test_a_task_without_classes_or_label_has_no_loss_and_no_gradient():
    losses, d_scores = heads([1, 2, 3, 4, 5], [0, -1, -1], [2, 0, 3], np.float64)
    assert losses[0] > 0 and losses[1:].tolist() == [0, 0]
    assert not d_scores[2:].any()


@pytest.mark.parametrize("dtype", DTYPES)
def test_probabilities_of_logits_far_out(dtype):
    scores = np.array([[1000, 0, 1e30, -1e30, -1e30]], dtype)
    softmax_by_task(scores, np.array([0, 2, 2, 5]))
    assert scores.tolist() == [[1, 0, 1, 0, 0]]


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("size", [1e-37, 1e-25, 1.0, 1e25, 1e37])
def test_atoms_of_any_size_get_unit_norm(size, dtype):
    """Squares of 1e-25 and 1e25 are out of float32's range; a zero atom has no direction."""
    W = (size * np.array([[3.0, 4.0, 0.0], [0.0, 0.0, 0.0]])).astype(dtype)
    with np.errstate(over="ignore"):  # as in a fit
        UnitAtoms().after_step(Rows(np.arange(2), W, 2), W, 0.1)
    assert_allclose(W, [[0.6, 0.8, 0], [0, 0, 0]], rtol=1e-6)


@pytest.mark.parametrize("dtype", DTYPES)
def test_adam_steps_of_gradients_of_any_size(dtype):
    """A step is the rate times the sign, as long as squares are numbers; below it is smaller."""
    for size in (1e-5, 1.0, 1e15):
        params = {"w": np.zeros(3, dtype)}
        adam, gradient = Adam(), (size * np.array([1, -1, 0])).astype(dtype)
        state = adam.init(params)
        adam.begin(state)
        adam.update("w", gradient, params, state, 0.1)
        assert_allclose(params["w"], [-0.1, 0.1, 0], rtol=2e-3)


def test_adams_bias_correction_is_of_double_precision():
    """1 - 0.999 in float32 is off by 1.3e-5: the first step in float32 equals that in float64."""
    steps = []
    for dtype in DTYPES:
        params, adam = {"w": np.zeros(1, dtype)}, Adam()
        state = adam.init(params)
        for _ in range(3):
            adam.begin(state)
            adam.update("w", np.ones(1, dtype), params, state, 1.0)
        steps.append(float(params["w"][0]))
    assert_allclose(*steps, rtol=1e-6)


def test_a_gradient_whose_square_overflows_is_an_error():
    """The step would be 0 in silence."""
    with pytest.raises(ValueError, match="Scale X"):
        make(SparseAutoencoderTransformer, max_iter=1).fit((1e15 * X).astype("f4"))


def test_l1_of_an_atom_of_no_length_has_a_finite_gradient(rng):
    """The slope of a norm at zero is taken to be zero."""
    code, weight, grads = rng.random((7, 2)), rng.random(7), {}
    fwd, adj = Signals(pre=code, code=code), Adjoints(np.zeros_like(code))
    params = {"W_dec": np.array([[0.0, 0.0], [3.0, 4.0]])}
    L1(0.3, atom_norm=True).term(None, fwd, adj, params, {}, grads, Step(weight))
    assert not grads["W_dec"][0].any() and np.isfinite(grads["W_dec"]).all()
    assert_allclose(grads["W_dec"][1], 0.3 * (weight @ code[:, 1]) * np.array([0.6, 0.8]))


@pytest.mark.parametrize("loss", [SquaredError(), LogLoss()])
def test_every_column_twice_changes_no_loss_in_its_unit(loss, rng):
    """Losses are sums over features; in units of the best constant they do not know how many."""
    A, recon = rng.random((20, 3)), rng.random((20, 3))
    ratios = []
    for columns in (slice(None), [0, 1, 2, 0, 1, 2]):
        unit = loss.baseline(*_linalg.weighted_moments(A[:, columns], np.ones(20)))
        ratios.append(loss.per_row(recon[:, columns], A[:, columns]) / unit)
    assert_allclose(*ratios)


@pytest.mark.parametrize("mean, dtype", [(1e4, np.float32), (1e8, np.float64)])
def test_a_small_variance_far_from_zero(mean, dtype, rng):
    """The mean of squares less the square of the mean would be negative, or twice too much."""
    A = (mean + rng.standard_normal((1000, 2))).astype(dtype)
    got, variance = _linalg.weighted_moments(A, np.ones(1000))
    assert_allclose(got, A.astype(np.longdouble).mean(axis=0).astype(float), rtol=1e-12)
    assert_allclose(variance, A.astype(np.longdouble).var(axis=0).astype(float), rtol=1e-6)


def test_a_constant_column_has_no_variance(rng):
    A = np.full((1000, 1), 1e8 + 0.1)
    assert _linalg.weighted_moments(A, rng.random(1000))[1] == 0


@pytest.mark.compiled
def test_sums_over_many_rows_in_float32():
    """A running sum of 0.1 in float32 is off by percents after a million rows."""
    n = 1_000_000
    A = np.full((n, 1), 0.1, np.float32)
    mean, _ = _linalg.weighted_moments(A, np.ones(n, np.float32))
    assert_allclose(mean, np.float64(np.float32(0.1)), rtol=1e-9)
    d_recon = np.empty_like(A)
    weight = np.full(n, 1 / n, np.float32)
    value = SquaredError().value_and_grad(np.zeros_like(A), A, weight, d_recon)
    assert_allclose(value, 0.01, rtol=1e-4)
    labels, losses = np.zeros((n, 1), np.int32), np.zeros(1)
    scores = np.zeros((n, 3), np.float32)
    of_all = np.array([0, 3]), np.ones(1, bool), labels, np.full((n, 1), 1 / n, np.float32)
    softmax_loss(scores, *of_all, np.empty_like(scores), losses)
    assert_allclose(losses, np.log(3), rtol=1e-4)


def test_no_public_call_writes_to_what_it_is_given():
    """Not to rows, labels, weights or masks; the hostile cases compare them byte by byte."""
    arrays = X.copy(), Y.copy(), np.ones(Y.shape), np.ones(Y.shape, bool)
    for array in arrays:
        array.flags.writeable = False
    rows, y, weight, mask = arrays
    settings = {"head_selection": "cv", "pretrain_iter": 1, "early_stopping": True, "batch_size": 4}
    model = make(MultiTaskSAEClassifier, **settings).fit(rows, y, weight, mask)
    model.fit(rows, y, weight, mask, X_val=rows, y_val=y).score(rows, y, weight)
    model.set_params(early_stopping=False).partial_fit(rows, y, sample_weight=weight)
    model.add_task(rows, y[:, 1], sample_weight=weight[:, 0])
    code = model.transform(rows)
    code.flags.writeable = False
    transformer = make(SparseAutoencoderTransformer).fit(rows, sample_weight=weight[:, 0])
    assert transformer.inverse_transform(code).shape == X.shape
