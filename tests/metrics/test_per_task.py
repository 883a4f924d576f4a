"""Every metric of a task is scikit-learn's on the task's labelled rows, or says why not."""

import pickle
import warnings
from functools import cache

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose
from sklearn.base import clone
from sklearn.calibration import calibration_curve
from sklearn.ensemble import RandomForestClassifier
from sklearn.exceptions import UndefinedMetricWarning
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.metrics import (
    average_precision_score,
    get_scorer,
    get_scorer_names,
    log_loss,
    make_scorer,
    r2_score,
    roc_auc_score,
)
from sklearn.metrics import root_mean_squared_error as rmse
from sklearn.model_selection import GridSearchCV, cross_validate
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline

from skmtl import MultiTaskSAEClassifier
from skmtl.metrics import (
    get_multitask_scorer,
    multitask_accuracy,
    multitask_calibration_error,
    multitask_classification_report,
    multitask_log_loss,
    multitask_r2,
    multitask_rmse,
    multitask_roc_auc,
)
from skmtl.metrics._one_task import METRICS
from skmtl.model_selection import MultiTaskKFold

# They compare two partitions without regard to names, or need several labels in a row.
NOT_OF_A_TASK = {
    name
    for name in get_scorer_names()
    if name.endswith("_samples") or "rand" in name or "mutual" in name
} | {"completeness_score", "fowlkes_mallows_score", "homogeneity_score", "v_measure_score"}
TWO_LABELS = {name for name, metric in METRICS.items() if metric.response == "two labels"}
THEIRS = {
    "roc_auc": get_scorer("roc_auc_ovr"),  # theirs of this name is for two classes
    "average_precision": make_scorer(average_precision_score, response_method="predict_proba"),
}


class Stacked:
    """One fitted model per task behind the face of one estimator."""

    def __init__(self, models):
        self.models = models
        if hasattr(models[0], "classes_"):
            self.classes_ = [m.classes_ for m in models]

    def predict(self, X):
        return np.array([m.predict(X).astype(object) for m in self.models]).T

    def predict_proba(self, X):
        return [m.predict_proba(X) for m in self.models]


def table(n_classes, strings, seed, regression=False):
    """X, complete labels, labels with gaps in all spellings."""
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(150, 3))
    if regression:
        Y = np.exp(X @ rng.normal(size=(3, len(n_classes))) / 3 + rng.normal(size=(150, 1)) / 3)
    else:
        Y = np.array([rng.integers(0, k, 150) for k in n_classes]).T
        Y[:, 0] = np.clip(Y[:, 0] + (X[:, 0] > 0), 0, n_classes[0] - 1)
    full = Y.astype(object)
    if strings:
        full[:, 0] = np.array(["c0", "c1", "c2", "c3"])[Y[:, 0]]
    Y = full.copy()
    gaps = np.array([None, float("nan"), pd.NA, -1], dtype=object)
    present = rng.random(Y.shape) < 0.6
    Y[~present] = rng.choice(gaps, (~present).sum())
    return X, full, Y, present, rng


@cache
def fitted(n_classes, strings, seed, regression):
    """One model per task of the table, fitted on the first rows."""
    X, full, *_ = table(n_classes, strings, seed, regression)
    model = LinearRegression() if regression else LogisticRegression(C=0.1)
    models = [clone(model).fit(X[:50], y[:50]) for y in columns(full)]
    return [ExponentOf(m) for m in models] if regression else models


def columns(full):
    """Labels in the type scikit-learn wants."""
    return [np.array(column.tolist()) for column in full.T]


def test_every_scorer_of_scikit_learn_is_served_or_makes_no_sense_for_a_task():
    assert set(get_scorer_names()) - set(METRICS) == NOT_OF_A_TASK
    assert set(METRICS) - set(get_scorer_names()) == {"neg_calibration_error"}


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.UndefinedMetricWarning")  # theirs
@pytest.mark.parametrize("name", sorted(set(METRICS) - {"neg_calibration_error"}))
@pytest.mark.parametrize("weighted", [None, 1, 2])
def test_scorers_equal_scikit_learn_per_column(name, weighted):
    regression = METRICS[name].response == "values"
    for seed in range(2):
        n_classes, strings = (
            ([2, 2], False) if name in TWO_LABELS else ([3, 2, 4], bool(seed) and not regression)
        )
        if name == "top_k_accuracy":
            n_classes = [3, 5, 4]
        X, full, Y, present, rng = table(n_classes, strings, seed, regression)
        weight = None if weighted is None else rng.random(Y.shape if weighted == 2 else len(Y))
        takes_no_weight = "ovo" in name or "likelihood" in name or name == "neg_max_error"
        if takes_no_weight and weighted:
            weight = np.ones_like(weight)
        models = fitted(tuple(n_classes), strings, seed, regression)
        expected = []
        for t, (m, y) in enumerate(zip(models, columns(full), strict=True)):
            rows = present[:, t]
            options = {}
            if weighted and not takes_no_weight:
                options = {"sample_weight": (weight if weighted == 1 else weight[:, t])[rows]}
            expected.append(THEIRS.get(name, get_scorer(name))(m, X[rows], y[rows], **options))
        for average, value in (
            ("tasks", np.mean(expected)),
            ("worst", np.min(expected)),
            (
                np.arange(1.0, len(expected) + 1),
                np.average(expected, weights=[1, 2, 3][: len(expected)]),
            ),
        ):
            scorer = get_multitask_scorer(name, average=average, missing_label=-1)
            got = scorer(Stacked(models), X, Y, sample_weight=weight)
            assert_allclose(got, value, rtol=1e-12, atol=1e-14)


class ExponentOf:
    """Positive predictions, for errors of logarithms."""

    def __init__(self, model):
        self.model = model

    def predict(self, X):
        return np.exp(self.model.predict(X))

    def __sklearn_tags__(self):
        return self.model.__sklearn_tags__()


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("weighted", [None, 1, 2])
def test_functions_equal_scikit_learn_per_column(seed, weighted):
    _, full, Y, present, rng = table([3, 2, 4], strings=True, seed=seed)
    weight = None if weighted is None else rng.random(Y.shape if weighted == 2 else len(Y))
    proba = [rng.dirichlet(np.ones(k), len(Y)) for k in (3, 2, 4)]
    options = {"average": None, "sample_weight": weight, "missing_label": -1}
    for ours, theirs, extra in (
        (multitask_log_loss, log_loss, {}),
        (multitask_roc_auc, roc_auc_score, {"multi_class": "ovr"}),
        (multitask_roc_auc, roc_auc_score, {"multi_class": "ovo"}),
    ):
        if "ovo" in extra.values() and weight is not None:
            continue
        expected = []
        for t, y in enumerate(columns(full)):
            rows = present[:, t]
            w = None if weight is None else (weight if weighted == 1 else weight[:, t])[rows]
            p = proba[t][rows]
            p = p[:, 1] if extra and p.shape[1] == 2 else p
            expected.append(theirs(y[rows], p, sample_weight=w, **extra))
        assert_allclose(ours(Y, proba, **extra, **options), expected, rtol=1e-12)
    values = rng.normal(size=(2, *Y.shape))
    with_gaps = np.where(present, values[0], np.nan)
    for ours, theirs in ((multitask_r2, r2_score), (multitask_rmse, rmse)):
        expected = []
        for t in range(3):
            rows = present[:, t]
            w = None if weight is None else (weight if weighted == 1 else weight[:, t])[rows]
            expected.append(theirs(values[0][rows, t], values[1][rows, t], sample_weight=w))
        got = ours(with_gaps, values[1], average=None, sample_weight=weight)
        assert_allclose(got, expected, rtol=1e-12)


def naive_calibration_error(y, p, weight, n_bins):
    total = 0.0
    for b in range(n_bins):
        rows = [
            i for i in range(len(y)) if b / n_bins < p[i] <= (b + 1) / n_bins or (b == p[i] == 0)
        ]
        total += abs(sum(weight[i] * (y[i] - p[i]) for i in rows))
    return total / sum(weight)


@pytest.mark.parametrize("n_bins", [1, 7, 15])
def test_calibration_error_is_its_definition(rng, n_bins):
    y, p, weight = rng.random(300) < 0.4, rng.random(300).round(2), rng.random(300)
    p[:3] = 0, 1, 1 / 7
    got = multitask_calibration_error(y.astype(int), p, n_bins=n_bins, sample_weight=weight)
    assert_allclose(got, naive_calibration_error(y, p, weight, n_bins))
    freq, mean = calibration_curve(y, p, n_bins=n_bins)
    in_bin = np.histogram(p, np.linspace(0, 1, n_bins + 1))[0] if n_bins == 1 else None
    if in_bin is not None:
        assert_allclose(multitask_calibration_error(y * 1, p, n_bins=1), abs(freq - mean))
    many = rng.dirichlet(np.ones(4), 300)
    label = rng.integers(0, 4, 300)
    top = many.argmax(axis=1)
    got = multitask_calibration_error(label, many, n_bins=n_bins, sample_weight=weight)
    expected = naive_calibration_error(top == label, many.max(axis=1), weight, n_bins)
    assert_allclose(got, expected)


def test_averages():
    Y = [[0, 0, None], [1, 1, None], [1, None, None], [0, None, None]]
    pred = [[0, 1, 0], [1, 1, 0], [1, 1, 0], [0, 0, 0]]
    assert_allclose(multitask_accuracy(Y, pred, average=None), [1, 0.5, np.nan])
    assert multitask_accuracy(Y, pred) == 0.75
    assert multitask_accuracy(Y, pred, average="worst") == 0.5
    assert_allclose(multitask_accuracy(Y, pred, average="labels"), (4 + 1) / 6)
    assert_allclose(multitask_accuracy(Y, pred, average=[1, 3, 9]), (1 + 1.5) / 4)
    proba = [[0.8, 0.6, 0.5], [0.8, 0.6, 0.5], [0.8, 0.6, 0.5], [0.1, 0.6, 0.5]]
    losses = multitask_log_loss(Y, np.array(proba), average=None, classes=[0, 1])
    assert_allclose(multitask_log_loss(Y, proba, average="worst"), np.nanmax(losses))
    for average in ("micro", [1, 2], [1, -1, 1], pd.Series([1, 1, 1]), {0: 1, 1: 1, 2: 1}):
        with pytest.raises(ValueError, match="average must be"):
            multitask_accuracy(Y, pred, average=average)


def test_undefined_tasks_are_named_and_left_out():
    Y = pd.DataFrame({"a": [0, 1, 1], "b": [1, 1, None], "c": [None] * 3})
    proba = [np.array([[0.9, 0.1], [0.2, 0.8], [0.3, 0.7]])] * 3
    options = {"classes": [[0, 1]] * 3}
    with pytest.warns(UndefinedMetricWarning, match=r"roc_auc_ovr is undefined .* \('b'\)"):
        assert multitask_roc_auc(Y, proba, **options) == 1
    with pytest.warns(UndefinedMetricWarning):
        assert_allclose(multitask_roc_auc(Y, proba, average=None, **options), [1, np.nan, np.nan])
    with pytest.warns(UndefinedMetricWarning, match="r2 is undefined"):
        assert np.isnan(multitask_r2([[1.0]], [[2.0]]))


def test_frames_whose_columns_are_in_another_order_are_refused():
    Y = pd.DataFrame({"a": [0, 1, 1], "b": [1, 1, 0]})
    assert multitask_accuracy(Y, Y) == multitask_accuracy(Y, pd.DataFrame(Y.to_numpy())) == 1
    for metric in (multitask_accuracy, multitask_r2):
        with pytest.raises(
            ValueError, match=r"columns in one order; got \['a', 'b'\] and \['b', 'a'\]"
        ):
            metric(Y, Y[["b", "a"]])
    with pytest.raises(ValueError, match="Y_true and Y_proba must have their columns in one order"):
        multitask_roc_auc(Y, Y[["b", "a"]] * 0.5)


@pytest.mark.parametrize(
    "proba",
    [
        [],
        {},
        "a",
        [[0.1], [0.2, 0.3]],
        [object()] * 4,
        [np.nan] * 4,
        [1j] * 4,
        np.array(["2020"] * 4, "M8[D]"),
        np.ma.array([0.1, 0.2, 0.3, 0.4], mask=[1, 0, 0, 0]),
    ],
    ids=range(9),
)
def test_probabilities_that_are_none(proba):
    for metric in (multitask_log_loss, multitask_roc_auc):
        with pytest.raises(ValueError, match="Y_proba"):
            metric([0, 1, 0, 1], proba)


def test_every_metric_bears_one_label_and_one_class():
    """No exception and no warning but ours, whatever a fold leaves of a task."""
    for name, metric in METRICS.items():
        for y, proba in (
            ([1], [[0.3, 0.7]]),
            ([0, 0], [[0.3, 0.7]] * 2),
            ([1, 1], [[0.3, 0.7]] * 2),
            ([0, 0], [[1.0]] * 2),
            ([2, 2, 1], [[0.2, 0.3, 0.5]] * 3),
        ):
            if metric.response == "two labels" and len(proba[0]) != 2:
                continue
            if metric.response == "values":
                y = np.add(y, 1.0)  # some errors are of positive values alone
            est = Constant(np.array(proba), np.arange(len(proba[0])), metric.response == "values")
            with warnings.catch_warnings():
                warnings.simplefilter("error")
                warnings.simplefilter("ignore", UndefinedMetricWarning)
                score = get_multitask_scorer(name)(est, y, y)
            assert isinstance(score, float), name


class Constant:
    def __init__(self, proba, classes, regression):
        self.proba, self.classes_, self.regression = proba, classes, regression

    def predict(self, X):
        return self.proba[:, 0] if self.regression else self.proba.argmax(axis=1)

    def predict_proba(self, X):
        return self.proba


def test_classes_that_a_fold_lacks_or_adds():
    """Columns without a label are left out of means; labels without a column have probability 0."""
    p = np.array([[0.5, 0.2, 0.3], [0.1, 0.3, 0.6], [0.2, 0.6, 0.2], [0.4, 0.1, 0.5]])
    y, classes = ["a", "c", "c", "a"], ["a", "b", "c"]
    c_rest = roc_auc_score([0, 1, 1, 0], p[:, 2])
    a_rest = roc_auc_score([1, 0, 0, 1], p[:, 0])
    assert_allclose(multitask_roc_auc(y, p, classes=classes), (a_rest + c_rest) / 2)
    assert_allclose(multitask_log_loss(y, p, classes=classes), -np.log([0.5, 0.6, 0.2, 0.4]).mean())
    unseen = ["a", "c", "c", "z"]
    expected = -np.log([0.5, 0.6, 0.2, np.finfo(float).eps]).mean()
    assert_allclose(multitask_log_loss(unseen, p, classes=classes), expected)
    a_rest, c_rest = roc_auc_score([1, 0, 0, 0], p[:, 0]), roc_auc_score([0, 1, 1, 0], p[:, 2])
    assert_allclose(multitask_roc_auc(unseen, p, classes=classes), (a_rest + c_rest + 0.5) / 3)
    with pytest.raises(ValueError, match=r"one column per class.*Pass classes=estimator.classes_"):
        multitask_roc_auc(y, p)


@pytest.mark.parametrize(
    "call, message",
    [
        (lambda: multitask_roc_auc([0, 1], [0.5, 0.5], multi_class="all"), "multi_class must be"),
        (lambda: multitask_calibration_error([0, 1], [0.5, 0.5], n_bins=0), "n_bins must be"),
        (lambda: multitask_log_loss([0, 1], [0.5]), "Y_proba must have 2 rows"),
        (lambda: multitask_log_loss([[0, 1]], [[[0.5, 0.5]]]), "for each of the 2 tasks"),
        (
            lambda: multitask_log_loss([[0, 1]], [[[0.5, 0.5]]] * 2, classes=[[0, 1]]),
            "classes must hold one array for each",
        ),
        (lambda: multitask_log_loss([0, 1], np.ma.array([0.5, 0.5])), "Y_proba must be a plain"),
        (lambda: get_multitask_scorer("accuracy", average=None), "average must not be None"),
        (
            lambda: get_multitask_scorer("f1")(Constant(np.eye(3), [0, 1, 2], False), 0, [0, 1, 2]),
            "must have two classes.*'_macro'",
        ),
    ],
)
def test_errors(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def test_report_with_probabilities(rng):
    Y = rng.integers(0, 2, (40, 2)).astype(float)
    Y[:10, 1] = np.nan
    proba = [np.column_stack([1 - p, p]) for p in rng.random((2, 40))]
    report = multitask_classification_report(Y, Y, proba, output_dict=True)
    assert_allclose(report["mean"]["roc_auc"], multitask_roc_auc(Y, proba))
    assert_allclose(report["1"]["log_loss"], multitask_log_loss(Y, proba, average=None)[1])
    assert "calibration_error" in multitask_classification_report(Y, Y, proba)


NAMES = ["balanced_accuracy", "roc_auc", "neg_log_loss", "neg_brier_score", "matthews_corrcoef"]


@pytest.mark.parametrize(
    "model",
    [
        MultiTaskSAEClassifier(8, max_iter=2, tol=None, random_state=0),
        RandomForestClassifier(3, max_depth=3, random_state=0),
        MLPClassifier((4,), max_iter=5, random_state=0),
        make_pipeline(RandomForestClassifier(3, max_depth=3, random_state=0)),
    ],
    ids=lambda m: type(m).__name__,
)
@pytest.mark.filterwarnings("ignore:Stochastic Optimizer")
def test_any_multi_output_classifier(model, digits):
    """Lists of probabilities or one array, searches and pipelines; a class absent in a fold."""
    X, Y = digits[0][:200], np.nan_to_num(digits[1][:200, 1:])
    if isinstance(model, MultiTaskSAEClassifier):
        Y = digits[1][:200].copy()
        Y[0, 0] = 77  # in one row only: unseen where that row is in the test part
    scoring = {name: get_multitask_scorer(name) for name in NAMES}
    scores = cross_validate(model, X, Y, cv=MultiTaskKFold(2), scoring=scoring)
    for name in NAMES:
        assert np.isfinite(scores[f"test_{name}"]).all(), name


def test_scorers_clone_pickle_and_search(digits):
    X, Y = digits[0][:200], digits[1][:200]
    scorer = pickle.loads(pickle.dumps(get_multitask_scorer("roc_auc", average="worst")))
    search = GridSearchCV(
        MultiTaskSAEClassifier(max_iter=2, tol=None, random_state=0),
        {"n_components": [4, 8]},
        cv=MultiTaskKFold(2),
        scoring=scorer,
    )
    search = clone(search).fit(X, Y)
    assert repr(scorer) == "get_multitask_scorer('roc_auc', average='worst')"
    assert_allclose(search.score(X, Y), scorer(search.best_estimator_, X, Y))
    assert 0 < search.best_score_ < 1


def test_scorer_without_probabilities():
    with pytest.raises(AttributeError, match="needs an estimator with predict_proba"):
        get_multitask_scorer("roc_auc")(LinearRegression(), [[0]], [0])
