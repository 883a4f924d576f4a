import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from skmtl.datasets import make_multitask_classification


def test_shapes_and_truth():
    X, Y, truth = make_multitask_classification(
        500, 20, 3, n_classes=4, n_shared=5, n_private=2, n_active=3, random_state=0
    )
    assert X.shape == (500, 20) and Y.shape == (500, 3)
    assert truth.codes.shape == (500, 11) and truth.dictionary.shape == (11, 20)
    assert_array_equal((truth.codes > 0).sum(axis=1), 3)
    assert_allclose(X, truth.codes @ truth.dictionary)
    assert_array_equal(truth.task_map.sum(axis=1), [3] * 5 + [1] * 6)
    assert_array_equal(truth.task_map[5:7], [[True, False, False]] * 2)
    for y in Y.T:
        share = np.bincount(y.astype(int), minlength=4) / 500
        assert share.min() > 0.1


def test_labels_depend_on_what_the_map_says(rng):
    """A linear model of the atoms that a task reads is right; without its own it is not."""
    from sklearn.linear_model import LogisticRegression

    _, Y, truth = make_multitask_classification(3000, n_tasks=2, n_private=3, random_state=0)
    for t in range(2):
        read = truth.task_map[:, t]
        accuracy = [
            LogisticRegression(C=1000).fit(codes, Y[:, t]).score(codes, Y[:, t])
            for codes in (truth.codes[:, read], truth.codes[:, :8])
        ]
        assert accuracy[0] > 0.99 and accuracy[1] < 0.95


def test_own_samples():
    _, Y, truth = make_multitask_classification(300, n_tasks=4, own_samples=True, random_state=0)
    assert_array_equal(np.isfinite(Y).sum(axis=1), 1)
    of_row = np.isfinite(Y).argmax(axis=1)
    others = ~truth.task_map[:, of_row].T
    assert not truth.codes[others].any()


def test_options():
    _, Y, _ = make_multitask_classification(2000, missing=0.3, random_state=0)
    assert_allclose(np.isnan(Y).mean(), 0.3, atol=0.03)
    _, Y, _ = make_multitask_classification(500, n_private=0, relatedness=1.0, random_state=0)
    assert_array_equal(Y, Y[:, :1] * np.ones(4))
    clean = make_multitask_classification(2000, random_state=0)[1]
    noisy = make_multitask_classification(2000, label_noise=0.5, random_state=0)[1]
    assert 0.15 < (clean != noisy)[:, 0].mean() < 0.35
    again = make_multitask_classification(2000, random_state=0)[1]
    assert_array_equal(clean, again)


@pytest.mark.parametrize(
    "bad",
    [
        {"n_samples": 0},
        {"n_classes": 1},
        {"relatedness": 1.5},
        {"missing": 1.0},
        {"noise": -1},
        {"n_shared": 0, "n_private": 0},
        {"n_active": 40},
        {"n_active": 11, "own_samples": True},
    ],
    ids=str,
)
def test_bad_parameters(bad):
    with pytest.raises(ValueError, match=next(iter(bad))):
        make_multitask_classification(**bad)
