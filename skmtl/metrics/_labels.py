"""Metrics of predicted labels: each task on its own labelled rows."""

from typing import Any

from numpy.typing import ArrayLike

from skmtl.metrics._per_task import by_task


def multitask_accuracy(
    Y_true: Any,
    Y_pred: Any,
    *,
    average: Any = "tasks",
    sample_weight: ArrayLike | None = None,
    missing_label: Any = None,
) -> Any:
    """Accuracy of each task on its labelled rows, or an average over tasks.

    Parameters
    ----------
    Y_true : array-like of shape (n_samples,) or (n_samples, n_tasks)
        True labels; gaps (NaN, None, pd.NA, ``missing_label``) are left out.
    Y_pred : array-like of the same shape
        Predicted labels.
    average : {"tasks", "labels", "worst"}, array-like or None, default="tasks"
        Mean over the tasks that have a value; the same weighted by the weight of their labels
        ("labels") or by one given weight per task; the worst of them; or all values (None).
    sample_weight : array-like of shape (n_samples,) or (n_samples, n_tasks), default=None
        Weight of each row or label.
    missing_label : scalar, default=None
        A value that also means "no label here".

    Returns
    -------
    accuracy : float or ndarray of shape (n_tasks,)
        Between 0 and 1; NaN for a task without labels.

    Examples
    --------
    >>> from skmtl.metrics import multitask_accuracy
    >>> Y_true = [[0, "a"], [1, None], [1, "b"]]
    >>> multitask_accuracy(Y_true, [[0, "a"], [0, "b"], [1, "a"]], average=None).round(3)
    array([0.667, 0.5  ])
    """
    return by_task(
        "accuracy",
        Y_true,
        Y_pred,
        average=average,
        sample_weight=sample_weight,
        missing_label=missing_label,
    )


def multitask_balanced_accuracy(
    Y_true: Any,
    Y_pred: Any,
    *,
    average: Any = "tasks",
    sample_weight: ArrayLike | None = None,
    missing_label: Any = None,
) -> Any:
    """Balanced accuracy of each task: the mean recall of its classes.

    Parameters
    ----------
    Y_true : array-like of shape (n_samples,) or (n_samples, n_tasks)
        True labels; gaps (NaN, None, pd.NA, ``missing_label``) are left out.
    Y_pred : array-like of the same shape
        Predicted labels.
    average : {"tasks", "labels", "worst"}, array-like or None, default="tasks"
        Mean over the tasks that have a value; the same weighted by the weight of their labels
        ("labels") or by one given weight per task; the worst of them; or all values (None).
    sample_weight : array-like of shape (n_samples,) or (n_samples, n_tasks), default=None
        Weight of each row or label.
    missing_label : scalar, default=None
        A value that also means "no label here".

    Returns
    -------
    balanced_accuracy : float or ndarray of shape (n_tasks,)
        Mean over the classes that are true somewhere; NaN for a task without labels.

    Examples
    --------
    >>> from skmtl.metrics import multitask_balanced_accuracy
    >>> multitask_balanced_accuracy([[0], [1], [1], [None]], [[0], [0], [2], [1]])
    0.5
    """
    return by_task(
        "balanced_accuracy",
        Y_true,
        Y_pred,
        average=average,
        sample_weight=sample_weight,
        missing_label=missing_label,
    )


def multitask_recall(
    Y_true: Any,
    Y_pred: Any,
    *,
    average: Any = "tasks",
    sample_weight: ArrayLike | None = None,
    missing_label: Any = None,
) -> Any:
    """Recall of each task, macro-averaged over its classes.

    Parameters
    ----------
    Y_true : array-like of shape (n_samples,) or (n_samples, n_tasks)
        True labels; gaps (NaN, None, pd.NA, ``missing_label``) are left out.
    Y_pred : array-like of the same shape
        Predicted labels.
    average : {"tasks", "labels", "worst"}, array-like or None, default="tasks"
        Mean over the tasks that have a value; the same weighted by the weight of their labels
        ("labels") or by one given weight per task; the worst of them; or all values (None).
    sample_weight : array-like of shape (n_samples,) or (n_samples, n_tasks), default=None
        Weight of each row or label.
    missing_label : scalar, default=None
        A value that also means "no label here".

    Returns
    -------
    recall : float or ndarray of shape (n_tasks,)
        Mean over the classes that are true or predicted somewhere, 0 for one that is never true.

    Examples
    --------
    >>> from skmtl.metrics import multitask_recall
    >>> multitask_recall([[0], [1], [1], [None]], [[0], [0], [1], [1]])
    0.75
    """
    return by_task(
        "recall_macro",
        Y_true,
        Y_pred,
        average=average,
        sample_weight=sample_weight,
        missing_label=missing_label,
    )


def multitask_f1(
    Y_true: Any,
    Y_pred: Any,
    *,
    average: Any = "tasks",
    sample_weight: ArrayLike | None = None,
    missing_label: Any = None,
) -> Any:
    """F1 of each task, macro-averaged over its classes.

    Parameters
    ----------
    Y_true : array-like of shape (n_samples,) or (n_samples, n_tasks)
        True labels; gaps (NaN, None, pd.NA, ``missing_label``) are left out.
    Y_pred : array-like of the same shape
        Predicted labels.
    average : {"tasks", "labels", "worst"}, array-like or None, default="tasks"
        Mean over the tasks that have a value; the same weighted by the weight of their labels
        ("labels") or by one given weight per task; the worst of them; or all values (None).
    sample_weight : array-like of shape (n_samples,) or (n_samples, n_tasks), default=None
        Weight of each row or label.
    missing_label : scalar, default=None
        A value that also means "no label here".

    Returns
    -------
    f1 : float or ndarray of shape (n_tasks,)
        Mean over the classes that are true or predicted somewhere.

    Examples
    --------
    >>> from skmtl.metrics import multitask_f1
    >>> round(multitask_f1([[0], [1], [1], [None]], [[0], [0], [1], [1]]), 3)
    0.667
    """
    return by_task(
        "f1_macro",
        Y_true,
        Y_pred,
        average=average,
        sample_weight=sample_weight,
        missing_label=missing_label,
    )
