"""Metrics of predicted probabilities: each task on its own labelled rows."""

from numbers import Integral
from typing import Any

from numpy.typing import ArrayLike

from skmtl.metrics._per_task import by_task


def multitask_roc_auc(
    Y_true: Any,
    Y_proba: Any,
    *,
    classes: Any = None,
    multi_class: str = "ovr",
    average: Any = "tasks",
    sample_weight: ArrayLike | None = None,
    missing_label: Any = None,
) -> Any:
    """Area under the ROC curve of each task.

    Parameters
    ----------
    Y_true : array-like of shape (n_samples,) or (n_samples, n_tasks)
        True labels; gaps (NaN, None, pd.NA, ``missing_label``) are left out.
    Y_proba : list of array-like of shape (n_samples, n_classes_t), or array-like
        Probabilities as ``predict_proba`` gives them: a list with one array per task; one array
        for one task; or (n_samples, n_tasks), the probability of 1 in each column of a 0/1 matrix.
    classes : list of array-like, or array-like, default=None
        The estimator's ``classes_``: the columns of ``Y_proba``. By default the labels of each
        task in ``Y_true``, of which none may then be absent. A label that is not among the
        classes has probability 0.
    multi_class : {"ovr", "ovo"}, default="ovr"
        For more than two classes: the mean over classes of the area of one against the rest, or
        over pairs of classes of the mean of the areas by either's own probability.
    average : {"tasks", "labels", "worst"}, array-like or None, default="tasks"
        Mean over the tasks that have a value; the same weighted by the weight of their labels
        ("labels") or by one given weight per task; the worst of them; or all values (None).
    sample_weight : array-like of shape (n_samples,) or (n_samples, n_tasks), default=None
        Weight of each row or label.
    missing_label : scalar, default=None
        A value that also means "no label here".

    Returns
    -------
    auc : float or ndarray of shape (n_tasks,)
        Of the second class against the first for two classes. NaN, with an
        ``UndefinedMetricWarning``, for a task whose labels here are all of one class.

    Notes
    -----
    A class without a label here is left out of the mean over classes or pairs. Where none is,
    each task's value is that of `sklearn.metrics.roc_auc_score` with ``average="macro"``.

    References
    ----------
    Hand and Till, "A simple generalisation of the area under the ROC curve for multiple class
    classification problems", Machine Learning 45, 2001.

    Examples
    --------
    >>> from skmtl.metrics import multitask_roc_auc
    >>> Y_true = [[0, "a"], [1, None], [1, "b"], [0, "b"]]
    >>> p0 = [[0.9, 0.1], [0.2, 0.8], [0.4, 0.6], [0.3, 0.7]]
    >>> p1 = [[0.6, 0.4], [0.5, 0.5], [0.1, 0.9], [0.2, 0.8]]
    >>> multitask_roc_auc(Y_true, [p0, p1], average=None)
    array([0.75, 1.  ])
    """
    if multi_class not in ("ovr", "ovo"):
        raise ValueError(f"multi_class must be 'ovr' or 'ovo'; got {multi_class!r}.")
    return by_task(
        f"roc_auc_{multi_class}",
        Y_true,
        Y_proba,
        classes=classes,
        average=average,
        sample_weight=sample_weight,
        missing_label=missing_label,
    )


def multitask_log_loss(
    Y_true: Any,
    Y_proba: Any,
    *,
    classes: Any = None,
    average: Any = "tasks",
    sample_weight: ArrayLike | None = None,
    missing_label: Any = None,
) -> Any:
    """Log-loss (cross-entropy) of each task.

    Parameters
    ----------
    Y_true : array-like of shape (n_samples,) or (n_samples, n_tasks)
        True labels; gaps (NaN, None, pd.NA, ``missing_label``) are left out.
    Y_proba : list of array-like of shape (n_samples, n_classes_t), or array-like
        Probabilities as ``predict_proba`` gives them: a list with one array per task; one array
        for one task; or (n_samples, n_tasks), the probability of 1 in each column of a 0/1 matrix.
    classes : list of array-like, or array-like, default=None
        The estimator's ``classes_``: the columns of ``Y_proba``. By default the labels of each
        task in ``Y_true``, of which none may then be absent. A label that is not among the
        classes has probability 0.
    average : {"tasks", "labels", "worst"}, array-like or None, default="tasks"
        Mean over the tasks that have a value; the same weighted by the weight of their labels
        ("labels") or by one given weight per task; the worst of them; or all values (None).
    sample_weight : array-like of shape (n_samples,) or (n_samples, n_tasks), default=None
        Weight of each row or label.
    missing_label : scalar, default=None
        A value that also means "no label here".

    Returns
    -------
    loss : float or ndarray of shape (n_tasks,)
        Mean of ``-log p(true class)``, probabilities kept in [eps, 1 - eps] of their dtype; lower
        is better. NaN for a task without labels.

    Examples
    --------
    >>> from skmtl.metrics import multitask_log_loss
    >>> round(multitask_log_loss([[0], [1], [None]], [[[0.9, 0.1], [0.2, 0.8], [0.5, 0.5]]]), 3)
    0.164
    """
    return by_task(
        "neg_log_loss",
        Y_true,
        Y_proba,
        classes=classes,
        average=average,
        sample_weight=sample_weight,
        missing_label=missing_label,
    )


def multitask_calibration_error(
    Y_true: Any,
    Y_proba: Any,
    *,
    classes: Any = None,
    n_bins: int = 15,
    average: Any = "tasks",
    sample_weight: ArrayLike | None = None,
    missing_label: Any = None,
) -> Any:
    r"""Expected calibration error of each task.

    Parameters
    ----------
    Y_true : array-like of shape (n_samples,) or (n_samples, n_tasks)
        True labels; gaps (NaN, None, pd.NA, ``missing_label``) are left out.
    Y_proba : list of array-like of shape (n_samples, n_classes_t), or array-like
        Probabilities as ``predict_proba`` gives them: a list with one array per task; one array
        for one task; or (n_samples, n_tasks), the probability of 1 in each column of a 0/1 matrix.
    classes : list of array-like, or array-like, default=None
        The estimator's ``classes_``: the columns of ``Y_proba``. By default the labels of each
        task in ``Y_true``, of which none may then be absent. A label that is not among the
        classes has probability 0.
    n_bins : int, default=15
        Number of bins of equal width.
    average : {"tasks", "labels", "worst"}, array-like or None, default="tasks"
        Mean over the tasks that have a value; the same weighted by the weight of their labels
        ("labels") or by one given weight per task; the worst of them; or all values (None).
    sample_weight : array-like of shape (n_samples,) or (n_samples, n_tasks), default=None
        Weight of each row or label.
    missing_label : scalar, default=None
        A value that also means "no label here".

    Returns
    -------
    error : float or ndarray of shape (n_tasks,)
        Between 0 and 1, lower is better; NaN for a task without labels.

    Notes
    -----
    With row weights :math:`w_i`, confidences :math:`c_i` and hits :math:`h_i` in {0, 1},

    .. math::

       \mathrm{ECE} = \frac{1}{\sum_i w_i} \sum_{b=1}^{B}
       \Big| \sum_{i:\; b - 1 < B c_i \le b} w_i (h_i - c_i) \Big|,

    a confidence of 0 counted in the first bin. For two classes :math:`c_i` is the probability of
    the second class and :math:`h_i` whether it is true, as in `sklearn.calibration
    .calibration_curve`; for more, :math:`c_i` is the highest probability and :math:`h_i` whether
    its class is true (top-label).

    References
    ----------
    Guo, Pleiss, Sun and Weinberger, "On calibration of modern neural networks", ICML 2017.

    Examples
    --------
    >>> from skmtl.metrics import multitask_calibration_error
    >>> p = [[0.1, 0.9], [0.1, 0.9], [0.1, 0.9], [0.4, 0.6]]
    >>> round(multitask_calibration_error([[1], [1], [0], [None]], [p]), 3)
    0.233
    """
    if not isinstance(n_bins, Integral) or n_bins < 1:
        raise ValueError(f"n_bins must be an integer of at least 1; got {n_bins!r}.")
    return by_task(
        "neg_calibration_error",
        Y_true,
        Y_proba,
        classes=classes,
        average=average,
        sample_weight=sample_weight,
        missing_label=missing_label,
        n_bins=n_bins,
    )
