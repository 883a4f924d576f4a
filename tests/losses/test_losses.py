"""Losses against their formulas; the mixture against scipy's logsumexp and GaussianMixture."""

import numpy as np
import pytest
from numpy.testing import assert_allclose
from scipy.special import expit, log_softmax
from sklearn.datasets import make_blobs
from sklearn.metrics import log_loss
from sklearn.mixture import GaussianMixture

from skmtl import SparseAutoencoderTransformer
from skmtl.losses import LogLoss, Mixture, SquaredError
from skmtl.losses._mixture import VARIANCE_FLOOR
from tests import instances, naive


def value(loss, recon, X, weight):
    d_recon = np.empty_like(recon)
    return loss.value_and_grad(recon, X, weight, d_recon), d_recon


@pytest.mark.parametrize("loss", instances.ADDITIVE_LOSSES, ids=repr)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_value_is_the_weighted_sum_of_rows(loss, dtype, rng):
    recon, X = (rng.random((6, 4)).astype(dtype) for _ in range(2))
    weight = rng.random(6).astype(dtype)
    total, d_recon = value(loss, recon, X, weight)
    assert_allclose(total, weight @ loss.per_row(recon, X), rtol=1e-5)
    assert d_recon.dtype == dtype


@pytest.mark.parametrize("loss", instances.ADDITIVE_LOSSES, ids=repr)
def test_bias_and_baseline_are_those_of_the_best_constant(loss, rng):
    X = rng.uniform(0.1, 0.9, (50, 3))
    bias = loss.initial_bias(X.mean(axis=0))
    assert_allclose(loss.link(bias), X.mean(axis=0))
    recon = np.tile(bias, (50, 1))
    total, d_recon = value(loss, recon, X, np.full(50, 1 / 50))
    assert_allclose(total, loss.baseline(X.mean(axis=0), X.var(axis=0)))
    assert_allclose(d_recon.sum(axis=0), 0, atol=1e-12)  # no better constant


def test_squared_error(rng):
    recon, X = rng.random((2, 6, 4))
    assert_allclose(SquaredError().per_row(recon, X), ((recon - X) ** 2).sum(axis=1))


def test_log_loss_equals_scikit_learn(rng):
    recon, X = rng.standard_normal((6, 1)), rng.integers(0, 2, (6, 1)).astype(float)
    expected = log_loss(X[:, 0], expit(recon[:, 0]), labels=[0, 1])
    assert_allclose(LogLoss().per_row(recon, X).mean(), expected)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_log_loss_of_extreme_logits(dtype):
    recon = np.array([[1000.0, -1000.0, 17.0]], dtype=dtype)
    total, d_recon = value(LogLoss(), recon, np.array([[0, 1, 0]], dtype), np.ones(1, dtype))
    assert_allclose(total, 2017, rtol=1e-6)
    assert_allclose(d_recon, [[1, -1, 1]], rtol=1e-6)


@pytest.mark.parametrize("loss", instances.MIXTURES, ids=repr)
def test_mixture_is_a_logsumexp_over_components(loss, rng):
    """The estimator's score_samples against a loop over rows and components."""
    X = rng.random((40, 3))
    sae = SparseAutoencoderTransformer(
        5, loss=loss, learning_rate=0.05, max_iter=20, tol=None, random_state=0
    ).fit(X)
    rows = sae.components_ + sae.decoder_bias_
    shift = sae.decoder_bias_ if loss.distribution == "gaussian" else 0
    beta = (X - shift) @ sae.encoder_components_.T + sae.encoder_bias_
    variance = None
    if loss.distribution == "gaussian":
        variance = VARIANCE_FLOOR + np.exp(sae._params["log_variance"])
    log_alpha = log_softmax(beta, axis=1)
    expected = naive.mixture_log_likelihood(X, log_alpha, rows, loss.distribution, variance)
    assert_allclose(sae.score_samples(X), expected, rtol=1e-9)
    assert_allclose(sae.score(X), expected.mean(), rtol=1e-9)
    if loss.amortized:
        assert_allclose(sae.transform(X), np.exp(log_alpha), rtol=1e-9)
    else:
        assert np.ptp(log_alpha, axis=0).max() == 0  # one vector for all rows
    assert_allclose(sae.transform(X).sum(axis=1), 1)


def test_plain_mixture_gives_posteriors(rng):
    X = np.concatenate([rng.normal(-4, 1, (50, 2)), rng.normal(4, 1, (50, 2))])
    sae = SparseAutoencoderTransformer(
        2, loss=Mixture(amortized=False), learning_rate=0.1, max_iter=200, random_state=1
    )
    posterior = sae.fit_transform(X)
    assert_allclose(posterior.max(axis=1), 1, atol=1e-3)
    assert len({*posterior[:50].argmax(axis=1)}) == 1
    assert posterior[0].argmax() != posterior[-1].argmax()
    assert_allclose(sae.inverse_transform(posterior)[:50].mean(axis=0), -4, atol=0.5)


@pytest.mark.compiled
@pytest.mark.parametrize("n_features", [2, 6])
def test_plain_gaussian_mixture_is_as_good_as_em(n_features):
    """Held-out log-likelihood within .01 nats a row and feature of EM, best of five starts."""
    centers = np.random.default_rng(3).uniform(-6, 6, (4, n_features))
    X, _ = make_blobs(3000, n_features, centers=centers, cluster_std=[0.6, 1.0, 1.5, 2.0],
                      random_state=0)  # fmt: skip
    train, test = X[:2000], X[2000:]
    em = GaussianMixture(4, covariance_type="spherical", n_init=5, random_state=0).fit(train)
    starts = [
        SparseAutoencoderTransformer(
            4,
            loss=Mixture(amortized=False),
            learning_rate=0.05,
            schedule="linear_decay",
            max_iter=150,
            tol=None,
            random_state=seed,
        ).fit(train)
        for seed in range(5)
    ]
    best = max(starts, key=lambda sae: sae.score(train))
    assert abs(best.score(test) - em.score(test)) < 0.01 * n_features


def test_variance_floor_keeps_repeated_rows_finite():
    X = np.repeat([[0.0, 1.0], [5.0, 5.0]], 20, axis=0)
    sae = SparseAutoencoderTransformer(
        2, loss=Mixture(amortized=False), learning_rate=0.1, max_iter=300, tol=None, random_state=0
    ).fit(X)
    assert np.isfinite(sae.score(X))
