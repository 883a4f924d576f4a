"""Calls in the wrong order, arguments that do not fit each other, and the functions beside."""

import functools
import io

import numpy as np
import pandas as pd
import polars as pl
import scipy.sparse as sp

import skmtl
from skmtl import Checkpoint, metrics, model_selection, stack_tasks, unstack_tasks
from skmtl.balancers import IMTL
from skmtl.head_penalties import L2
from skmtl.losses import Mixture
from skmtl.optimizers import Adam
from skmtl.sparsifiers import L1, TopK
from tests.hostile.case import Call, Case, same, warned
from tests.hostile.doors import (
    CLASSIFIER,
    ESTIMATORS,
    REGRESSOR,
    TRANSFORMER,
    Duck,
    X,
    Y,
    fit,
    fitted,
    make,
    result,
)

FRAME = pd.DataFrame(X, columns=[*"abcd"])
TASKS = pd.DataFrame(Y, columns=["digit", "odd"])
KINDS = {"Classifier": CLASSIFIER, "Regressor": REGRESSOR}


def bad(input, error, *calls):
    """What must end in an error that matches."""
    must = "ValueError or TypeError: " + error.replace("\\b", "").replace("\\", "")
    numbered = {f"call {i + 1}": Call(call) for i, call in enumerate(calls)}
    return Case(input, must, lambda: numbered, error)


def of_each(call, classes=ESTIMATORS):
    """The call for each estimator class."""
    return [functools.partial(call, cls) for cls in classes.values()]


def works(input, must, *calls):
    return Case(input, must, lambda: {f"call {i + 1}": Call(call) for i, call in enumerate(calls)})


def named(cls, **params):
    return fit(cls, FRAME, TASKS, **params)


def going_on(cls, **changes):
    """A fit that goes on with other parameters."""
    return fit(cls, X, Y, warm_start=True).set_params(**changes).fit(X, Y)


# --- before and after fit -----------------------------------------------------------------------

NOT_FITTED = [
    bad(
        f"{method} before fit",
        "not fitted",
        *of_each(
            lambda cls, m=method: getattr(make(cls), m)(X),
            {c: ESTIMATORS[c] for c in where.split()},
        ),
    )
    for method, where in {
        "transform": "Transformer Classifier Regressor",
        "inverse_transform": "Transformer",
        "score_samples": "Transformer",
        "predict": "Classifier Regressor",
        "predict_proba": "Classifier",
        "predict_log_proba": "Classifier",
        "decision_function": "Classifier",
        "task_estimator": "Classifier",
    }.items()
] + [
    bad("score before fit", "not fitted", *of_each(lambda cls: make(cls).score(X, Y))),
    bad(
        "add_task before fit",
        "not fitted",
        *of_each(lambda cls: make(cls).add_task(X, Y[:, 0]), KINDS),
    ),
    bad(
        "get_feature_names_out before fit",
        "not fitted",
        *of_each(lambda cls: make(cls).get_feature_names_out()),
    ),
]
WIDTH = [
    bad(
        "fewer features than in fit",
        "X has 3 features, but .* expecting 4",
        *of_each(lambda cls: fitted(cls).transform(X[:, :3])),
        *of_each(lambda cls: fitted(cls).score(X[:, :3], Y)),
        *of_each(lambda cls: fitted(cls).predict(X[:, :3]), KINDS),
    ),
    bad(
        "more features than in fit",
        "X has 8 features, but .* expecting 4",
        *of_each(lambda cls: fitted(cls).transform(np.hstack([X, X]))),
    ),
    bad(
        "fewer features than in fit, CSR",
        "X has 3 features",
        *of_each(lambda cls: fitted(cls).transform(sp.csr_array(X[:, :3]))),
    ),
    bad(
        "fewer features in partial_fit",
        "X has 3 features",
        *of_each(lambda cls: fit(cls, X, Y).partial_fit(X[:, :3], Y)),
    ),
    bad(
        "fewer features in add_task",
        "X has 3 features",
        *of_each(lambda cls: fit(cls, X, Y).add_task(X[:, :3], Y[:, 0]), KINDS),
    ),
    bad(
        "fewer features in X_val",
        "X_val has 3 features",
        lambda: make(TRANSFORMER).fit(X, X_val=X[:, :3]),
        *of_each(lambda cls: make(cls).fit(X, Y, X_val=X[:, :3], y_val=Y), KINDS),
    ),
    bad(
        "other width under warm_start",
        "X has 3 features",
        *of_each(lambda cls: fit(cls, X, Y, warm_start=True).fit(X[:, :3], Y)),
    ),
    bad(
        "features in another order",
        "feature names should match",
        *of_each(lambda cls: named(cls).transform(FRAME[[*"dcba"]])),
        *of_each(lambda cls: named(cls).partial_fit(FRAME[[*"dcba"]], TASKS)),
    ),
    bad(
        "features of other names",
        "feature names should match",
        *of_each(lambda cls: named(cls).transform(FRAME.set_axis([*"abce"], axis=1))),
    ),
    bad(
        "a feature too few, by name",
        "feature names should match",
        *of_each(lambda cls: named(cls).transform(FRAME[[*"abc"]])),
    ),
    bad(
        "polars features in another order",
        "feature names should match",
        *of_each(lambda cls: named(cls).transform(pl.DataFrame(X, schema=[*"dcba"]))),
    ),
    bad(
        "column names of strings and numbers",
        "(?i)feature names",
        *of_each(lambda cls: fit(cls, FRAME.set_axis(["a", 1, "c", 2], axis=1), Y)),
    ),
    bad(
        "tasks in another order",
        "columns of y must be the tasks of fit in their order",
        *of_each(lambda cls: named(cls).score(FRAME, TASKS[["odd", "digit"]]), KINDS),
        *of_each(lambda cls: named(cls).partial_fit(FRAME, TASKS[["odd", "digit"]]), KINDS),
    ),
    bad(
        "tasks of other names in y_val",
        "columns of y_val must be the tasks",
        *of_each(
            lambda cls: make(cls).fit(X, TASKS, X_val=X, y_val=TASKS.set_axis(["a", "b"], axis=1)),
            KINDS,
        ),
    ),
]
REORDERED = TASKS[["odd", "digit"]]
WIDTH += [
    bad(
        "columns of task_mask in another order",
        "columns of task_mask must be the tasks",
        *of_each(lambda cls: make(cls).fit(X, TASKS, task_mask=REORDERED >= 0), KINDS),
        *of_each(lambda cls: named(cls).partial_fit(FRAME, Y, task_mask=REORDERED >= 0), KINDS),
    ),
    bad(
        "columns of sample_weight in another order",
        "columns of sample_weight must be the tasks",
        *of_each(lambda cls: make(cls).fit(X, TASKS, sample_weight=REORDERED), KINDS),
        *of_each(lambda cls: named(cls).partial_fit(FRAME, Y, sample_weight=REORDERED), KINDS),
        *of_each(lambda cls: named(cls).score(FRAME, Y, sample_weight=REORDERED), KINDS),
        lambda: accuracy(TASKS, TASKS, sample_weight=REORDERED),
    ),
]
GOES_ON = [
    bad(
        "partial_fit without classes",
        r"\bclasses\b must be passed on the first call",
        lambda: make(CLASSIFIER).partial_fit(X, Y),
    ),
    bad(
        "partial_fit with other classes later",
        "classes must be those of the first fit",
        lambda: (
            make(CLASSIFIER)
            .partial_fit(X, Y, classes=[0, 1, 2])
            .partial_fit(X, Y, classes=[0, 1, 2, 3])
        ),
    ),
    bad(
        "partial_fit with a label not declared",
        "must be among the classes",
        lambda: make(CLASSIFIER).partial_fit(X, Y, classes=[[0, 1], [0, 1]]),
    ),
    bad(
        "classes of one task for two",
        r"\bclasses\b must hold one list",
        lambda: make(CLASSIFIER).partial_fit(X, Y, classes=[[0, 1, 2]]),
    ),
    bad(
        "classes of mixed types",
        "classes mixes",
        lambda: make(CLASSIFIER).partial_fit(X, Y, classes=[0, "a"]),
    ),
    bad(
        "classes is a string, a number",
        r"\bclasses\b",
        lambda: make(CLASSIFIER).partial_fit(X, Y, classes="abc"),
        lambda: make(CLASSIFIER).partial_fit(X, Y, classes=3),
    ),
    bad(
        "classes in a dict, a frame, a CSR array, nested too deep or not alike",
        "classes must be a list of labels, or one such list per task",
        *[
            functools.partial(make(CLASSIFIER).partial_fit, X, Y, classes=classes)
            for classes in (
                {0: [0, 1, 2], 1: [0, 1]},
                pd.DataFrame({"a": [0, 1], "b": [0, 1]}),
                sp.csr_array([[0, 1, 2]]),
                np.zeros((2, 2, 2)),
                [[[0], [1]], [[0], [1]]],
                [[0, 1, 2], 1],
                np.array(3),
            )
        ],
    ),
    bad(
        "masked classes",
        "classes must be a plain array",
        lambda: make(CLASSIFIER).partial_fit(X, Y, classes=np.ma.masked_array([0, 1, 2])),
        lambda: make(CLASSIFIER).partial_fit(X, Y, classes=[np.ma.masked_array([0, 1, 2]), [0, 1]]),
    ),
    bad(
        "no class declared", r"\bclasses\b", lambda: make(CLASSIFIER).partial_fit(X, Y, classes=[])
    ),
    bad(
        "1-D y after two tasks",
        r"\by\b",
        *of_each(lambda cls: fit(cls, X, Y).partial_fit(X, Y[:, 0]), KINDS),
    ),
    bad(
        "(n, 1) y after 1-D y",
        "must be those of the first fit",
        *of_each(lambda cls: fit(cls, X, Y[:, 0]).partial_fit(X, Y[:, :1]), KINDS),
    ),
    bad(
        "a target for a task that had none",
        "tasks of y must be those of the first fit",
        lambda: fit(REGRESSOR, X, Y * [1, np.nan]).partial_fit(X, Y),
    ),
    bad(
        "early_stopping and partial_fit",
        "early_stopping must be False",
        *of_each(lambda cls: make(cls, early_stopping=True).partial_fit(X, Y)),
    ),
    bad(
        "another n_components in a fit that goes on",
        "n_components must stay",
        *of_each(lambda cls: going_on(cls, n_components=7)),
    ),
    bad(
        "another sparsifier in a fit that goes on",
        "sparsifier must stay",
        *of_each(lambda cls: going_on(cls, sparsifier="l1")),
    ),
    bad(
        "another loss in a fit that goes on",
        "loss must stay",
        *of_each(lambda cls: going_on(cls, loss="log_loss")),
    ),
    bad(
        "another optimizer in a fit that goes on",
        "optimizer must stay",
        *of_each(lambda cls: going_on(cls, optimizer="sgd")),
    ),
    bad(
        "another tied in a fit that goes on",
        "tied must stay",
        *of_each(lambda cls: going_on(cls, tied=True)),
    ),
    bad(
        "another balancer in a fit that goes on",
        "balancer must stay",
        *of_each(lambda cls: going_on(cls, balancer="dwa"), KINDS),
    ),
    bad(
        "another n_members in a fit that goes on",
        "n_members must stay",
        *of_each(lambda cls: going_on(cls, n_members=2), KINDS),
    ),
    bad(
        "private latents in a fit that goes on",
        "n_private_components must stay",
        *of_each(lambda cls: going_on(cls, n_private_components=1), KINDS),
    ),
    bad(
        "other classes under warm_start",
        "labels of task 0 of y must be among the classes",
        lambda: fit(CLASSIFIER, X, Y, warm_start=True).fit(X, Y + 1),
    ),
    bad(
        "the name of a task that is there",
        "name",
        *of_each(lambda cls: named(cls).add_task(FRAME, Y[:, 0], name="odd"), KINDS),
    ),
    bad(
        "one class to add",
        r"\by\b of one task with at least two classes",
        lambda: fit(CLASSIFIER, X, Y).add_task(X, np.ones(12)),
    ),
    bad(
        "a task that is not there",
        "task must be a number from 0 to 1",
        lambda: fitted(CLASSIFIER).task_estimator(2),
        lambda: fitted(CLASSIFIER).task_estimator(-1),
        lambda: fitted(CLASSIFIER).task_estimator("odd"),
        lambda: fitted(CLASSIFIER).task_estimator(None),
        lambda: fitted(CLASSIFIER).task_estimator(0.5),
        lambda: fitted(CLASSIFIER).task_estimator(True),
    ),
]
# --- arguments beside each other ------------------------------------------------------------------

MASK = np.ones(Y.shape, bool)


def masked(cls, mask, **more):
    return make(cls).fit(X, Y, task_mask=mask, **more)


ARGUMENTS = [
    bad(
        "task_mask of another shape",
        "task_mask must be boolean of y's shape",
        *of_each(lambda cls: masked(cls, MASK[:5]), KINDS),
        *of_each(lambda cls: masked(cls, MASK[:, 0]), KINDS),
    ),
    bad(
        "task_mask of fractions",
        "task_mask must be boolean",
        *of_each(lambda cls: masked(cls, MASK * 0.5), KINDS),
    ),
    bad(
        "task_mask of words",
        "task_mask must be boolean",
        *of_each(lambda cls: masked(cls, np.full(Y.shape, "yes")), KINDS),
    ),
    bad(
        "task_mask with NaN",
        "task_mask must be boolean",
        *of_each(lambda cls: masked(cls, MASK * np.nan), KINDS),
    ),
    bad(
        "task_mask is a masked array",
        "task_mask must be a plain array",
        *of_each(lambda cls: masked(cls, np.ma.masked_array(MASK)), KINDS),
    ),
    bad(
        "task_mask that leaves nothing",
        "task_mask leaves out",
        *of_each(lambda cls: masked(cls, ~MASK), KINDS),
    ),
    bad(
        "task_mask of rows of different lengths",
        "task_mask .*lengths",
        *of_each(lambda cls: masked(cls, [[True, False], [True]] * 6), KINDS),
    ),
    bad(
        "task_mask with None, with pd.NA",
        "task_mask must be boolean",
        *of_each(lambda cls: masked(cls, np.where(MASK, None, True)), KINDS),
        *of_each(lambda cls: masked(cls, pd.DataFrame(np.where(MASK, pd.NA, True))), KINDS),
    ),
    bad(
        "what turns into a masked task_mask",
        "task_mask must be a plain array",
        *of_each(lambda cls: masked(cls, Duck(np.ma.masked_array(MASK))), KINDS),
        *of_each(lambda cls: masked(cls, list(np.ma.masked_array(MASK))), KINDS),
    ),
    bad(
        "task_mask is a string, a number",
        "task_mask must (be boolean|have shape)",
        *of_each(lambda cls: masked(cls, "all"), KINDS),
        *of_each(lambda cls: masked(cls, 1), KINDS),
    ),
    bad(
        "X_val without y_val",
        "X_val and y_val must be given together",
        *of_each(lambda cls: make(cls).fit(X, Y, X_val=X), KINDS),
    ),
    bad(
        "y_val without X_val",
        "X_val and y_val must be given together",
        *of_each(lambda cls: make(cls).fit(X, Y, y_val=Y), KINDS),
    ),
    bad(
        "X_val and y_val of different lengths",
        "y_val must have a row for each of X_val",
        *of_each(lambda cls: make(cls).fit(X, Y, X_val=X[:5], y_val=Y), KINDS),
    ),
    bad(
        "y_val without any label",
        "y_val must hold at least one label",
        *of_each(lambda cls: make(cls).fit(X, Y, X_val=X, y_val=Y * np.nan), KINDS),
    ),
    bad(
        "rows to stop by whose loss is infinite",
        "The validation loss must stay finite",
        lambda: make(TRANSFORMER, early_stopping=True).fit(X, X_val=1e300 * X),
        lambda: make(REGRESSOR, early_stopping=True).fit(X, Y, X_val=1e300 * X, y_val=Y),
        lambda: make(REGRESSOR, early_stopping=True).fit(X, Y, X_val=X, y_val=1e200 * Y),
    ),
    bad(
        "early_stopping on one row",
        "early_stopping needs at least 2 rows",
        *of_each(lambda cls: fit(cls, X[:1], Y[:1], early_stopping=True)),
    ),
    bad(
        "early_stopping on one labelled row",
        "early_stopping needs at least 2 labelled rows",
        *of_each(
            lambda cls: fit(
                cls, X, np.where(np.arange(12) == 3, Y[:, 0], np.nan), early_stopping=True
            ),
            KINDS,
        ),
    ),
    bad(
        "X beyond [0, 1] with log_loss",
        r"\bX\b must lie in \[0, 1\] with loss='log_loss'",
        *of_each(lambda cls: fit(cls, 2 * X, Y, loss="log_loss")),
        *of_each(lambda cls: fit(cls, sp.csr_array(-X), Y, loss="log_loss")),
    ),
    bad(
        "X_val beyond [0, 1] with log_loss",
        "X_val must lie in",
        lambda: make(TRANSFORMER, loss="log_loss").fit(X, X_val=X + 1),
    ),
    bad(
        "X beyond [0, 1] in transform with log_loss",
        r"\bX\b must lie in",
        *of_each(lambda cls: fit(cls, X, Y, loss="log_loss").transform(X + 1)),
    ),
    bad(
        "X beyond [0, 1] with a Bernoulli mixture",
        r"\bX\b must lie in \[0, 1\] with Mixture",
        *of_each(lambda cls: fit(cls, 2 * X, Y, loss=Mixture("bernoulli"))),
    ),
    bad(
        "another sparsifier beside the mixture",
        "sparsifier must be 'auto' or 'softmax'",
        *of_each(lambda cls: fit(cls, X, Y, loss="mixture", sparsifier="topk")),
    ),
    bad(
        "tied weights beside the mixture",
        "tied must be left at its default",
        *of_each(lambda cls: fit(cls, X, Y, loss="mixture", tied=True)),
    ),
    bad(
        "input_dropout beside the mixture",
        "input_dropout must be left at its default",
        *of_each(lambda cls: fit(cls, X, Y, loss="mixture", input_dropout=0.5)),
    ),
    bad(
        "nested_sizes beside the mixture",
        "nested_sizes must be left at its default",
        *of_each(lambda cls: fit(cls, X, Y, loss="mixture", nested_sizes=[3])),
    ),
    bad(
        "dead_latents beside the mixture",
        "dead_latents must be left at its default",
        *of_each(lambda cls: fit(cls, X, Y, loss="mixture", dead_latents="aux_k")),
    ),
    bad(
        "refine beside another loss",
        "transform_algorithm='refine' needs loss='squared_error'",
        *of_each(lambda cls: fit(cls, X, Y, loss="log_loss", transform_algorithm="refine")),
        *of_each(lambda cls: fit(cls, X, Y, loss="mixture", transform_algorithm="refine")),
    ),
    bad(
        "a mixture that is not amortized, for heads",
        "loss must give each row a code of its own",
        *of_each(lambda cls: fit(cls, X, Y, loss=Mixture(amortized=False)), KINDS),
    ),
    bad(
        "private latents beside the mixture",
        "n_private_components must be 0",
        *of_each(lambda cls: fit(cls, X, Y, loss="mixture", n_private_components=2), KINDS),
    ),
    bad(
        "pretrained_penalty without pretraining",
        "pretrain_iter must be at least 1",
        *of_each(lambda cls: fit(cls, X, Y, pretrained_penalty=1.0), KINDS),
    ),
    bad(
        "a class in place of a component",
        "got the class .* Call it",
        *of_each(lambda cls: fit(cls, X, Y, sparsifier=TopK)),
        *of_each(lambda cls: fit(cls, X, Y, optimizer=Adam)),
        *of_each(lambda cls: fit(cls, X, Y, balancer=IMTL), KINDS),
        *of_each(lambda cls: fit(cls, X, Y, head_penalty=L2), KINDS),
    ),
    bad(
        "a component of another kind",
        "'(optimizer|sparsifier|loss)' parameter",
        *of_each(lambda cls: fit(cls, X, Y, optimizer=L1())),
        *of_each(lambda cls: fit(cls, X, Y, sparsifier=Adam())),
        *of_each(lambda cls: fit(cls, X, Y, loss=TopK())),
    ),
    bad(
        "an unknown parameter",
        "no_such",
        *of_each(lambda cls: cls(no_such=1)),
        *of_each(lambda cls: cls().set_params(no_such=1)),
        *of_each(lambda cls: make(cls, sparsifier=TopK()).set_params(sparsifier__no_such=1)),
    ),
]
# --- the functions beside -------------------------------------------------------------------------

PROBA = [np.full((12, 3), 1 / 3), np.full((12, 2), 0.5)]
log_loss, accuracy = metrics.multitask_log_loss, metrics.multitask_accuracy
KFold, split = model_selection.MultiTaskKFold, model_selection.multitask_train_test_split


def folds(y=Y, groups=None, **params):
    return list(KFold(**{"n_splits": 3, **params}).split(X, y, groups))


FUNCTIONS = [
    bad(
        "an average that is not there",
        r"\baverage\b",
        lambda: accuracy(Y, Y, average="mean"),
        lambda: accuracy(Y, Y, average=[1.0]),
        lambda: accuracy(Y, Y, average=[1, -1]),
        lambda: accuracy(Y, Y, average=[1, np.nan]),
        lambda: accuracy(Y, Y, average=["a", "b"]),
    ),
    bad(
        "predictions of another shape",
        "Y_true and Y_pred must have one shape",
        lambda: accuracy(Y, Y[:5]),
        lambda: accuracy(Y, Y[:, 0]),
        lambda: metrics.multitask_r2(Y, Y[:, :1]),
    ),
    bad("fractions as true labels", "continuous", lambda: accuracy(Y + 0.5, Y)),
    bad(
        "words as true values",
        "Y_true",
        lambda: metrics.multitask_r2(Y.astype(object).astype(str) + np.full(Y.shape, "a"), Y),
    ),
    bad(
        "words as predicted values",
        "Y_pred",
        lambda: metrics.multitask_rmse(Y, np.full(Y.shape, "a")),
    ),
    bad(
        "probabilities of one task for two",
        "Y_proba must hold one array",
        lambda: log_loss(Y, PROBA[:1]),
    ),
    bad(
        "probabilities of too few rows",
        "Y_proba must have 12 rows",
        lambda: log_loss(Y, [p[:5] for p in PROBA]),
    ),
    bad(
        "probabilities of too few classes",
        "Y_proba must have one column per class",
        lambda: log_loss(Y, [p[:, :1] for p in PROBA]),
    ),
    bad("probabilities with NaN", "Y_proba|NaN", lambda: log_loss(Y, [p * np.nan for p in PROBA])),
    bad(
        "probabilities above 1",
        "(?i)Y_proba|y_prob|\\[0, 1\\]",
        lambda: log_loss(Y, [3 * p for p in PROBA]),
    ),
    bad(
        "negative probabilities",
        "(?i)Y_proba|y_prob|\\[0, 1\\]",
        lambda: log_loss(Y, [-p for p in PROBA]),
    ),
    bad(
        "words as probabilities",
        "Y_proba|could not convert",
        lambda: log_loss(Y, [np.full((12, 3), "a"), PROBA[1]]),
    ),
    bad(
        "masked probabilities",
        "Y_proba must be a plain array",
        lambda: log_loss(Y[:, 0], np.ma.masked_array(PROBA[0])),
    ),
    bad(
        "classes of one task for two",
        "classes must hold one array",
        lambda: log_loss(Y, PROBA, classes=[[0, 1, 2]]),
    ),
    bad(
        "no bins",
        "n_bins",
        lambda: metrics.multitask_calibration_error(Y, PROBA, n_bins=0),
        lambda: metrics.multitask_calibration_error(Y, PROBA, n_bins=1.5),
    ),
    bad(
        "a scorer that is not there",
        "scoring must be one of",
        lambda: metrics.get_multitask_scorer("acuracy"),
        lambda: metrics.get_multitask_scorer(None),
    ),
    bad(
        "a scorer without an average",
        "average must not be None",
        lambda: metrics.get_multitask_scorer("accuracy", average=None),
    ),
    bad(
        "reconstructions of another shape",
        "X and X_reconstructed must have one shape",
        lambda: metrics.explained_variance(X, X[:5]),
        lambda: metrics.shrinkage(X, X[:, :2]),
    ),
    bad(
        "reconstructions with NaN",
        "X_reconstructed contains NaN",
        lambda: metrics.explained_variance(X, X * np.nan),
    ),
    bad("a shrinkage of no known kind", "kind", lambda: metrics.shrinkage(X, X, kind="size")),
    bad(
        "dictionaries of different width",
        "(?i)features|columns",
        lambda: metrics.dictionary_recovery(X, X[:, :2]),
    ),
    bad(
        "a dictionary with NaN", "contains NaN", lambda: metrics.dictionary_recovery(X * np.nan, X)
    ),
    bad(
        "one fold, folds by halves, many folds",
        "n_splits must be",
        lambda: folds(n_splits=1),
        lambda: folds(n_splits=2.5),
        lambda: folds(n_splits="3"),
        lambda: folds(n_splits=13),
    ),
    bad("a seed without shuffling", "shuffle must be True", lambda: KFold(3, random_state=0)),
    bad(
        "groups of another length",
        r"\bgroups\b",
        lambda: folds(groups=np.arange(5)),
        lambda: split(X, Y, groups=np.arange(5)),
    ),
    bad(
        "fewer groups than folds",
        "groups must be at least 3",
        lambda: folds(groups=np.arange(12) % 2),
    ),
    bad("groups of two dimensions", r"\bgroups\b", lambda: folds(groups=np.ones((12, 2)))),
    bad(
        "sizes of the test part",
        "test_size",
        *[
            functools.partial(split, X, Y, test_size=size)
            for size in (0, 1.0, 1.5, -0.1, 12, 13, -1, "half", None, np.nan)
        ],
    ),
    bad(
        "more to split, of another length",
        "inconsistent numbers of samples",
        lambda: split(X, Y, np.ones(5)),
    ),
    bad("X of another length to split", "inconsistent numbers of samples", lambda: split(X[:5], Y)),
    bad(
        "a Generator as the seed of a split",
        "random_state|cannot be used to seed",
        lambda: split(X, Y, random_state=np.random.default_rng(0)),
    ),
    bad(
        "a task of all rows to leave out",
        "Some rows of y must have no label of task 0",
        lambda: list(model_selection.LeaveTaskOut().split(X, Y)),
    ),
    bad(
        "no tasks to stack",
        "tasks must hold at least one",
        lambda: stack_tasks([]),
        lambda: stack_tasks({}),
    ),
    bad(
        "tasks to stack that are no pairs",
        "Each task must be a pair",
        lambda: stack_tasks([X, Y]),
        lambda: stack_tasks([(X,)]),
        lambda: stack_tasks([None]),
    ),
    bad("tasks is a number, None", r"\btasks\b", lambda: stack_tasks(3), lambda: stack_tasks(None)),
    bad(
        "tasks to stack of different widths",
        "same number of features",
        lambda: stack_tasks([(X, Y[:, 0]), (X[:, :3], Y[:, 0])]),
    ),
    bad(
        "tasks to stack with other columns",
        "same columns in the same order",
        lambda: stack_tasks([(FRAME, Y[:, 0]), (FRAME[[*"dcba"]], Y[:, 0])]),
    ),
    bad(
        "columns of one name to unstack",
        "columns of Y must have names of their own",
        lambda: unstack_tasks(X, TASKS.set_axis(["a", "a"], axis=1)),
        lambda: unstack_tasks(X, TASKS.set_axis([1, "1"], axis=1)),
    ),
    bad("a task to stack with two columns of y", "one-dimensional", lambda: stack_tasks([(X, Y)])),
    bad(
        "a masked X to stack",
        "X must be a plain array",
        lambda: stack_tasks([(np.ma.masked_array(X), Y[:, 0])]),
    ),
    bad(
        "X of one dimension to stack",
        r"\bX\b must be two-dimensional",
        lambda: stack_tasks([(X[:, 0], Y[:, 0])]),
    ),
    bad(
        "Y of another length to unstack",
        "Y must have a row for each of X",
        lambda: unstack_tasks(X[:5], Y),
    ),
    bad(
        "Y of no tasks to unstack",
        "Y must have at least one task",
        lambda: unstack_tasks(X, np.empty((12, 0))),
    ),
]
FUNCTIONS_APART = [
    bad(
        "a CSR out of range to stack",
        "X must be a valid sparse array",
        lambda: stack_tasks([(out_of_range(), Y[:, 0])]),
        lambda: unstack_tasks(out_of_range(), Y),
        lambda: split(out_of_range(), Y),
        lambda: metrics.explained_variance(out_of_range(), X),
    )._replace(apart=True),
]


def out_of_range():
    A = sp.csr_array(X)
    A.indices[3] = 10**9
    return A


# --- files ----------------------------------------------------------------------------------------


class BytesPath:
    def __fspath__(self):
        return b"model"


NO_FILES = {
    "None": None,
    "the bytes of a file": b"PK\x03\x04\0\0",
    "a path in bytes": b"model",
    "a path-like of bytes": BytesPath(),
    "a bytearray": bytearray(b"PK"),
    "a number": 1,
    "a bool": True,
    "a list": ["model"],
    "a path with a NUL": "mod\0el",
    "a text file": io.StringIO("PK"),
}
FILES = [
    bad(
        f"{what} as the path of a file",
        r"\bpath must be a path \(a str or path-like\) or a file open in binary mode",
        lambda path=path: skmtl.save(fitted(TRANSFORMER), path),
        lambda path=path: skmtl.load(path),
    )
    for what, path in NO_FILES.items()
] + [
    bad(
        f"{what} as checkpoint",
        r"\bcheckpoint\b|'path' parameter of Checkpoint",
        *of_each(lambda cls, path=path: fit(cls, X, Y, checkpoint=path)),
        *of_each(lambda cls, path=path: fit(cls, X, Y, checkpoint=Checkpoint(path))),
    )
    for what, path in NO_FILES.items()
    if what != "None"
]


# --- what works all the same ----------------------------------------------------------------------


def _failed_fit_leaves(cls):
    estimator = fit(cls, X, Y)
    before = result(estimator)
    for spoilt in (X * np.nan, X[:0]):
        try:
            estimator.fit(spoilt, Y)
        except ValueError:
            pass
    same(result(estimator), before)


def _one_row_as_many(cls):
    whole = fitted(cls).transform(X)
    same(np.vstack([fitted(cls).transform(X[i : i + 1]) for i in range(12)]), whole)


def _again_narrower(cls):
    same(result(fit(cls, X, Y).fit(X[:, :3], Y)), result(fit(cls, X[:, :3], Y)))


ODD_MASK = np.arange(24).reshape(12, 2) % 3 > 0
W_OF_FEW = np.where(np.arange(12) < 3, 1.0, 0.0)[:, None] * np.ones((1, 2))


def _int_mask(cls):
    same(result(masked(cls, ODD_MASK.astype(int))), result(masked(cls, ODD_MASK)))
    same(result(masked(cls, ODD_MASK.tolist())), result(masked(cls, ODD_MASK)))


def _sparse_mask(cls):
    same(result(masked(cls, sp.csr_array(ODD_MASK))), result(masked(cls, ODD_MASK)))


def _weightless_labels(cls):
    """What is held out to stop by weighs something, else its loss would be 0/0."""
    curve = make(cls, early_stopping=True).fit(X, Y, sample_weight=W_OF_FEW).validation_loss_curve_
    assert np.isfinite(curve).all()


def _classes(classes):
    same(make(CLASSIFIER).partial_fit(X, Y, classes=classes).classes_, [[0, 1, 2], [0, 1]])


def _stack_huge():
    y = np.array([2**53 + 1, 0.5] * 6, dtype=object)
    same(stack_tasks([(X, y), (X, Y[:, 0])])[1][:12, 0], y)


def _empty_chunk(cls):
    more = {"classes": [[0, 1, 2], [0, 1]]} if cls is CLASSIFIER else {}
    estimator = make(cls).partial_fit(X, Y, **more).partial_fit(X, Y * np.nan).partial_fit(X, Y)
    assert np.isfinite(np.asarray(estimator.predict(X), dtype=float)).all()


def _nan_predictions():
    values = warned(
        lambda: metrics.multitask_r2(Y, Y * [1, np.nan], average=None), "r2 is undefined for 1 of 2"
    )
    same(values, [1.0, np.nan])


SERVED = [
    works("predicted values that are NaN", "NaN for that task, with a warning", _nan_predictions),
    works("a fit that fails", "the estimator stays as it was", *of_each(_failed_fit_leaves)),
    works("rows one by one", "the same code as all at once", *of_each(_one_row_as_many)),
    works("a second fit to fewer features", "the same as a fresh fit", *of_each(_again_narrower)),
    works("task_mask of integers or lists", "the same as of bools", *of_each(_int_mask, KINDS)),
    works("task_mask as CSR", "the same as of bools", *of_each(_sparse_mask, KINDS)),
    works(
        "early_stopping where few labels weigh anything",
        "those are held out; the loss is finite",
        *of_each(_weightless_labels, KINDS),
    ),
    works(
        "classes as pandas, polars and NumPy arrays, ranges and sets",
        "those of the lists",
        *[
            functools.partial(_classes, [form(range(3)), form(range(2))])
            for form in (pd.Index, pd.Series, pl.Series, pd.Categorical, np.array, set)
        ],
        lambda: _classes([range(3), range(2)]),
        lambda: same(make(CLASSIFIER).partial_fit(X, Y, classes={0, 1, 2}).classes_[1], [0, 1, 2]),
    ),
    works("integers beyond 2**53 beside fractions, to stack", "none merges", _stack_huge),
    works("a chunk without any label", "partial_fit goes on", *of_each(_empty_chunk, KINDS)),
]
