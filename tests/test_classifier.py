import pickle
import warnings

import numpy as np
import pandas as pd
import polars as pl
import pytest
import scipy.sparse as sp
import sklearn
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.base import clone
from sklearn.calibration import CalibratedClassifierCV
from sklearn.ensemble import VotingClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, KFold, cross_val_predict, cross_val_score
from sklearn.multioutput import MultiOutputClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import MinMaxScaler

from skmtl import MultiTaskSAEClassifier, SparseAutoencoderTransformer
from skmtl.losses import Mixture
from skmtl.metrics import multitask_accuracy
from skmtl.optimizers import SGD
from skmtl.sparsifiers import TopK

NAN = float("nan")


def clf(n_components=24, **params):
    defaults = {"max_iter": 6, "tol": None, "random_state": 0, "learning_rate": 0.01}
    return MultiTaskSAEClassifier(n_components, **defaults | params)


def test_shapes_and_attributes(digits):
    X, Y = digits
    model = clf().fit(X, Y)
    assert [c.tolist() for c in model.classes_] == [list(range(10)), [0, 1], [0, 1]]
    assert model.n_outputs_ == 3 and not hasattr(model, "task_names_in_")
    assert model.predict(X).shape == Y.shape
    p = model.predict_proba(X)
    assert [part.shape for part in p] == [(len(X), 10), (len(X), 2), (len(X), 2)]
    for t, part in enumerate(p):
        assert_allclose(part.sum(axis=1), 1)
        assert_array_equal(model.classes_[t][part.argmax(axis=1)], model.predict(X)[:, t])
        scores = model.transform(X) @ model.task_coef_[t].T + model.task_intercept_[t]
        odds = np.exp(scores - scores.max(axis=1, keepdims=True))
        assert_allclose(part, odds / odds.sum(axis=1, keepdims=True))
        assert_allclose(model.predict_log_proba(X)[t], np.log(part))
    assert model.transform(X).shape == (len(X), 24)
    assert not hasattr(model, "decision_function") and not hasattr(model, "coef_")


def test_score_is_the_mean_accuracy_on_labelled_entries(digits, rng):
    X, Y = digits
    model = clf().fit(X, Y)
    assert_allclose(model.score(X, Y), multitask_accuracy(Y, model.predict(X)))
    for shape in (len(X), Y.shape):
        weight = rng.random(shape)
        expected = multitask_accuracy(Y, model.predict(X), sample_weight=weight)
        assert_allclose(model.score(X, Y, sample_weight=weight), expected)
    unseen = Y.copy()
    unseen[:5, 0] = 77  # a class that fit did not see is a wrong answer, not an error
    assert model.score(X, unseen) <= model.score(X, Y)
    with pytest.raises(ValueError, match="at least one label to score"):
        model.score(X, np.full_like(Y, np.nan))


@pytest.mark.compiled
def test_learns_all_tasks_and_more_than_chance(digits):
    X, Y = digits
    model = clf(64, max_iter=40, pretrain_iter=10).fit(X, Y)
    assert (multitask_accuracy(Y, model.predict(X), average=None) > 0.97).all()
    assert len(model.pretrain_loss_curve_) == 10 and len(model.loss_curve_) == 40
    assert model.pretrain_loss_curve_[-1] < model.pretrain_loss_curve_[0]


def test_one_d_y_is_an_ordinary_classifier(digits):
    X, Y = digits
    y = np.where(np.isnan(Y[:, 1]), 0, Y[:, 1]).astype(int)
    for labels in (y, np.array(["no", "yes"])[y], y.astype(bool), y.tolist(), pd.Series(y)):
        model = clf().fit(X, labels)
        assert model.classes_.shape == (2,)
        predicted = model.predict(X)
        assert predicted.shape == y.shape and predicted.dtype == model.classes_.dtype
        p, scores = model.predict_proba(X), model.decision_function(X)
        assert p.shape == (len(X), 2) and scores.shape == (len(X),)
        assert_allclose(p[:, 1], 1 / (1 + np.exp(-scores)))
        assert model.score(X, labels) == np.mean(predicted == np.asarray(labels))
    digit = np.where(np.isnan(Y[:, 0]), 0, Y[:, 0])
    assert clf().fit(X, digit).decision_function(X).shape == (len(X), 10)


def test_one_d_y_with_gaps(digits):
    X, Y = digits
    model = clf().fit(X, Y[:, 0])
    assert model.classes_.tolist() == list(range(10))
    assert model.predict(X).shape == (len(X),) and model.score(X, Y[:, 0]) > 0.3


def test_inside_tools_for_one_d_y(digits):
    X, Y = digits
    y = np.nan_to_num(Y[:, 1]).astype(int)
    for tool in (
        CalibratedClassifierCV(clf(), cv=2),
        VotingClassifier([("a", clf()), ("b", LogisticRegression(max_iter=500))], voting="soft"),
    ):
        assert tool.fit(X, y).predict(X).shape == y.shape
    assert cross_val_score(clf(), X, y, cv=3, scoring="roc_auc").mean() > 0.7
    assert cross_val_predict(clf(), X, y, cv=3, method="predict_proba").shape == (len(X), 2)


def test_inside_tools_for_many_outputs(digits):
    X, Y = digits
    filled = np.nan_to_num(Y).astype(int)
    assert MultiOutputClassifier(clf(), n_jobs=2).fit(X, filled).predict(X).shape == Y.shape
    search = GridSearchCV(
        make_pipeline(MinMaxScaler(), clf(sparsifier=TopK())),
        {"multitasksaeclassifier__sparsifier__k": [2, 8]},
        cv=KFold(2),
    ).fit(X, Y)
    assert search.predict(X).shape == Y.shape


def frames(Y):
    names = ["digit", "odd", "big"]
    words = np.array(["zero", *map(str, range(1, 10))], dtype=object)
    mixed = pd.DataFrame(
        {
            "digit": [None if np.isnan(v) else words[int(v)] for v in Y[:, 0]],
            "odd": pd.array([None if np.isnan(v) else int(v) for v in Y[:, 1]], "Int64"),
            "big": pd.array([None if np.isnan(v) else bool(v) for v in Y[:, 2]], "boolean"),
        }
    )
    return names, [mixed, pl.from_pandas(mixed), pd.DataFrame(Y, columns=names)]


def test_frames_of_mixed_labels_give_one_model(digits):
    X, Y = digits
    names, tables = frames(Y)
    plain = clf().fit(X, Y)
    for table in tables:
        model = clf().fit(X, table)
        assert model.task_names_in_.tolist() == names
        for a, b in zip(plain.predict_proba(X), model.predict_proba(X), strict=True):
            assert_allclose(np.sort(a, axis=1), np.sort(b, axis=1), atol=1e-7)
        assert_allclose(model.score(X, table), plain.score(X, Y))
    predicted = model.fit(X, tables[0]).predict(X)
    assert not hasattr(clone(model).fit(X, tables[0]).fit(X, Y), "task_names_in_")
    assert predicted.dtype == object
    assert {type(v) for v in predicted[0]} == {str, int, bool}


def test_declared_missing_label_equals_nan(digits):
    X, Y = digits
    filled = np.where(np.isnan(Y), -1, Y).astype(int)
    a, b = clf().fit(X, Y), clf(missing_label=-1).fit(X, filled)
    assert_array_equal(a.components_, b.components_)
    assert_allclose(a.score(X, Y), b.score(X, filled))


def test_masks_weights_and_gaps_are_one(digits):
    X, Y = digits
    full = np.nan_to_num(Y)
    a = clf().fit(X, Y)
    b = clf().fit(X, full, task_mask=~np.isnan(Y))
    c = clf().fit(X, full, sample_weight=(~np.isnan(Y)).astype(float))
    for model in (b, c):
        assert_allclose(model.components_, a.components_, atol=1e-10)
        assert_allclose(model.task_coef_[1], a.task_coef_[1], atol=1e-10)


def test_rows_without_labels_train_the_code(digits):
    X, Y = digits
    half = len(X) // 2
    Y = Y.copy()
    Y[half:] = np.nan
    with_rows, without = (
        clf(pretrain_iter=3).fit(X, Y),
        clf(pretrain_iter=3).fit(X[:half], Y[:half]),
    )
    own = [-m._objective.row_losses(m._params, X[half:]).mean() for m in (with_rows, without)]
    assert own[0] > own[1]


def test_pretraining_is_the_transformers_training(digits):
    X, Y = digits
    model = clf(pretrain_iter=4, max_iter=1, learning_rate=1e-3)
    sae = SparseAutoencoderTransformer(
        24, max_iter=4, tol=None, random_state=0, learning_rate=1e-3
    ).fit(X)
    model.fit(X, Y)
    # In units of the total variance; Adam does not see the scale but for its epsilon.
    assert_allclose(
        np.array(model.pretrain_loss_curve_) * X.var(axis=0).sum(), sae.loss_curve_, rtol=1e-3
    )


@pytest.mark.compiled
def test_reconstruction_weight(digits):
    X, Y = digits
    weights = (0.0, 0.1, 10.0)
    models = [clf(reconstruction_weight=w, max_iter=20).fit(X, Y) for w in weights]
    errors = [m._objective.row_losses(m._params, X).mean() for m in models]
    assert errors[0] > errors[1] > errors[2]


def test_empty_task_is_a_warning(digits):
    X, Y = digits
    Y = np.column_stack([Y[:, 0], np.full(len(Y), np.nan), Y[:, 1]])
    with pytest.warns(UserWarning, match="Task 1 has no label at all"):
        model = clf().fit(X, Y)
    predicted = model.predict(X)
    assert np.isnan(predicted[:, 1].astype(float)).all() and predicted[:, 0].max() <= 9
    assert model.predict_proba(X)[1].shape == (len(X), 0)
    assert len(model.classes_[1]) == 0 and model.task_coef_[1].shape == (0, 24)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        without = clf().fit(X, Y[:, [0, 2]])
    assert_allclose(model.components_, without.components_, atol=1e-10)  # it weighs nothing
    with pytest.warns(UserWarning, match="Task 'b' has no label"):
        model = clf(missing_label="?").fit(X[:3], pd.DataFrame({"a": list("xyx"), "b": ["?"] * 3}))
    assert model.predict(X[:3])[:, 1].tolist() == ["?"] * 3


def test_task_with_one_class_predicts_it(digits):
    X, Y = digits
    Y = np.column_stack([Y[:, 1], np.where(np.isnan(Y[:, 2]), np.nan, 7)])
    with pytest.warns(UserWarning, match="Task 1 has one class, .*7") as caught:
        model = clf().fit(X, Y)
    assert caught[0].filename == __file__  # the warning points at the line that called fit
    assert (model.predict(X)[:, 1] == 7).all()
    assert_array_equal(model.predict_proba(X)[1], np.ones((len(X), 1)))


def test_class_weight(digits):
    X, Y = digits
    plain = clf().fit(X, Y)
    heavy = clf(class_weight=[None, {1: 20}, None]).fit(X, Y)
    shift = [np.mean(m.predict_proba(X)[1][:, 1]) for m in (plain, heavy)]
    assert shift[1] > shift[0] + 0.1
    rows = np.flatnonzero(~np.isnan(Y[:, 0]))
    rows = rows[(Y[rows, 0] != 3) | (np.arange(len(rows)) % 10 == 0)]  # class 3 is rare
    recall = [
        np.mean(clf(class_weight=w).fit(X[rows], Y[rows, 0]).predict(X[Y[:, 0] == 3]) == 3)
        for w in (None, "balanced")
    ]
    assert recall[1] > recall[0]


def test_partial_fit(digits):
    X, Y = digits
    model = clf()
    with pytest.raises(ValueError, match="classes must be passed on the first call"):
        model.partial_fit(X, Y)
    for part in np.array_split(np.arange(len(X)), 4):
        model.partial_fit(X[part], Y[part], classes=[np.arange(12), [0, 1], [0, 1]])
    assert model.predict_proba(X)[0].shape == (len(X), 12)
    assert model.score(X, Y) > 0.5
    with pytest.raises(ValueError, match=r"must be among the classes \[0, 1\]; got \[5\]"):
        model.partial_fit(X[:2], [[1, 5, 0], [1, 0, 1]])
    with pytest.raises(ValueError, match="must be those of the first fit"):
        model.partial_fit(X, Y, classes=[np.arange(11), [0, 1], [0, 1]])


def test_streamed_tasks_all_train_the_code(digits):
    """A task whose labels come in a later chunk counts from then on; unlabelled chunks pass."""
    X, Y = digits
    third = len(X) // 3
    first, second = Y[:third].copy(), Y[third : 2 * third].copy()
    first[:, [0, 2]], second[:, [1, 2]] = np.nan, np.nan
    model = clf(reconstruction_weight=0, sparsifier=None, optimizer=SGD(0.0), batch_size=50)
    model.partial_fit(X[:third], first, classes=[np.arange(10), [0, 1], [0, 1]])
    for chunk, labels, moves in [
        (X[third : 2 * third], second, True),
        (X[2 * third :], np.full_like(Y[2 * third :], np.nan), False),
        (X[:third], first, True),
    ]:
        before = model.encoder_components_.copy()
        model.partial_fit(chunk, labels)
        assert (np.abs(model.encoder_components_ - before).max() > 0) == moves


def test_chunks_of_a_stream_are_measured_alike(digits):
    """The unit of the reconstruction and the meaning of a weight are those of the first call."""
    X, Y = digits
    model = clf().partial_fit(X, Y, classes=[np.arange(10), [0, 1], [0, 1]])
    unit = model._state["scale"]["unit"]
    model.partial_fit(X[:1], Y[:1])
    assert model._state["scale"]["unit"] == unit
    moved = []
    for weight in (1.0, 1e-3):
        again = clf(optimizer=SGD(0.0)).partial_fit(X, Y, classes=[np.arange(10), [0, 1], [0, 1]])
        before = again.encoder_components_.copy()
        again.partial_fit(X, Y, sample_weight=np.full(len(X), weight))
        moved.append(np.abs(again.encoder_components_ - before).max())
    assert moved[1] < 0.01 * moved[0]


def test_structure_must_stay_while_a_fit_goes_on(digits):
    X, Y = digits
    for name, value in [
        ("n_components", 30),
        ("sparsifier", "kl"),
        ("loss", "log_loss"),
        ("optimizer", "sgd"),
    ]:
        model = clf(warm_start=True).fit(X, Y).set_params(**{name: value})
        with pytest.raises(ValueError, match=f"{name} must stay as it was"):
            model.fit(X, Y)
        with pytest.raises(ValueError, match=f"{name} must stay as it was"):
            model.partial_fit(X, Y)
    clf(warm_start=True).fit(X, Y).set_params(sparsifier=TopK(k=3)).fit(X, Y)  # constants may
    with pytest.raises(ValueError, match=r"2 column\(s\) of y and classes of 3 task"):
        clf().partial_fit(X, Y[:, :2], classes=[[0, 1]] * 3)


def test_early_stopping_with_few_labels_holds_some_out(digits):
    X, Y = digits
    y = np.full(len(X), np.nan)
    for c in range(10):
        y[np.flatnonzero(Y[:, 0] == c)[:3]] = c
    model = clf(early_stopping=True, max_iter=10).fit(X, y)
    assert min(model.validation_loss_curve_) > 0
    y = np.where(np.arange(len(X)) == 3, 1.0, np.nan)
    with (
        pytest.warns(UserWarning, match="Task 0 has one class, 1: it"),
        pytest.raises(ValueError, match="early_stopping needs at least 2 labelled rows"),
    ):
        clf(early_stopping=True).fit(X, y)


def test_log_probabilities_do_not_underflow(digits):
    X, Y = digits
    for log_p in clf().fit(X, Y).predict_log_proba(X * 1e4):
        assert np.isfinite(log_p).all()


def test_warm_start_refuses_other_classes(digits):
    X, Y = digits
    model = clf(warm_start=True).fit(X, Y)
    with pytest.raises(ValueError, match="must be among the classes"):
        model.fit(X, Y + 1)


def test_sparse_input_and_bits(digits):
    X, Y = digits
    dense, sparse = clf(n_jobs=1).fit(X, Y), clf(n_jobs=2).fit(sp.csr_array(X), Y)
    assert_allclose(sparse.components_, dense.components_, atol=1e-8)
    again = clf(n_jobs=2).fit(X, Y)
    big = np.tile(X, (2, 1))
    for a, b in zip(dense.predict_proba(big), again.predict_proba(big), strict=True):
        assert_array_equal(a, b)


def test_read_only_model_and_rows(digits, tmp_path):
    import joblib

    X, Y = digits
    path = tmp_path / "model.joblib"
    joblib.dump(clf(n_components=200, max_iter=1).fit(X, Y), path)
    model = joblib.load(path, mmap_mode="r")
    X = X.copy()
    X.flags.writeable = False
    assert_array_equal(model.predict(X), pickle.loads(pickle.dumps(model)).predict(X))


def test_mixture_code(digits):
    X, Y = digits
    model = clf(loss="mixture", max_iter=20).fit(X, Y)
    assert_allclose(model.transform(X).sum(axis=1), 1)
    assert model.score(X, Y) > 0.6
    with pytest.raises(ValueError, match="loss must give each row a code of its own"):
        clf(loss=Mixture(amortized=False)).fit(X, Y)


def test_metadata_routing(digits):
    X, Y = digits
    full, mask = np.nan_to_num(Y), ~np.isnan(Y)
    with sklearn.config_context(enable_metadata_routing=True):
        model = clf().set_fit_request(task_mask=True, sample_weight=True)
        search = GridSearchCV(
            make_pipeline(MinMaxScaler(), model), {"multitasksaeclassifier__max_iter": [3]}, cv=2
        ).fit(X, full, task_mask=mask)
        assert np.isfinite(search.best_score_)
        sae = SparseAutoencoderTransformer(8, max_iter=2, tol=None).set_fit_request(
            sample_weight=True
        )
        make_pipeline(sae, LogisticRegression().set_fit_request(sample_weight=True)).fit(
            X, full[:, 1], sample_weight=mask[:, 1].astype(float)
        )


def test_set_output(digits):
    X, Y = digits
    frame = clf(4).set_output(transform="pandas").fit(X, Y).transform(X)
    assert list(frame.columns) == [f"multitasksaeclassifier{j}" for j in range(4)]
