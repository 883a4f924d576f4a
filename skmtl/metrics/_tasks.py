"""Metrics of several tasks with gaps: each task on its own labelled rows."""

from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from sklearn.metrics import accuracy_score, f1_score, recall_score
from sklearn.utils.multiclass import check_classification_targets

from skmtl._arrays import refuse_masked
from skmtl._targets import common_labels, integral, is_missing, read_table


def multitask_accuracy(
    Y_true: Any,
    Y_pred: Any,
    *,
    average: str | None = "tasks",
    sample_weight: ArrayLike | None = None,
    missing_label: Any = None,
) -> Any:
    """Accuracy of each task on its labelled rows, or the mean over tasks.

    Parameters
    ----------
    Y_true : array-like of shape (n_samples,) or (n_samples, n_tasks)
        True labels; gaps (NaN, None, pd.NA, ``missing_label``) are left out.
    Y_pred : array-like of the same shape
        Predicted labels.
    average : {"tasks"} or None, default="tasks"
        Mean over the tasks that have labels, or one value per task.
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
    return _by_task(accuracy_score, Y_true, Y_pred, average, sample_weight, missing_label)


def multitask_recall(
    Y_true: Any,
    Y_pred: Any,
    *,
    average: str | None = "tasks",
    sample_weight: ArrayLike | None = None,
    missing_label: Any = None,
) -> Any:
    """Recall of each task, macro-averaged over its classes, or the mean over tasks.

    Parameters
    ----------
    Y_true : array-like of shape (n_samples,) or (n_samples, n_tasks)
        True labels; gaps are left out.
    Y_pred : array-like of the same shape
        Predicted labels.
    average : {"tasks"} or None, default="tasks"
        Mean over the tasks that have labels, or one value per task.
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
    return _by_task(_macro_recall, Y_true, Y_pred, average, sample_weight, missing_label)


def multitask_f1(
    Y_true: Any,
    Y_pred: Any,
    *,
    average: str | None = "tasks",
    sample_weight: ArrayLike | None = None,
    missing_label: Any = None,
) -> Any:
    """F1 of each task, macro-averaged over its classes, or the mean over tasks.

    Parameters
    ----------
    Y_true : array-like of shape (n_samples,) or (n_samples, n_tasks)
        True labels; gaps are left out.
    Y_pred : array-like of the same shape
        Predicted labels.
    average : {"tasks"} or None, default="tasks"
        Mean over the tasks that have labels, or one value per task.
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
    return _by_task(_macro_f1, Y_true, Y_pred, average, sample_weight, missing_label)


def _macro_recall(y_true, y_pred, sample_weight=None):
    return recall_score(
        y_true, y_pred, average="macro", sample_weight=sample_weight, zero_division=0
    )


def _macro_f1(y_true, y_pred, sample_weight=None):
    return f1_score(y_true, y_pred, average="macro", sample_weight=sample_weight, zero_division=0)


def _by_task(metric, Y_true, Y_pred, average, sample_weight, missing_label):
    if average not in ("tasks", None):
        raise ValueError(f"average must be 'tasks' or None; got {average!r}.")
    per_task = np.array(
        [
            metric(y_true, y_pred, sample_weight=weight) if len(y_true) else np.nan
            for y_true, y_pred, weight in _tasks(Y_true, Y_pred, sample_weight, missing_label)
        ]
    )
    if average is None:
        return per_task
    if np.isnan(per_task).all():
        raise ValueError("Y_true must hold at least one label; got only missing values.")
    return float(np.nanmean(per_task))


def _tasks(Y_true, Y_pred, sample_weight, missing_label):
    """Labelled true and predicted labels of each task as integers, and their weights."""
    true, pred = read_table(Y_true, "Y_true"), read_table(Y_pred, "Y_pred")
    shapes = [(table.n_rows, len(table.columns)) for table in (true, pred)]
    if shapes[0] != shapes[1]:
        raise ValueError(f"Y_true and Y_pred must have one shape; got {shapes[0]} and {shapes[1]}.")
    weight = None if sample_weight is None else np.asarray(sample_weight, dtype=float)
    refuse_masked(sample_weight, "sample_weight")
    if weight is not None and not (np.isfinite(weight).all() and (weight >= 0).all()):
        raise ValueError(
            "sample_weight must be finite and not negative in every entry; got values from "
            f"{weight.min()} to {weight.max()}."
        )
    if weight is not None and weight.shape not in (shapes[0][:1], shapes[0]):
        raise ValueError(
            f"sample_weight must have shape ({shapes[0][0]},) or {shapes[0]}; got {weight.shape}."
        )
    for t, (y_true, y_pred) in enumerate(zip(true.columns, pred.columns, strict=True)):
        present = ~is_missing(y_true, missing_label)
        if present.any():
            check_classification_targets(integral(y_true, present))
        of_task = None
        if weight is not None:
            of_task = weight if weight.ndim == 1 else weight[:, t]
            present &= of_task > 0
            of_task = of_task[present]
        yield *common_labels(y_true, y_pred, present), of_task


def multitask_classification_report(
    Y_true: Any,
    Y_pred: Any,
    *,
    task_names: list[str] | None = None,
    missing_label: Any = None,
    digits: int = 3,
    output_dict: bool = False,
) -> str | dict[str, dict[str, float]]:
    """Accuracy, recall and F1 of each task and their means, as a table.

    Parameters
    ----------
    Y_true : array-like of shape (n_samples,) or (n_samples, n_tasks)
        True labels; gaps are left out.
    Y_pred : array-like of the same shape
        Predicted labels.
    task_names : list of str, default=None
        Names for the rows of the table; by default the column names of ``Y_true``, or numbers.
    missing_label : scalar, default=None
        A value that also means "no label here".
    digits : int, default=3
        Digits after the point.
    output_dict : bool, default=False
        Return a dict of dicts in place of the text.

    Returns
    -------
    report : str or dict
        Per task and, under "mean", over the tasks that have labels: accuracy, recall and F1 (both
        macro-averaged over classes) and the number of labels.

    Examples
    --------
    >>> from skmtl.metrics import multitask_classification_report
    >>> print(multitask_classification_report([[0, 1], [1, None]], [[0, 1], [0, 0]]))
          accuracy  recall      f1  labels
    0        0.500   0.500   0.333       2
    1        1.000   1.000   1.000       1
    mean     0.750   0.750   0.667       3
    """
    true = read_table(Y_true, "Y_true")
    names = task_names if task_names is not None else true.names
    if names is None:
        names = range(len(true.columns))
    if len(names) != len(true.columns):
        raise ValueError(
            f"task_names must have one name per task ({len(true.columns)}); got {len(names)}."
        )
    options = {"average": None, "missing_label": missing_label}
    table = np.column_stack(
        [
            metric(Y_true, Y_pred, **options)
            for metric in (multitask_accuracy, multitask_recall, multitask_f1)
        ]
    )
    labels = [int(np.count_nonzero(~is_missing(c, missing_label))) for c in true.columns]
    means = [float(np.nanmean(c)) if not np.isnan(c).all() else float("nan") for c in table.T]
    total = "mean" if "mean" not in map(str, names) else "mean over tasks"
    rows = [*zip(names, table.tolist(), labels, strict=True), (total, means, sum(labels))]
    if output_dict:
        return {
            str(name): dict(zip(("accuracy", "recall", "f1"), values, strict=True)) | {"labels": n}
            for name, values, n in rows
        }
    width = max(len(str(name)) for name, _, _ in rows)
    lines = [" " * width + "  accuracy  recall      f1  labels"]
    for name, (accuracy, recall, f1), n in rows:
        lines.append(
            f"{name!s:<{width}}  {accuracy:8.{digits}f}  {recall:6.{digits}f}  {f1:6.{digits}f}"
            f"  {n:6d}"
        )
    return "\n".join(lines)


def relative_gain(
    scores: ArrayLike, baseline: ArrayLike, *, higher_is_better: bool | ArrayLike = True
) -> float:
    """Delta_m: mean relative gain over a baseline, in percent.

    Parameters
    ----------
    scores : array-like of shape (n_tasks,) or (n_tasks, n_metrics)
        Scores of the model.
    baseline : array-like of the same shape
        Scores of the baseline, such as one single-task model per task. Not zero.
    higher_is_better : bool or array-like of bool of shape (n_metrics,), default=True
        Whether a higher score is better, for all or for each metric.

    Returns
    -------
    gain : float
        ``100 * mean_t mean_m (score - baseline) / |baseline|``, the sign turned for metrics where
        lower is better. Scores near zero make it meaningless; for those pass errors.

    References
    ----------
    Maninis et al., "Attentive Single-Tasking of Multiple Tasks", CVPR 2019.

    Examples
    --------
    >>> from skmtl.metrics import relative_gain
    >>> round(relative_gain([0.9, 0.8], [0.8, 0.8]), 2)
    6.25
    """
    scores, baseline = np.asarray(scores, dtype=float), np.asarray(baseline, dtype=float)
    if scores.shape != baseline.shape or scores.ndim not in (1, 2) or scores.size == 0:
        raise ValueError(
            "scores and baseline must have one shape, (n_tasks,) or (n_tasks, n_metrics); got "
            f"{scores.shape} and {baseline.shape}."
        )
    if (baseline == 0).any():
        raise ValueError("baseline must not be zero; pass errors in place of such scores.")
    sign = np.where(higher_is_better, 1.0, -1.0)
    return float(100 * np.mean(sign * (scores - baseline) / np.abs(baseline)))
