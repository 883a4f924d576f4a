import numpy as np
import pandas as pd
import polars as pl
import pytest
import scipy.sparse as sp
from numpy.testing import assert_array_equal

from skmtl import MultiTaskSAEClassifier, stack_tasks, unstack_tasks

X1, X2, X3 = np.arange(6.0).reshape(3, 2), np.ones((2, 2)), np.zeros((4, 2))
Y1, Y2, Y3 = np.array([3, 5, 3]), np.array([True, False]), np.array([0.0, 1.0, 1.0, 0.0])
NAMES = np.array(["a", "b"])


def frame(columns):
    return pd.DataFrame(X1, columns=list(columns))


def test_numbers_stack_with_nan():
    X, Y = stack_tasks([(X1, Y1), (X2, Y2), (X3, Y3)])
    assert_array_equal(X, np.concatenate([X1, X2, X3]))
    assert Y.dtype == float and Y.shape == (9, 3)
    assert_array_equal(~np.isnan(Y), np.eye(3, dtype=bool).repeat([3, 2, 4], axis=0))


def test_round_trip():
    tasks = [(X1, Y1), (X2, NAMES), (X3, Y3.astype(int))]
    X, Y = stack_tasks(tasks)
    assert Y[3, 0] is None and Y[3, 1] == "a"
    for (X_t, y_t), (X_back, y_back) in zip(tasks, unstack_tasks(X, Y), strict=True):
        assert_array_equal(X_t, X_back)
        assert_array_equal(y_t, y_back)
        assert y_back.dtype.kind in ("O", y_t.dtype.kind)


def test_names_become_columns():
    X, Y = stack_tasks({"first": (X1, Y1), "second": (X2, Y2)})
    assert list(Y.columns) == ["first", "second"]
    assert list(unstack_tasks(X, Y)) == ["first", "second"]
    clf = MultiTaskSAEClassifier(max_iter=1, tol=None).fit(X, Y)
    assert clf.task_names_in_.tolist() == ["first", "second"]


@pytest.mark.parametrize("make", [sp.csr_array, sp.csr_matrix, pd.DataFrame, pl.DataFrame])
def test_kinds_of_X(make):
    X, Y = stack_tasks([(make(X1), Y1), (make(X2), Y2)])
    (_, _), (X_back, y_back) = unstack_tasks(X, Y)
    dense = X_back.toarray() if sp.issparse(X_back) else np.asarray(X_back)
    assert_array_equal(dense, X2)
    assert y_back.tolist() == [1, 0]


def test_gaps_inside_a_task():
    X, Y = stack_tasks([(X1, [1, None, 2]), (X2, [0, 1])])
    assert np.isnan(Y[1]).all()
    assert unstack_tasks(X, Y)[0][1].tolist() == [1, 2]


def test_big_integers_survive():
    big = [2**60, 2**60 + 1, 2**60]
    X, Y = stack_tasks([(X1, big), (X2, [0, 1])])
    assert unstack_tasks(X, Y)[0][1].tolist() == big


def test_unstacking_overlapping_labels():
    tasks = unstack_tasks([[0.0], [1.0], [2.0]], [[1, -1], [2, 0], [-1, 1]], missing_label=-1)
    assert [X.ravel().tolist() for X, _ in tasks] == [[0, 1], [1, 2]]


@pytest.mark.parametrize(
    "tasks, message",
    [
        ([], "tasks must hold at least one"),
        ([(X1, Y2)], "inconsistent numbers of samples"),
        ([(X1, Y1), (np.ones((2, 3)), Y2)], "same number of features"),
        ([(X1, np.ones((3, 2)))], "must be one-dimensional"),
        ([(X1, Y1, 3)], "must be a pair"),
        ({"a": X1}, "must be a pair"),
        ([(np.ma.array(X1), Y1)], "Each X must be a plain array"),
        ([(frame("ab"), Y1), (frame("ac"), Y1)], "same columns in the same order"),
        ([(frame("ab"), Y1), (X1, Y1)], "same columns in the same order"),
    ],
)
def test_bad_tasks(tasks, message):
    with pytest.raises(ValueError, match=message):
        stack_tasks(tasks)
