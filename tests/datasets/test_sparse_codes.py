"""Data from a known dictionary: exact sums, exact numbers of atoms, frequencies as declared."""

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from skmtl.datasets import make_sparse_codes
from tests import naive


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_rows_are_sums_of_atoms(dtype):
    n = 2500  # more than two blocks of rows
    X, codes, dictionary = make_sparse_codes(n, 20, 50, 3, dtype=dtype, random_state=0)
    assert X.shape == (n, 20) and codes.shape == (n, 50) and dictionary.shape == (50, 20)
    assert X.dtype == codes.dtype == dictionary.dtype == dtype
    tolerance = 1e-12 if dtype == np.float64 else 1e-5
    assert_allclose(X, codes @ dictionary, atol=tolerance)
    assert_allclose(np.linalg.norm(dictionary, axis=1), 1, rtol=1e-6)
    assert_array_equal((codes.toarray() != 0).sum(axis=1), 3)
    assert codes.has_canonical_format and codes.indices.dtype == np.int32
    assert codes.data.min() >= 0.5 and codes.data.max() <= 1.5
    assert_allclose(np.quantile(codes.data, [0.25, 0.5, 0.75]), [0.75, 1, 1.25], atol=0.02)


def test_precision_and_seed():
    double = make_sparse_codes(100, random_state=3)
    for again, same in [
        (make_sparse_codes(100, random_state=3), True),
        (make_sparse_codes(100, random_state=np.random.RandomState(3)), True),
        (make_sparse_codes(100, random_state=4), False),
    ]:
        for a, b in zip(double, again, strict=True):
            a, b = (m if isinstance(m, np.ndarray) else m.toarray() for m in (a, b))
            assert np.array_equal(a, b) == same
    single = make_sparse_codes(100, random_state=3, dtype="float32")
    assert_array_equal(single[0], double[0].astype(np.float32))
    assert make_sparse_codes()[0].shape == (1000, 64)


def test_amplitudes_and_noise():
    X, codes, dictionary = make_sparse_codes(
        3000, 10, 30, 2, weights=(-2, -1), noise=0.3, random_state=0
    )
    assert -2 <= codes.data.min() < -1.9 and -1.1 < codes.data.max() <= -1
    rest = X - codes @ dictionary
    assert_allclose(rest.std(axis=0), 0.3, rtol=0.1)
    assert np.abs(rest.mean(axis=0)).max() < 0.03
    assert (make_sparse_codes(20, weights=(1, 1), random_state=0)[1].data == 1).all()


def test_every_atom_is_equally_frequent_by_default():
    for correlation in (0.0, 0.7):
        _, codes, _ = make_sparse_codes(20000, 4, 40, 5, correlation=correlation, random_state=0)
        rate = (codes != 0).mean(axis=0)
        assert_allclose(rate, 5 / 40, atol=5 * np.sqrt(0.125 * 0.875 / 20000))


def test_all_atoms_in_every_row():
    _, codes, _ = make_sparse_codes(10, 4, 6, 6, zipf=1.0, correlation=0.5, random_state=0)
    assert (codes.toarray() != 0).all()


@pytest.mark.parametrize("correlation", [0.0, 0.6])
@pytest.mark.parametrize("zipf", [0.0, 0.5, 1.0, 2.0])
def test_frequencies_are_those_of_successive_draws(zipf, correlation):
    """By way of normal scores too: where every atom is a group of its own, nothing correlates."""
    n, m, k = 20000, 6, 3
    together = naive.joint_inclusion(
        np.arange(1, m + 1) ** -zipf, k
    )  # single rates on the diagonal
    params = {"zipf": zipf, "correlation": correlation, "group_size": 1}
    _, codes, _ = make_sparse_codes(n, 4, m, k, **params, random_state=0)
    fires = (codes.toarray() != 0).astype(float)
    error = np.sqrt(together * (1 - together) / n)
    assert (np.abs(fires.T @ fires / n - together) < 4.5 * error).all()


def test_zipf_orders_atoms_by_frequency():
    _, codes, _ = make_sparse_codes(20000, 4, 100, 1, zipf=1.0, random_state=0)
    rate = (codes != 0).mean(axis=0)
    expected = 1 / np.arange(1, 101)
    assert_allclose(rate[:20], (expected / expected.sum())[:20], rtol=0.25)
    # So large an exponent that the probabilities underflow still gives the first atoms.
    _, codes, _ = make_sparse_codes(50, 4, 100, 3, zipf=1000.0, random_state=0)
    assert_array_equal(codes.indices.reshape(50, 3), np.tile([0, 1, 2], (50, 1)))


def joint_rates(**params):
    """Mean rate at which two atoms fire together, of one group and of two."""
    _, codes, _ = make_sparse_codes(20000, 4, 32, 4, random_state=0, **params)
    fires = (codes.toarray() != 0).astype(float)
    together = fires.T @ fires / len(fires)
    group = np.arange(32) // params.get("group_size", 2)
    same = group[:, None] == group
    pairs = ~np.eye(32, dtype=bool)
    return together[same & pairs].mean(), together[~same].mean()


def test_correlated_atoms_fire_together():
    independent = 4 * 3 / (32 * 31)
    assert_allclose(joint_rates(), independent, rtol=0.05)
    last = independent
    for correlation in (0.3, 0.6, 0.9):
        same, other = joint_rates(correlation=correlation)
        assert same > 1.5 * last and other < independent
        last = same
    # Near 1 a group is drawn whole: two of 16 pairs, or one of 8 groups of four.
    assert_allclose(joint_rates(correlation=0.99999)[0], 4 / 32, rtol=0.05)
    same, other = joint_rates(correlation=0.99999, group_size=4)
    assert_allclose(same, 4 / 32, rtol=0.05)
    assert other < 0.01


def test_groups_need_not_divide_the_atoms():
    _, codes, _ = make_sparse_codes(5, 4, 7, 3, correlation=0.9, group_size=4, random_state=0)
    assert_array_equal((codes.toarray() != 0).sum(axis=1), 3)


@pytest.mark.parametrize(
    "params, message",
    [
        ({"n_samples": 0}, "n_samples must be an integer of at least 1; got 0"),
        ({"n_features": 2.5}, "n_features must be an integer"),
        ({"n_active": 9, "n_atoms": 8}, "n_active must be at most n_atoms, 8; got 9"),
        ({"group_size": 0}, "group_size must be an integer"),
        ({"zipf": -1}, "zipf must be a number of at least 0"),
        ({"zipf": np.inf}, "zipf must be a number"),
        ({"correlation": 1.0}, r"correlation must be in \[0, 1\)"),
        ({"correlation": "high"}, r"correlation must be in \[0, 1\)"),
        ({"noise": np.nan}, "noise must be a number of at least 0"),
        ({"weights": (1.5, 0.5)}, r"weights must be two numbers \(low, high\)"),
        ({"weights": 1.0}, "weights must be two numbers"),
        ({"weights": (0, 1, 2)}, "weights must be two numbers"),
        ({"dtype": "float16"}, "dtype must be float64 or float32"),
    ],
)
def test_errors(params, message):
    with pytest.raises(ValueError, match=message):
        make_sparse_codes(**params)
