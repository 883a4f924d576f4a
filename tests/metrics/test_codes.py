"""Exact definitions of the metrics of codes and reconstructions, and faults seen elsewhere."""

import numpy as np
import pytest
import scipy.sparse as sp
from numpy.testing import assert_allclose, assert_array_equal

from skmtl.datasets import make_sparse_codes
from skmtl.metrics import dead_fraction, explained_variance, firing_rate, l0, shrinkage
from tests import naive


@pytest.fixture
def rows(rng):
    X = rng.standard_normal((50, 6)) * rng.uniform(0.1, 10, (50, 1)) + 5
    return X, X + rng.standard_normal(X.shape), rng.uniform(0, 2, 50)


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("container", [np.asarray, sp.csr_array, sp.csc_matrix, list])
def test_explained_variance_equals_its_definition(rows, weighted, container):
    X, recon, weight = rows
    weight = weight if weighted else None
    expected = 1 - naive.fvu(X, recon, np.ones(50) if weight is None else weight)
    got = explained_variance(container(X), recon, sample_weight=weight)
    assert_allclose(got, expected, rtol=1e-12)


def test_explained_variance_is_one_ratio_of_sums(rng):
    """Not a mean over rows, features or batches of ratios, and not about zero."""
    X = rng.standard_normal((50, 6)) * np.geomspace(0.1, 10, 50)[:, None] * np.geomspace(0.1, 1, 6)
    X += 5
    recon = X + 0.3 * rng.standard_normal(X.shape)
    got = explained_variance(X, recon)
    error, spread = (X - recon) ** 2, (X - X.mean(axis=0)) ** 2
    of_rows = 1 - np.mean(error.sum(axis=1) / spread.sum(axis=1))
    about_zero = 1 - error.sum() / (X**2).sum()
    of_features = 1 - np.mean(error.sum(axis=0) / spread.sum(axis=0))
    of_batches = np.mean(
        [explained_variance(X[i : i + 10], recon[i : i + 10]) for i in range(0, 50, 10)]
    )
    for other in (of_rows, about_zero, of_features, of_batches):
        assert abs(got - other) > 0.02
    # Nor does it depend on how often the set is seen, or on where its mean lies.
    assert_allclose(explained_variance(np.tile(X, (7, 1)), np.tile(recon, (7, 1))), got)
    assert_allclose(explained_variance(X + 100, recon + 100), got)
    assert_allclose(explained_variance(X, np.broadcast_to(X.mean(axis=0), X.shape)), 0, atol=1e-12)


def test_weights_are_repetitions(rows, rng):
    X, recon, _ = rows
    times = rng.integers(0, 4, 50)
    code = X * (rng.random(X.shape) < 0.3)
    X2, recon2, code2 = (np.repeat(a, times, axis=0) for a in (X, recon, code))
    for metric in (explained_variance, shrinkage):
        assert_allclose(metric(X, recon, sample_weight=times), metric(X2, recon2))
    gamma = shrinkage(X, recon, kind="gamma", sample_weight=times)
    assert_allclose(gamma, shrinkage(X2, recon2, kind="gamma"))
    for container in (np.asarray, sp.csr_array):
        for metric in (l0, firing_rate, dead_fraction):
            assert_allclose(metric(container(code), sample_weight=times), metric(code2))


def test_rows_of_no_weight_do_not_matter(rows):
    X, recon, weight = rows
    weight = np.where(np.arange(50) < 10, 0, weight)
    far, far_recon = X.copy(), recon.copy()
    far[:10], far_recon[:10] = 1e30, -1e30
    for metric in (explained_variance, shrinkage):
        expected = metric(X, recon, sample_weight=weight)
        assert metric(far, far_recon, sample_weight=weight) == expected


@pytest.mark.parametrize("scale", [1e-310, 1e-170, 1e160, 1e300])
def test_rows_of_any_size(scale, rng):
    X = rng.random((20, 3))
    near = X + 0.1 * rng.random((20, 3))
    for metric in (explained_variance, shrinkage):
        assert metric(X * scale, near * scale) == pytest.approx(metric(X, near), rel=1e-9)


def test_small_variance_far_from_zero():
    """Sums of squares would cancel here; float32 would not even hold the mean."""
    X = 1e4 + np.random.default_rng(0).integers(0, 8, (5000, 3)) / 512
    for X_ in (X.astype(np.float32), sp.csr_array(X.astype(np.float32))):
        assert_allclose(explained_variance(X_, X + 1 / 512), 1 - naive_fvu_of_shift(X), rtol=1e-9)
    assert explained_variance(np.full((3000, 2), 0.1), np.full((3000, 2), 0.1)) == 1
    assert explained_variance(np.full((3000, 2), 0.1), np.full((3000, 2), 0.2)) == 0


def naive_fvu_of_shift(X):
    return X.shape[1] * (1 / 512) ** 2 / X.var(axis=0).sum()


def test_l0_counts_entries(rng):
    """A count for each row, not a share of the entries; stored zeros and gaps of sign included."""
    code = rng.standard_normal((300, 40)) * (rng.random((300, 40)) < 0.1)
    code[:, 7] = 0
    counts = [sum(value != 0 for value in row) for row in code]
    stored = sp.csr_array(code)
    stored = sp.csr_array(
        (np.append(stored.data, [0.0, 1.0, -1.0]), np.append(stored.indices, [7, 7, 7]),
         np.append(stored.indptr[:-1], stored.indptr[-1] + 3)),
        shape=code.shape,
    )  # fmt: skip
    before = stored.data.copy()
    for c in (code, code.astype(np.float32), sp.csr_array(code), sp.coo_array(code), stored):
        assert_allclose(l0(c), np.mean(counts), rtol=1e-12)
        assert_allclose(firing_rate(c), (code != 0).mean(axis=0), rtol=1e-12)
        assert dead_fraction(c) == 1 / 40
    assert_array_equal(stored.data, before)  # the user's own array is left alone
    assert l0(np.ones((7, 1000))) == 1000


def test_a_latent_that_always_fires_has_rate_one(rng):
    """Sums of weights in two orders differ in the last bits; a rate above 1 is none."""
    always = sp.csr_array(np.ones((1000, 1)))
    rates = [firing_rate(always, sample_weight=rng.random(1000)).item() for _ in range(20)]
    assert_allclose(rates, 1, rtol=1e-12)
    assert max(rates) <= 1 and l0(always) == 1


def test_small_integers_do_not_wrap_around(rng):
    """Pixels come as bytes, whose differences and squares do not fit in a byte."""
    X = rng.integers(0, 256, (40, 5)).astype(np.uint8)
    recon = X[::-1].copy()
    for metric in (explained_variance, shrinkage):
        expected = metric(X.astype(float), recon.astype(float))
        assert metric(X, recon) == metric(sp.csr_array(X), recon) == expected


def test_shrinkage_equals_its_definition(rows, rng):
    X, recon, weight = rows
    for offset in (0, 2.5, rng.standard_normal(6), None):
        o = np.average(X, axis=0, weights=weight) if offset is None else offset
        x, r = X - o, recon - o
        got = shrinkage(X, recon, offset=offset, sample_weight=weight)
        expected = np.sqrt((weight @ r**2).sum() / (weight @ x**2).sum())
        assert_allclose(got, expected, rtol=1e-12)
        got = shrinkage(X, recon, kind="gamma", offset=offset, sample_weight=weight)
        assert_allclose(got, (weight @ r**2).sum() / (weight @ (x * r)).sum(), rtol=1e-12)


def test_gamma_is_the_best_divisor(rows):
    X, recon, _ = rows
    gamma = shrinkage(X, recon, kind="gamma", offset=0)
    errors = [((X - recon / g) ** 2).sum() for g in (gamma - 1e-3, gamma, gamma + 1e-3)]
    assert errors[1] < min(errors[0], errors[2])


def test_shrinkage_of_codes_that_were_shrunk():
    """Codes that an L1 penalty pulled down, and the same supports with refined amplitudes."""
    X, codes, dictionary = make_sparse_codes(400, 32, 64, 4, noise=0.05, random_state=0)
    shrunk = codes.copy()
    shrunk.data = np.maximum(shrunk.data - 0.3, 0)
    refined = np.zeros(codes.shape)
    for i, x in enumerate(X):
        support = codes.indices[codes.indptr[i] : codes.indptr[i + 1]]
        refined[i, support] = np.linalg.lstsq(dictionary[support].T, x)[0]
    short, full = (shrinkage(X, code @ dictionary, offset=0) for code in (shrunk, refined))
    assert short < 0.75 and 0.99 < full < 1
    assert shrinkage(X, shrunk @ dictionary, kind="gamma", offset=0) < 0.75
    back = refined @ dictionary
    assert_allclose(shrinkage(X, back, kind="gamma", offset=0), 1, rtol=1e-12)
    # From where least squares measures, the norm is the root of the explained share.
    explained = 1 - ((X - back) ** 2).sum() / (X**2).sum()
    assert_allclose(full, np.sqrt(explained), rtol=1e-12)


def test_shrinkage_at_its_ends():
    X = [[1.0, 2.0], [3.0, 5.0]]
    for kind in ("norm", "gamma"):
        assert shrinkage(X, X, kind=kind) == 1
        assert shrinkage(X, [[2.0, 3.5], [2.0, 3.5]], kind=kind) == 0  # nothing but the mean
        constant = [[0.1, 0.2]] * 3
        assert shrinkage(constant, constant, kind=kind) == 1
        assert shrinkage(constant, [[1.0, 1.0]] * 3, kind=kind) == np.inf
    assert shrinkage([[1.0], [-1.0]], [[-1.0], [1.0]], kind="gamma") == -1


CODE = np.eye(3)
ROWS = np.arange(6.0).reshape(3, 2)


def broken():
    code = sp.csr_array(CODE)
    code.indices[0] = 99
    return code


@pytest.mark.parametrize(
    "call, message",
    [
        (lambda: explained_variance(ROWS, ROWS[:2]), "X and X_reconstructed must have one shape"),
        (lambda: explained_variance(ROWS[0], ROWS[0]), "Expected 2D array"),
        (lambda: explained_variance(ROWS, np.where(ROWS == 2, np.nan, ROWS)), "X_reconstructed"),
        (lambda: explained_variance(ROWS, np.ma.masked_equal(ROWS, 2)), "X_reconstructed must be"),
        (lambda: shrinkage(ROWS, ROWS, kind="l2"), "kind must be 'norm' or 'gamma'"),
        (lambda: shrinkage(ROWS, ROWS, offset=[1.0]), "offset must be one finite number or"),
        (lambda: shrinkage(ROWS, ROWS, offset=np.nan), "offset must be one finite number or"),
        (lambda: shrinkage(ROWS, ROWS, sample_weight=[1, 1]), r"must have shape \(3,\); got \(2,"),
        (lambda: explained_variance(ROWS, ROWS, sample_weight=[1, -1, 1]), "not negative"),
        (lambda: firing_rate(CODE, sample_weight=[0, 0, 0]), "not zero everywhere"),
        (lambda: l0(CODE, sample_weight=[1, np.nan, 1]), "finite"),
        (lambda: l0(CODE[0]), "Expected 2D array"),
        (lambda: l0(np.where(CODE > 0, np.nan, 0)), "contains NaN"),
        (lambda: dead_fraction(np.ma.masked_equal(CODE, 0)), "code must be a plain array"),
        (lambda: firing_rate(broken()), "code must be a valid sparse array"),
    ],
)
def test_errors(call, message):
    with pytest.raises(ValueError, match=message):
        call()
