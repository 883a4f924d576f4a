"""Tasks that bring their own rows <-> one X and stacked labels with gaps."""

from typing import Any

import numpy as np
import scipy.sparse as sp

from skmtl._arrays import check_same_rows, check_sparse_format, refuse_masked
from skmtl._sklearn import safe_indexing
from skmtl._targets import (
    as_python,
    fits_float,
    integral,
    is_missing,
    kind_of,
    observed,
    read_table,
)


def stack_tasks(tasks: list | dict) -> tuple[Any, Any]:
    """Merge the data of several tasks into one X and one stacked Y.

    Parameters
    ----------
    tasks : list of (X_t, y_t), or dict from name to (X_t, y_t)
        Rows and labels of each task. All X_t have the same columns: arrays, SciPy sparse, or
        pandas or polars frames of one kind. Each y_t is one-dimensional.

    Returns
    -------
    X : array, sparse array or frame of shape (n_samples, n_features)
        The rows of all tasks below each other, in order.
    Y : ndarray or DataFrame of shape (n_samples, n_tasks)
        Labels in column t for the rows of task t, gaps elsewhere: NaN where all labels are
        numbers or bools (as 0 and 1), else None in an object array. A pandas DataFrame with the
        tasks' names as columns where ``tasks`` is a dict.

    Raises
    ------
    ValueError
        If there are no tasks, or X_t and y_t differ in length or number of features.

    See Also
    --------
    unstack_tasks : The way back.

    Examples
    --------
    >>> from skmtl import stack_tasks
    >>> X, Y = stack_tasks([([[0.0], [1.0]], [3, 5]), ([[2.0]], [1])])
    >>> Y
    array([[ 3., nan],
           [ 5., nan],
           [nan,  1.]])
    """
    if not hasattr(tasks, "__iter__"):
        raise TypeError(
            f"tasks must be a list of pairs (X, y), or a dict of them; got {type(tasks).__name__}."
        )
    pairs = list(tasks.values()) if isinstance(tasks, dict) else list(tasks)
    if not pairs:
        raise ValueError("tasks must hold at least one (X, y) pair; got none.")
    columns = []
    for pair in pairs:
        if not isinstance(pair, tuple | list) or len(pair) != 2:
            raise ValueError(f"Each task must be a pair (X, y); got {type(pair).__name__}.")
        X_t, y_t = pair
        table = read_table(y_t)
        if len(table.columns) != 1:
            raise ValueError(
                "Each task's y must be one-dimensional; got one with "
                f"{len(table.columns)} columns. Give each column as a task of its own."
            )
        check_same_rows(X_t, table.columns[0])
        columns.append(table.columns[0])
    numeric = all(_is_numeric(column) for column in columns)
    numeric = numeric and all(fits_float(integral(c, ~is_missing(c))) for c in columns)
    stops = np.cumsum([len(column) for column in columns])
    if numeric:
        Y = np.full((stops[-1], len(columns)), np.nan)
    else:
        Y = np.full((stops[-1], len(columns)), None, dtype=object)
    for t, (stop, column) in enumerate(zip(stops, columns, strict=True)):
        rows = slice(stop - len(column), stop)
        present = ~is_missing(column)
        Y[rows, t][present] = as_python(column[present])
    X = _concatenate([X_t for X_t, _ in pairs])
    if not isinstance(tasks, dict):
        return X, Y
    import pandas as pd

    return X, pd.DataFrame(Y, columns=list(tasks), index=getattr(X, "index", None))


def unstack_tasks(X: Any, Y: Any, *, missing_label: Any = None) -> list | dict:
    """Rows and labels of each task, from stacked labels.

    Parameters
    ----------
    X : array-like, sparse array or frame of shape (n_samples, n_features)
        Rows.
    Y : array-like of shape (n_samples, n_tasks)
        Stacked labels with gaps.
    missing_label : scalar, default=None
        A value that also means "no label here".

    Returns
    -------
    tasks : list of (X_t, y_t), or dict from name to (X_t, y_t)
        For each task the rows it labels, and their labels. A dict where Y has column names.

    See Also
    --------
    stack_tasks : The way there.

    Examples
    --------
    >>> from skmtl import unstack_tasks
    >>> X1, y1 = unstack_tasks([[0.0], [1.0]], [[3, None], [None, 1]])[0]
    >>> y1
    array([3])
    """
    table = read_table(Y, "Y")
    if not table.columns:
        raise ValueError("Y must have at least one task; got none.")
    check_same_rows(X, table.columns[0], "Y")
    if sp.issparse(X):
        X = check_sparse_format(X, "X")
    elif not hasattr(X, "shape"):
        X = np.asarray(X)
    present = observed(table, missing_label)
    tasks = [
        (safe_indexing(X, np.flatnonzero(present[:, t])), integral(column, present[:, t]))
        for t, column in enumerate(table.columns)
    ]
    return tasks if table.names is None else dict(zip(table.names, tasks, strict=True))


def _is_numeric(column):
    if column.dtype.kind == "O":
        return {kind_of(v) for v in column[~is_missing(column)]} <= {"bool", "integer", "float"}
    return column.dtype.kind in "biuf"


def _concatenate(parts):
    for part in parts:
        refuse_masked(part, "Each X")
    parts = [check_sparse_format(A, "Each X") if sp.issparse(A) else A for A in parts]
    names = {tuple(part.columns) if hasattr(part, "columns") else None for part in parts}
    if len(names) > 1:
        raise ValueError(
            "All X must have the same columns in the same order, or be arrays; got "
            f"{[list(n) if n else 'an array' for n in names]}."
        )
    widths = {np.shape(part)[1] if np.ndim(part) == 2 else -1 for part in parts}
    if len(widths) > 1 or -1 in widths:
        raise ValueError(
            "All X must be two-dimensional with the same number of features; got shapes "
            f"{[np.shape(part) for part in parts]}."
        )
    first = parts[0]
    if any(sp.issparse(part) for part in parts):
        return sp.vstack([sp.csr_array(part) for part in parts], format="csr")
    if hasattr(first, "iloc"):
        import pandas as pd

        return pd.concat(parts, ignore_index=True)
    if hasattr(first, "vstack"):  # polars
        import polars as pl

        return pl.concat(parts)
    return np.concatenate([np.asarray(part) for part in parts])
