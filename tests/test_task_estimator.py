"""One task of a fitted model in tools that take one-dimensional y."""

import pickle

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.base import clone, is_classifier
from sklearn.calibration import CalibratedClassifierCV
from sklearn.ensemble import StackingClassifier, VotingClassifier
from sklearn.exceptions import NotFittedError
from sklearn.frozen import FrozenEstimator
from sklearn.inspection import permutation_importance
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import RocCurveDisplay, balanced_accuracy_score
from sklearn.model_selection import FixedThresholdClassifier, TunedThresholdClassifierCV
from sklearn.pipeline import make_pipeline
from sklearn.utils.validation import check_is_fitted

from skmtl import MultiTaskSAEClassifier


@pytest.fixture(scope="module")
def model(digits_and_words):
    X, Y = digits_and_words
    options = {"max_iter": 15, "tol": None, "learning_rate": 0.01, "random_state": 0}
    return MultiTaskSAEClassifier(24, **options).fit(X, Y)


@pytest.fixture(scope="module")
def digits_and_words(digits):
    """Digit, odd as words, at least 5 as bools; gaps."""
    X, Y = digits
    odd = [None if np.isnan(v) else ("odd" if v else "even") for v in Y[:, 1]]
    large = [None if np.isnan(v) else bool(v) for v in Y[:, 2]]
    return X[:400], pd.DataFrame({"digit": Y[:, 0], "odd": odd, "large": large})[:400]


def rows_of(digits_and_words, name):
    X, Y = digits_and_words
    rows = Y[name].notna().to_numpy()
    return X[rows], np.array(Y[name][rows].tolist())


def test_it_is_the_task(model, digits_and_words):
    X, _ = digits_and_words
    for t, name in enumerate(["digit", "odd", "large"]):
        for task in (t, name):
            view = model.task_estimator(task)
            assert_array_equal(view.classes_, model.classes_[t])
            assert_array_equal(view.predict_proba(X), model.predict_proba(X)[t])
            assert_array_equal(view.predict_log_proba(X), model.predict_log_proba(X)[t])
            predicted = view.predict(X)
            assert predicted.dtype == view.classes_.dtype
            assert_array_equal(predicted, model.predict(X)[:, t])
    X_t, y = rows_of(digits_and_words, "odd")
    assert model.task_estimator("odd").score(X_t, y) > 0.9
    assert view.n_features_in_ == 64 and not hasattr(view, "feature_names_in_")


def test_decision_function(model, digits_and_words):
    X, _ = digits_and_words
    odds = model.task_estimator(1).decision_function(X)
    assert_allclose(1 / (1 + np.exp(-odds)), model.predict_proba(X)[1][:, 1])
    scores = model.task_estimator(0).decision_function(X)
    assert_array_equal(scores.argmax(axis=1), model.predict_proba(X)[0].argmax(axis=1))


def test_it_is_a_frozen_classifier(model, digits_and_words):
    X, y = rows_of(digits_and_words, "odd")
    view = model.task_estimator("odd")
    before = model.predict_proba(X)[1]
    assert is_classifier(view) and clone(view) is view
    assert_array_equal(view.fit(X[:10], y[:10]).predict_proba(X), before)
    assert_array_equal(pickle.loads(pickle.dumps(view)).predict_proba(X), before)
    assert_array_equal(FrozenEstimator(view).predict_proba(X), before)
    assert_array_equal(clone(make_pipeline(view)).fit(X, y).predict_proba(X), before)
    assert "task=1" in repr(view)
    check_is_fitted(view)
    with pytest.raises(NotFittedError):
        check_is_fitted(type(view)(MultiTaskSAEClassifier()))


@pytest.mark.parametrize(
    "tool",
    [
        lambda view: CalibratedClassifierCV(FrozenEstimator(view)),
        lambda view: CalibratedClassifierCV(view, cv=2),
        lambda view: FixedThresholdClassifier(view, threshold=0.3, pos_label="odd"),
        lambda view: TunedThresholdClassifierCV(view, cv=2),
        lambda view: TunedThresholdClassifierCV(FrozenEstimator(view), cv="prefit", refit=False),
        lambda view: VotingClassifier([("a", view)], voting="soft"),
        lambda view: StackingClassifier([("a", view)], LogisticRegression(), cv="prefit"),
        lambda view: StackingClassifier([("a", view)], LogisticRegression(), cv=2),
    ],
    ids=lambda tool: tool(None).__class__.__name__,
)
def test_tools_for_one_task(tool, model, digits_and_words):
    X, y = rows_of(digits_and_words, "odd")
    tool = tool(model.task_estimator("odd")).fit(X, y)
    assert balanced_accuracy_score(y, tool.predict(X)) > 0.9
    assert tool.predict_proba(X).shape == (len(X), 2)


def test_a_threshold_moves_predictions(model, digits_and_words):
    X, y = rows_of(digits_and_words, "large")
    view = model.task_estimator("large")
    fixed = FixedThresholdClassifier(view, threshold=0.9, response_method="predict_proba").fit(X, y)
    assert_array_equal(fixed.predict(X), view.predict_proba(X)[:, 1] >= 0.9)


def test_displays_and_importance(model, digits_and_words):
    pytest.importorskip("matplotlib").use("agg")
    X, y = rows_of(digits_and_words, "odd")
    view = model.task_estimator("odd")
    assert RocCurveDisplay.from_estimator(view, X, y).roc_auc > 0.95
    result = permutation_importance(view, X, y, n_repeats=1, random_state=0)
    assert result.importances_mean.max() > 0


def test_one_d_labels(digits):
    X, y = digits[0][:200], np.nan_to_num(digits[1][:200, 1])
    model = MultiTaskSAEClassifier(8, max_iter=2, tol=None, random_state=0).fit(X, y)
    view = model.task_estimator(0)
    assert_array_equal(view.predict(X), model.predict(X))
    assert_array_equal(view.predict_proba(X), model.predict_proba(X))
    assert_allclose(view.decision_function(X), model.decision_function(X), atol=1e-12)


@pytest.mark.filterwarnings("ignore:Task")
def test_errors(model, digits):
    for task in (3, -1, "even", 1.0, None):
        with pytest.raises(ValueError, match=r"from 0 to 2 or one of the names \['digit'"):
            model.task_estimator(task)
    X, Y = digits[0][:50], digits[1][:50].copy()
    Y[:, 1] = np.nan
    empty = MultiTaskSAEClassifier(4, max_iter=1, tol=None).fit(X, Y)
    with pytest.raises(ValueError, match="task 1 had none"):
        empty.task_estimator(1)
    with pytest.raises(NotFittedError):
        MultiTaskSAEClassifier().task_estimator(0)
