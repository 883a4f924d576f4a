"""Amplitudes on a given support: equal to a library's, never worse than those given."""

import numpy as np
import pytest
import scipy.sparse as sp
from numpy.testing import assert_allclose

from skmtl import _layouts, _threads
from skmtl._layouts import CSR, Support
from skmtl._refine import refine
from tests import naive

BOTH = pytest.mark.parametrize("positive", [True, False])


def problem(n_rows, n_atoms, n_features, k, seed=0, positive=True):
    """Random supports of about k, atoms of all lengths, targets that the supports fit in part."""
    rng = np.random.default_rng(seed)
    W_dec = rng.standard_normal((n_atoms, n_features)) * rng.uniform(0.1, 3, (n_atoms, 1))
    code = rng.uniform(0.1, 1, (n_rows, n_atoms)) * (rng.random((n_rows, n_atoms)) < k / n_atoms)
    if not positive:
        code *= rng.choice([-1, 1], code.shape)
    target = 1.5 * code @ W_dec + rng.standard_normal((n_rows, n_features))
    return code, W_dec, target


def as_csr(code):
    csr = sp.csr_array(code)
    return CSR(csr.data, Support(csr.indices, csr.indptr.astype(np.int64), code.shape[1]))


def errors(code, W_dec, target):
    """Squared error of each row, in float64."""
    difference = target.astype(float) - code.astype(float) @ W_dec.astype(float)
    return np.sum(difference**2, axis=1)


@BOTH
@pytest.mark.parametrize("k", [1, 2, 5, 16])
@pytest.mark.parametrize("n_features", [7, 30])
def test_equals_a_library(k, n_features, positive):
    code, W_dec, target = problem(40, 60, n_features, k, positive=positive)
    refined, expected = (f(code, W_dec, target, positive) for f in (refine, naive.refine))
    optimum = errors(expected, W_dec, target)
    assert_allclose(errors(refined, W_dec, target), optimum, rtol=1e-9, atol=1e-12)
    unique = (code != 0).sum(axis=1) < n_features
    assert unique.sum() >= 10 or k > n_features
    assert_allclose(refined[unique], expected[unique], rtol=1e-6, atol=1e-8)
    if positive:  # zeros of the minimum are exact
        assert (refined >= 0).all()
        assert np.array_equal(refined[unique] == 0, expected[unique] == 0)
        assert k < 5 or (refined == 0).sum() > (code == 0).sum()


@pytest.mark.parametrize("seed", range(10))
def test_most_amplitudes_are_driven_to_zero(seed):
    """Targets that point away from most atoms: latents leave together, and some come back."""
    rng = np.random.default_rng(seed)
    W_dec = rng.standard_normal((25, 20)) + 0.5
    target = rng.standard_normal((10, 20))
    code = rng.uniform(0.1, 1, (10, 25)) * (rng.random((10, 25)) < 0.7)
    refined, expected = refine(code, W_dec, target), naive.refine(code, W_dec, target, True)
    assert (expected > 0).mean() < 0.5
    assert_allclose(refined, expected, rtol=1e-7, atol=1e-10)


@pytest.mark.parametrize("kind", ["positive", "low rank", "far from 0", "of all lengths", "0 or 1"])
def test_hard_dictionaries(kind):
    """Targets beside the atoms' span and within it; none misses the minimum."""
    for seed in range(60):
        rng = np.random.default_rng(seed)
        k, n_features = rng.integers(1, 25, 2)
        W_dec = rng.standard_normal((k, n_features))
        if kind == "positive":
            W_dec = np.abs(W_dec)
        elif kind == "low rank":
            W_dec = rng.standard_normal((k, 1 + k // 2)) @ W_dec[: 1 + k // 2]
        elif kind == "far from 0":
            W_dec += 10 * rng.standard_normal(n_features)
        elif kind == "of all lengths":
            W_dec *= 10 ** rng.uniform(-6, 6, (k, 1))
        else:
            W_dec = rng.integers(0, 2, W_dec.shape).astype(float)
        length = np.linalg.norm(W_dec, axis=1) + (W_dec == 0).all(axis=1)
        amplitudes = rng.uniform(0, 1, (1, k)) * (rng.random(k) < 0.5) / length
        target = amplitudes @ W_dec if seed % 2 else rng.standard_normal((1, n_features))
        code = rng.uniform(0.1, 1, (1, k)) / length
        refined, expected = refine(code, W_dec, target), naive.refine(code, W_dec, target, True)
        excess = errors(refined, W_dec, target) - errors(expected, W_dec, target)
        assert excess <= 1e-12 * (1 + np.sum(target**2))


def test_latents_that_left_come_back():
    """Amplitudes that plain least squares makes negative and that are positive in the minimum."""
    came_back = 0
    for seed in range(100):
        rng = np.random.default_rng(seed)
        W_dec, target = rng.random((6, 6)), rng.random((1, 6))
        code = np.ones((1, 6))
        refined, expected = refine(code, W_dec, target), naive.refine(code, W_dec, target, True)
        assert_allclose(refined, expected, rtol=1e-6, atol=1e-8)
        came_back += ((naive.refine(code, W_dec, target, False) < 0) & (expected > 0)).any()
    assert came_back > 5


@BOTH
def test_layouts_agree(positive):
    """To the bit; zeros held by a CSR are not part of the support, and stay."""
    code, W_dec, target = problem(30, 50, 20, 6, positive=positive)
    code[[0, 7]] = 0
    csr = as_csr(code)
    csr.data[::5] = 0
    code = _layouts.to_dense(csr)
    before = code.copy(), csr.data.copy()
    dense, sparse = (refine(c, W_dec, target, positive) for c in (code, csr))
    assert isinstance(sparse, CSR) and sparse.support is csr.support
    assert np.array_equal(_layouts.to_dense(sparse), dense)
    assert not dense[code == 0].any() and not dense[[0, 7]].any()
    assert np.array_equal(before[0], code) and np.array_equal(before[1], csr.data)
    assert_allclose(dense, naive.refine(code, W_dec, target, positive), rtol=1e-6, atol=1e-8)


@BOTH
def test_float32(positive):
    """The dtype is kept; what is lost is the last digits of the result alone."""
    code, W_dec, target = (a.astype(np.float32) for a in problem(40, 60, 30, 12, positive=positive))
    refined = refine(code, W_dec, target, positive)
    assert refined.dtype == np.float32
    exact = naive.refine(*(a.astype(float) for a in (code, W_dec, target)), positive)
    assert_allclose(refined, exact, rtol=2 * np.finfo(np.float32).eps, atol=1e-8)


@BOTH
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_never_a_larger_error(dtype, positive):
    """Nor NaN: equal and nearly equal atoms, zero atoms, more atoms than features, empty rows."""
    for seed in range(150):
        rng = np.random.default_rng(seed)
        n_atoms, n_features = rng.integers(1, 25), rng.integers(1, 20)
        code, W_dec, target = problem(
            4, n_atoms, n_features, rng.integers(0, n_atoms + 1), seed, positive
        )
        W_dec[rng.random(n_atoms) < 0.2] = W_dec[0]
        W_dec[rng.random(n_atoms) < 0.2] *= 1 + 10.0 ** rng.integers(-16, 0)
        W_dec += 10.0 ** rng.integers(-16, 0) * rng.standard_normal(W_dec.shape)
        W_dec[rng.random(n_atoms) < 0.1] = 0
        if seed % 3 == 0:  # the target is reached, all but rounding
            target = code @ W_dec
        code, W_dec, target = (a.astype(dtype) for a in (code, W_dec, target))
        refined = refine(code, W_dec, target, positive)
        assert np.isfinite(refined).all() and not refined[code == 0].any()
        assert not positive or (refined >= 0).all()
        before, after = (errors(c, W_dec, target) for c in (code, refined))
        length = np.sum(target.astype(float) ** 2, axis=1)
        assert (after <= before * (1 + 1e-12) + 1e-30 * length).all()
        best = naive.refine(*(a.astype(float) for a in (code, W_dec, target)), positive)
        optimum, squares = errors(best, W_dec, target), np.sum(W_dec.astype(float) ** 2, axis=1)
        # What a damped step may leave of an optimum with huge amplitudes, far from those given.
        allowed = length + (best**2 + code.astype(float) ** 2) @ squares
        assert (after <= optimum + 1e-9 * allowed).all()


@BOTH
def test_equal_atoms_share_a_change(positive):
    """The solution nearest to the given amplitudes; a zero atom gets 0."""
    W_dec = np.array([[1.0, 0.0, 0.0], [1.0, 0.0, 0.0], [0.0, 0.0, 0.0], [0.0, 2.0, 0.0]])
    refined = refine(np.array([[1.0, 2.0, 5.0, 1.0]]), W_dec, np.array([[5.0, 3.0, 1.0]]), positive)
    assert_allclose(refined, [[2, 3, 0, 1.5]], atol=1e-5)


def test_given_amplitudes_below_zero():
    """They count as 0 where all are to be positive."""
    code = np.array([[-1.0, 2.0], [-1.0, -3.0]])
    target = np.array([[3.0, -4.0], [-2.0, 1.0]])
    assert_allclose(refine(code, np.eye(2), target), [[3, 0], [0, 1]])
    assert_allclose(refine(code, np.eye(2), target, positive=False), target)


@BOTH
def test_a_right_code_stays(positive):
    """Refining once more changes next to nothing; the exact amplitudes keep their bits."""
    code, W_dec, target = problem(30, 50, 20, 6, positive=positive)
    once = refine(code, W_dec, target, positive)
    assert_allclose(refine(once, W_dec, target, positive), once, rtol=1e-12)
    whole = np.round(8 * code)
    W_dec = np.round(8 * W_dec)
    assert np.array_equal(refine(whole, W_dec, whole @ W_dec, positive), whole)


def test_shrunken_amplitudes_are_put_right():
    """|recon| / |x| moves to 1."""
    rng = np.random.default_rng(0)
    W_dec = rng.standard_normal((64, 32))
    code = rng.uniform(0.5, 1, (200, 64)) * (rng.random((200, 64)) < 0.08)
    X = code @ W_dec
    X += 0.05 * np.abs(X).mean() * rng.standard_normal(X.shape)
    fires = code.any(axis=1)

    def ratio(code):
        recon = code @ W_dec
        return np.mean(np.linalg.norm(recon, axis=1)[fires] / np.linalg.norm(X, axis=1)[fires])

    shrunken = np.maximum(0.8 * code - 0.1, 0)
    assert ratio(shrunken) < 0.75
    assert 0.99 < ratio(refine(shrunken, W_dec, X)) <= 1


def test_what_is_not_finite_stays_in_its_row():
    """A row that cannot be solved keeps its amplitudes above 0; no other row notices."""
    code, W_dec, target = problem(6, 20, 10, 4)
    expected = refine(code, W_dec, target)
    target[1, 3], target[2, 0], target[4] = np.nan, np.inf, 1e200
    code[1, np.flatnonzero(code[1])[0]] = -1.0
    with np.errstate(all="ignore"):  # without a compiler NumPy warns
        refined = refine(code, W_dec, target)
        assert np.array_equal(refined[[1, 2]], np.maximum(code[[1, 2]], 0))
        assert np.array_equal(refined[[0, 3, 5]], expected[[0, 3, 5]])
        assert np.isfinite(refined).all()
        huge = refine(code, 1e160 * W_dec, expected @ W_dec * 1e160)
    assert np.array_equal(huge, np.maximum(code, 0))  # squares of the atoms overflow


@pytest.mark.parametrize("make", [np.asarray, as_csr])
def test_rows_are_on_their_own(make, monkeypatch):
    """The same bits for any threads and any neighbours, from any kind of memory."""
    monkeypatch.setattr(_threads, "WORTH_A_THREAD", 1)
    code, W_dec, target = (a.astype(np.float32) for a in problem(50, 60, 30, 8))
    with _threads.workers(1):
        one = _layouts.to_dense(refine(make(code), W_dec, target))
    with _threads.workers(2):
        two = refine(make(code), W_dec, target)
    assert np.array_equal(one, _layouts.to_dense(two))
    alone = [refine(make(code[i : i + 1]), W_dec, target[i : i + 1]) for i in range(50)]
    assert np.array_equal(one, np.concatenate([_layouts.to_dense(row) for row in alone]))
    W_dec, target = np.asfortranarray(W_dec), np.repeat(target, 2, axis=1)[:, ::2]
    for array in (code, W_dec, target):
        array.flags.writeable = False
    assert np.array_equal(one, _layouts.to_dense(refine(make(code), W_dec, target)))


@pytest.mark.parametrize("make", [np.asarray, as_csr])
def test_nothing_to_do(make):
    for shape in [(0, 5), (3, 5)]:
        refined = refine(make(np.zeros(shape)), np.ones((5, 2)), np.ones((shape[0], 2)))
        assert refined.shape == shape and not _layouts.to_dense(refined).any()


@pytest.mark.compiled
@BOTH
@pytest.mark.parametrize("n_features", [100, 300, 500])
def test_several_hundred(n_features, positive):
    """The conditions of Karush, Kuhn and Tucker hold; so does the library's error."""
    code, W_dec, target = problem(4, 400, n_features, 300, positive=positive)
    refined = refine(code, W_dec, target, positive)
    after = errors(refined, W_dec, target)
    optimum = errors(naive.refine(code, W_dec, target, positive), W_dec, target)
    length = np.linalg.norm(target, axis=1, keepdims=True)
    assert_allclose(after, optimum, rtol=1e-9, atol=1e-12 * length.max() ** 2)
    slope = (target - refined @ W_dec) @ W_dec.T / np.linalg.norm(W_dec, axis=1)
    free = (refined != 0) if positive else (code != 0)
    assert (np.abs(slope)[free] < 1e-8 * length.max()).all()
    assert (slope[code != 0] < 1e-8 * length.max()).all()
