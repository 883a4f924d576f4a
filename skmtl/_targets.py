"""Stacked targets <-> integer codes and values; the only file that knows what "missing" means.

A gap is NaN, None, ``pd.NA``, ``NaT`` or the declared ``missing_label``. Past this file a label is
an integer 0..K_t - 1 per task and a gap is -1. A real target is 0 as a label, and its value is
beside it; gaps have the value 0.
"""

import warnings
from collections.abc import Set
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from numbers import Integral
from typing import NamedTuple

import numpy as np
import scipy.sparse as sp
from sklearn.utils.multiclass import check_classification_targets

from skmtl._arrays import as_array, check_sparse_format, date_type, naming, refuse_masked

LARGEST = 1e300  # differences and sums of real targets must be numbers, too
DATES = "M8[us]"  # what holds dates of every unit, and what Python's own dates can say
UNSEEN = -2  # a label that fit did not see: wrong in a score, refused in training


# --- reading what a user may pass ------------------------------------------------------------


@dataclass
class Table:
    """Stacked labels column by column."""

    columns: list
    names: list | None
    one_d: bool

    @property
    def n_rows(self):
        return len(self.columns[0]) if self.columns else 0


def read_table(y, name="y"):
    """Columns of labels from an array, list, pandas or polars object, or 0/1 CSR.

    Returns
    -------
    Table
        Columns are 1-D arrays in the type they came in; object where it is mixed or has gaps.
    """
    refuse_masked(y, name)
    if y is None:
        raise ValueError(f"{name} must be array-like; got None.")
    if sp.issparse(y):
        y = check_sparse_format(y, name).toarray()
    if hasattr(y, "columns"):  # a pandas or polars frame
        series = (y.iloc[:, t] if hasattr(y, "iloc") else y[c] for t, c in enumerate(y.columns))
        columns, names = [_read_column(column) for column in series], column_names(y)
        if len(set(names)) < len(names):
            raise ValueError(
                f"The columns of {name} must have names of their own; got {names[:10]}. Rename "
                "them, or pass an array."
            )
        return Table(columns, names, one_d=False)
    if hasattr(y, "dtype") and hasattr(y, "to_numpy") and not isinstance(y, np.ndarray):
        series_name = getattr(y, "name", None)
        return Table([_read_column(y)], None if series_name is None else [str(series_name)], True)
    if not isinstance(y, np.ndarray):
        y = _array_from_list(y, name)
    if y.dtype.kind == "T":  # NumPy's variable-width strings, which scikit-learn does not know
        y = y.astype(object)
    if y.dtype.kind == "U" and (y == "nan").any():
        warnings.warn(
            f"{name} holds the string 'nan' as a label. NumPy writes NaN so when it puts numbers "
            "and strings into one array: pass a list or an object array, or missing_label='nan'.",
            UserWarning,
            stacklevel=3,
        )
    if y.dtype.kind == "c":
        raise ValueError(f"Complex data not supported; {name} has dtype {y.dtype}.")
    if y.ndim == 1:
        return Table([y], None, one_d=True)
    if y.ndim == 2:
        return Table([y[:, t] for t in range(y.shape[1])], None, one_d=False)
    raise ValueError(
        f"{name} must have shape (n_samples,) or (n_samples, n_tasks); got {y.ndim} dimensions."
    )


def _read_column(series):
    """A pandas or polars column as an array; integers and bools with gaps stay what they are."""
    categories = getattr(series.dtype, "categories", None)
    kind = str(getattr(categories, "dtype", series.dtype)).lower()
    array = series.to_numpy()
    if array.dtype.kind in "fO" and kind.startswith(("int", "uint", "bool")):
        # Not by way of floats, which would merge integers above 2**53.
        return np.array(list(series), dtype=object)
    return array


def _array_from_list(y, name):
    if hasattr(y, "__array__"):
        return np.asarray(as_array(y, name))
    sequence = hasattr(y, "__len__") and hasattr(y, "__getitem__")
    if not sequence or isinstance(y, str | bytes | dict):
        raise ValueError(
            f"{name} must have shape (n_samples,) or (n_samples, n_tasks): an array, a frame or a "
            f"list; got {type(y).__name__}."
        )
    array = np.array(list(y), dtype=object)
    if array.ndim == 1 and any(isinstance(row, list | tuple | np.ndarray) for row in array):
        raise ValueError(
            f"{name} must have one label per task in every row; got rows of different lengths. "
            "Use None or NaN for labels that are missing."
        )
    return array


def is_missing(column, missing_label=None):
    """Boolean mask of the gaps of a column of labels.

    Parameters
    ----------
    column : ndarray of shape (n_samples,)
    missing_label : scalar, optional
        A value that also means "no label here", such as -1 or ``"?"``.
    """
    if column.dtype.kind == "f":
        gaps = np.isnan(column)
    elif column.dtype.kind == "M":
        gaps = np.isnat(column)
    elif column.dtype.kind == "O":
        gaps = np.fromiter((_is_gap(value) for value in column), dtype=bool, count=len(column))
    else:
        gaps = np.zeros(len(column), dtype=bool)
    if isinstance(missing_label, dict | set | np.ndarray) or np.ndim(missing_label) != 0:
        raise ValueError(f"missing_label must be a single value; got {missing_label!r}.")
    if missing_label is not None and not _is_gap(missing_label):
        kind = _comparable(missing_label)  # a string is not the number it spells, nor False zero
        if column.dtype.kind == "O":
            equal = (
                not gap and _comparable(value) == kind and value == missing_label
                for value, gap in zip(column, gaps, strict=True)
            )
            gaps |= np.fromiter(equal, dtype=bool, count=len(column))
        elif len(column) and _comparable(column[0]) == kind:
            if kind == "date":  # NumPy does not compare Python's dates with all of its own
                missing_label = np.datetime64(getattr(missing_label, "asm8", missing_label))
            gaps |= column == missing_label
    return gaps


def _is_gap(value):
    if value is None:
        return True
    if isinstance(value, float | np.floating):
        return value != value
    if isinstance(value, Decimal):
        return value.is_nan()
    return type(value).__name__ in ("NAType", "NaTType")


def _comparable(value):
    """Labels of one such kind can be equal."""
    kind = kind_of(value)
    return "number" if kind in ("integer", "float") else kind


def observed(table, missing_label=None):
    """Mask (n_rows, n_tasks), True where a task has a label."""
    if not table.columns:
        return np.zeros((0, 0), dtype=bool)
    return np.column_stack([~is_missing(c, missing_label) for c in table.columns])


# --- classes and codes ----------------------------------------------------------------------


def integral(column, present):
    """The observed labels; integers again where floats only made room for NaN."""
    labels = column[present]
    if labels.dtype.kind == "O":
        kinds = {kind_of(value) for value in labels}
        if kinds == {"bool"}:
            return labels.astype(bool)
        if kinds == {"integer"}:
            for dtype in (np.int64, np.uint64):
                limits = np.iinfo(dtype)
                if all(limits.min <= value <= limits.max for value in labels):
                    return labels.astype(dtype)
        if kinds == {"string"}:
            return np.array([str(value) for value in labels], dtype=object)
    elif labels.dtype.kind == "f" and np.isnan(column).any():
        whole = np.isfinite(labels).all() and (labels == np.floor(labels)).all()
        if whole and (np.abs(labels) < 2**53).all():
            return labels.astype(np.int64)
    return labels


def labels_of(column, present, where):
    """The observed labels of a column, in one comparable type; errors name ``where``."""
    labels = integral(column, present)
    if labels.dtype.kind == "O" and len(labels):
        kinds = {kind_of(value) for value in labels}
        if kinds == {"integer", "float"} and not fits_float(labels):
            raise ValueError(
                f"Integer labels beside floats must be 2**53 at most, above which floats merge; "
                f"{where} has larger ones. Make all labels of the task integers, or all strings."
            )
        if kinds == {"integer", "float"}:
            kinds = {"float"}
        if len(kinds) > 1:
            raise ValueError(
                f"The labels of a task must be of one type; {where} mixes "
                f"{' and '.join(sorted(kinds))}. Convert the column to strings or to integers."
            )
        if kinds == {"integer"}:
            raise ValueError(f"Integer labels must fit in 64 bits; {where} has larger ones.")
        if kinds == {"float"}:
            labels = labels.astype(float)
        elif kinds != {"string"}:
            _refuse_type(kinds.pop(), where)
    if labels.dtype.kind not in "biufUOM":
        _refuse_type(labels.dtype.name, where)
    if labels.dtype.kind == "M" and not _are_dates(labels):
        raise ValueError(
            f"Dates as labels must be whole microseconds, of a year within 290000 of 1970; {where} "
            "has others. Round them, or convert them to strings."
        )
    if labels.dtype.kind == "f":
        if np.isinf(labels).any():
            raise ValueError(f"Input y contains infinity or a value too large: {where}.")
        if (labels != np.floor(labels)).any():
            raise ValueError(
                f"Unknown label type: continuous. The labels of {where} must be integers, bools or "
                "strings; got fractions. Use MultiTaskSAERegressor for real targets."
            )
    return labels


def _refuse_type(kind, where):
    raise ValueError(
        f"Labels must be integers, bools or strings; {where} holds {kind}. Convert them to strings."
    )


def kind_of(value):
    if isinstance(value, bool | np.bool_):
        return "bool"
    if isinstance(value, int | np.integer) and not isinstance(value, np.timedelta64):
        return "integer"
    if isinstance(value, float | np.floating):
        return "float"
    if isinstance(value, date | np.datetime64):
        return "date"
    return "string" if isinstance(value, str) else type(value).__name__


def _are_dates(labels):
    """Whether dates survive in ``DATES``: finer ones would lose digits, far ones wrap around."""
    dates = labels.astype(DATES)
    return bool(((dates == labels) & (dates.astype(labels.dtype) == labels)).all())


def as_python(labels):
    """List of labels that are equal where the labels are: dates whatever their unit."""
    return (labels.astype(DATES) if labels.dtype.kind == "M" else labels).tolist()


class Entries(NamedTuple):
    """What rows have in each task: the ``codes`` of labels, the ``values`` of real targets."""

    codes: np.ndarray
    values: np.ndarray | None = None


@dataclass
class TaskLabels:
    """What ``fit`` learns of the labels: the classes of each task, and how to go back.

    Attributes
    ----------
    classes : list of ndarray
        Sorted classes of each task; empty for a task without any label.
    names : list of str or None
        Column names, where y had them.
    one_d : bool
        Whether y was (n_samples,).
    missing_label : scalar or None
        The declared missing label.
    """

    classes: list
    names: list | None
    one_d: bool
    missing_label: object = None

    @classmethod
    def learn(cls, y, missing_label=None, task_mask=None, classes=None, empty=False):
        """Learn classes from y, or take those declared; return the labels and the codes.

        ``empty`` allows a y without any label.
        """
        table = read_table(y)
        if not table.columns:
            raise ValueError(f"y must have at least one task; got shape ({table.n_rows}, 0).")
        mask = _read_mask(task_mask, table)
        if classes is not None:
            declared = _read_classes(classes, len(table.columns), missing_label)
            labels = cls(declared, table.names, table.one_d, missing_label)
            return labels, labels.encode(y, task_mask)
        found = []
        for t, column in enumerate(table.columns):
            where = "y" if table.one_d else f"task {_name(table, t)!r} of y"
            present = ~is_missing(column, missing_label) & mask[:, t]
            seen = labels_of(column, present, where)
            if len(seen):
                with naming(where), np.errstate(invalid="ignore"):  # floats beyond int64 are cast
                    check_classification_targets(seen)
            found.append(np.unique(seen))
        if not empty and not any(len(c) for c in found):
            raise ValueError(
                "y must hold at least one label; got only missing values (NaN, None, pd.NA"
                + ("" if missing_label is None else f", {missing_label!r}")
                + ("" if task_mask is None else " or entries that task_mask leaves out")
                + ")."
            )
        labels = cls(found, table.names, table.one_d, missing_label)
        return labels, labels.encode(y, task_mask)

    @property
    def shape(self):
        return "a y of one dimension" if self.one_d else "a y of two dimensions"

    @property
    def n_tasks(self):
        return len(self.classes)

    @property
    def offsets(self):
        """Columns of the heads' scores: task t owns ``offsets[t]:offsets[t + 1]``."""
        return np.concatenate([[0], np.cumsum([len(c) for c in self.classes])]).astype(np.int64)

    def with_task(self, classes, name=None):
        """These labels and one more task; 1-D labels become the first of two tasks."""
        names = _names_with(self, name)
        return TaskLabels([*self.classes, classes], names, False, self.missing_label)

    def name(self, t):
        return self.names[t] if self.names is not None else t

    def encode(self, y, task_mask=None, allow_unseen=False, name="y"):
        """Integer codes (n_rows, n_tasks) of y; -1 for a gap."""
        table = read_table(y, name)
        if len(table.columns) != self.n_tasks:
            raise ValueError(
                f"{name} must have {self.n_tasks} tasks, as in fit; got {len(table.columns)}."
            )
        check_names(y, self, name)
        mask = _read_mask(task_mask, table)
        codes = np.full((table.n_rows, self.n_tasks), -1, dtype=np.int64)
        for t, column in enumerate(table.columns):
            where = name if table.one_d else f"task {_name(table, t)!r} of {name}"
            present = ~is_missing(column, self.missing_label) & mask[:, t]
            if present.any():
                seen = labels_of(column, present, where)
                codes[present, t] = self._encode_task(t, seen, allow_unseen, where)
        return codes

    def entries(self, y, name="y"):
        """What rows to validate on have."""
        return Entries(self.encode(y, name=name))

    def _encode_task(self, t, seen, allow_unseen, where):
        classes = self.classes[t]
        kinds = {_comparable(label) for label in (seen[0], *classes[:1])}
        known = as_python(classes)
        if len(kinds) > 1 and kinds & {"string", "date"}:
            raise ValueError(
                f"The labels of {where} must be of the type of the classes {known[:5]}; "
                f"got {seen[0]!r}. Convert one to the other."
            )
        values, inverse = np.unique(seen, return_inverse=True)
        position = {value: c for c, value in enumerate(known)}
        codes = np.array([position.get(value, UNSEEN) for value in as_python(values)])
        if not allow_unseen and (codes == UNSEEN).any():
            unknown = as_python(values[codes == UNSEEN])
            raise ValueError(
                f"The labels of {where} must be among the classes {known}; got "
                f"{unknown[:5]}. Mark these labels as missing, or fit anew (with all classes "
                "declared at the first call of partial_fit)."
            )
        return codes[inverse.reshape(-1)]

    def decode(self, codes):
        """Labels from codes (n_rows, n_tasks): y's own shape and type, gaps as missing labels."""
        if self.one_d:
            return self._decode_task(0, codes[:, 0])
        columns = [self._decode_task(t, codes[:, t]) for t in range(self.n_tasks)]
        kinds = {c.dtype.kind for c in columns}
        if kinds == {"M"} and len({c.dtype for c in columns}) > 1:
            columns = [c.astype(DATES) for c in columns]
        if len(kinds) == 1 or kinds <= {*"iuf"}:
            stacked = np.column_stack(columns)  # int64 beside uint64 would be floats
            if stacked.dtype.kind != "f" or ("f" in kinds and all(map(fits_float, self.classes))):
                return stacked
        out = np.empty(codes.shape, dtype=object)
        for t, column in enumerate(columns):
            out[:, t] = as_python(column)
        return out

    def _decode_task(self, t, codes):
        classes = self.classes[t]
        if len(classes):
            return classes[codes]
        gap = np.nan if self.missing_label is None else self.missing_label
        return np.full(len(codes), gap)


@dataclass
class TaskTargets:
    """What ``fit`` learns of real targets: which tasks have any, and how to go back.

    Attributes
    ----------
    known : ndarray of bool, shape (n_tasks,)
        Tasks that have a target, or may get one.
    names : list of str or None
        Column names, where y had them.
    one_d : bool
        Whether y was (n_samples,).
    """

    known: np.ndarray
    names: list | None
    one_d: bool

    @classmethod
    def learn(cls, y, task_mask=None, declared=False):
        """Learn which tasks there are; return the targets and the entries.

        ``declared``: all of them are, even those whose targets are yet to come.
        """
        table = read_table(y)
        if not table.columns:
            raise ValueError(f"y must have at least one task; got shape ({table.n_rows}, 0).")
        targets = cls(np.ones(len(table.columns), dtype=bool), table.names, table.one_d)
        entries = targets.entries(y, task_mask=task_mask)
        if not declared:
            targets.known = (entries.codes >= 0).any(axis=0)
            if not targets.known.any():
                raise ValueError(
                    "y must hold at least one target; got only missing values (NaN, None, pd.NA"
                    + ("" if task_mask is None else " or entries that task_mask leaves out")
                    + ")."
                )
        return targets, entries

    @property
    def shape(self):
        return "a y of one dimension" if self.one_d else "a y of two dimensions"

    @property
    def n_tasks(self):
        return len(self.known)

    @property
    def offsets(self):
        """Columns of the heads' scores: one for each task that is known."""
        return np.concatenate([[0], np.cumsum(self.known)]).astype(np.int64)

    def name(self, t):
        return self.names[t] if self.names is not None else t

    def with_task(self, name=None):
        """These targets and one more task; a 1-D y becomes the first of two tasks."""
        names = _names_with(self, name)
        return TaskTargets(np.append(self.known, True), names, one_d=False)

    def entries(self, y, name="y", task_mask=None, allow_unknown=False):
        """Codes, 0 or -1 for a gap, and values, float64, of the tasks of y that are known."""
        table = read_table(y, name)
        if len(table.columns) != self.n_tasks:
            raise ValueError(
                f"{name} must have {self.n_tasks} tasks, as in fit; got {len(table.columns)}."
            )
        check_names(y, self, name)
        mask = _read_mask(task_mask, table) & (self.known | allow_unknown)
        codes = np.full(mask.shape, -1, dtype=np.int64)
        values = np.zeros(mask.shape)
        for t, column in enumerate(table.columns):
            where = name if table.one_d else f"task {_name(table, t)!r} of {name}"
            present = ~is_missing(column) & mask[:, t]
            values[present, t] = _numbers(column[present], where)
            codes[present, t] = 0
        return Entries(codes, values)

    def decode(self, scores, mean, scale):
        """Targets in y's own units and shape from the heads' scores; NaN where nothing is known."""
        out = np.full((len(scores), self.n_tasks), np.nan)
        out[:, self.known] = scores
        out = out * scale + mean
        return out[:, 0] if self.one_d else out


def _numbers(seen, where):
    """The observed targets of a column as finite float64; errors name ``where``."""
    if (dates := date_type(seen)) is not None:
        raise ValueError(f"Targets must be real numbers; {where} holds {dates}.")
    try:
        with np.errstate(over="ignore"):
            values = seen.astype(np.float64)
    except (TypeError, ValueError, OverflowError) as error:
        raise ValueError(f"Targets must be real numbers; {where} holds others: {error}.") from error
    if not (np.abs(values) < LARGEST).all():
        raise ValueError(f"Input y contains infinity or a value too large: {where}.")
    return values


def fits_float(column):
    """Whether the numbers of a column survive as floats: no integer beyond 2**53."""
    if column.dtype.kind == "O":
        column = column[[isinstance(value, Integral) for value in column]]
    elif column.dtype.kind not in "iu":
        return True
    return not len(column) or (column.min() >= -(2**53) and column.max() <= 2**53)


def column_names(y):
    """Names of the columns of a pandas or polars frame; None for what has none."""
    return [str(c) for c in y.columns] if hasattr(y, "columns") else None


def check_names(y, targets, where="y"):
    """Refuse a frame whose columns have other names, or another order, than the tasks."""
    known, names = targets.names, column_names(y)
    if known is None or names is None or names == known:
        return
    raise ValueError(
        f"The columns of {where} must be the tasks of fit in their order, {known[:10]}; got "
        f"{names[:10]}. Select them in that order, or pass an array if only the names differ."
    )


def _names_with(targets, name):
    """Names of the tasks and one more; None where nobody gave any."""
    if targets.names is None and name is None:
        return None
    names = [str(targets.name(t)) for t in range(targets.n_tasks)]
    new = str(targets.n_tasks if name is None else name)
    if new in names:
        raise ValueError(
            f"name must be that of no other task; got {new!r} beside {names[:10]}. Give another."
        )
    return [*names, new]


def _name(table, t):
    return table.names[t] if table.names is not None else t


def _read_mask(task_mask, table):
    """``task_mask`` as a boolean (n_rows, n_tasks) array."""
    shape = (table.n_rows, len(table.columns))
    if task_mask is None:
        return np.ones(shape, dtype=bool)
    check_names(task_mask, table, "task_mask")
    given = read_table(task_mask, "task_mask")
    mask = np.column_stack(given.columns or [[]])
    whole = mask.dtype == bool or (observed(given).all() and np.isin(mask, (0, 1)).all())
    if mask.shape != shape or not whole:
        raise ValueError(
            f"task_mask must be boolean of y's shape {shape}, True where a label counts; got "
            f"shape {mask.shape} and dtype {mask.dtype}."
        )
    return mask.astype(bool)


def _read_classes(classes, n_tasks, missing_label):
    """Declared classes: one list per task, or one flat list for all tasks."""
    nested = _is_list(classes) and all(map(_is_list, classes))
    if nested and len(classes) != n_tasks:
        raise ValueError(
            "y must have a column, and classes must hold one list, for each of the tasks; got "
            f"{n_tasks} column(s) of y and classes of {len(classes)} task(s)."
        )
    out = []
    for declared in classes if nested else [classes] * n_tasks:
        if not _is_list(declared) or any(map(_is_list, declared)):
            raise ValueError(
                "classes must be a list of labels, or one such list per task; got "
                f"{classes!r:.200}."
            )
        listed = list(declared) if isinstance(declared, Set) else declared
        column = read_table(listed, "classes").columns[0]
        out.append(np.unique(labels_of(column, ~is_missing(column, missing_label), "classes")))
    return out


def _is_list(value):
    """Whether it may be a list of labels: also an array, a pandas or polars column, a set."""
    no_list = isinstance(value, str | bytes | dict) or sp.issparse(value)
    no_list = no_list or hasattr(value, "columns") or getattr(value, "ndim", 1) == 0
    return hasattr(value, "__len__") and not no_list


def common_labels(y_true, y_pred, present, classes=()):
    """Both columns where ``present``, as integers that are equal where the labels are.

    The classes come first, then other true labels in order, then other predicted ones. Only
    labels of one kind can be equal: the string "1" is not the number 1.
    """
    true, of_true = _distinct(y_true[present])
    pred, of_pred = _distinct(y_pred[present])
    code: dict = {value: c for c, value in enumerate(as_python(np.asarray(classes)))}
    for value in (*sorted(true, key=lambda v: (isinstance(v, str), v)), *pred):
        code.setdefault(value, len(code))
    return tuple(
        np.array([code[value] for value in values], dtype=np.int64)[which]
        for values, which in ((true, of_true), (pred, of_pred))
    )


def _distinct(column):
    """Distinct labels, None for a gap, and which of them each entry is."""
    if column.dtype.kind != "O":
        values, which = np.unique(column, return_inverse=True)
        return [None if _is_gap(v) else v for v in as_python(values)], which.reshape(-1)
    number: dict = {}
    labels = (None if _is_gap(value) else value for value in column.tolist())
    numbers = [number.setdefault(label, len(number)) for label in labels]
    return list(number), np.array(numbers, dtype=np.int64)
