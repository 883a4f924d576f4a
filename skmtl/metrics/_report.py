"""All metrics of all tasks as one table."""

from typing import Any

import numpy as np

from skmtl._targets import is_missing, read_table
from skmtl.metrics._labels import (
    multitask_accuracy,
    multitask_balanced_accuracy,
    multitask_f1,
    multitask_recall,
)
from skmtl.metrics._probabilities import (
    multitask_calibration_error,
    multitask_log_loss,
    multitask_roc_auc,
)

OF_LABELS = {
    "accuracy": multitask_accuracy,
    "balanced_accuracy": multitask_balanced_accuracy,
    "recall": multitask_recall,
    "f1": multitask_f1,
}
OF_PROBABILITIES = {
    "roc_auc": multitask_roc_auc,
    "log_loss": multitask_log_loss,
    "calibration_error": multitask_calibration_error,
}


def multitask_classification_report(
    Y_true: Any,
    Y_pred: Any,
    Y_proba: Any = None,
    *,
    classes: Any = None,
    task_names: list[str] | None = None,
    missing_label: Any = None,
    digits: int = 3,
    output_dict: bool = False,
) -> str | dict[str, dict[str, float]]:
    """Metrics of each task and their means, as a table.

    Parameters
    ----------
    Y_true : array-like of shape (n_samples,) or (n_samples, n_tasks)
        True labels; gaps are left out.
    Y_pred : array-like of the same shape
        Predicted labels.
    Y_proba : list of array-like of shape (n_samples, n_classes_t), or array-like, default=None
        Probabilities as ``predict_proba`` gives them, for the columns that need them.
    classes : list of array-like, or array-like, default=None
        The estimator's ``classes_``: the columns of ``Y_proba``. By default the labels of each
        task in ``Y_true``.
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
        Per task and, under "mean", over the tasks that have labels: accuracy, balanced accuracy,
        recall and F1 (both macro-averaged over classes), with ``Y_proba`` also ROC AUC, log-loss
        and calibration error, and the number of labels.

    Examples
    --------
    >>> from skmtl.metrics import multitask_classification_report
    >>> print(multitask_classification_report([[0, 1], [1, None]], [[0, 1], [0, 0]]))
          accuracy  balanced_accuracy  recall     f1  labels
    0        0.500              0.500   0.500  0.333       2
    1        1.000              1.000   1.000  1.000       1
    mean     0.750              0.750   0.750  0.667       3
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
    columns = {name: metric(Y_true, Y_pred, **options) for name, metric in OF_LABELS.items()}
    if Y_proba is not None:
        for name, metric in OF_PROBABILITIES.items():
            columns[name] = metric(Y_true, Y_proba, classes=classes, **options)
    labels = [int(np.count_nonzero(~is_missing(c, missing_label))) for c in true.columns]
    values = list(columns.values())
    means = [float(np.nanmean(c)) if not np.isnan(c).all() else float("nan") for c in values]
    total = "mean" if "mean" not in map(str, names) else "mean over tasks"
    per_task = np.column_stack(values).tolist()
    rows = [*zip(names, per_task, labels, strict=True), (total, means, sum(labels))]
    if output_dict:
        return {
            str(name): dict(zip(columns, row, strict=True)) | {"labels": n} for name, row, n in rows
        }
    width = max(len(str(name)) for name, _, _ in rows)
    cells = [max(len(name), digits + 2) for name in columns]
    header = "".join(f"  {name:>{cell}}" for name, cell in zip(columns, cells, strict=True))
    lines = [" " * width + header + "  labels"]
    for name, row, n in rows:
        line = "".join(f"  {v:{cell}.{digits}f}" for v, cell in zip(row, cells, strict=True))
        lines.append(f"{name!s:<{width}}{line}  {n:6d}")
    return "\n".join(lines)
