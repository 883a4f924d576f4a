import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from sklearn.model_selection import GridSearchCV, cross_val_score, cross_validate, learning_curve
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from skmtl import MultiTaskSAEClassifier
from skmtl.metrics import get_multitask_scorer
from skmtl.model_selection import MultiTaskKFold, multitask_train_test_split


@pytest.mark.parametrize("shuffle", [False, True])
def test_folds_partition_and_keep_proportions(digits, shuffle):
    X, Y = digits
    cv = MultiTaskKFold(4, shuffle=shuffle, random_state=0 if shuffle else None)
    tests = [test for _, test in cv.split(X, Y)]
    assert sorted(np.concatenate(tests)) == list(range(len(X)))
    assert max(map(len, tests)) - min(map(len, tests)) <= 1
    for t in range(3):
        for c in np.unique(Y[~np.isnan(Y[:, t]), t]):
            counts = [np.count_nonzero(Y[test, t] == c) for test in tests]
            assert max(counts) - min(counts) <= 0.1 * max(counts) + 2
    for (train, test), (again, _) in zip(cv.split(X, Y), cv.split(X, Y), strict=True):
        assert np.array_equal(train, again) and not set(train) & set(test)


def test_own_rows_per_task():
    """Each task has rows of its own: every fold holds its share of each."""
    Y = np.full((90, 3), np.nan)
    for t in range(3):
        Y[30 * t : 30 * t + 30, t] = np.arange(30) % (t + 2)
    for _, test in MultiTaskKFold(3).split(Y, Y):
        assert (~np.isnan(Y[test])).sum(axis=0).tolist() == [10, 10, 10]


def test_bad_arguments():
    with pytest.raises(ValueError, match="n_splits must be an integer"):
        MultiTaskKFold(1)
    with pytest.raises(ValueError, match="shuffle must be True"):
        MultiTaskKFold(random_state=0)
    with pytest.raises(ValueError, match="at most the number of rows"):
        next(MultiTaskKFold(5).split([[0]] * 3, [0, 1, 0]))
    with pytest.raises(ValueError, match="inconsistent numbers"):
        next(MultiTaskKFold(2).split([[0]] * 3, [0, 1]))
    for test_size in (0.0, 1.5, 0.001, 10, "half"):
        with pytest.raises(ValueError, match="test_size"):
            multitask_train_test_split([[0]] * 10, [0, 1] * 5, test_size=test_size)


def test_train_test_split(digits):
    X, Y = digits
    weight = np.arange(len(X))
    parts = multitask_train_test_split(X, Y, weight, test_size=300, random_state=1)
    X_train, X_test, Y_train, Y_test, w_train, w_test = parts
    assert len(X_test) == len(w_test) == 300 and len(X_train) == len(X) - 300
    assert np.array_equal(X[w_test], X_test)
    np.testing.assert_array_equal(Y[w_train], Y_train)
    again = multitask_train_test_split(X, Y, weight, test_size=300, random_state=1)
    assert np.array_equal(again[5], w_test)
    shares = [np.nanmean(part[:, 1]) for part in (Y_train, Y_test)]
    assert abs(shares[0] - shares[1]) < 0.02


def test_kinds_of_containers():
    X = sp.csr_array(np.arange(20.0).reshape(10, 2))
    frame = pd.DataFrame({"a": ["x", "y"] * 5, "b": [0, None] * 5}, index=range(100, 110))
    X_train, _, Y_train, Y_test = multitask_train_test_split(X, frame, test_size=0.4)
    assert sp.issparse(X_train) and X_train.shape == (6, 2)
    assert list(Y_train.columns) == ["a", "b"] and len(Y_test) == 4
    rows = [["x", 1], ["y", None]] * 5
    parts = multitask_train_test_split(rows, rows, test_size=2)
    assert len(parts[3]) == 2 and all(row in rows for row in parts[3])


def estimator():
    return MultiTaskSAEClassifier(16, max_iter=3, tol=None, random_state=0)


def test_inside_scikit_learn(digits):
    X, Y = digits
    model = make_pipeline(StandardScaler(), estimator())
    scores = cross_validate(
        model,
        X,
        Y,
        cv=MultiTaskKFold(3),
        scoring={name: get_multitask_scorer(name) for name in ("accuracy", "f1_macro")},
    )
    assert scores["test_accuracy"].shape == (3,) and (scores["test_f1_macro"] > 0.2).all()
    search = GridSearchCV(
        model,
        {
            "multitasksaeclassifier__sparsifier__k": [2, 4],
            "multitasksaeclassifier__n_components": [3, 8],
        },
        cv=MultiTaskKFold(2),
        n_jobs=2,
    )
    from skmtl.sparsifiers import TopK

    search.set_params(estimator__multitasksaeclassifier__sparsifier=TopK())
    search.fit(X, Y)
    assert search.best_score_ == pytest.approx(search.cv_results_["mean_test_score"].max())
    assert search.predict(X).shape == Y.shape


def test_integer_cv_with_declared_label(digits):
    X, Y = digits
    filled = np.where(np.isnan(Y), -1, Y).astype(int)
    model = estimator().set_params(missing_label=-1)
    assert (cross_val_score(model, X, filled, cv=3) > 0.3).all()


def test_incremental_learning_curve(digits):
    X, Y = digits
    _, _, scores = learning_curve(
        estimator(), X, Y, cv=MultiTaskKFold(2), train_sizes=[0.3, 1.0],
        exploit_incremental_learning=True,
    )  # fmt: skip
    assert np.isfinite(scores).all()
