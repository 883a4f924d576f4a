"""Every kind of label in every tool of scikit-learn: it works, or fails as written here.

A failure is scikit-learn's own, before our code runs, and each has its remedy: another tool, or
the same one called otherwise, which works for every kind of label. docs/composition.rst says
the same to users.
"""

from typing import Any, NamedTuple

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.calibration import CalibratedClassifierCV
from sklearn.compose import TransformedTargetRegressor, make_column_transformer
from sklearn.decomposition import PCA
from sklearn.ensemble import (
    BaggingClassifier,
    BaggingRegressor,
    StackingClassifier,
    VotingClassifier,
)
from sklearn.exceptions import UndefinedMetricWarning
from sklearn.experimental import enable_halving_search_cv  # noqa: F401
from sklearn.feature_selection import RFE, SelectFromModel, SequentialFeatureSelector
from sklearn.frozen import FrozenEstimator
from sklearn.inspection import permutation_importance
from sklearn.model_selection import (
    FixedThresholdClassifier,
    GridSearchCV,
    HalvingGridSearchCV,
    StratifiedKFold,
    TunedThresholdClassifierCV,
    cross_val_predict,
    cross_validate,
    learning_curve,
    permutation_test_score,
    train_test_split,
    validation_curve,
)
from sklearn.multiclass import OneVsRestClassifier
from sklearn.multioutput import (
    ClassifierChain,
    MultiOutputClassifier,
    MultiOutputRegressor,
    RegressorChain,
)
from sklearn.pipeline import make_pipeline, make_union
from sklearn.preprocessing import StandardScaler

from skmtl import MultiTaskSAEClassifier, MultiTaskSAERegressor, SparseAutoencoderTransformer
from skmtl.metrics import get_multitask_scorer, multitask_accuracy
from skmtl.model_selection import MultiTaskKFold, multitask_train_test_split

pytestmark = pytest.mark.compiled  # some five hundred fits

RNG = np.random.default_rng(0)
X = RNG.normal(size=(72, 5))
CODES = np.column_stack([np.digitize(X[:, 0], [-0.4, 0.4]), X[:, 1] > 0]).astype(int)
GAPS = RNG.random(CODES.shape) < 0.3
WORDS = np.array(["a", "b", "c"])[CODES]


class Labels(NamedTuple):
    Y: Any
    missing_label: Any = None
    complete: bool = True

    @property
    def observed(self):
        return np.ones(CODES.shape, dtype=bool) if self.complete else ~GAPS


LABELS = {
    "integers": Labels(CODES),
    "0/1": Labels(np.minimum(CODES, 1)),
    "strings": Labels(WORDS),
    "NaN": Labels(np.where(GAPS, np.nan, CODES), complete=False),
    "None": Labels(np.where(GAPS, None, WORDS), complete=False),
    "-1": Labels(np.where(GAPS, -1, CODES), missing_label=-1, complete=False),
}
SAME = [("integers", "strings"), ("NaN", "None"), ("NaN", "-1")]  # but for their spelling


def clf(labels, **params):
    options = {"max_iter": 10, "tol": None, "learning_rate": 0.02, "random_state": 0}
    return MultiTaskSAEClassifier(4, missing_label=labels.missing_label, **options | params)


def folds(labels, n_splits=3):
    return MultiTaskKFold(n_splits, missing_label=labels.missing_label)


def scorer(labels, name="accuracy"):
    return get_multitask_scorer(name, missing_label=labels.missing_label)


def one_task(labels):
    """The labelled rows of the second task, and its view in a model of both."""
    rows = labels.observed[:, 1]
    y = np.array(labels.Y[rows, 1].tolist())
    return clf(labels).fit(X, labels.Y).task_estimator(1), X[rows], y


def filled(labels):
    """Gaps filled with a class of the task, as integers or strings."""
    Y = labels.Y.copy()
    for t, present in enumerate(labels.observed.T):
        Y[~present, t] = Y[present, t][0]
    return np.array(Y.tolist())


# --- the tools: each returns numbers that do not depend on how labels are spelt -------------------


def in_cross_validation(cv=None, **options):
    def run(labels, n_jobs=None):
        cv_ = folds(labels) if cv is None else cv
        arguments = {"cv": cv_, "n_jobs": n_jobs, "error_score": "raise"} | options
        return cross_validate(clf(labels), X, labels.Y, **arguments)["test_score"]

    return run


def in_search(search, cv=None, **options):
    def run(labels, n_jobs=None):
        cv_ = folds(labels) if cv is None else cv
        options_ = {"cv": cv_, "n_jobs": n_jobs, "error_score": "raise"} | options
        found = search(clf(labels), {"n_components": [2, 4, 6]}, **options_).fit(X, labels.Y)
        assert found.predict(X).shape == CODES.shape
        return found.cv_results_["mean_test_score"]

    return run


def in_curve(curve, **options):
    def run(labels, n_jobs=None):
        cv = options.get("cv", folds(labels))
        arguments = {"error_score": "raise", "n_jobs": n_jobs} | options | {"cv": cv}
        return curve(clf(labels), X, labels.Y, **arguments)[-1]

    return run


def predicted(labels, n_jobs=None):
    Y = cross_val_predict(clf(labels), X, labels.Y, cv=folds(labels), n_jobs=n_jobs)
    assert Y.shape == CODES.shape
    return multitask_accuracy(labels.Y, Y, missing_label=labels.missing_label)


def probabilities_by_task_mask(labels, n_jobs=None):
    options = {"cv": list(folds(labels).split(X, labels.Y)), "method": "predict_proba"}
    options["params"] = {"task_mask": labels.observed}
    p = cross_val_predict(clf(labels), X, filled(labels), n_jobs=n_jobs, **options)
    assert [part.shape[1] for part in p] == [len(np.unique(c)) for c in filled(labels).T]
    return np.hstack(p)


def in_permutation_test(labels, n_jobs=None):
    options = {"cv": folds(labels), "n_permutations": 3, "random_state": 0, "n_jobs": n_jobs}
    return permutation_test_score(clf(labels), X, labels.Y, **options)[1]


def important(labels, n_jobs=None):
    options = {"n_repeats": 2, "random_state": 0, "n_jobs": n_jobs}
    model = clf(labels).fit(X, labels.Y)
    return permutation_importance(model, X, labels.Y, **options).importances_mean


def in_selector(cv=None):
    def run(labels, n_jobs=None):
        options = {"n_features_to_select": 1, "cv": folds(labels, 2) if cv is None else cv}
        selector = SequentialFeatureSelector(clf(labels), n_jobs=n_jobs, **options)
        return selector.fit(X[:, :3], labels.Y).get_support().astype(float)

    return run


def in_pipeline(*steps):
    def run(labels, n_jobs=None):
        model = make_pipeline(*steps, clf(labels)).fit(X, labels.Y)
        assert model.predict(X).shape == CODES.shape
        return model.score(X, labels.Y)

    return run


def as_transformer(tool):
    def run(labels, n_jobs=None):
        return tool(clf(labels)).fit(X, labels.Y).transform(X)

    return run


def around(tool):
    """The tool fitted on all tasks; accuracy of what it predicts."""

    def run(labels, n_jobs=None):
        options = {"n_jobs": n_jobs} if tool is MultiOutputClassifier else {}
        Y = tool(clf(labels), **options).fit(X, labels.Y).predict(X)
        return multitask_accuracy(labels.Y, Y, missing_label=labels.missing_label)

    return run


def around_one_task(tool):
    def run(labels, n_jobs=None):
        view, X_t, y = one_task(labels)
        return tool(view).fit(X_t, y).score(X_t, y)

    return run


def importance_of_one_task(labels, n_jobs=None):
    return permutation_importance(*one_task(labels), random_state=0).importances_mean


def split_by(split):
    def run(labels, n_jobs=None):
        options = {"missing_label": labels.missing_label}
        options = {"stratify": labels.Y} if split is train_test_split else options
        _, X_test, _, Y_test = split(X, labels.Y, random_state=0, test_size=24, **options)
        assert len(X_test) == len(Y_test) == 24
        return X_test

    return run


def stacked(model):
    return StackingClassifier([("model", model)], cv=2)


def voted(model):
    return VotingClassifier([("model", model)])


def scored_by(name, ours):
    def run(labels, n_jobs=None):
        scoring = scorer(labels, name) if ours else name
        return in_cross_validation(scoring=scoring)(labels, n_jobs)

    return run


OURS = "cross_validate"
TOOLS = {
    OURS: in_cross_validation(),
    "cross_validate, cv=3": in_cross_validation(cv=3),
    "cross_validate, StratifiedKFold": in_cross_validation(cv=StratifiedKFold(3)),
    "GridSearchCV": in_search(GridSearchCV),
    "GridSearchCV, cv=3": in_search(GridSearchCV, cv=3),
    "HalvingGridSearchCV": in_search(HalvingGridSearchCV, random_state=0),
    "HalvingGridSearchCV, min_resources": in_search(
        HalvingGridSearchCV, min_resources=24, random_state=0
    ),
    "HalvingGridSearchCV, epochs": in_search(
        HalvingGridSearchCV, resource="max_iter", max_resources=9, random_state=0
    ),
    "cross_val_predict": predicted,
    "cross_val_predict, predict_proba and task_mask": probabilities_by_task_mask,
    "learning_curve": in_curve(learning_curve, train_sizes=[0.5, 1.0]),
    "learning_curve, cv=3": in_curve(learning_curve, train_sizes=[0.5, 1.0], cv=3),
    "learning_curve, incremental": in_curve(
        learning_curve, train_sizes=[0.5, 1.0], exploit_incremental_learning=True
    ),
    "validation_curve": in_curve(validation_curve, param_name="n_components", param_range=[2, 4]),
    "permutation_test_score": in_permutation_test,
    "permutation_importance": important,
    "SequentialFeatureSelector": in_selector(),
    "SequentialFeatureSelector, cv=2": in_selector(cv=2),
    "Pipeline": in_pipeline(StandardScaler()),
    "ColumnTransformer": in_pipeline(
        make_column_transformer((StandardScaler(), [0, 1, 2]), remainder="passthrough")
    ),
    "FeatureUnion": in_pipeline(
        make_union(PCA(2), SparseAutoencoderTransformer(4, max_iter=2, tol=None, random_state=0))
    ),
    "ColumnTransformer of its code": as_transformer(
        lambda model: make_column_transformer((model, [0, 1, 2]), remainder="passthrough")
    ),
    "FeatureUnion of its code": as_transformer(lambda model: make_union(PCA(2), model)),
    "ClassifierChain": around(ClassifierChain),
    "MultiOutputClassifier": around(MultiOutputClassifier),
    "the estimator": in_pipeline(),
    "StackingClassifier": around(stacked),
    "VotingClassifier": around(voted),
    "BaggingClassifier": around(BaggingClassifier),
    "CalibratedClassifierCV": around(CalibratedClassifierCV),
    "TunedThresholdClassifierCV": around(TunedThresholdClassifierCV),
    "FixedThresholdClassifier": around(FixedThresholdClassifier),
    "OneVsRestClassifier": around(OneVsRestClassifier),
    "RFE": as_transformer(RFE),
    "SelectFromModel": as_transformer(SelectFromModel),
    "StackingClassifier of a task": around_one_task(stacked),
    "VotingClassifier of a task": around_one_task(
        lambda view: VotingClassifier([("model", view)], voting="soft")
    ),
    "CalibratedClassifierCV of a task": around_one_task(
        lambda view: CalibratedClassifierCV(FrozenEstimator(view))
    ),
    "TunedThresholdClassifierCV of a task": around_one_task(
        lambda view: TunedThresholdClassifierCV(view, cv="prefit", refit=False)
    ),
    "FixedThresholdClassifier of a task": around_one_task(
        lambda view: FixedThresholdClassifier(view, pos_label=view.classes_[1])
    ),
    "permutation_importance of a task": importance_of_one_task,
    "train_test_split, stratify": split_by(train_test_split),
    "multitask_train_test_split": split_by(multitask_train_test_split),
    **{
        f"scoring={name!r}": scored_by(name, ours=False)
        for name in ("accuracy", "f1_macro", "roc_auc_ovr", "neg_log_loss")
    },
    **{
        f"get_multitask_scorer({name!r})": scored_by(name, ours=True)
        for name in ("accuracy", "f1_macro", "roc_auc_ovr", "neg_log_loss")
    },
}

# --- what fails, and what to use --------------------------------------------------------------

NAN = (ValueError, "contains NaN")
NONE = (TypeError, "'<' not supported between instances of 'NoneType' and 'str'")
ONE_D = (ValueError, "y should be a 1d array")
BINARY = (ValueError, "Only binary classification is supported")
TYPES = (ValueError, "Supported target types are")
COMPLETE = ("integers", "0/1", "strings")
IN_Y = {"NaN": NAN, "None": NONE}


def always(failure):
    return dict.fromkeys((*COMPLETE, "-1"), failure) | IN_Y


MIXED = (ValueError, "multiclass-multioutput|mix of")
COEF = (ValueError, "should have `coef_` or `feature_importances_`")
RAGGED = (ValueError, "inhomogeneous shape")
RAISES = {
    "cross_validate, cv=3": IN_Y,
    "cross_validate, StratifiedKFold": always(TYPES),
    "GridSearchCV, cv=3": IN_Y,
    "HalvingGridSearchCV": dict.fromkeys(LABELS, ONE_D),
    "learning_curve, cv=3": IN_Y,
    "learning_curve, incremental": {"None": NONE},
    "SequentialFeatureSelector, cv=2": IN_Y,
    "ClassifierChain": {
        "strings": (ValueError, "could not convert string to float"),
        "NaN": NAN,
        "None": (ValueError, "could not convert string to float"),
    },
    "MultiOutputClassifier": IN_Y,
    "StackingClassifier": always(ONE_D),
    "VotingClassifier": always((NotImplementedError, "multi-output classification are not supp")),
    "BaggingClassifier": always(ONE_D) | {"None": ONE_D},
    "CalibratedClassifierCV": always(ONE_D),
    "TunedThresholdClassifierCV": always(BINARY),
    "FixedThresholdClassifier": always(BINARY),
    "OneVsRestClassifier": {
        name: failure
        for name, failure in always((ValueError, "Multioutput target data is not supp")).items()
        if name != "0/1"
    },
    "RFE": dict.fromkeys(LABELS, COEF) | {"NaN": NAN},
    "SelectFromModel": dict.fromkeys(LABELS, COEF),
    "train_test_split, stratify": {"NaN": NAN},
    "scoring='neg_log_loss'": {name: RAGGED for name in LABELS if name != "0/1"},
    **{
        f"scoring={name!r}": {"integers": failure, "strings": failure, "-1": failure} | IN_Y
        for name, failure in (
            ("accuracy", MIXED),
            ("f1_macro", MIXED),
            ("roc_auc_ovr", RAGGED),
        )
    },
}
REMEDY = {
    "cross_validate, cv=3": OURS,
    "cross_validate, StratifiedKFold": OURS,
    "GridSearchCV, cv=3": "GridSearchCV",
    "HalvingGridSearchCV": "HalvingGridSearchCV, min_resources",
    "learning_curve, cv=3": "learning_curve",
    "learning_curve, incremental": "learning_curve",
    "SequentialFeatureSelector, cv=2": "SequentialFeatureSelector",
    "ClassifierChain": "the estimator",
    "MultiOutputClassifier": "the estimator",
    "StackingClassifier": "StackingClassifier of a task",
    "VotingClassifier": "VotingClassifier of a task",
    "BaggingClassifier": "the estimator",
    "CalibratedClassifierCV": "CalibratedClassifierCV of a task",
    "TunedThresholdClassifierCV": "TunedThresholdClassifierCV of a task",
    "FixedThresholdClassifier": "FixedThresholdClassifier of a task",
    "OneVsRestClassifier": "the estimator",
    "RFE": "SequentialFeatureSelector",
    "SelectFromModel": "SequentialFeatureSelector",
    "train_test_split, stratify": "multitask_train_test_split",
    **{name: f"get_multitask_{name.replace('scoring=', 'scorer(')})" for name in TOOLS
       if name.startswith("scoring=")},
}  # fmt: skip


@pytest.mark.filterwarnings("ignore:invalid value encountered in cast:RuntimeWarning")  # theirs
@pytest.mark.filterwarnings("ignore:The y_prob values do not sum to one:UserWarning")  # theirs
@pytest.mark.parametrize("tool", TOOLS)
def test_works_or_fails_as_written(tool):
    """And how labels and gaps are spelt changes nothing."""
    results = {}
    for name, labels in LABELS.items():
        if name in RAISES.get(tool, {}):
            kind, message = RAISES[tool][name]
            with pytest.raises(kind, match=message):
                TOOLS[tool](labels)
        else:
            results[name] = TOOLS[tool](labels)
            assert np.isfinite(results[name]).all()
    for one, other in SAME:
        if one in results and other in results and "ClassifierChain" not in tool:
            assert_allclose(results[one], results[other], rtol=1e-6)


def test_every_failure_has_a_remedy_that_never_fails():
    assert set(REMEDY) == set(RAISES)
    assert not set(REMEDY.values()) & set(RAISES) and set(REMEDY.values()) <= set(TOOLS)


@pytest.mark.parametrize(
    "tool",
    [
        OURS,
        "GridSearchCV",
        "HalvingGridSearchCV, epochs",
        "cross_val_predict",
        "cross_val_predict, predict_proba and task_mask",
        "learning_curve",
        "learning_curve, incremental",
        "validation_curve",
        "permutation_importance",
        "SequentialFeatureSelector",
        "get_multitask_scorer('roc_auc_ovr')",
    ],
)
def test_two_processes_give_the_same(tool):
    one, two = (TOOLS[tool](LABELS["NaN"], n_jobs=n_jobs) for n_jobs in (1, 2))
    assert_array_equal(one, two)


def test_two_processes_around_each_task():
    one, two = (TOOLS["MultiOutputClassifier"](LABELS["-1"], n_jobs=n_jobs) for n_jobs in (1, 2))
    assert one == two


# --- where scikit-learn changes y before any estimator sees it ------------------------------------


@pytest.mark.parametrize("name", ["NaN", "None", "-1"])
def test_cross_val_predict_takes_gaps_for_a_class(name):
    """Nothing tells an estimator; the remedy is task_mask, as above."""
    labels = LABELS[name]
    p = cross_val_predict(clf(labels), X, labels.Y, cv=folds(labels), method="predict_proba")
    assert [part.shape[1] for part in p] == [3 + 1, 2 + 1]


def test_a_chain_reads_a_declared_gap_as_a_number():
    """It runs with a declared label, but which one is chosen moves its later links."""

    def fitted(tool, gap):
        labels = Labels(np.where(GAPS, gap, CODES), missing_label=gap)
        return tool(clf(labels)).fit(X, labels.Y)

    own = [fitted(lambda model: model, gap).predict_proba(X)[1] for gap in (-1, -9)]
    links = [fitted(ClassifierChain, gap).estimators_[1] for gap in (-1, -9)]
    links = [link.predict_proba(np.column_stack([X, CODES[:, 0]])) for link in links]
    assert_array_equal(*own)
    assert not np.allclose(*links)


# --- classes of partial_fit -----------------------------------------------------------------------


@pytest.mark.parametrize("name", LABELS)
def test_classes_of_partial_fit(name):
    """A list per task, or all in one: the same model as far as the classes are the same."""
    labels = LABELS[name]
    per_task = [
        sorted(set(c[o].tolist())) for c, o in zip(labels.Y.T, labels.observed.T, strict=True)
    ]
    model = clf(labels).partial_fit(X[:10], labels.Y[:10], classes=per_task)
    assert [c.tolist() for c in model.classes_] == per_task
    model.partial_fit(X, labels.Y)
    flat = sorted({c for classes in per_task for c in classes})
    for classes in (flat, np.array(flat), [*flat, labels.missing_label]):
        together = clf(labels).partial_fit(X, labels.Y, classes=classes)
        assert [c.tolist() for c in together.classes_] == [flat, flat]
        assert together.predict(X).shape == CODES.shape


def test_as_learning_curve_passes_them():
    """``np.unique`` of all tasks together, the gaps among them."""
    for name in ("integers", "0/1", "strings", "NaN", "-1"):
        labels = LABELS[name]
        model = clf(labels).partial_fit(X, labels.Y, classes=np.unique(labels.Y))
        assert [len(c) for c in model.classes_] == [2 if name == "0/1" else 3] * 2


# --- real targets ---------------------------------------------------------------------------------

TARGETS = X[:, :2] @ RNG.normal(size=(2, 2)) + [0, 100]
REAL = {"complete": TARGETS, "NaN": np.where(GAPS, np.nan, TARGETS)}


def regressor(**params):
    return MultiTaskSAERegressor(4, **{"max_iter": 3, "tol": None, "random_state": 0} | params)


def in_regression(tool, **options):
    return lambda Y: tool(regressor(), X, Y, cv=3, **options)


REAL_TOOLS = {
    "cross_validate": lambda Y: cross_validate(regressor(), X, Y, cv=3)["test_score"],
    "cross_validate, scorer": lambda Y: cross_validate(
        regressor(), X, Y, cv=MultiTaskKFold(3), scoring=get_multitask_scorer("r2")
    )["test_score"],
    "cross_validate, scoring='r2'": lambda Y: cross_validate(
        regressor(), X, Y, cv=3, scoring="r2", error_score="raise"
    )["test_score"],
    "GridSearchCV": lambda Y: (
        GridSearchCV(regressor(), {"n_components": [2, 3]}, cv=3).fit(X, Y).best_score_
    ),
    "HalvingGridSearchCV": lambda Y: (
        HalvingGridSearchCV(regressor(), {"n_components": [2, 3]}, cv=3).fit(X, Y).best_score_
    ),
    "cross_val_predict": in_regression(cross_val_predict),
    "learning_curve": lambda Y: in_regression(learning_curve)(Y)[2],
    "learning_curve, incremental": lambda Y: in_regression(
        learning_curve, exploit_incremental_learning=True
    )(Y)[2],
    "permutation_importance": lambda Y: (
        permutation_importance(regressor().fit(X, Y), X, Y, n_repeats=1).importances_mean
    ),
    "Pipeline": lambda Y: make_pipeline(StandardScaler(), regressor()).fit(X, Y).score(X, Y),
    "TransformedTargetRegressor": lambda Y: (
        TransformedTargetRegressor(regressor(), transformer=StandardScaler()).fit(X, Y).predict(X)
    ),
    "MultiOutputRegressor": lambda Y: MultiOutputRegressor(regressor()).fit(X, Y).predict(X),
    "RegressorChain": lambda Y: RegressorChain(regressor()).fit(X, Y).predict(X),
    "BaggingRegressor": lambda Y: BaggingRegressor(regressor(), 2).fit(X, Y).predict(X),
}
REAL_RAISES = {
    "cross_validate, scoring='r2'",
    "TransformedTargetRegressor",
    "MultiOutputRegressor",
    "RegressorChain",
    "BaggingRegressor",
}


@pytest.mark.parametrize("tool", REAL_TOOLS)
def test_real_targets_work_or_fail_as_written(tool):
    assert np.isfinite(REAL_TOOLS[tool](REAL["complete"])).all()
    if tool in REAL_RAISES:
        with pytest.raises(ValueError, match="contains NaN"):
            REAL_TOOLS[tool](REAL["NaN"])
    else:
        assert np.isfinite(REAL_TOOLS[tool](REAL["NaN"])).all()


@pytest.mark.filterwarnings("ignore:Task")
def test_scores_of_a_task_that_the_regressor_never_saw():
    Y = REAL["complete"].copy()
    Y[:36, 1] = np.nan
    model = regressor().fit(X[:36], Y[:36])
    r2 = get_multitask_scorer("r2")
    with pytest.warns(UndefinedMetricWarning, match=r"r2 is undefined .* \(1\)"):
        assert r2(model, X[36:], Y[36:]) == r2(model, X[36:], np.where([1, 0], Y[36:], np.nan))
