"""BatchTopK and winner-take-all: in training rows compete, afterwards each stands alone."""

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from skmtl import SparseAutoencoderTransformer, _layouts
from skmtl._objectives import Step
from skmtl.datasets import make_sparse_codes
from skmtl.metrics import dead_fraction, l0
from skmtl.sparsifiers import BatchTopK, TopK, WinnerTakeAll
from tests import naive


def trained(sparsifier, pre, weight=None):
    weight = np.full(len(pre), 1 / len(pre)) if weight is None else weight
    params = {"b_enc": np.zeros(pre.shape[1])}
    params |= sparsifier.init(pre.shape[1], pre.dtype, np.random.default_rng(0))
    return _layouts.to_dense(sparsifier.forward(pre, params, Step(weight.astype(pre.dtype))))


@pytest.mark.parametrize("k", [1, 3, 12])
@pytest.mark.parametrize("shape", [(1, 8), (7, 8), (70, 12)])
def test_batch_topk_equals_its_twin(shape, k, rng):
    for shift in (0, -2, 2):  # few positive, many positive
        pre = rng.standard_normal(shape) + shift
        equal = np.ones(len(pre))
        k_there = min(k, shape[1])
        assert_array_equal(trained(BatchTopK(k), pre), naive.batch_topk(pre, equal, k_there))
        weight = rng.integers(1, 4, len(pre)).astype(float)
        code = trained(BatchTopK(k), pre, weight)
        assert_array_equal(code, naive.batch_topk(pre, weight, k_there))


@pytest.mark.parametrize("sparsifier", [BatchTopK(2), WinnerTakeAll(0.15)], ids=repr)
def test_weights_are_repetition(sparsifier, rng):
    pre, weight = rng.standard_normal((20, 12)), rng.integers(1, 4, 20)
    repeated = trained(sparsifier, np.repeat(pre, weight, axis=0))
    weighted = trained(sparsifier, pre, weight.astype(float))
    assert_array_equal(np.repeat(weighted, weight, axis=0), repeated)


def test_batch_topk_is_adaptive(rng):
    """Rows with more to say get more latents: the reason it exists."""
    pre = rng.standard_normal((100, 50)) + np.where(np.arange(100) < 50, 1.0, -1.0)[:, None]
    active = (trained(BatchTopK(5), pre) > 0).sum(axis=1)
    assert active.sum() == 500 and active[:50].mean() > 3 * active[50:].mean()


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("n_blocks", [1, 7])
def test_threshold_is_the_exact_quantile(weighted, n_blocks, rng):
    pre = rng.standard_normal((210, 30)).astype(np.float32)
    weight = rng.uniform(0.5, 2, 210) if weighted else np.ones(210)
    params = {"threshold": np.zeros(1, np.float32), "b_enc": np.zeros(30, np.float32)}
    sparsifier = BatchTopK(4)
    sparsifier.freeze(iter(np.split(pre, n_blocks)), weight, params)
    step = Step(np.ones(210, np.float32), train=False)
    code = _layouts.to_dense(sparsifier.forward(pre, params, step))
    mean = np.average((code > 0).sum(axis=1), weights=weight)
    assert 4 - 1e-9 <= mean < 4 + 2 / 210
    if not weighted:
        assert mean == 4


def test_fewer_positive_entries_than_k_keep_them_all(rng):
    pre = np.where(rng.random((50, 10)) < 0.1, 1.0, -1.0)
    params = {"threshold": np.ones(1), "b_enc": np.zeros(10)}
    BatchTopK(4).freeze(iter([pre]), np.ones(50), params)
    assert params["threshold"] == 0


@pytest.mark.compiled
@pytest.mark.parametrize("max_iter", [1, 100])
def test_batch_topk_holds_k_after_one_epoch_as_after_a_hundred(max_iter):
    """No running average that starts somewhere: peers have 22 latents for k = 4 at first."""
    X, _, _ = make_sparse_codes(6000, 32, 48, 3, random_state=0, dtype=np.float32)
    train, held_out = X[:4000], X[4000:]
    sae = SparseAutoencoderTransformer(
        64, sparsifier=BatchTopK(4), max_iter=max_iter, tol=None, random_state=0
    ).fit(train)
    assert_allclose(l0(sae.transform(train)), 4, rtol=0.02)
    assert_allclose(l0(sae.transform(held_out)), 4, rtol=0.05)
    one_by_one = np.vstack([sae.transform(row[None]) for row in held_out[:20]])
    assert_allclose(one_by_one, sae.transform(held_out[:20]), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("rate", [0.05, 0.3, 1.0])
def test_winner_take_all_equals_its_twin(rate, rng):
    pre = rng.standard_normal((37, 20))
    equal, weight = np.ones(37), rng.uniform(0.5, 2, 37)
    code = trained(WinnerTakeAll(rate), pre)
    assert_array_equal(code, naive.winner_take_all(pre, equal, rate))
    if rate < 1:
        assert ((code > 0).sum(axis=0) == np.ceil(rate * 37)).all()
    code = trained(WinnerTakeAll(rate), pre, weight)
    assert_array_equal(code, naive.winner_take_all(pre, weight, rate))


def test_winner_take_all_is_a_relu_afterwards(digits):
    X, _ = digits
    sae = SparseAutoencoderTransformer(
        50, sparsifier=WinnerTakeAll(0.05), max_iter=3, tol=None, random_state=0
    ).fit(X)
    pre = (X - sae.decoder_bias_) @ sae.encoder_components_.T + sae.encoder_bias_
    assert_allclose(sae.transform(X), np.maximum(pre, 0), rtol=1e-9, atol=1e-12)


@pytest.mark.compiled
def test_winner_take_all_keeps_latents_alive():
    """Every latent learns from every batch; under TopK without help many stop."""
    X, _, _ = make_sparse_codes(3000, 32, 24, 3, random_state=0)
    dead = {}
    for sparsifier in (TopK(2), WinnerTakeAll(0.03)):
        sae = SparseAutoencoderTransformer(
            200,
            sparsifier=sparsifier,
            dead_latents="ignore",
            learning_rate=0.01,
            max_iter=15,
            tol=None,
            random_state=0,
        ).fit(X)
        dead[type(sparsifier)] = dead_fraction(sae.transform(X))
    assert dead[WinnerTakeAll] == 0 and dead[TopK] > 0.2
