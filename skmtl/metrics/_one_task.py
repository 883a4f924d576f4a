"""Metrics of one task by name: scikit-learn's functions, and what gaps in the classes ask for.

A test fold may lack classes that the estimator knows, and hold some that it does not. scikit-learn
refuses both for probabilities; here a class without a label is left out of the mean over classes,
and an unknown one has probability 0.
"""

from collections.abc import Callable
from functools import partial
from itertools import combinations
from typing import NamedTuple

import numpy as np
from sklearn import metrics as skm

NAN = float("nan")


class Metric(NamedTuple):
    """What is computed of one task.

    ``function(y_true, response, sample_weight)`` gets labels as integers in the order of the
    classes, and returns NaN where it is undefined. ``response`` says how the estimator's answer
    is read, a key of READERS. ``sign`` is -1 where lower is better.
    """

    function: Callable
    response: str
    sign: int = 1


def _plain(function, **options):
    """One of scikit-learn's functions of two columns."""
    return lambda y, y_hat, weight: function(y, y_hat, sample_weight=weight, **options)


# --- from predicted labels -------------------------------------------------------------------


def balanced_accuracy(y, y_pred, weight):
    """Mean recall over the classes that are true somewhere."""
    options = {"labels": np.unique(y), "average": "macro", "zero_division": 0}
    return skm.recall_score(y, y_pred, sample_weight=weight, **options)


def correlation(y, y_pred, weight):
    """Matthews' coefficient; 0 where only one label is true and predicted."""
    if (y == y[0]).all() and (y_pred == y[0]).all():
        return 0.0
    return skm.matthews_corrcoef(y, y_pred, sample_weight=weight)


def likelihood_ratio(y, y_pred, weight, *, positive):
    """Of the positive, or the negative, prediction; undefined without true labels of both."""
    if (y == y[0]).all():
        return NAN
    options = {"labels": [0, 1], "replace_undefined_by": 1.0}  # as scikit-learn's scorers
    ratios = skm.class_likelihood_ratios(y, y_pred, sample_weight=weight, **options)
    return ratios[0 if positive else 1]


# --- from probabilities ----------------------------------------------------------------------


def one_versus_rest(y, proba, weight, *, binary, weighted=False):
    """``binary`` of the second of two classes, or its mean over the classes against the rest."""
    if proba.shape[1] == 2:
        return binary(y == 1, proba[:, 1], weight)
    present = np.unique(y)
    values = [binary(y == c, proba[:, c], weight) for c in present]
    return np.average(values, weights=_class_weight(y, present, weight) if weighted else None)


def one_versus_one(y, proba, weight, *, weighted=False):
    """Mean over pairs of classes of the mean AUC of either's own probability (Hand and Till)."""
    if proba.shape[1] == 2:
        return auc(y == 1, proba[:, 1], weight)
    values, sizes = [], []
    for pair in combinations(np.unique(y), 2):
        rows = np.isin(y, pair)
        of_rows = None if weight is None else weight[rows]
        values.append(np.mean([auc(y[rows] == c, proba[rows, c], of_rows) for c in pair]))
        sizes.append(_class_weight(y, pair, weight).sum())
    if not values:
        return NAN
    return np.average(values, weights=sizes if weighted else None)


def auc(positive, score, weight):
    """Area under the ROC curve; undefined where one of the two classes has no label."""
    if positive.all() or not positive.any():
        return NAN
    return skm.roc_auc_score(positive, score, sample_weight=weight)


def precision_area(positive, score, weight):
    """Average precision; undefined without a positive label."""
    if not positive.any():
        return NAN
    return skm.average_precision_score(positive, score, sample_weight=weight)


def _class_weight(y, classes, weight):
    return np.array([((y == c) if weight is None else weight[y == c]).sum() for c in classes])


def _of_columns(function):
    """One of scikit-learn's functions of all probabilities."""

    def metric(y, proba, weight):
        return function(y, proba, sample_weight=weight, labels=np.arange(proba.shape[1]))

    return metric


def _beside_shares(function):
    """The same of a score relative to constant shares, which one class makes perfect."""
    of_columns = _of_columns(function)
    return lambda y, proba, weight: NAN if (y == y[0]).all() else of_columns(y, proba, weight)


def top_2_accuracy(y, proba, weight):
    """Undefined for two classes, where it would be 1."""
    return NAN if proba.shape[1] == 2 else _of_columns(skm.top_k_accuracy_score)(y, proba, weight)


def calibration_error(y, proba, weight, *, n_bins=15):
    """Expected calibration error: of two classes the second's, of more the likeliest's."""
    if proba.shape[1] == 2:
        confidence, hit = proba[:, 1], y == 1
    else:
        top = proba.argmax(axis=1)
        confidence, hit = proba[np.arange(len(y)), top], y == top
    if weight is None:
        weight = np.ones(len(y))
    # Bin b holds b / n_bins < confidence <= (b + 1) / n_bins; a confidence of 0 is in the first.
    bins = np.searchsorted(np.linspace(0, 1, n_bins + 1)[1:-1], confidence)
    gap = np.bincount(bins, weights=weight * (hit - confidence.astype(float)))
    return np.abs(gap).sum() / weight.sum()


# --- the table -------------------------------------------------------------------------------


def _of_values(function, n_least=1):
    """One of scikit-learn's functions of real targets; undefined where a prediction is missing.

    A regressor predicts NaN for a task of which it saw no target.
    """
    plain = _plain(function)

    def metric(y, y_hat, weight):
        return NAN if len(y) < n_least or np.isnan(y_hat).any() else plain(y, y_hat, weight)

    return metric


def max_error(y, y_hat, sample_weight):
    """Rows of weight zero are not here; the other weights do not matter."""
    return skm.max_error(y, y_hat)


METRICS = {
    "accuracy": Metric(_plain(skm.accuracy_score), "labels"),
    "balanced_accuracy": Metric(balanced_accuracy, "labels"),
    "matthews_corrcoef": Metric(correlation, "labels"),
    "positive_likelihood_ratio": Metric(partial(likelihood_ratio, positive=True), "two labels"),
    "neg_negative_likelihood_ratio": Metric(
        partial(likelihood_ratio, positive=False), "two labels", -1
    ),
    "roc_auc": Metric(partial(one_versus_rest, binary=auc), "probabilities"),
    "roc_auc_ovr": Metric(partial(one_versus_rest, binary=auc), "probabilities"),
    "roc_auc_ovr_weighted": Metric(
        partial(one_versus_rest, binary=auc, weighted=True), "probabilities"
    ),
    "roc_auc_ovo": Metric(one_versus_one, "probabilities"),
    "roc_auc_ovo_weighted": Metric(partial(one_versus_one, weighted=True), "probabilities"),
    "average_precision": Metric(partial(one_versus_rest, binary=precision_area), "probabilities"),
    "top_k_accuracy": Metric(top_2_accuracy, "probabilities"),
    "neg_log_loss": Metric(_of_columns(skm.log_loss), "probabilities", -1),
    "neg_brier_score": Metric(_of_columns(skm.brier_score_loss), "probabilities", -1),
    "neg_calibration_error": Metric(calibration_error, "probabilities", -1),
    "d2_log_loss_score": Metric(_beside_shares(skm.d2_log_loss_score), "probabilities"),
    "d2_brier_score": Metric(_beside_shares(skm.d2_brier_score), "probabilities"),
    "r2": Metric(_of_values(skm.r2_score, 2), "values"),
    "explained_variance": Metric(_of_values(skm.explained_variance_score, 2), "values"),
    "d2_absolute_error_score": Metric(_of_values(skm.d2_absolute_error_score, 2), "values"),
}
for name in ("f1", "jaccard", "precision", "recall"):
    function = getattr(skm, f"{name}_score")
    METRICS[name] = Metric(_plain(function, zero_division=0), "two labels")
    for average in ("macro", "micro", "weighted"):
        averaged = _plain(function, average=average, zero_division=0)
        METRICS[f"{name}_{average}"] = Metric(averaged, "labels")
for name in (
    "mean_absolute_error",
    "mean_absolute_percentage_error",
    "mean_gamma_deviance",
    "mean_poisson_deviance",
    "mean_squared_error",
    "mean_squared_log_error",
    "median_absolute_error",
    "root_mean_squared_error",
    "root_mean_squared_log_error",
):
    METRICS[f"neg_{name}"] = Metric(_of_values(getattr(skm, name)), "values", -1)
METRICS["neg_max_error"] = Metric(_of_values(max_error), "values", -1)
