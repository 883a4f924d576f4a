"""Recovery of a known dictionary and the share that two fits have in common."""

import numpy as np
import pytest
from numpy.testing import assert_allclose
from sklearn.decomposition import MiniBatchDictionaryLearning
from sklearn.exceptions import NotFittedError
from sklearn.preprocessing import StandardScaler

from skmtl import SparseAutoencoderTransformer
from skmtl.metrics import dictionary_recovery, seed_stability
from tests import naive

METHODS = ["true_to_learned", "learned_to_true", "mcc"]


@pytest.fixture
def atoms(rng):
    return rng.standard_normal((5, 4)), rng.standard_normal((7, 4))


@pytest.mark.parametrize("signed", [True, False])
@pytest.mark.parametrize("swap", [True, False])
def test_equals_the_slow_twin(atoms, signed, swap):
    learned, true = atoms[::-1] if swap else atoms
    learned[1] = 0
    for method, of, among in [
        ("true_to_learned", true, learned),
        ("learned_to_true", learned, true),
    ]:
        got = dictionary_recovery(learned, true, method=method, signed=signed)
        assert_allclose(got, naive.mean_max_cosine(of, among, signed), rtol=1e-12)
    matched = naive.best_pairing(true, learned, signed)
    got = dictionary_recovery(learned, true, method="mcc", signed=signed)
    assert_allclose(got, sum(matched) / len(true), rtol=1e-12)
    mean, share = seed_stability(learned, true, threshold=0.6, signed=signed)
    assert_allclose(mean, sum(matched) / 7, rtol=1e-12)
    assert share == sum(c >= 0.6 for c in matched) / 7
    assert_allclose(seed_stability(true, learned, threshold=0.6, signed=signed), (mean, share))


def test_directions_are_not_swapped():
    """All that was learned is true but little of the truth was found; and the other way round."""
    true = np.eye(10)
    few = true[[0] * 10]  # one true atom, learned ten times over
    assert_allclose(dictionary_recovery(few, true, method="true_to_learned"), 0.1)
    assert_allclose(dictionary_recovery(few, true, method="learned_to_true"), 1.0)
    assert_allclose(dictionary_recovery(few, true, method="mcc"), 0.1)
    # Every true atom, and ten that point nowhere near one.
    much = np.vstack([true, -true])
    assert_allclose(dictionary_recovery(much, true, method="true_to_learned"), 1.0)
    assert_allclose(dictionary_recovery(much, true, method="learned_to_true"), 0.5)
    assert_allclose(dictionary_recovery(much, true, method="mcc"), 1.0)
    # The default asks how much of the truth was found.
    assert dictionary_recovery(few, true) == dictionary_recovery(learned=few, true=true) == 0.1


def test_learning_too_few_atoms_is_not_full_recovery():
    true = np.eye(8)
    assert dictionary_recovery(true[:2], true, method="mcc") == 0.25
    assert seed_stability(true[:2], true) == seed_stability(true, true[:2]) == (0.25, 0.25)


def test_an_atom_is_used_once():
    """Where a greedy or per-atom choice would take the same partner twice."""
    a = np.array([[1.0, 0.0], [0.95, 0.05]])
    b = np.array([[1.0, 0.01], [0.0, 1.0]])
    matched = naive.best_pairing(a, b, True)
    assert_allclose(seed_stability(a, b)[0], np.mean(matched), rtol=1e-12)
    assert seed_stability(a, b)[0] < 0.6 < 0.9 < dictionary_recovery(b, a)


def test_signs():
    true = np.eye(4)
    turned = -true
    assert dictionary_recovery(turned, true) == 0  # the other atoms are orthogonal
    assert dictionary_recovery(turned, true, signed=False) == 1
    assert dictionary_recovery(turned, true, method="mcc") == 1  # defined by |cos|
    assert dictionary_recovery(turned, true, method="mcc", signed=True) <= 0
    assert seed_stability(turned, true, signed=False) == (1, 1)
    assert seed_stability(turned, true)[1] == 0


@pytest.mark.parametrize("method", METHODS)
def test_zero_atoms_and_sizes(method, rng):
    true = rng.standard_normal((6, 9))
    dead = np.vstack([true, np.zeros((6, 9))])
    expected = 0.5 if method == "learned_to_true" else 1.0
    assert_allclose(dictionary_recovery(dead, true, method=method), expected)
    assert dictionary_recovery(np.zeros((3, 9)), true, method=method) == 0
    assert dictionary_recovery(true, np.zeros((3, 9)), method=method) == 0
    scale = np.array([1e-300, 1e-160, 1, 1e10, 1e160, 1e300])[:, None]  # squares leave the range
    assert_allclose(dictionary_recovery(scale * true[::-1], true, method=method), 1.0)


def test_many_atoms_in_blocks(rng):
    true, learned = rng.standard_normal((2300, 5)), rng.standard_normal((1500, 5))
    unit = [a / np.linalg.norm(a, axis=1, keepdims=True) for a in (learned, true)]
    cosines = unit[0] @ unit[1].T
    got = [dictionary_recovery(learned, true, method=m) for m in METHODS[:2]]
    assert_allclose(got, [cosines.max(axis=0).mean(), cosines.max(axis=1).mean()], rtol=1e-12)


def test_identical_dictionaries_share_all(rng):
    for dtype in (np.float32, np.float64):
        a = rng.standard_normal((50, 20)).astype(dtype)
        b = a[rng.permutation(50)] * rng.uniform(0.1, 10, (50, 1)).astype(dtype)
        mean, share = seed_stability(a, b, threshold=0.999)
        assert_allclose(mean, 1, rtol=1e-6)
        assert share == 1
        assert seed_stability(a, a, threshold=1)[1] == 1


def test_fitted_estimators():
    X = np.random.default_rng(0).standard_normal((60, 5))
    a, b = (
        SparseAutoencoderTransformer(4, max_iter=2, tol=None, random_state=seed).fit(X)
        for seed in (0, 1)
    )
    arrays = a.components_, b.components_
    assert seed_stability(a, b) == seed_stability(*arrays)
    assert seed_stability(a, a)[1] == 1
    assert dictionary_recovery(a, arrays[1]) == dictionary_recovery(*arrays)
    other = MiniBatchDictionaryLearning(4, max_iter=2, random_state=0).fit(X)
    assert 0 < seed_stability(a, other)[0] < 1
    with pytest.raises(NotFittedError):
        seed_stability(a, SparseAutoencoderTransformer())
    with pytest.raises(TypeError, match="b must be an array of atoms or an estimator with compon"):
        seed_stability(a, StandardScaler().fit(X))
    with pytest.raises(TypeError, match=r"true must be an array.*dictionary_recovery\(learned, tr"):
        dictionary_recovery(arrays[1], a)


EYE = np.eye(3)


@pytest.mark.parametrize(
    "call, message",
    [
        (lambda: dictionary_recovery(EYE, EYE, method="mmcs"), "method must be one of"),
        (lambda: dictionary_recovery(EYE, EYE[:, :2]), "learned and true must have one number of"),
        (lambda: dictionary_recovery(EYE, EYE[0]), "Expected 2D array"),
        (lambda: dictionary_recovery(np.full((3, 3), np.inf), EYE), "learned"),
        (lambda: seed_stability(EYE, np.ma.masked_equal(EYE, 0)), "b must be a plain array"),
        (lambda: seed_stability(EYE, EYE[:, :2]), "a and b must have one number of features"),
        (lambda: seed_stability(EYE, EYE, threshold=1.5), "threshold must lie in"),
        (lambda: seed_stability(EYE, EYE, threshold=np.nan), "threshold must lie in"),
    ],
)
def test_errors(call, message):
    with pytest.raises(ValueError, match=message):
        call()
