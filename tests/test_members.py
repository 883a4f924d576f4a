"""An ensemble in one fit: members that differ in their start, and what is averaged."""

import pickle

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.base import clone

from skmtl import MultiTaskSAEClassifier, MultiTaskSAERegressor
from skmtl.datasets import make_multitask_classification


@pytest.fixture(scope="module")
def tasks():
    X, Y, _ = make_multitask_classification(200, 8, 3, n_classes=3, missing=0.3, random_state=0)
    return X, Y


def clf(n_members=3, **params):
    defaults = {"max_iter": 4, "tol": None, "random_state": 0, "learning_rate": 0.01}
    return MultiTaskSAEClassifier(12, n_members=n_members, **defaults | params)


def by_member(model, X):
    """What each member alone would predict: the slow twin."""
    alone = clone(model).set_params(n_members=1)
    for params in [model._params, *(params for params, _ in model._members)]:
        alone.__dict__.update(model.__dict__ | {"_params": params, "_members": []})
        yield alone.predict_proba(X)


def test_probabilities_are_averaged(tasks):
    X, Y = tasks
    model = clf().fit(X, Y)
    members = list(by_member(model, X))
    assert len(members) == 3
    for t, p in enumerate(model.predict_proba(X)):
        assert_allclose(p, np.mean([own[t] for own in members], axis=0), atol=1e-12)
        assert_allclose(np.log(p), model.predict_log_proba(X)[t], atol=1e-9)
        assert_array_equal(model.predict(X)[:, t], model.classes_[t][p.argmax(axis=1)])
        assert np.ptp([own[t] for own in members], axis=0).max() > 1e-3  # they do differ


def test_the_first_member_is_the_model_of_one(tasks):
    X, Y = tasks
    one, many = clf(1).fit(X, Y), clf(2).fit(X, Y)
    assert_array_equal(one.components_, many.components_)
    assert_array_equal(one.transform(X), many.transform(X))
    assert one.loss_curve_ == many.loss_curve_


@pytest.mark.parametrize("n_jobs", [1, 2])
def test_seeded(n_jobs, tasks):
    X, Y = tasks
    a, b = clf().fit(X, Y), clf(n_jobs=n_jobs).fit(X, Y)
    for p, q in zip(a.predict_proba(X), b.predict_proba(X), strict=True):
        assert_array_equal(p, q)


def test_partial_fit_trains_all_members_on(tasks):
    X, Y = tasks
    classes = [np.arange(3.0)] * Y.shape[1]
    model = clf(2).partial_fit(X, Y, classes=classes)
    for _ in range(3):
        model.partial_fit(X, Y)
    fitted = clf(2).fit(X, Y)
    for p, q in zip(model.predict_proba(X), fitted.predict_proba(X), strict=True):
        assert_allclose(p, q, atol=1e-12)
    with pytest.raises(ValueError, match="n_members must stay"):
        model.set_params(n_members=3).partial_fit(X, Y)


def test_one_dimensional_y(tasks):
    X, Y = tasks
    y = np.nan_to_num(Y[:, 0]) > 0
    model = clf(2).fit(X, y)
    p = model.predict_proba(X)
    assert_allclose(p.sum(axis=1), 1)
    assert_allclose(model.decision_function(X), np.log(p[:, 1] / p[:, 0]), atol=1e-9)
    assert_array_equal(model.predict(X), model.decision_function(X) > 0)


def test_add_task_gives_each_member_a_head(tasks):
    X, Y = tasks
    model = clf(2).fit(X, Y)
    before = model.predict_proba(X)
    model.add_task(X[:60], (X[:60, 0] > 0).astype(int))
    after = model.predict_proba(X)
    for p, q in zip(before, after, strict=False):
        assert_array_equal(p, q)
    assert_allclose(after[-1], np.mean([own[-1] for own in by_member(model, X)], axis=0))
    again = pickle.loads(pickle.dumps(model))
    assert_array_equal(again.predict_proba(X)[-1], after[-1])


def test_guard_and_early_stopping(tasks, monkeypatch):
    X, Y = tasks
    fits = []
    fit_without = MultiTaskSAEClassifier._params_without
    monkeypatch.setattr(
        MultiTaskSAEClassifier,
        "_params_without",
        lambda self, *args: fits.append(args) or fit_without(self, *args),
    )
    model = clf(2, head_selection="cv", early_stopping=True, max_iter=2).fit(X, Y)
    assert len(model.head_selection_) == Y.shape[1]
    assert np.isfinite(model.score(X, Y))
    assert len(fits) == 3  # it chooses once for all members
    for params in [model._params, *(params for params, _ in model._members)]:
        for t, chosen in enumerate(model.head_selection_):
            head = slice(*model._targets.offsets[t : t + 2])
            assert params["W_head"][head].any() == (chosen != "raw")
            assert params["W_skip"][head].any() == (chosen != "shared")


def test_predictions_of_real_targets_are_averaged(rng):
    X = rng.standard_normal((100, 5))
    Y = np.column_stack([X[:, 0] * 10 + 3, X[:, 1]])
    model = MultiTaskSAERegressor(8, n_members=3, max_iter=3, tol=None, random_state=0).fit(X, Y)
    alone = clone(model).set_params(n_members=1)
    each = []
    for params in [model._params, *(params for params, _ in model._members)]:
        alone.__dict__.update(model.__dict__ | {"_params": params, "_members": []})
        each.append(alone.predict(X))
    assert_allclose(model.predict(X), np.mean(each, axis=0), atol=1e-12)
