"""A warning where pickle, joblib or skops brings an estimator of another version of skmtl.

scikit-learn's own estimators warn so; its base class leaves out those of other packages. Both
estimators have these two as ``__getstate__`` and ``__setstate__``.
"""

import warnings

from sklearn.base import BaseEstimator
from sklearn.exceptions import InconsistentVersionWarning

from skmtl._version import __version__


class VersionWarning(InconsistentVersionWarning):
    """scikit-learn's warning, in our words."""

    def __str__(self):
        return (
            f"{self.estimator_name} was saved by skmtl {self.original_sklearn_version} and is "
            f"loaded by skmtl {self.current_sklearn_version}, which may fail or give other "
            "results. Load it with the version that saved it, or fit it anew. Files of skmtl.save "
            "are kept readable by later versions."
        )


def getstate(estimator):
    return {**BaseEstimator.__getstate__(estimator), "_skmtl_version": __version__}


def setstate(estimator, state):
    state = dict(state)
    saved = state.pop("_skmtl_version", "of unknown version")
    if saved != __version__:
        warning = VersionWarning(
            estimator_name=type(estimator).__name__,
            current_sklearn_version=__version__,
            original_sklearn_version=saved,
        )
        warnings.warn(warning, stacklevel=2)
    BaseEstimator.__setstate__(estimator, state)
