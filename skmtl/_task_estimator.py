"""One task of a fitted multi-task classifier, for tools that take one-dimensional y."""

from typing import Any, Self

import numpy as np
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.utils import get_tags
from sklearn.utils.validation import check_is_fitted


class TaskClassifier(ClassifierMixin, BaseEstimator):
    """A fitted classifier of one task, over the code that the tasks share.

    It stays as it is, like `sklearn.frozen.FrozenEstimator`: ``fit`` changes nothing and ``clone``
    gives the object itself, so that tools which fit clones of it calibrate, stack or judge the
    model of all tasks. It sees later fits of that model.

    Parameters
    ----------
    estimator : classifier
        Fitted on the stacked labels of all tasks.
    task : int, default=0
        Number of the task.
    """

    def __init__(self, estimator: Any, task: int = 0) -> None:
        self.estimator = estimator
        self.task = task

    def fit(self, X: Any, y: Any = None, **fit_params: Any) -> Self:
        """Do nothing: the task stays as it was learnt beside the others.

        Parameters
        ----------
        X, y : object
            Ignored.
        **fit_params : dict
            Ignored.

        Returns
        -------
        self : object
            As it was.
        """
        check_is_fitted(self)
        return self

    @property
    def classes_(self) -> np.ndarray:
        """Classes of the task."""
        return self._own(self.estimator.classes_)

    @property
    def n_features_in_(self) -> int:
        """Number of features seen in the fit."""
        return self.estimator.n_features_in_

    @property
    def feature_names_in_(self) -> np.ndarray:
        """Names of the features, where X had any."""
        return self.estimator.feature_names_in_

    def predict(self, X: Any) -> np.ndarray:
        """Most probable class.

        Parameters
        ----------
        X : array-like or sparse matrix of shape (n_samples, n_features)
            Rows to predict.

        Returns
        -------
        y : ndarray of shape (n_samples,)
            In the type of the task's labels.
        """
        y = self.estimator.predict(X)
        return (y if y.ndim == 1 else y[:, self.task]).astype(self.classes_.dtype)

    def predict_proba(self, X: Any) -> np.ndarray:
        """Probability of each class.

        Parameters
        ----------
        X : array-like or sparse matrix of shape (n_samples, n_features)
            Rows to predict.

        Returns
        -------
        p : ndarray of shape (n_samples, n_classes)
            Columns as in ``classes_``.
        """
        return self._own(self.estimator.predict_proba(X))

    def predict_log_proba(self, X: Any) -> np.ndarray:
        """Logarithm of the probability of each class.

        Parameters
        ----------
        X : array-like or sparse matrix of shape (n_samples, n_features)
            Rows to predict.

        Returns
        -------
        log_p : ndarray of shape (n_samples, n_classes)
            Columns as in ``classes_``.
        """
        return self._own(self.estimator.predict_log_proba(X))

    def decision_function(self, X: Any) -> np.ndarray:
        """Log-odds of the second of two classes, or log-probabilities of more.

        Parameters
        ----------
        X : array-like or sparse matrix of shape (n_samples, n_features)
            Rows to score.

        Returns
        -------
        scores : ndarray of shape (n_samples,) or (n_samples, n_classes)
            Higher is more probable.
        """
        log_p = self.predict_log_proba(X)
        return log_p[:, 1] - log_p[:, 0] if log_p.shape[1] == 2 else log_p

    def _own(self, of_tasks):
        """This task's part; the whole where the labels were one-dimensional."""
        return of_tasks if isinstance(of_tasks, np.ndarray) else of_tasks[self.task]

    def __sklearn_is_fitted__(self):
        check_is_fitted(self.estimator)
        return True

    def __sklearn_clone__(self):
        return self

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags = get_tags(self.estimator).input_tags
        return tags
