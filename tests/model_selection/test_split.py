import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
import sklearn
from sklearn.model_selection import (
    GridSearchCV,
    GroupKFold,
    KFold,
    cross_val_score,
    cross_validate,
    learning_curve,
)
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from skmtl import MultiTaskSAEClassifier, SparseAutoencoderTransformer
from skmtl._stratify import _distinct_rows
from skmtl.metrics import get_multitask_scorer
from skmtl.model_selection import LeaveTaskOut, MultiTaskKFold, multitask_train_test_split


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


@pytest.mark.compiled
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


# --- quality ---------------------------------------------------------------------------------


def rare_labels(seed):
    """A random table with gaps, rare classes and groups of rows."""
    rng = np.random.default_rng(seed)
    n, n_tasks = int(rng.integers(60, 400)), int(rng.integers(1, 12))
    Y = np.minimum(rng.integers(0, 5, (n, n_tasks)), rng.geometric(0.5, (n, n_tasks))).astype(float)
    Y[rng.random(Y.shape) < rng.random() * 0.8] = np.nan
    return Y, rng.integers(0, n // 4, n)


def worst_share(Y, splits):
    """Largest |fold share - 1 / n_folds| of a class with enough labels; folds without a class."""
    tests = [test for _, test in splits]
    worst, lacking = 0, 0
    for column in Y.T:
        for c in np.unique(column[~np.isnan(column)]):
            counts = np.array([np.count_nonzero(column[test] == c) for test in tests])
            if counts.sum() >= len(tests):
                worst = max(worst, np.abs(counts / counts.sum() - 1 / len(tests)).max())
                lacking += np.count_nonzero(counts == 0)
    return np.array([worst, lacking])


@pytest.mark.parametrize("shuffle", [False, True])
def test_shares_beside_plain_k_folds(shuffle):
    """Less than half as far from the proportions, and no fold lacks a class that could be there."""
    state = 0 if shuffle else None
    ours = MultiTaskKFold(5, shuffle=shuffle, random_state=state)
    plain = KFold(5, shuffle=True, random_state=0)
    quality = np.zeros((2, 2))
    for seed in range(30):
        Y, _ = rare_labels(seed)
        quality += worst_share(Y, ours.split(Y, Y)), worst_share(Y, plain.split(Y))
    assert quality[0, 0] < 0.5 * quality[1, 0]
    assert quality[0, 1] == 0 < 30 < quality[1, 1]


def test_groups_stay_together():
    """And classes are nearer to their proportions than without a look at them."""
    quality = np.zeros((2, 2))
    for seed in range(30):
        Y, groups = rare_labels(seed)
        cv = MultiTaskKFold(5, shuffle=True, random_state=seed)
        tests = [test for _, test in cv.split(Y, Y, groups)]
        assert sorted(np.concatenate(tests)) == list(range(len(Y)))
        held = [set(groups[test]) for test in tests]
        assert sum(map(len, held)) == len(set(groups)) and min(map(len, held)) > 0
        sizes = [len(test) for test in tests]
        assert max(sizes) - min(sizes) <= 2 * np.bincount(groups).max()
        plain = GroupKFold(5).split(Y, groups=groups)
        quality += worst_share(Y, cv.split(Y, Y, groups)), worst_share(Y, plain)
    assert (quality[0] < 0.7 * quality[1]).all()


def test_a_giant_group_leaves_no_fold_empty():
    Y, groups = np.zeros((20, 1)), np.array([0] * 17 + [1, 2, 3])
    sizes = [len(test) for _, test in MultiTaskKFold(4).split(Y, Y, groups)]
    assert sorted(sizes) == [1, 1, 1, 17]
    with pytest.raises(ValueError, match="groups must be at least 5"):
        next(MultiTaskKFold(5).split(Y, Y, groups))


def test_groups_in_searches_and_with_metadata_routing():
    Y, groups = rare_labels(1)
    X, names = np.nan_to_num(Y), np.array([f"g{g}" for g in groups])
    search = GridSearchCV(estimator(), {"n_components": [3]}, cv=MultiTaskKFold(2))
    plain = search.fit(X, Y, groups=names).cv_results_["mean_test_score"]
    with sklearn.config_context(enable_metadata_routing=True):
        routed = search.fit(X, Y, groups=names).cv_results_["mean_test_score"]
    assert plain == routed != search.fit(X, Y).cv_results_["mean_test_score"]


def test_train_test_split_with_groups():
    Y, groups = rare_labels(3)
    parts = multitask_train_test_split(Y, Y, groups, groups=groups, test_size=0.3, random_state=0)
    assert not set(parts[4]) & set(parts[5])
    assert abs(len(parts[5]) / len(Y) - 0.3) < 0.1


def test_distinct_rows_are_those_of_numpy(rng):
    for high in (3, 2**40):  # the second does not fit in one integer
        codes = rng.integers(-1, high, (50, 6))
        codes = codes[rng.integers(0, 50, 200)]
        expected = np.unique(codes, axis=0, return_inverse=True)
        rows, group = _distinct_rows(codes)
        assert np.array_equal(rows, expected[0])
        assert np.array_equal(group, expected[1].reshape(-1))


def test_leave_task_out():
    """Own rows: each task's rows are a test part. Shared rows: never in both parts of a split."""
    Y = np.array([[0, None, -1], [1, "a", -1], [None, "b", -1], [None, None, -1]], dtype=object)
    cv = LeaveTaskOut(missing_label=-1)
    assert cv.get_n_splits(y=Y) == 2
    splits = [(train.tolist(), test.tolist()) for train, test in cv.split(Y, Y)]
    assert splits == [([2, 3], [0, 1]), ([0, 3], [1, 2])]
    with pytest.raises(ValueError, match=r"no label of task 0.*task_mask"):
        next(LeaveTaskOut().split([[0]] * 3, [0, 1, 0]))
    with pytest.raises(ValueError, match="y must be given"):
        LeaveTaskOut().get_n_splits()


@pytest.mark.compiled
def test_leave_task_out_inside_scikit_learn(digits):
    """A code that never saw the rows of a task serves it."""
    X, Y = digits[0][:300], digits[1][:300]
    own = np.where(np.arange(3) == np.arange(300)[:, None] % 3, Y, np.nan)
    sae = SparseAutoencoderTransformer(
        16, max_iter=60, tol=None, learning_rate=0.01, random_state=0
    )
    scores = cross_val_score(sae, X, own, cv=LeaveTaskOut())
    assert scores.shape == (3,) and (scores > 0.3).all()


@pytest.mark.compiled
def test_leave_task_out_and_add_it_from_few_rows(digits):
    """Parity, on a code that learnt digits from other rows."""
    X, Y = digits
    own = np.where(np.arange(2) == np.arange(len(X))[:, None] % 2, Y[:, :2], np.nan)
    train, test = list(LeaveTaskOut().split(X, own))[1]
    options = {"max_iter": 20, "tol": None, "learning_rate": 0.01, "random_state": 0}
    model = MultiTaskSAEClassifier(48, **options).fit(X[train], own[train, :1])
    model.add_task(X[test[:100]], own[test[:100], 1])
    rest = test[100:]
    assert np.mean(model.predict(X[rest])[:, 1] == own[rest, 1]) > 0.8


def test_real_targets_keep_their_numbers_of_rows(rng):
    """Beside classes too; nothing is known of their values."""
    Y = rng.normal(size=(60, 3))
    Y[:, 2] = rng.integers(0, 3, 60)
    Y[:40, 0] = Y[40:, 1] = np.nan
    for _, test in MultiTaskKFold(4).split(Y, Y):
        assert (~np.isnan(Y[test])).sum(axis=0).tolist() == [5, 10, 15]
    parts = multitask_train_test_split(Y, Y[:, 0], test_size=0.25, random_state=0)
    assert np.isnan(parts[3]).sum() == 10
    frame = pd.DataFrame({"x": Y[:, 0], "c": np.array(["a", "b"])[(Y[:, 1] > 0) * 1]})
    assert len(next(MultiTaskKFold(3).split(None, frame))[1]) == 20
