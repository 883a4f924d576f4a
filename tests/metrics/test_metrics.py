import pickle

import numpy as np
import pandas as pd
import pytest
import sklearn
from numpy.testing import assert_allclose
from sklearn.metrics import accuracy_score, f1_score, r2_score, recall_score
from sklearn.model_selection import cross_validate

from skmtl import MultiTaskSAEClassifier, SparseAutoencoderTransformer
from skmtl.metrics import (
    dead_fraction,
    explained_variance,
    firing_rate,
    get_multitask_scorer,
    l0,
    multitask_accuracy,
    multitask_classification_report,
    multitask_f1,
    multitask_recall,
    relative_gain,
)
from skmtl.model_selection import MultiTaskKFold

METRICS = [
    (multitask_accuracy, accuracy_score, {}),
    (multitask_recall, recall_score, {"average": "macro", "zero_division": 0}),
    (multitask_f1, f1_score, {"average": "macro"}),
]


@pytest.fixture
def labels(rng):
    Y = np.column_stack([rng.integers(0, 4, 80), rng.integers(0, 2, 80)]).astype(float)
    pred = np.where(rng.random(Y.shape) < 0.7, Y, Y[::-1])
    pred[:3, 0] = 9  # a class that is never true
    gaps = rng.random(Y.shape) < 0.3
    return np.where(gaps, np.nan, Y), pred, gaps


@pytest.mark.parametrize("ours, theirs, options", METRICS)
@pytest.mark.parametrize("weighted", [None, 1, 2])
def test_equals_scikit_learn_on_labelled_rows(ours, theirs, options, weighted, labels, rng):
    Y, pred, gaps = labels
    weight = None if weighted is None else rng.random(Y.shape if weighted == 2 else len(Y))
    expected = []
    for t in range(2):
        rows = ~gaps[:, t]
        of_task = None if weight is None else (weight if weighted == 1 else weight[:, t])[rows]
        expected.append(theirs(Y[rows, t], pred[rows, t], sample_weight=of_task, **options))
    assert_allclose(ours(Y, pred, average=None, sample_weight=weight), expected, rtol=1e-12)
    assert_allclose(ours(Y, pred, sample_weight=weight), np.mean(expected), rtol=1e-12)


@pytest.mark.parametrize("ours", [m[0] for m in METRICS])
def test_what_lies_under_a_gap_does_not_matter(ours, labels):
    Y, pred, gaps = labels
    for fill in (np.nan, 99):
        assert ours(Y, np.where(gaps, fill, pred)) == ours(Y, pred)


def test_kinds_of_labels():
    true = pd.DataFrame({"s": ["a", None, "b"], "n": [1, 2, None], "b": [True, None, False]})
    pred = np.array([["a", 1, True], ["b", 1, True], ["a", 2, False]], dtype=object)
    assert_allclose(multitask_accuracy(true, pred, average=None), [0.5, 0.5, 1])
    assert multitask_accuracy(["1", "2"], [1, 2]) == 0  # a string is not a number
    assert multitask_accuracy([1, 2], [1.0, None]) == 0.5  # a missing prediction is wrong
    assert multitask_accuracy([[-1], [1]], [[0], [1]], missing_label=-1) == 1


def test_task_without_labels():
    assert_allclose(
        multitask_f1([[0, None], [1, None]], [[0, 1], [1, 1]], average=None), [1, np.nan]
    )
    assert multitask_f1([[0, None], [1, None]], [[0, 1], [1, 1]]) == 1
    with pytest.raises(ValueError, match="Y_true must hold at least one label"):
        multitask_f1([None], [1])


def test_report():
    report = multitask_classification_report(
        [[0, 1], [1, None]], [[0, 1], [0, 0]], task_names=["first", "b"], output_dict=True
    )
    assert report["first"] == {
        "accuracy": 0.5,
        "balanced_accuracy": 0.5,
        "recall": 0.5,
        "f1": 1 / 3,
        "labels": 2,
    }
    assert report["mean"]["accuracy"] == 0.75 and report["mean"]["labels"] == 3
    text = multitask_classification_report(pd.DataFrame({"tox": [1, 0]}), [[1], [1]], digits=2)
    assert "tox" in text and "0.50" in text


@pytest.mark.parametrize(
    "call, message",
    [
        (lambda: multitask_accuracy([1, 2], [1]), "Y_true and Y_pred must have one shape"),
        (lambda: multitask_accuracy([1], [1], average="micro"), "average must be"),
        (
            lambda: multitask_accuracy([1], [1], sample_weight=[1, 2]),
            "sample_weight must have shape",
        ),
        (lambda: multitask_accuracy([1, 0], [1, 0], sample_weight=[1, -1]), "finite and not nega"),
        (lambda: multitask_accuracy([1, 0], [1, 0], sample_weight=[1, np.nan]), "finite and not"),
        (lambda: multitask_accuracy([0.5, 1.2], [0, 1]), "continuous"),
        (lambda: multitask_classification_report([1], [1], task_names=["a", "b"]), "task_names"),
        (lambda: relative_gain([1], [0]), "baseline must not be zero"),
        (lambda: relative_gain([1], [1, 2]), "must have one shape"),
        (lambda: get_multitask_scorer("auc"), "scoring must be one of"),
        (lambda: explained_variance([[1.0]], [[1.0, 2.0]]), "must have one shape"),
    ],
)
def test_errors(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def test_relative_gain():
    assert_allclose(relative_gain([0.9, 0.6], [0.75, 0.8]), (20 - 25) / 2)
    both = [[0.9, 2.0], [0.9, 1.0]], [[0.75, 4.0], [0.75, 2.0]]
    assert_allclose(relative_gain(*both, higher_is_better=[True, False]), (20 + 50) / 2)


def test_scorer(digits):
    X, Y = digits
    clf = MultiTaskSAEClassifier(max_iter=3, tol=None, random_state=0).fit(X, Y)
    for name, metric in [("accuracy", multitask_accuracy), ("f1_macro", multitask_f1)]:
        scorer = pickle.loads(pickle.dumps(get_multitask_scorer(name)))
        assert scorer(clf, X, Y) == metric(Y, clf.predict(X))
    assert_allclose(get_multitask_scorer("accuracy")(clf, X, Y), clf.score(X, Y))


def test_scorer_takes_part_in_metadata_routing(digits, rng):
    X, Y = digits
    weight = np.where(rng.random(len(X)) < 0.5, 1e-6, 1.0)
    clf = MultiTaskSAEClassifier(8, max_iter=2, tol=None, random_state=0)
    with sklearn.config_context(enable_metadata_routing=True):
        clf.set_fit_request(sample_weight=False)
        scorer = get_multitask_scorer("accuracy").set_score_request(sample_weight=True)
        routed = cross_validate(
            clf, X, Y, cv=MultiTaskKFold(2), scoring=scorer, params={"sample_weight": weight}
        )["test_score"]
    expected = [
        scorer(clf.fit(X[train], Y[train]), X[test], Y[test], sample_weight=weight[test])
        for train, test in MultiTaskKFold(2).split(X, Y)
    ]
    assert_allclose(routed, expected)


def test_code_metrics(rng):
    import scipy.sparse as sp

    code = rng.random((20, 5)) * (rng.random((20, 5)) < 0.5)
    code[:, 2] = 0
    for c in (code, sp.csr_array(code)):
        assert_allclose(firing_rate(c), (code != 0).mean(axis=0))
        assert_allclose(l0(c), (code != 0).sum(axis=1).mean())
        assert dead_fraction(c) == 0.2


def test_explained_variance(digits, rng):
    X, _ = digits
    sae = SparseAutoencoderTransformer(16, max_iter=5, tol=None, random_state=0).fit(X)
    back = sae.inverse_transform(sae.transform(X))
    weight = rng.random(len(X))
    assert_allclose(explained_variance(X, back), sae.score(X), rtol=1e-9)
    assert_allclose(
        explained_variance(X, back, sample_weight=weight), sae.score(X, sample_weight=weight)
    )
    varies = X.var(axis=0) > 0  # r2_score leaves constant columns out
    expected = r2_score(X[:, varies], back[:, varies], multioutput="variance_weighted")
    assert_allclose(explained_variance(X[:, varies], back[:, varies]), expected)
    assert explained_variance([[1.0], [1.0]], [[1.0], [1.0]]) == 1
    assert explained_variance([[1.0], [1.0]], [[1.0], [2.0]]) == 0
    constant = np.full((10, 4), 0.1)  # whose mean is not exactly 0.1
    assert explained_variance(constant, constant + 1e-3) == 0
