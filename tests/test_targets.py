"""Every way to write labels and gaps, and back."""

import numpy as np
import pandas as pd
import polars as pl
import pytest
import scipy.sparse as sp

from skmtl._class_weight import class_weights
from skmtl._stratify import stratified_folds
from skmtl._targets import TaskLabels

NAN = float("nan")
# Three rows, two tasks; row 1 lacks the first label, row 2 the second.
NUMBERS = [
    np.array([[1, 0], [NAN, 1], [2, NAN]]),
    np.array([[1, 0], [NAN, 1], [2, NAN]], dtype=np.float32),
    np.array([[1, 0], [None, 1], [2, None]], dtype=object),
    [[1, 0], [None, 1], [2, None]],
    [(1, 0), (NAN, 1), (2, NAN)],
    pd.DataFrame({"a": [1, NAN, 2], "b": [0, 1, NAN]}),
    pd.DataFrame({"a": pd.array([1, None, 2], "Int64"), "b": pd.array([0, 1, None], "Int8")}),
    pd.DataFrame({"a": [1, pd.NA, 2], "b": [0, 1, pd.NA]}, dtype=object),
    pl.DataFrame({"a": [1, None, 2], "b": [0, 1, None]}),
    pl.DataFrame({"a": [1.0, None, 2.0], "b": [0.0, 1.0, NAN]}),
]
MIXED = [
    np.array([["x", True], [None, False], ["y", None]], dtype=object),
    np.array([["x", True], [NAN, False], ["y", NAN]], dtype=object),
    [["x", True], [None, False], ["y", None]],
    pd.DataFrame({"a": ["x", None, "y"], "b": [True, False, None]}),
    pd.DataFrame({"a": pd.Categorical(["x", None, "y"]), "b": pd.array([1, 0, None], "boolean")}),
    pd.DataFrame({"a": pd.array(["x", None, "y"], "string"), "b": [True, False, pd.NA]}),
    pl.DataFrame({"a": ["x", None, "y"], "b": [True, False, None]}),
]
CODES = [[0, 0], [-1, 1], [1, -1]]


@pytest.mark.parametrize("y", NUMBERS, ids=lambda y: type(y).__name__)
def test_numbers_with_gaps(y):
    labels, codes = TaskLabels.learn(y)
    assert codes.tolist() == CODES
    assert [c.tolist() for c in labels.classes] == [[1, 2], [0, 1]]
    assert all(c.dtype.kind == "i" for c in labels.classes)
    assert labels.names == (["a", "b"] if hasattr(y, "columns") else None)


@pytest.mark.parametrize("y", MIXED, ids=lambda y: type(y).__name__)
def test_strings_and_bools_with_gaps(y):
    labels, codes = TaskLabels.learn(y)
    assert [c.tolist() for c in labels.classes] == [["x", "y"], [False, True]]
    assert codes[:, 0].tolist() == [0, -1, 1]
    assert codes[:, 1].tolist() == [1, 0, -1]
    back = labels.decode(np.maximum(codes, 0))
    assert back.tolist() == [["x", True], ["x", False], ["y", False]]


@pytest.mark.parametrize(
    "y, missing_label",
    [
        (np.array([[1, 0], [-1, 1], [2, -1]]), -1),
        (np.array([[1, 0], [-1, 1], [2, NAN]]), -1),
        ([[1, 0], [-1, 1], [2, None]], -1),
        (np.array([["1", "0"], ["?", "1"], ["2", "?"]]), "?"),
        ([["1", 0], ["?", 1], ["2", "?"]], "?"),
        (np.array([[1, 0], [NAN, 1], [2, NAN]]), NAN),
        (pl.DataFrame({"a": ["1", "?", "2"], "b": [0, 1, None]}), "?"),
    ],
)
def test_declared_missing_label(y, missing_label):
    assert TaskLabels.learn(y, missing_label)[1].tolist() == CODES


def test_minus_one_is_a_class_unless_declared():
    assert TaskLabels.learn([-1, 1])[0].classes[0].tolist() == [-1, 1]


def test_a_string_is_not_the_number_it_spells():
    assert TaskLabels.learn(np.array(["-1", "1"]), -1)[0].classes[0].tolist() == ["-1", "1"]


@pytest.mark.parametrize("y", [sp.csr_array([[0, 1], [1, 0]]), sp.csc_matrix([[0, 1], [1, 0]])])
def test_sparse_indicator(y):
    assert TaskLabels.learn(y)[1].tolist() == [[0, 1], [1, 0]]


def test_long_strings_are_not_cut():
    labels, _ = TaskLabels.learn([["a", "long name"], ["another", "b"]])
    assert labels.decode(np.array([[1, 1]])).tolist() == [["another", "long name"]]


def test_huge_integers_are_labels_not_sizes():
    labels, codes = TaskLabels.learn([2**40, -(2**40), None])
    assert codes[:, 0].tolist() == [1, 0, -1]
    assert labels.classes[0].dtype == np.int64


def test_big_integers_stay_apart():
    big = [2**60, 2**60 + 1, None]
    for y in (big, pl.Series(big), pd.Series(pd.array(big, "Int64"))):
        labels, codes = TaskLabels.learn(y)
        assert labels.classes[0].tolist() == big[:2] and codes[:, 0].tolist() == [0, 1, -1]
    labels = TaskLabels([np.array(big[:2]), np.array([])], None, False)
    assert labels.decode(np.array([[1, -1]]))[0, 0] == 2**60 + 1


def test_bools_are_not_numbers_to_a_missing_label():
    y = np.array([[True, 0], [False, 1]], dtype=object)
    for missing_label, codes in [(0, [[1, -1], [0, 0]]), (False, [[0, 0], [-1, 1]])]:
        assert TaskLabels.learn(y, missing_label)[1].tolist() == codes
    with pytest.raises(ValueError, match="missing_label must be a single value"):
        TaskLabels.learn([1, 2], missing_label=[-1])


def test_nan_that_became_a_string_is_pointed_out():
    with pytest.warns(UserWarning, match="y holds the string 'nan'"):
        TaskLabels.learn(np.array([["1", "a"], ["nan", "b"]]))


def test_odd_containers():
    twice = pd.DataFrame([[1, 2], [None, 3]], columns=["a", "a"])
    with pytest.raises(
        ValueError, match=r"columns of y must have names of their own; got \['a', 'a'"
    ):
        TaskLabels.learn(twice)
    variable = np.array(["b", "a"], dtype=np.dtypes.StringDType())
    assert TaskLabels.learn(variable)[0].classes[0].tolist() == ["a", "b"]
    labels, _ = TaskLabels.learn([np.str_("a"), np.str_("b")])
    assert {type(c) for c in labels.classes[0]} == {str}


def test_types_of_one_d_labels():
    for y in (np.array([1.0, 2.0]), np.array(["a", "b"]), np.array([True, False])):
        labels, codes = TaskLabels.learn(y)
        assert labels.one_d
        assert labels.decode(codes).dtype == y.dtype and (labels.decode(codes) == y).all()


def test_task_mask_hides_labels():
    labels, codes = TaskLabels.learn([[1, 9], [2, 8]], task_mask=[[True, True], [True, False]])
    assert codes.tolist() == [[0, 0], [1, -1]]
    assert labels.classes[1].tolist() == [9]


def test_declared_classes():
    _, codes = TaskLabels.learn([[1, "b"]], classes=[[0, 1, 2], ["a", "b"]])
    assert codes.tolist() == [[1, 1]]
    flat, _ = TaskLabels.learn([[1, 2]], missing_label=-1, classes=np.array([-1.0, 1, 2, NAN]))
    assert [c.tolist() for c in flat.classes] == [[1, 2], [1, 2]]


@pytest.mark.parametrize(
    "y, message",
    [
        ([1, "a"], "y mixes integer and string"),
        ([[1, 1], ["a", 2]], "task 0 of y mixes integer and string"),
        ([True, 2], "y mixes bool and integer"),
        (np.array([0.5, 1.25, 3.3]), "continuous"),
        (np.array([1.0, np.inf]), "y contains infinity"),
        ([None, NAN], "y must hold at least one label"),
        (np.full((3, 2), NAN), "y must hold at least one label"),
        ([[1, 2], [3]], "y must have one label per task"),
        (np.ma.masked_array([1, 2], [True, False]), "y must be a plain array; got a numpy masked"),
        (np.zeros((2, 2, 2)), "y must have shape"),
        (np.array([1j, 2]), "Complex data not supported"),
        (np.zeros((3, 0)), "y must have at least one task"),
        (5, "y must have shape"),
        ([2**70, 1], "must fit in 64 bits"),
    ],
)
def test_bad_labels(y, message):
    with pytest.raises(ValueError, match=message):
        TaskLabels.learn(y)


@pytest.mark.parametrize(
    "call, message",
    [
        (lambda labels: labels.encode([3]), r"classes \[1, 2\]; got \[3\]"),
        (lambda labels: labels.encode([[1, 1]]), "y must have 1 tasks"),
        (lambda labels: labels.encode([1], task_mask=[True, False]), "task_mask must be boolean"),
        (lambda labels: labels.encode([1, 2], task_mask=[0.5, 1]), "task_mask must be boolean"),
        (lambda labels: labels.encode([1], np.ma.array([True])), "task_mask must be a plain array"),
        (lambda labels: labels.encode(["1"], allow_unseen=True), "must be of the type of the cla"),
    ],
)
def test_bad_encoding(call, message):
    labels, _ = TaskLabels.learn([1, 2])
    with pytest.raises(ValueError, match=message):
        call(labels)


def test_class_weights():
    labels, codes = TaskLabels.learn([["a", 0], ["a", 1], ["b", None], [None, 1]])
    ones = np.ones(codes.shape)
    balanced = class_weights("balanced", labels, codes, ones)
    assert balanced[:3, 0].tolist() == [0.75, 0.75, 1.5]
    weighted = class_weights("balanced", labels, codes, np.array([[1, 1], [0, 1], [1, 1], [1, 1]]))
    assert weighted[[0, 2], 0].tolist() == [1, 1]  # a label of weight zero does not count
    per_task = class_weights([{"b": 5}, None], labels, codes, ones)
    assert per_task[:, 0].tolist() == [1, 1, 5, 1] and (per_task[:, 1] == 1).all()
    labels.names = ["first", "second"]
    assert np.array_equal(class_weights({"first": {"b": 5}}, labels, codes, ones), per_task)
    whole = class_weights({"a": 2, "b": 3, "absent": 7, 0: 1, 1: 1}, labels, codes, ones)
    assert whole[:, 0].tolist() == [2, 2, 3, 1]  # a class absent from a fold is no slip


@pytest.mark.parametrize(
    "class_weight, message",
    [
        ([None], "class_weight must have one entry per task"),
        (["balance", None], "class_weight must be None, 'balanced'"),
        ([3, None], "class_weight must be None, 'balanced'"),
        ({"A": 2}, r"keys of class_weight must be labels of y; got \['A'\]"),
        ([{"0": 2}, None], "keys of class_weight must be labels of y"),
        ([{"a": -1}, None], "must be finite numbers, not negative; got -1"),
        ([{"a": NAN}, None], "must be finite numbers, not negative; got nan"),
    ],
)
def test_bad_class_weights(class_weight, message):
    labels, codes = TaskLabels.learn([["a", 0], ["a", 1], ["b", None], [None, 1]])
    with pytest.raises(ValueError, match=message):
        class_weights(class_weight, labels, codes, np.ones(codes.shape))


@pytest.mark.parametrize("shuffled", [True, False])
def test_folds_have_their_sizes_and_proportions(shuffled, rng):
    codes = np.column_stack([rng.integers(-1, 3, 1000), rng.integers(-1, 2, 1000)])
    fold = stratified_folds(codes, [500, 300, 200], rng if shuffled else None)
    assert np.bincount(fold).tolist() == [500, 300, 200]
    for t in range(2):
        for c in range(-1, 3):
            rows = fold[codes[:, t] == c]
            if len(rows):
                share = np.bincount(rows, minlength=3) / len(rows)
                np.testing.assert_allclose(share, [0.5, 0.3, 0.2], atol=0.03)


def test_rare_classes_reach_as_many_folds_as_they_can(rng):
    codes = rng.integers(0, 2, (200, 6))
    codes[:, 5] = 0
    codes[rng.choice(200, 5, replace=False), 5] = 1  # five rows for five folds
    fold = stratified_folds(codes, [40] * 5, rng)
    assert sorted(fold[codes[:, 5] == 1]) == [0, 1, 2, 3, 4]


def test_floats_beyond_integers_are_refused_without_a_warning():
    """The properties found that: scikit-learn casts them, to see whether they are whole."""
    with pytest.raises(ValueError, match="Unknown label type: continuous"):
        TaskLabels.learn(np.array([1e300, 0.0]))
