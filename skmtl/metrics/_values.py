"""Metrics of real targets: each task on the rows where it has a value."""

from typing import Any

from numpy.typing import ArrayLike

from skmtl.metrics._per_task import by_task


def multitask_r2(
    Y_true: Any,
    Y_pred: Any,
    *,
    average: Any = "tasks",
    sample_weight: ArrayLike | None = None,
    missing_label: Any = None,
) -> Any:
    """Share of variance explained (R2) of each task.

    Parameters
    ----------
    Y_true : array-like of shape (n_samples,) or (n_samples, n_tasks)
        True values; gaps (NaN, None, pd.NA, ``missing_label``) are left out.
    Y_pred : array-like of the same shape
        Predicted values.
    average : {"tasks", "labels", "worst"}, array-like or None, default="tasks"
        Mean over the tasks that have a value; the same weighted by the weight of their labels
        ("labels") or by one given weight per task; the worst of them; or all values (None).
    sample_weight : array-like of shape (n_samples,) or (n_samples, n_tasks), default=None
        Weight of each row or label.
    missing_label : scalar, default=None
        A value that also means "no label here".

    Returns
    -------
    r2 : float or ndarray of shape (n_tasks,)
        At most 1. NaN, with an ``UndefinedMetricWarning``, for a task with only one value; NaN
        for a task without any.

    Examples
    --------
    >>> from skmtl.metrics import multitask_r2
    >>> nan = float("nan")
    >>> multitask_r2([[1.0, nan], [2.0, 1.0], [3.0, 2.0]], [[1, 0], [2, 1], [2, 1]], average=None)
    array([ 0.5, -1. ])
    """
    return by_task(
        "r2",
        Y_true,
        Y_pred,
        average=average,
        sample_weight=sample_weight,
        missing_label=missing_label,
    )


def multitask_rmse(
    Y_true: Any,
    Y_pred: Any,
    *,
    average: Any = "tasks",
    sample_weight: ArrayLike | None = None,
    missing_label: Any = None,
) -> Any:
    """Root of the mean squared error of each task.

    Parameters
    ----------
    Y_true : array-like of shape (n_samples,) or (n_samples, n_tasks)
        True values; gaps (NaN, None, pd.NA, ``missing_label``) are left out.
    Y_pred : array-like of the same shape
        Predicted values.
    average : {"tasks", "labels", "worst"}, array-like or None, default="tasks"
        Mean over the tasks that have a value; the same weighted by the weight of their labels
        ("labels") or by one given weight per task; the worst of them; or all values (None).
    sample_weight : array-like of shape (n_samples,) or (n_samples, n_tasks), default=None
        Weight of each row or label.
    missing_label : scalar, default=None
        A value that also means "no label here".

    Returns
    -------
    rmse : float or ndarray of shape (n_tasks,)
        In the units of the target, lower is better; NaN for a task without values.

    Examples
    --------
    >>> from skmtl.metrics import multitask_rmse
    >>> multitask_rmse([[1.0, None], [2.0, 1.0]], [[4, 7], [2, 0]], average="worst")
    2.1213203435596424
    """
    return by_task(
        "neg_root_mean_squared_error",
        Y_true,
        Y_pred,
        average=average,
        sample_weight=sample_weight,
        missing_label=missing_label,
    )
