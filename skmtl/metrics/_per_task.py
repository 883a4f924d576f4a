"""One number per task, each from its own labelled rows, and the average over tasks.

    value_t = metric(true labels, responses, weights), over the rows where task t has a label
              and its weight is not zero

A task without labels has the value NaN. So has a task for which the metric is undefined (a ROC AUC
of one class), with a warning. Both are left out of every average.
"""

import warnings

import numpy as np
from sklearn.exceptions import UndefinedMetricWarning

from skmtl._arrays import as_floats, naming
from skmtl._targets import (
    check_names,
    column_names,
    common_labels,
    is_missing,
    labels_of,
    read_table,
)
from skmtl.metrics._one_task import METRICS


def by_task(
    name,
    Y_true,
    response,
    *,
    average,
    sample_weight=None,
    missing_label=None,
    classes=None,
    **options,
):
    """The metric of this name for each task, or their average as ``average`` says."""
    metric = METRICS[name]
    table = read_table(Y_true, "Y_true")
    read = READERS[metric.response](response, table, classes)
    weight = _read_weight(sample_weight, table)
    n_tasks = len(table.columns)
    values, label_weight, undefined = np.full(n_tasks, np.nan), np.zeros(n_tasks), []
    for t, column in enumerate(table.columns):
        present = ~is_missing(column, missing_label)
        if weight is not None:
            present &= weight[:, t] > 0
        if not present.any():
            continue
        of_task = None if weight is None else weight[present, t]
        label_weight[t] = np.count_nonzero(present) if of_task is None else of_task.sum()
        y_true, y_hat = read(t, present)
        with warnings.catch_warnings():  # an undefined value gets one warning, below
            warnings.simplefilter("ignore", UndefinedMetricWarning)
            values[t] = metric.function(y_true, y_hat, of_task, **options)
        if np.isnan(values[t]):
            undefined.append(_name(table, t))
    if undefined:
        warnings.warn(
            f"{name.removeprefix('neg_')} is undefined for {len(undefined)} of "
            f"{n_tasks} tasks ({', '.join(map(repr, undefined[:5]))}"
            f"{', ...' if undefined[5:] else ''}): NaN there, and left out of averages.",
            UndefinedMetricWarning,
            stacklevel=3,
        )
    return averaged(values, label_weight, average, metric.sign)


def averaged(values, label_weight, average, sign=1):
    """Average over the tasks whose value is not NaN; all values where ``average`` is None."""
    if average is None:
        return values
    ones = np.ones(len(values))
    named = {"tasks": ones, "worst": ones, "labels": label_weight}
    if isinstance(average, str):
        weight = named.get(average, np.zeros(0))
    elif hasattr(average, "items"):  # a dict, or a Series in an order of its own
        weight = np.zeros(0)
    else:
        weight = as_floats(average, "average")
    if weight.shape != values.shape or not (np.isfinite(weight).all() and (weight >= 0).all()):
        raise ValueError(
            "average must be 'tasks', 'labels', 'worst', None, or an array of a finite weight of 0 "
            f"or more for each of the {len(values)} tasks; got {average!r}."
        )
    if not label_weight.any():
        raise ValueError(
            "Y_true must hold at least one label; got only missing values, or weights of zero."
        )
    counted = ~np.isnan(values) & (weight > 0)
    if not counted.any():
        return float("nan")
    if isinstance(average, str) and average == "worst":
        return float(sign * (sign * values[counted]).min())
    return float(np.average(values[counted], weights=weight[counted]))


# --- what an estimator answers, read for one task's labelled rows ------------------------------


def _labels(Y_pred, true, classes):
    """Both as integers that are equal where the labels are, in the order of the classes."""
    pred = read_table(Y_pred, "Y_pred")
    _check_shape(pred, true, "Y_pred")
    classes = _class_lists(classes, len(true.columns))

    def read(t, present):
        labels_of(true.columns[t], present, "Y_true")
        known = () if classes is None else classes[t]
        return common_labels(true.columns[t], pred.columns[t], present, known)

    return read


def _two_labels(Y_pred, true, classes):
    """The same for tasks of two classes: the second is the positive one."""
    read_labels = _labels(Y_pred, true, classes)
    classes = _class_lists(classes, len(true.columns))

    def read(t, present):
        y_true, y_pred = read_labels(t, present)
        n_classes = max(0 if classes is None else len(classes[t]), y_true.max() + 1)
        if n_classes > 2:
            raise ValueError(
                f"Task {_name(true, t)!r} must have two classes for this metric; got {n_classes}. "
                "Use its '_macro', '_micro' or '_weighted' form."
            )
        return y_true, y_pred

    return read


def _probabilities(Y_proba, true, classes):
    """Columns of the labels, and probabilities; a class the estimator does not know has 0."""
    n_tasks = len(true.columns)
    _check_order(column_names(Y_proba), true, "Y_proba")
    proba, classes = _read_probabilities(Y_proba, n_tasks, _class_lists(classes, n_tasks))
    for p in proba:
        if p.ndim != 2 or len(p) != true.n_rows:
            raise ValueError(
                f"Y_proba must have {true.n_rows} rows, as Y_true; got an array of shape {p.shape}."
            )

    def read(t, present):
        column, p = true.columns[t], proba[t][present]
        labels = labels_of(column, present, "Y_true")
        known = np.unique(labels) if classes is None else classes[t]
        if len(known) != p.shape[1]:
            raise ValueError(
                f"Y_proba must have one column per class of task {_name(true, t)!r}; got "
                f"{p.shape[1]} for {list(known)[:10]}. Pass classes=estimator.classes_."
            )
        y_true, _ = common_labels(column, column, present, known)
        n_columns = max(p.shape[1], y_true.max() + 1, 2)
        return y_true, np.pad(p, ((0, 0), (0, n_columns - p.shape[1])))

    return read


def _values(Y_pred, true, classes):
    """Numbers, for regression."""
    pred = read_table(Y_pred, "Y_pred")
    _check_shape(pred, true, "Y_pred")

    def read(t, present):
        return (
            as_floats(true.columns[t][present], "Y_true"),
            as_floats(pred.columns[t][present], "Y_pred"),
        )

    return read


READERS = {
    "labels": _labels,
    "two labels": _two_labels,
    "probabilities": _probabilities,
    "values": _values,
}


def _read_probabilities(Y_proba, n_tasks, classes):
    """One (n_rows, n_classes) array per task, and the classes.

    A 2-D array beside several tasks holds, as scikit-learn's classifiers of 0/1 matrices give
    it, the probability of 1 for each task.
    """
    listed = isinstance(Y_proba, list | tuple) and len(Y_proba) > 0
    with naming("Y_proba"):
        listed = listed and np.ndim(Y_proba[0]) == 2
    if listed:
        parts = [_floats(p) for p in Y_proba]
    else:
        array = _floats(Y_proba)
        if array.ndim == 3:
            parts = list(array)
        elif array.ndim == 2 and n_tasks == 1:
            parts = [array]
        elif array.ndim == 1 and n_tasks == 1:
            parts = [np.column_stack([1 - array, array])]
        elif array.ndim == 2:
            parts = [np.column_stack([1 - p, p]) for p in array.T]
            classes = [np.array([0, 1])] * n_tasks
        else:
            parts = []
    if len(parts) != n_tasks:
        raise ValueError(
            f"Y_proba must hold one array (n_samples, n_classes) for each of the {n_tasks} tasks, "
            f"as predict_proba gives them; got {len(parts)}."
        )
    return parts, classes


def _floats(p):
    """As finite numbers; of the precision that they have, by which logarithms are clipped."""
    floats = as_floats(p, "Y_proba")
    if not np.isfinite(floats).all():
        raise ValueError("Y_proba must be finite; got NaN or infinity.")
    return floats.astype(np.float32) if getattr(p, "dtype", None) == np.float32 else floats


def _class_lists(classes, n_tasks):
    """``estimator.classes_`` as one array per task, or None where it does not tell.

    A flat array beside several tasks does not: scikit-learn numbers the columns of a 0/1 matrix so.
    """
    if classes is None:
        return None
    if not any(np.ndim(c) == 1 for c in classes):
        return [np.asarray(classes)] if n_tasks == 1 else None
    if len(classes) != n_tasks:
        raise ValueError(
            f"classes must hold one array for each of the {n_tasks} tasks; got {len(classes)}."
        )
    return [np.asarray(c) for c in classes]


def _check_shape(table, true, name):
    shapes = [(t.n_rows, len(t.columns)) for t in (true, table)]
    if shapes[0] != shapes[1]:
        raise ValueError(f"Y_true and {name} must have one shape; got {shapes[0]} and {shapes[1]}.")
    _check_order(table.names, true, name)


def _check_order(names, true, name):
    names = [true.names or [], names or []]
    if names[0] != names[1] and sorted(names[0]) == sorted(names[1]):  # others are no names of ours
        raise ValueError(
            f"Y_true and {name} must have their columns in one order; got {names[0][:10]} and "
            f"{names[1][:10]}. Pass {name}[list(Y_true.columns)]."
        )


def _read_weight(sample_weight, true):
    """Weights (n_rows, n_tasks), or None."""
    if sample_weight is None:
        return None
    check_names(sample_weight, true, "sample_weight")
    weight = as_floats(sample_weight, "sample_weight")
    shape = (true.n_rows, len(true.columns))
    if weight.shape not in (shape[:1], shape):
        raise ValueError(
            f"sample_weight must have shape ({shape[0]},) or {shape}; got {weight.shape}."
        )
    if not (np.isfinite(weight).all() and (weight >= 0).all()):
        raise ValueError(
            "sample_weight must be finite and not negative in every entry; got values from "
            f"{weight.min()} to {weight.max()}."
        )
    if not weight.any():
        raise ValueError("sample_weight must not be zero everywhere; got only zeros.")
    return np.broadcast_to(weight[:, None] if weight.ndim == 1 else weight, shape)


def _name(table, t):
    return table.names[t] if table.names is not None else t
