"""Scorers for ``scoring=`` of scikit-learn's search and validation tools."""

from collections.abc import Callable
from typing import Any

from sklearn.utils.metadata_routing import MetadataRequest

from skmtl.metrics._one_task import METRICS
from skmtl.metrics._per_task import by_task


def get_multitask_scorer(
    scoring: str, *, average: Any = "tasks", missing_label: Any = None
) -> Callable[..., float]:
    """Scorer that ignores gaps in y and averages over tasks.

    Parameters
    ----------
    scoring : str
        One of scikit-learn's scorer names that judge one task: "accuracy", "balanced_accuracy",
        "f1", "precision", "recall" and "jaccard" for two classes (the second of ``classes_`` is
        the positive one), the same with "_macro", "_micro" or "_weighted",
        "matthews_corrcoef", "positive_likelihood_ratio", "neg_negative_likelihood_ratio"; from
        ``predict_proba`` "roc_auc" (one-versus-rest for more than two classes), "roc_auc_ovr",
        "roc_auc_ovo" and their "_weighted" forms, "average_precision", "neg_log_loss",
        "neg_brier_score", "top_k_accuracy", "d2_log_loss_score", "d2_brier_score" and our
        "neg_calibration_error"; for real targets "r2", "explained_variance",
        "d2_absolute_error_score", "neg_mean_squared_error", "neg_root_mean_squared_error",
        "neg_mean_absolute_error" and the other errors. Each is computed per task on its labelled
        rows.
    average : {"tasks", "labels", "worst"} or array-like of shape (n_tasks,), default="tasks"
        How the tasks are averaged, as in `multitask_accuracy`.
    missing_label : scalar, default=None
        A value of y that also means "no label here".

    Returns
    -------
    scorer : callable
        ``scorer(estimator, X, y, sample_weight=None)``, a float where higher is better. With
        metadata routing enabled, ``scorer.set_score_request(sample_weight=True)`` asks for
        weights. A class of y that the estimator did not see has probability 0; a class of the
        estimator that y lacks is left out of means over classes; a task where the metric is
        undefined is left out with a warning.

    Raises
    ------
    ValueError
        If the name is not known.

    Examples
    --------
    >>> from skmtl.metrics import get_multitask_scorer
    >>> get_multitask_scorer("f1_macro")
    get_multitask_scorer('f1_macro')
    """
    if scoring not in METRICS:
        raise ValueError(f"scoring must be one of {sorted(METRICS)}; got {scoring!r}.")
    if average is None:
        raise ValueError("average must not be None: a scorer gives one number; got None.")
    return _Scorer(scoring, average, missing_label)


class _Scorer:
    """Callable in scikit-learn's scorer form; an object so that it can be pickled."""

    def __init__(self, scoring, average, missing_label):
        self.scoring = scoring
        self.average = average
        self.missing_label = missing_label
        self._request = MetadataRequest(owner=repr(self))

    def set_score_request(self, *, sample_weight):
        """Say whether ``sample_weight`` reaches the scorer where metadata routing is enabled."""
        self._request.score.add_request(param="sample_weight", alias=sample_weight)
        return self

    def get_metadata_routing(self):
        """What the scorer asks for."""
        return self._request

    def __call__(self, estimator, X, y, sample_weight=None):
        metric = METRICS[self.scoring]
        if metric.response != "probabilities":
            response = estimator.predict(X)
        elif hasattr(estimator, "predict_proba"):
            response = estimator.predict_proba(X)
        else:
            raise AttributeError(
                f"scoring={self.scoring!r} needs an estimator with predict_proba; "
                f"{type(estimator).__name__} has none."
            )
        return metric.sign * by_task(
            self.scoring,
            y,
            response,
            classes=getattr(estimator, "classes_", None),
            average=self.average,
            sample_weight=sample_weight,
            missing_label=self.missing_label,
        )

    def __repr__(self):
        given = {"average": self.average, "missing_label": self.missing_label}
        default = {"average": "tasks", "missing_label": None}
        options = [f", {k}={v!r}" for k, v in given.items() if repr(v) != repr(default[k])]
        return f"get_multitask_scorer({self.scoring!r}{''.join(options)})"
