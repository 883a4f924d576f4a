"""Splits that keep every task's classes in proportion, gaps allowed."""

from collections.abc import Iterator
from numbers import Integral, Real
from typing import Any

import numpy as np
import scipy.sparse as sp
from sklearn.model_selection import BaseCrossValidator
from sklearn.utils.multiclass import type_of_target
from sklearn.utils.validation import check_consistent_length, check_random_state, column_or_1d

from skmtl._arrays import check_same_rows, check_sparse_format, naming
from skmtl._sklearn import safe_indexing
from skmtl._stratify import cover, grouped_folds, stratified_folds
from skmtl._targets import TaskLabels, integral, observed, read_table


class MultiTaskKFold(BaseCrossValidator):
    """K folds stratified on the observed (task, class) pairs.

    Unlike an integer ``cv``, it understands gaps in y: pass an instance as ``cv`` to
    ``cross_validate``, ``GridSearchCV`` and the like. Rows without any label are spread evenly.
    With ``groups`` the rows of a group stay in one fold. Tasks with rows of their own are in every
    fold; of real targets it is the numbers of rows that are kept in proportion.

    Parameters
    ----------
    n_splits : int, default=5
        Number of folds, at least 2.
    shuffle : bool, default=False
        Deal rows with equal labels out at random and not in their order.
    random_state : int, RandomState instance or None, default=None
        Used with ``shuffle``; an int gives the same folds in every call.
    missing_label : scalar, default=None
        A value of y that also means "no label here".

    See Also
    --------
    multitask_train_test_split : One split.
    LeaveTaskOut : The rows of one task as the test part.
    sklearn.model_selection.StratifiedKFold : For one task without gaps.

    Notes
    -----
    Iterative stratification, rows with equal labels in all tasks dealt out at once; then, where a
    fold lacks a class that has at least as many labels as there are folds, rows are swapped. A
    million rows take a second or two with hundreds of distinct combinations of labels, some ten
    seconds with 100,000, and half a minute where most rows have one of their own.

    With groups, each goes, the one that holds the largest share of a pair first, to the fold
    that wants its labels most; every fold gets a group. Folds then differ in size by what the
    groups' sizes and labels make unavoidable.

    References
    ----------
    Sechidis, Tsoumakas and Vlahavas, "On the stratification of multi-label data", ECML 2011.

    Examples
    --------
    >>> import numpy as np
    >>> from skmtl.model_selection import MultiTaskKFold
    >>> Y = np.array([[0, np.nan], [0, np.nan], [1, 1], [1, 1], [np.nan, 0], [np.nan, 0]])
    >>> for train, test in MultiTaskKFold(2).split(Y, Y):
    ...     print(test)
    [0 2 4]
    [1 3 5]
    """

    __metadata_request__split = {"groups": True}  # with metadata routing they reach split

    n_splits: int
    shuffle: bool
    random_state: Any
    missing_label: Any

    def __init__(
        self,
        n_splits: int = 5,
        *,
        shuffle: bool = False,
        random_state: Any = None,
        missing_label: Any = None,
    ) -> None:
        if not isinstance(n_splits, Integral) or n_splits < 2:
            raise ValueError(f"n_splits must be an integer of at least 2; got {n_splits!r}.")
        if random_state is not None and not shuffle:
            raise ValueError(
                f"shuffle must be True for random_state={random_state!r} to have an effect."
            )
        self.n_splits = n_splits
        self.shuffle = shuffle
        self.random_state = random_state
        self.missing_label = missing_label

    def get_n_splits(self, X: Any = None, y: Any = None, groups: Any = None) -> int:
        """Number of folds.

        Parameters
        ----------
        X, y, groups : object
            Ignored.

        Returns
        -------
        n_splits : int
            As given.
        """
        return self.n_splits

    def split(self, X: Any, y: Any, groups: Any = None) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Generate training and test indices.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Rows; only their number matters.
        y : array-like of shape (n_samples,) or (n_samples, n_tasks)
            Labels with gaps.
        groups : array-like of shape (n_samples,), default=None
            Group of each row; the rows of a group are in one fold.

        Yields
        ------
        train, test : ndarray of int
            Indices of the rows.
        """
        codes = _codes(y, self.missing_label)
        if X is not None:
            check_same_rows(X, codes)
        if groups is not None:
            check_same_rows(codes, groups, "groups", "y")
        yield from super().split(codes if X is None else X, y, groups)

    def _iter_test_indices(self, X, y, groups=None):
        codes = _codes(y, self.missing_label)
        if len(codes) < self.n_splits:
            raise ValueError(
                f"n_splits must be at most the number of rows, {len(codes)}; got {self.n_splits}."
            )
        rng = _generator(self.random_state) if self.shuffle else None
        sizes = [len(part) for part in np.array_split(codes, self.n_splits)]
        fold = _folds(codes, groups, sizes, rng)
        for f in range(self.n_splits):
            yield np.flatnonzero(fold == f)


class LeaveTaskOut(BaseCrossValidator):
    """Each split tests on the rows of one task, and trains on those that have no label of it.

    For tasks that bring rows of their own: how well does what was learnt of the others serve a task
    never seen? Learn its head from a few of the test rows, as
    `skmtl.MultiTaskSAEClassifier.add_task` does, and test on the rest. A row with labels
    of several tasks is in the test part of each of them, and in the training part of the
    others. Rows without any label are always training rows.

    Parameters
    ----------
    missing_label : scalar, default=None
        A value of y that also means "no label here".

    See Also
    --------
    MultiTaskKFold : Every task in every fold.
    skmtl.stack_tasks : From tasks with rows of their own to one y.
    sklearn.model_selection.LeaveOneGroupOut : The same where a row belongs to one group.

    Examples
    --------
    >>> import numpy as np
    >>> from skmtl.model_selection import LeaveTaskOut
    >>> Y = np.array([[0, np.nan], [1, np.nan], [np.nan, 0], [np.nan, np.nan]])
    >>> for train, test in LeaveTaskOut().split(Y, Y):
    ...     print(train, test)
    [2 3] [0 1]
    [0 1 3] [2]
    """

    missing_label: Any

    def __init__(self, *, missing_label: Any = None) -> None:
        self.missing_label = missing_label

    def get_n_splits(self, X: Any = None, y: Any = None, groups: Any = None) -> int:
        """Number of tasks that have a label.

        Parameters
        ----------
        X : object
            Ignored.
        y : array-like of shape (n_samples, n_tasks)
            Labels with gaps.
        groups : object
            Ignored.

        Returns
        -------
        n_splits : int
            One split for each task that has a label.
        """
        return int(self._present(y).any(axis=0).sum())

    def split(self, X: Any, y: Any, groups: Any = None) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Generate training and test indices.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Rows; only their number matters.
        y : array-like of shape (n_samples, n_tasks)
            Labels with gaps.
        groups : object
            Ignored.

        Yields
        ------
        train, test : ndarray of int
            Indices of the rows.

        Raises
        ------
        ValueError
            If every row has a label of the task to be left out.
        """
        present = self._present(y)
        if X is not None:
            check_same_rows(X, present)
        yield from super().split(present if X is None else X, y, groups)

    def _iter_test_masks(self, X, y, groups=None):
        present = self._present(y)
        for t in np.flatnonzero(present.any(axis=0)):
            if present[:, t].all():
                raise ValueError(
                    f"Some rows of y must have no label of task {t}, to train on; every row has "
                    "one. Tasks that share all rows are left out with task_mask in fit."
                )
            yield present[:, t]

    def _present(self, y):
        if y is None:
            raise ValueError("y must be given: its labels say which rows are a task's; got None.")
        return observed(read_table(y), self.missing_label)


def multitask_train_test_split(
    X: Any,
    Y: Any,
    *arrays: Any,
    test_size: float | int = 0.25,
    groups: Any = None,
    random_state: Any = None,
    missing_label: Any = None,
) -> list:
    """Split rows into a training and a test part, every task's classes in proportion.

    Parameters
    ----------
    X : array-like, sparse array or frame of shape (n_samples, n_features)
        Rows.
    Y : array-like of shape (n_samples,) or (n_samples, n_tasks)
        Labels with gaps.
    *arrays : array-like of length n_samples
        More to be split alike, such as weights.
    test_size : float or int, default=0.25
        Share of the rows in the test part, in (0, 1), or their number; with ``groups`` met as
        well as the groups allow.
    groups : array-like of shape (n_samples,), default=None
        Group of each row; the rows of a group are in one part.
    random_state : int, RandomState instance or None, default=None
        An int gives the same split in every call.
    missing_label : scalar, default=None
        A value of Y that also means "no label here".

    Returns
    -------
    parts : list
        ``X_train, X_test, Y_train, Y_test``, then two parts of each further array. Lists stay
        lists.

    Raises
    ------
    ValueError
        If a part would be empty, or there is only one group.

    Examples
    --------
    >>> import numpy as np
    >>> from skmtl.model_selection import multitask_train_test_split
    >>> Y = np.array([[0, np.nan], [0, np.nan], [1, 1], [1, 1]])
    >>> X_train, X_test, Y_train, Y_test = multitask_train_test_split(
    ...     Y, Y, test_size=0.5, random_state=0)
    >>> sorted(Y_test[:, 0].tolist())
    [0.0, 1.0]
    """
    codes = _codes(Y, missing_label, "Y")
    check_same_rows(X, codes, "Y")
    everything = [_indexable(a) for a in (X, Y, *arrays)]
    check_consistent_length(*everything)
    n_rows = len(codes)
    if isinstance(test_size, Integral):
        n_test = int(test_size)
    elif isinstance(test_size, Real) and 0 < test_size < 1:
        n_test = round(n_rows * test_size)
    else:
        raise ValueError(
            f"test_size must be a share in (0, 1) or a number of rows; got {test_size!r}."
        )
    if not 0 < n_test < n_rows:
        raise ValueError(
            f"Both parts must have rows; test_size={test_size!r} of {n_rows} rows leaves one empty."
        )
    rng = _generator(random_state)
    fold = _folds(codes, groups, [n_rows - n_test, n_test], rng)
    parts = [rng.permutation(np.flatnonzero(fold == f)) for f in (0, 1)]
    return [safe_indexing(a, part) for a in everything for part in parts]


def _folds(codes, groups, sizes, rng):
    """Fold of each row."""
    if groups is None:
        return cover(codes, stratified_folds(codes, sizes, rng), len(sizes))
    with naming("groups"):
        groups = column_or_1d(groups)
    check_same_rows(codes, groups, "groups", "y")
    names, numbers = np.unique(groups, return_inverse=True)
    if len(names) < len(sizes):
        raise ValueError(
            f"groups must be at least {len(sizes)}, one for each fold or part; got {len(names)}."
        )
    return grouped_folds(codes, numbers, np.array(sizes) / len(codes), rng)


def _codes(y, missing_label, name="y"):
    """Classes of each task as integers, -1 for a gap; real targets are all of one class."""
    table = read_table(y, name)
    present = observed(table, missing_label)
    real = [
        column.dtype.kind in "fO" and _is_real(integral(column, there))
        for column, there in zip(table.columns, present.T, strict=True)
    ]
    if not any(real):
        return TaskLabels.learn(y, missing_label, empty=True)[1]
    codes = [
        np.where(there, 0, -1)
        if of_numbers
        else TaskLabels.learn(column, missing_label, empty=True)[1][:, 0]
        for column, there, of_numbers in zip(table.columns, present.T, real, strict=True)
    ]
    return np.column_stack(codes)


def _is_real(values):
    return len(values) > 0 and type_of_target(values) == "continuous"


def _indexable(a):
    """Arrays and frames as they are, lists as lists: nothing that changes a label's type."""
    if sp.issparse(a):
        return check_sparse_format(a, "X").tocsr()
    return a if hasattr(a, "shape") else list(a)


def _generator(random_state):
    return np.random.default_rng(check_random_state(random_state).randint(2**31))
