import numpy as np
import pytest
from numpy.testing import assert_allclose

from skmtl import SparseAutoencoderTransformer, _layouts
from skmtl._autoencoder import Adjoints, Signals
from skmtl._gradients import dense_gradient
from skmtl._objectives import Step
from skmtl.datasets import make_sparse_codes
from skmtl.metrics import l0
from skmtl.sparsifiers import JumpReLU
from tests import naive
from tests.problems import small_problem


def forward(sparsifier, pre, threshold, scale=1.0, unit=1.0):
    params = {
        "threshold": threshold / scale,
        "b_enc": np.zeros(pre.shape[1]),
        "scale": np.full(1, scale),
        "level": np.ones(1),
        "unit": np.full(1, unit),
        "W_dec": np.full((pre.shape[1], 3), 0.7),
    }
    weight = np.linspace(0.5, 1.5, len(pre)) / len(pre)
    step = Step(weight)
    return Signals(pre, sparsifier.forward(pre, params, step)), params, step


def on_support(fwd, dense):
    code = fwd.code
    rows = np.repeat(np.arange(code.shape[0]), np.diff(code.indptr))
    return _layouts.with_values(code, dense[rows, code.indices])


@pytest.mark.parametrize("penalty", ["l0", "target_l0"])
def test_threshold_feels_the_window_around_the_pre_activation(penalty, rng):
    """Both halves of the window, below the threshold too, where the code is zero."""
    pre, threshold = rng.standard_normal((30, 6)), rng.uniform(0.1, 0.6, 6)
    sparsifier = JumpReLU(penalty, l0=2, strength=0.3, bandwidth=0.5)
    fwd, params, step = forward(sparsifier, pre, threshold, scale=1.6, unit=2.0)
    assert_allclose(_layouts.to_dense(fwd.code), np.where(pre > threshold, pre, 0))
    d_code = rng.standard_normal(pre.shape)
    adj, grads = Adjoints(on_support(fwd, d_code)), {}
    value = sparsifier.term(None, fwd, adj, params, {}, grads, step)
    sparsifier.backward(fwd, adj, params, grads, step)
    active = step.weight @ (pre > threshold).sum(axis=1)
    if penalty == "l0":
        expected, slope = 0.6 * active, 0.6
    else:
        expected, slope = 0.6 * (active / 2 - 1) ** 2, 0.6 * (active / 2 - 1)
    assert_allclose(value, expected)
    by_hand = naive.jumprelu_threshold_gradient(
        pre, threshold, 0.5 * 1.6, d_code, slope, step.weight
    )
    assert_allclose(grads["threshold"], 1.6 * by_hand, atol=1e-12)
    below = (pre < threshold) & (threshold - pre < 0.4)
    assert below.any() and np.isin(np.flatnonzero(below.any(axis=0)), fwd.code.indices).all()
    assert_allclose(_layouts.to_dense(adj.pre[0]), np.where(pre > threshold, d_code, 0))


def test_tanh_passes_the_window_on_to_the_encoder(rng):
    pre, threshold = rng.standard_normal((30, 6)), rng.uniform(0.1, 0.6, 6)
    sparsifier = JumpReLU("tanh", strength=0.0, bandwidth=0.5)
    fwd, params, step = forward(sparsifier, pre, threshold)
    d_code = rng.standard_normal(pre.shape)
    adj = Adjoints(on_support(fwd, d_code))
    sparsifier.backward(fwd, adj, params, {}, step)
    inside = abs(pre - threshold) < 0.25
    expected = d_code * ((pre > threshold) + inside * threshold / 0.5)
    assert_allclose(_layouts.to_dense(adj.pre[0]), expected, atol=1e-12)


def test_dead_latents_are_drawn_to_their_thresholds(rng):
    objective, params, state, batch, step = small_problem(
        *_parts(JumpReLU("tanh", strength=1e-12, revival=0.5, bandwidth=1e-6))
    )
    state["fired"], state["idle"] = np.zeros(8), np.zeros(8, np.int64)
    params["threshold"] = np.where(np.arange(8) < 2, 50.0, 0.1)  # two never fire
    params["scale"] = np.ones(1)
    step.epoch_rows = 30
    _, before = objective(params, state, batch, step)
    assert state["idle"][:2].tolist() == [12, 12]
    state["idle"][:2] = 30
    _, after = objective(params, state, batch, step)
    norm = np.linalg.norm(params["W_dec"][:2], axis=1)
    assert_allclose(before["threshold"][:2], 0, atol=1e-9)
    assert_allclose(after["threshold"][:2], 0.5 * step.weight.sum() * norm, rtol=1e-6)
    assert_allclose(dense_gradient(after["b_enc"])[:2], -0.5 * step.weight.sum() * norm, rtol=1e-6)


def _parts(sparsifier):
    from skmtl.losses import SquaredError

    return SquaredError(), sparsifier


@pytest.mark.compiled
@pytest.mark.parametrize("n_rows, max_iter", [(300, 30), (3000, 1), (3000, 20)])
def test_target_l0_is_met_on_the_training_rows(n_rows, max_iter):
    X, _, _ = make_sparse_codes(n_rows, 32, 48, 4, random_state=0, dtype=np.float32)
    sae = SparseAutoencoderTransformer(
        64, sparsifier=JumpReLU(l0=8), max_iter=max_iter, tol=None, random_state=0
    ).fit(X)
    assert_allclose(l0(sae.transform(X)), 8, rtol=0.02)


@pytest.mark.compiled
@pytest.mark.parametrize("factor", [0.3, 1.0, 100.0])
def test_target_l0_is_reached_whatever_the_scale(factor):
    X, _, _ = make_sparse_codes(3000, 32, 48, 4, random_state=0, dtype=np.float32)
    X = np.float32(factor) * X
    sae = SparseAutoencoderTransformer(
        64,
        sparsifier=JumpReLU(l0=6),
        learning_rate=0.003,
        max_iter=30,
        tol=None,
        random_state=0,
    ).fit(X)
    assert_allclose(sae.firing_rate_.sum(), 6, rtol=0.25)  # in training; afterwards exactly


@pytest.mark.compiled
def test_more_strength_fewer_active():
    X, _, _ = make_sparse_codes(3000, 32, 48, 4, random_state=0, dtype=np.float32)
    for penalty in ("l0", "tanh"):
        active = []
        for strength in (1e-4, 1e-2):
            sparsifier = JumpReLU(penalty, l0=16, strength=strength)
            sae = SparseAutoencoderTransformer(
                64,
                sparsifier=sparsifier,
                learning_rate=0.003,
                max_iter=40,
                tol=None,
                random_state=0,
            ).fit(X)
            active.append(l0(sae.transform(X)))
        assert active[0] > 1.3 * active[1] > 0


@pytest.mark.parametrize("progress, target", [(0.0, 5.0), (0.25, 3.5), (0.5, 2.0), (1.0, 2.0)])
def test_target_falls_over_the_first_half_of_the_fit(progress, target, rng):
    pre, threshold = rng.standard_normal((30, 6)), rng.uniform(0.1, 0.6, 6)
    sparsifier = JumpReLU(l0=2, anneal_from=5)
    fwd, params, step = forward(sparsifier, pre, threshold)
    step.progress = progress
    adj = Adjoints(on_support(fwd, np.zeros_like(pre)))
    value = sparsifier.term(None, fwd, adj, params, {}, {}, step)
    active = step.weight @ (pre > threshold).sum(axis=1)
    assert_allclose(value, (active / target - 1) ** 2)
    assert_allclose(JumpReLU("l0", anneal_from=5)._target(0.0), 16)


def test_first_thresholds_are_those_of_the_first_target(rng):
    pre, weight = rng.standard_normal((200, 10)), np.full(200, 1.0)
    params = {}
    JumpReLU(l0=2, anneal_from=4).calibrate(pre, weight, 1.0, params)
    threshold = params["scale"][0] * params["threshold"]
    assert abs((pre > threshold).sum(axis=1).mean() - 4) < 0.05
