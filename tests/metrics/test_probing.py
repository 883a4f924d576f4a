"""k-sparse probing: which latents, on which rows, with which score."""

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import accuracy_score, balanced_accuracy_score, roc_auc_score
from sklearn.model_selection import KFold, StratifiedKFold, train_test_split
from sklearn.tree import DecisionTreeClassifier

from skmtl.datasets import make_sparse_codes
from skmtl.metrics import sparse_probing
from tests import naive


@pytest.fixture
def problem(rng):
    """A code in which latent 5 tells much of the label and latent 2 some of it."""
    code = rng.random((300, 12)) * (rng.random((300, 12)) < 0.4)
    y = rng.random(300) < 0.3
    code[:, 5] += y * rng.random(300)
    code[:, 2] += ~y * 0.3 * rng.random(300)
    return code, y


def by_hand(code, target, train, test, k, metric=balanced_accuracy_score):
    latents = np.argsort(-naive.class_gap(code[train], target[train]), kind="stable")[:k]
    probe = LogisticRegression(class_weight="balanced", max_iter=1000)
    probe.fit(code[train][:, latents], target[train])
    X = code[test][:, latents]
    predicted = probe.decision_function(X) if metric is roc_auc_score else probe.predict(X)
    return latents, metric(target[test], predicted)


@pytest.mark.parametrize("container", [np.asarray, sp.csr_array, sp.csc_matrix])
def test_binary_equals_the_steps_by_hand(problem, container):
    code, y = problem
    splits = list(StratifiedKFold(3, shuffle=True, random_state=0).split(code, y))
    for scoring, metric in [
        ("balanced_accuracy", balanced_accuracy_score),
        ("accuracy", accuracy_score),
        ("roc_auc", roc_auc_score),
    ]:
        result = sparse_probing(container(code), y, scoring=scoring, cv=splits)
        assert result.scores.shape == (3, 1, 3) and result.latents.shape == (3, 1, 5)
        for s, (train, test) in enumerate(splits):
            for j, k in enumerate((1, 2, 5)):
                latents, score = by_hand(code, y, train, test, k, metric)
                assert_array_equal(result.latents[s, 0, :k], latents)
                assert_allclose(result.scores[s, 0, j], score, rtol=1e-9)
        assert_allclose(result.score, result.scores.mean(axis=(0, 1)))
    assert (result.latents[:, 0, 0] == 5).all()
    assert_array_equal(result.classes, [True])


def test_each_class_against_the_rest(problem, rng):
    code, _ = problem
    y = np.array(["b", "a", "c"], dtype=object)[rng.integers(0, 3, 300)]
    for j, label in enumerate("abc"):
        code[:, 6 + j] += y == label
    train, test = next(StratifiedKFold(3).split(code, y))
    result = sparse_probing(code, y, n_latents=[2, 1], cv=[(train, test)])
    assert result.classes.tolist() == ["a", "b", "c"]
    assert result.scores.shape == (1, 3, 2) and result.n_latents.tolist() == [2, 1]
    for c, label in enumerate("abc"):
        for j, k in enumerate((2, 1)):
            latents, score = by_hand(code, y == label, train, test, k)
            assert_array_equal(result.latents[0, c, :k], latents)
            assert_allclose(result.scores[0, c, j], score, rtol=1e-9)
    assert_array_equal(result.latents[0, :, 0], [6, 7, 8])


def test_test_rows_choose_and_train_nothing(problem):
    code, y = problem
    train, test = next(StratifiedKFold(4).split(code, y))
    before = sparse_probing(code, y, cv=[(train, test)])
    code[test] = 0
    code[test, 9] = 100 * y[test]  # would be the best latent by far
    after = sparse_probing(code, y, cv=[(train, test)])
    assert_array_equal(after.latents, before.latents)
    # With only zeros in the chosen columns every test row gets one prediction.
    assert 9 not in after.latents and (after.scores == 0.5).all()


def test_default_split_and_seed(problem):
    code, y = problem
    a, b, c = (sparse_probing(code, y, random_state=seed) for seed in (0, 0, 1))
    assert_array_equal(a.scores, b.scores)
    assert not np.array_equal(a.scores, c.scores)
    rows = np.arange(300)
    splits = train_test_split(rows, test_size=60, stratify=y, random_state=0)
    assert_allclose(a.scores, sparse_probing(code, y, cv=[splits]).scores)
    assert sparse_probing(code, y, cv=4).scores.shape == (4, 1, 3)


def test_chance_is_one_half_however_rare_the_class(rng):
    """Raw accuracy would call a probe of noise 97 percent right."""
    code, y = rng.random((2000, 6)), rng.random(2000) < 0.03
    score = sparse_probing(code, y, cv=5).score
    assert (np.abs(score - 0.5) < 0.15).all()
    never = sparse_probing(code, y, cv=5, scoring="accuracy", probe=LogisticRegression()).score
    assert (never > 0.95).all()


def test_gaps_and_label_types(problem, rng):
    code, y = problem
    gaps = rng.random(300) < 0.3
    expected = sparse_probing(code[~gaps], y[~gaps], cv=3)
    floats = np.where(gaps, np.nan, y)
    nullable = pd.Series(np.where(gaps, None, y), dtype="boolean", name="label")
    for labels in (floats, floats[:, None], nullable):
        result = sparse_probing(sp.csr_array(code), labels, cv=3)
        assert_allclose(result.scores, expected.scores)
        assert_array_equal(result.latents, expected.latents)
    declared = sparse_probing(code, np.where(gaps, -1, y), cv=3, missing_label=-1)
    assert_allclose(declared.scores, expected.scores)


def test_other_probes_and_widths(problem):
    code, y = problem
    probe = DecisionTreeClassifier(max_depth=1)
    result = sparse_probing(code, y, n_latents=(3, 99), probe=probe, random_state=0)
    assert result.n_latents.tolist() == [3, 12] and result.latents.shape == (1, 1, 12)
    assert not hasattr(probe, "tree_")
    assert sparse_probing(code, y, n_latents=2, random_state=0).score.shape == (1,)


def test_ties_go_to_the_lower_index():
    code = np.repeat(np.arange(40)[:, None] % 2, 6, axis=1).astype(float)
    code[:, 0] = 1
    result = sparse_probing(code, np.arange(40) % 2, n_latents=3, random_state=0)
    assert result.latents.tolist() == [[[1, 2, 3]]] and result.score == 1


def test_finds_the_atom_behind_a_label():
    """An atom's presence is told by its own latent, and by no other."""
    _, codes, _ = make_sparse_codes(3000, 16, 64, 6, random_state=0)
    for atom in (0, 17, 63):
        y = codes[:, [atom]].toarray().ravel() > 0
        result = sparse_probing(codes, y, n_latents=1, random_state=0)
        assert result.latents.item() == atom and result.score == 1
        rest = sp.csr_array(codes[:, np.delete(np.arange(64), atom)])
        assert sparse_probing(rest, y, n_latents=5, random_state=0).score < 0.75


CODE = np.random.default_rng(0).random((20, 3))
Y = np.arange(20) % 2


@pytest.mark.parametrize(
    "call, message",
    [
        (lambda: sparse_probing(CODE, Y[:9]), "code and y must have one number of rows"),
        (lambda: sparse_probing(CODE, np.column_stack([Y, Y])), "y must have one label a row"),
        (lambda: sparse_probing(CODE, np.ones(20)), "y must have at least two classes"),
        (lambda: sparse_probing(CODE, np.full(20, np.nan)), "at least one label"),
        (lambda: sparse_probing(CODE, CODE[:, 0]), "continuous"),
        (lambda: sparse_probing(CODE, Y, n_latents=0), "n_latents must be an integer of at least"),
        (lambda: sparse_probing(CODE, Y, n_latents=()), "n_latents must be an integer of at least"),
        (lambda: sparse_probing(CODE, Y, n_latents=(1, 2.5)), "n_latents must be an integer"),
        (lambda: sparse_probing(CODE, np.arange(20) >= 10, cv=KFold(2)), "every class to train on"),
        (lambda: sparse_probing(CODE[0], Y), "Expected 2D array"),
        (lambda: sparse_probing(np.full((20, 3), np.nan), Y), "contains NaN"),
    ],
)
def test_errors(call, message):
    with pytest.raises(ValueError, match=message):
        call()
