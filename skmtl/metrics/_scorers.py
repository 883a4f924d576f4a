"""Scorers for ``scoring=`` of scikit-learn's search and validation tools."""

from collections.abc import Callable
from typing import Any

from sklearn.utils.metadata_routing import MetadataRequest

from skmtl.metrics._tasks import multitask_accuracy, multitask_f1, multitask_recall

_METRICS = {
    "accuracy": multitask_accuracy,
    "recall_macro": multitask_recall,
    "f1_macro": multitask_f1,
}


def get_multitask_scorer(scoring: str, *, missing_label: Any = None) -> Callable[..., float]:
    """Scorer that ignores gaps in y and averages over tasks.

    Parameters
    ----------
    scoring : {"accuracy", "recall_macro", "f1_macro"}
        Name of the metric; each is computed per task on its labelled rows.
    missing_label : scalar, default=None
        A value of y that also means "no label here".

    Returns
    -------
    scorer : callable
        ``scorer(estimator, X, y, sample_weight=None)``, a float where higher is better. With
        metadata routing enabled, ``scorer.set_score_request(sample_weight=True)`` asks for
        weights.

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
    if scoring not in _METRICS:
        raise ValueError(f"scoring must be one of {sorted(_METRICS)}; got {scoring!r}.")
    return _Scorer(scoring, missing_label)


class _Scorer:
    """Callable in scikit-learn's scorer form; an object so that it can be pickled."""

    def __init__(self, scoring, missing_label):
        self.scoring = scoring
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
        return _METRICS[self.scoring](
            y, estimator.predict(X), sample_weight=sample_weight, missing_label=self.missing_label
        )

    def __repr__(self):
        return f"get_multitask_scorer({self.scoring!r})"
