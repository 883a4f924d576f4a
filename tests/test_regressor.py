"""Real targets: units, gaps, weights, streams, and what a regressor owes scikit-learn."""

import warnings

import numpy as np
import pandas as pd
import polars as pl
import pytest
import scipy.sparse as sp
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.base import clone
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LinearRegression, Ridge
from sklearn.metrics import r2_score
from sklearn.model_selection import GridSearchCV, KFold, cross_val_predict, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import MinMaxScaler, StandardScaler

from skmtl import MultiTaskSAERegressor, _layouts
from skmtl._logistic import STRENGTHS
from skmtl.sparsifiers import TopK

UNITS = np.array([1e6, 1e-6, 1.0])


def reg(n_components=24, **params):
    defaults = {"max_iter": 6, "tol": None, "random_state": 0, "learning_rate": 0.01}
    return MultiTaskSAERegressor(n_components, **defaults | params)


@pytest.fixture(scope="module")
def tasks(digits):
    """Pixels, and ink above, at the left and far out, in units of their own; a third missing."""
    X = digits[0]
    image = X.reshape(-1, 8, 8)
    far = (image * np.hypot(*np.indices((8, 8)))).sum((1, 2)) ** 2
    Y = np.column_stack([image[:, :4].sum((1, 2)), image[:, :, :4].sum((1, 2)), far])
    Y = np.add(Y, [3, -5, 0]) * UNITS
    Y[np.random.default_rng(0).random(Y.shape) < 1 / 3] = np.nan
    return X, Y


def mean_r2(model, X, Y, weight=None):
    weight = np.ones(Y.shape) if weight is None else np.broadcast_to(weight, Y.shape)
    predicted = model.predict(X)
    return np.mean(
        [
            r2_score(Y[rows, t], predicted[rows, t], sample_weight=weight[rows, t])
            for t, rows in enumerate(~np.isnan(Y).T)
        ]
    )


def test_shapes_and_attributes(tasks):
    X, Y = tasks
    model = reg().fit(X, Y)
    assert model.n_outputs_ == 3 and not hasattr(model, "task_names_in_")
    assert model.predict(X).shape == Y.shape and model.predict(X).dtype == np.float64
    assert model.task_coef_.shape == (3, 24) and model.task_intercept_.shape == (3,)
    by_hand = model.transform(X) @ model.task_coef_.T + model.task_intercept_
    assert_allclose(model.predict(X), by_hand, rtol=1e-9)
    assert_allclose(model.target_mean_, np.nanmean(Y, axis=0))
    assert_allclose(model.target_scale_, np.nanstd(Y, axis=0))
    assert not hasattr(model, "classes_") and not hasattr(model, "coef_")


@pytest.mark.compiled
def test_learns_all_tasks_whatever_their_units(tasks):
    X, Y = tasks
    model = reg(64, max_iter=60).fit(X, Y)
    for t, rows in enumerate(~np.isnan(Y).T):
        assert r2_score(Y[rows, t], model.predict(X)[rows, t]) > 0.9


def test_heads_start_at_the_mean(tasks):
    """There the loss of each task is 1; a first step hardly moves."""
    X, Y = tasks
    model = reg(max_iter=1, learning_rate=1e-9, reconstruction_weight=0.0).fit(X, Y)
    assert_allclose(model.loss_curve_, 1, rtol=1e-6)
    assert_allclose(model.predict(X), np.tile(np.nanmean(Y, axis=0), (len(X), 1)), rtol=1e-5)


def test_units_do_not_matter(tasks):
    """Targets times a plus b: the same code, the same predictions times a plus b."""
    X, Y = tasks
    a, b = np.array([1e-3, 7.0, 1e9]), np.array([0.0, 1e-5, 3e9])
    first, second = reg().fit(X, Y), reg().fit(X, a * Y + b)
    assert_allclose(first.components_, second.components_, atol=1e-8)
    assert_allclose(second.predict(X), a * first.predict(X) + b, rtol=1e-6)


def test_score_is_the_mean_r2_on_targets_that_are_there(tasks, rng):
    X, Y = tasks
    model = reg().fit(X, Y)
    assert_allclose(model.score(X, Y), mean_r2(model, X, Y))
    for weight in (rng.random((len(X), 1)), rng.random(Y.shape)):
        given = weight[:, 0] if weight.shape[1] == 1 else weight
        assert_allclose(model.score(X, Y, sample_weight=given), mean_r2(model, X, Y, weight))
    alone = Y[:, 0].copy()
    alone[5:] = np.nan
    one_task = np.column_stack([alone, np.full((len(X), 2), np.nan)])
    rows = ~np.isnan(alone)
    assert_allclose(model.score(X, one_task), r2_score(alone[rows], model.predict(X)[rows, 0]))
    with pytest.raises(ValueError, match="at least one target to score"):
        model.score(X, np.full_like(Y, np.nan))
    with pytest.warns(UserWarning, match="R2 needs two targets") as caught:
        assert np.isnan(model.score(X[:1], np.ones((1, 3))))
    assert caught[0].filename == __file__


def test_one_d_y_is_an_ordinary_regressor(tasks):
    X, Y = tasks
    y = np.nan_to_num(Y[:, 0])
    expected = reg().fit(X, y).predict(X)
    assert expected.shape == y.shape
    for same in (y.tolist(), pd.Series(y), pl.Series(y), y[:, None]):
        assert_array_equal(reg().fit(X, same).predict(X).reshape(-1), expected)
    assert_allclose(reg().fit(X, y).score(X, y), r2_score(y, expected))
    gaps = reg().fit(X, Y[:, 0])
    assert gaps.predict(X).shape == (len(X),) and gaps.score(X, Y[:, 0]) > 0.3


@pytest.mark.compiled
def test_beats_a_linear_model_of_what_is_not_linear(rng):
    X = rng.uniform(-1, 1, (800, 2))
    y = np.abs(X[:, 0]) + X[:, 1] ** 2
    model = reg(32, sparsifier=None, max_iter=150, reconstruction_weight=0.1).fit(X, y)
    assert LinearRegression().fit(X, y).score(X, y) < 0.1 < 0.9 < model.score(X, y)


def test_masks_weights_and_gaps_are_one(tasks):
    X, Y = tasks
    known = ~np.isnan(Y)
    full = np.where(known, Y, 1e30)
    a = reg().fit(X, Y)
    b = reg().fit(X, full, task_mask=known)
    c = reg().fit(X, full, sample_weight=known.astype(float))
    for model in (b, c):
        assert_allclose(model.components_, a.components_, atol=1e-10)
        assert_allclose(model.predict(X), a.predict(X), rtol=1e-7)


def test_weights_are_repetition(tasks, rng):
    X, Y = tasks[0][:100], tasks[1][:100]
    count = rng.integers(0, 4, 100)
    weighted = reg().fit(X, Y, sample_weight=count)
    repeated = reg().fit(np.repeat(X, count, axis=0), np.repeat(Y, count, axis=0))
    assert_allclose(weighted.predict(X), repeated.predict(X), rtol=1e-6)
    assert_allclose(weighted.target_scale_, repeated.target_scale_)


def test_weights_of_targets_are_repetition(tasks, rng):
    """Of the targets alone: the rows train the code alike, here by what both tasks ask for."""
    X, Y = tasks[0][:100], tasks[1][:100]
    again = rng.random(Y.shape) < 0.5
    model = reg(reconstruction_weight=0.0, sparsifier=None)
    twice = clone(model).fit(np.tile(X, (2, 1)), np.vstack([Y, np.where(again, Y, np.nan)]))
    double = clone(model).fit(X, Y, sample_weight=1.0 + again)
    assert_allclose(double.target_mean_, twice.target_mean_)
    assert_allclose(double.predict(X), twice.predict(X), rtol=1e-6)


def test_one_task_twice_is_that_task(tasks):
    X, Y = tasks
    alone = reg().fit(X, Y[:, 0])
    twice = reg().fit(X, Y[:, [0, 0]])
    assert_allclose(twice.components_, alone.components_, atol=1e-10)
    for predicted in twice.predict(X).T:
        assert_allclose(predicted, alone.predict(X), rtol=1e-9)


def test_rows_without_targets_train_the_code(tasks):
    X, Y = tasks
    half = len(X) // 2
    Y = Y.copy()
    Y[half:] = np.nan
    with_rows, without = (
        reg(pretrain_iter=3).fit(X, Y),
        reg(pretrain_iter=3).fit(X[:half], Y[:half]),
    )
    own = [-m._objective.row_losses(m._params, X[half:]).mean() for m in (with_rows, without)]
    assert own[0] > own[1]
    assert len(with_rows.pretrain_loss_curve_) == 3


def test_task_without_targets_is_a_warning(tasks):
    X, Y = tasks
    gap = np.full(len(X), np.nan)
    Y = np.column_stack([Y[:, 0], gap, Y[:, 1]])
    with pytest.warns(UserWarning, match="Task 1 has no target at all") as caught:
        model = reg().fit(X, Y)
    assert caught[0].filename == __file__  # the warning points at the line that called fit
    assert np.isnan(model.predict(X)).all(axis=0).tolist() == [False, True, False]
    assert np.isnan(model.task_coef_[1]).all() and np.isnan(model.task_intercept_[1])
    without = reg().fit(X, Y[:, [0, 2]])
    assert_allclose(model.components_, without.components_, atol=1e-10)  # it weighs nothing
    assert_allclose(model.score(X, Y), without.score(X, Y[:, [0, 2]]))
    some = Y.copy()
    some[:, 1] = np.arange(len(X))  # what a task is that was not learnt: nothing explained
    assert_allclose(model.score(X, some), 2 / 3 * model.score(X, Y))
    with pytest.warns(UserWarning, match="Task 1 has no target"):
        model.fit(X, Y, X_val=X, y_val=some)
    assert np.isfinite(model.validation_loss_curve_).all()


@pytest.mark.parametrize("value", [0.0, 0.1, -1e9, 1e299, 1e-300])
def test_constant_and_single_targets(tasks, value):
    X, Y = tasks
    single = np.full(len(X), np.nan)
    single[7] = value
    model = reg().fit(X, np.column_stack([Y[:, 0], np.full(len(X), value), single]))
    assert model.target_scale_[1:].tolist() == [1, 1]
    assert_allclose(model.target_mean_[1:], value)
    assert_allclose(model.predict(X)[:, 1:], value, atol=0.2, rtol=1e-6)
    assert model.score(X, Y[:, [0, 1, 2]] * [1, np.nan, np.nan]) > 0.3


@pytest.mark.compiled
def test_few_targets_are_learnt_beside_many(tasks):
    X, Y = tasks
    Y = Y.copy()
    Y[40:, 1] = np.nan
    model = reg(max_iter=30, pretrain_iter=5).fit(X, Y)
    rest = tasks[1][40:, 1]
    rows = np.flatnonzero(~np.isnan(rest))
    assert r2_score(rest[rows], model.predict(X[40:])[rows, 1]) > 0.2
    assert r2_score(Y[~np.isnan(Y[:, 0]), 0], model.predict(X)[~np.isnan(Y[:, 0]), 0]) > 0.8


def test_frames(tasks):
    X, Y = tasks
    names = ["above", "left", "far"]
    plain = reg().fit(X, Y)
    frame = pd.DataFrame(Y, columns=names)
    nullable = frame.astype("Float64")
    objects = frame.astype(object).where(frame.notna(), None)
    for table in (frame, nullable, objects, pl.from_pandas(frame)):
        model = reg().fit(X, table)
        assert model.task_names_in_.tolist() == names
        assert_array_equal(model.predict(X), plain.predict(X))
        assert model.score(X, table) == plain.score(X, Y)
    assert not hasattr(model.fit(X, Y), "task_names_in_")
    counts = pd.DataFrame({"a": pd.array([1, None, 3, 4], "Int64"), "b": [True, False, None, True]})
    model = reg(4).fit(X[:4], counts)
    assert_allclose(model.target_mean_, [8 / 3, 2 / 3])


def test_partial_fit_is_fit(tasks):
    X, Y = tasks
    streamed = reg()
    for _ in range(3):
        streamed.partial_fit(X, Y)
    fitted = reg(max_iter=3, dead_latents="ignore").fit(X, Y)
    assert_array_equal(streamed.predict(X), fitted.predict(X))


def test_a_stream_keeps_the_units_of_its_first_targets(tasks):
    X, Y = tasks
    third = len(X) // 3
    first, second = Y[:third].copy(), Y[third:].copy()
    first[:, 1] = np.nan
    model = reg().partial_fit(X[:third], first)
    assert np.isnan(model.predict(X)[:, 1]).all()
    model.partial_fit(X[third:], second)
    assert_allclose(model.target_mean_[[0, 2]], np.nanmean(first[:, [0, 2]], axis=0))
    assert_allclose(model.target_mean_[1], np.nanmean(second[:, 1]))
    for _ in range(15):
        model.partial_fit(X, Y)
    assert model.score(X, Y) > 0.7
    model.partial_fit(X[:9], np.full((9, 3), np.nan))  # a chunk without any
    with pytest.raises(ValueError, match="must be those of the first fit"):
        model.partial_fit(X, Y[:, :2])
    with pytest.raises(ValueError, match="early_stopping must be False"):
        model.set_params(early_stopping=True).partial_fit(X, Y)


def test_warm_start_goes_on_in_the_same_units(tasks):
    X, Y = tasks
    whole = reg(max_iter=4, dead_latents="ignore").fit(X, Y)
    halves = reg(max_iter=2, dead_latents="ignore", warm_start=True).fit(X, Y).fit(X, Y)
    assert_array_equal(whole.predict(X), halves.predict(X))
    before = halves.predict(X)
    halves.set_params(max_iter=1, learning_rate=1e-12).fit(X, 100 * Y)
    assert_allclose(halves.predict(X), before, rtol=1e-6)
    with (
        pytest.warns(UserWarning, match="Task 1 has no target"),
        pytest.raises(ValueError, match="must be those of the first fit, 2 of 3 with targets"),
    ):
        reg(warm_start=True).fit(X, Y * [1, np.nan, 1]).fit(X, Y)


def test_validation_loss_is_in_units_of_the_training_targets(tasks):
    X, Y = tasks
    half = len(X) // 2
    y_val = Y[half:] * [1, 1, np.nan]
    model = reg(max_iter=2).fit(X[:half], Y[:half], X_val=X[half:], y_val=y_val)
    error = (model.predict(X[half:]) - y_val) / np.nanstd(Y[:half], axis=0)
    assert_allclose(model.validation_loss_curve_[-1], np.nanmean(error[:, :2] ** 2, axis=0).mean())


def test_early_stopping(tasks):
    X, Y = tasks
    model = reg(early_stopping=True, max_iter=40, tol=1e-3, n_iter_no_change=3).fit(X, Y)
    assert model.n_iter_ < 40 or model.validation_loss_curve_[-1] < model.validation_loss_curve_[0]
    few = np.full(Y.shape, np.nan)
    few[:6, 0], few[3, 1], few[:2, 2] = np.arange(6), 1.0, [1.0, 5.0]
    model = reg(early_stopping=True).fit(X, few)
    assert np.isfinite(model.validation_loss_curve_).all() and np.isfinite(model.predict(X)).all()


def test_bits_and_layouts(tasks):
    X, Y = tasks
    one, two = reg(n_jobs=1).fit(X, Y), reg(n_jobs=2).fit(X, Y)
    assert_array_equal(one.predict(np.tile(X, (2, 1))), two.predict(np.tile(X, (2, 1))))
    sparse = reg().fit(sp.csr_array(X), Y)
    assert_allclose(sparse.predict(sp.csr_array(X)), one.predict(X), rtol=1e-6)
    single = reg().fit(X.astype(np.float32), Y)
    assert single.components_.dtype == np.float32 and single.predict(X).dtype == np.float64
    assert_allclose(single.score(X.astype(np.float32), Y), one.score(X, Y), atol=0.01)


def test_large_means_keep_their_digits_in_float32(tasks):
    X, Y = tasks
    y = (Y[:, 0] / UNITS[0]) + 1e9  # float32 resolves 64 there
    model = reg(max_iter=20).fit(X.astype(np.float32), y)
    assert model.score(X.astype(np.float32), y) > 0.7


def test_few_targets_train_the_same_model(rng):
    """One target a row among 20 tasks: the two ways to form scores train alike."""
    X, Y = rng.random((200, 5)), np.full((200, 20), np.nan)
    Y[np.arange(200), rng.integers(0, 20, 200)] = rng.random(200)
    models = []
    for below in (0.0, 1.0):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(_layouts, "SPARSE_BELOW", below)
            models.append(reg(8, sparsifier=None).fit(X, Y))
    assert [m._objective.tasks.of_labelled for m in models] == [False, True]
    for name, array in models[0]._params.items():
        assert_allclose(array, models[1]._params[name], atol=1e-10, err_msg=name)


@pytest.mark.parametrize(
    "params",
    [
        {"balancer": "entropy"},
        {"balancer": "imtl", "batching": "task_balanced"},
        {"task_weights": [1, 2, 0]},
        {"head_penalty": "group"},
        {"head_penalty": "mean", "skip_connection": True},
        {"n_private_components": 4, "skip_connection": True, "head_dropout": 0.2},
    ],
    ids=str,
)
def test_what_tasks_share_and_keep(tasks, params):
    """The structure of heads and the balancers know nothing of units, nor of kinds of heads."""
    X, Y = tasks
    model = reg(max_iter=15, **params).fit(X, Y)
    assert model.score(X, Y) > 0.5
    other = clone(model).fit(X, 1e3 * Y - 5)
    assert_allclose(other.predict(X), 1e3 * model.predict(X) - 5, rtol=1e-5)
    assert_array_equal(other.task_map_, model.task_map_)


def linear_and_shared(n, rng):
    """Two tasks: the one linear in features that a narrow code leaves out, in units of its own."""
    X = rng.standard_normal((n, 16)) * np.repeat([3.0, 0.5], [4, 12])
    return X, np.column_stack([1e4 * X[:, 4:].sum(axis=1) + 1e5, np.abs(X[:, 0])])


@pytest.mark.parametrize("sparse", [False, True], ids=["dense", "csr"])
def test_the_guard_takes_what_is_better(sparse, rng):
    X, Y = linear_and_shared(900, rng)
    rows = sp.csr_array(X) if sparse else X
    options = {"sparsifier": TopK(2), "max_iter": 40, "reconstruction_weight": 5.0}
    shared = reg(4, **options).fit(rows[:600], Y[:600])
    guarded = reg(4, head_selection="cv", **options).fit(rows[:600], Y[:600])
    assert guarded.head_selection_[0] in ("raw", "both")
    r2 = [
        r2_score(Y[600:], m.predict(rows[600:]), multioutput="raw_values")
        for m in (shared, guarded)
    ]
    assert r2[0][0] < 0.5 < 0.99 < r2[1][0]
    assert r2[1][1] >= r2[0][1] - 0.05
    assert_array_equal(guarded.components_, shared.components_)  # the code is the same
    guarded.partial_fit(rows, Y).predict(rows)


def test_the_guard_equals_ridge_regression_where_it_takes_it(rng):
    X, Y = linear_and_shared(400, rng)
    model = reg(2, head_selection="cv", max_iter=2).fit(X, Y)
    assert model.head_selection_[0] == "raw"
    own = [
        make_pipeline(StandardScaler(), Ridge(0.5 / C)).fit(X, Y[:, 0]).predict(X)
        for C in STRENGTHS
    ]
    spread = [np.abs(p - model.predict(X)[:, 0]).max() for p in own]
    assert min(spread) < 1e-6 * Y[:, 0].std() < max(spread)
    few = Y.copy()
    few[5:, 0] = np.nan
    assert reg(2, head_selection="cv", max_iter=2).fit(X, few).head_selection_[0] == "shared"


@pytest.mark.parametrize("sparse", [False, True], ids=["dense", "csr"])
@pytest.mark.parametrize(
    "options", [{}, {"skip_connection": True}, {"n_private_components": 2}], ids=str
)
def test_add_task(sparse, options, tasks):
    X, Y = tasks
    rows = sp.csr_array(X) if sparse else X
    model = reg(**options).fit(rows, Y[:, :2])
    before = model.predict(rows)
    model.add_task(rows, Y[:, 2] + 1e6, name="far")
    assert_array_equal(model.predict(rows)[:, :2], before)
    assert model.task_names_in_.tolist() == ["0", "1", "far"] and model.n_outputs_ == 3
    present = ~np.isnan(Y[:, 2])
    assert r2_score(Y[present, 2] + 1e6, model.predict(rows)[present, 2]) > 0.5
    assert_allclose(model.target_mean_[2], np.nanmean(Y[:, 2]) + 1e6)
    moved = np.add(Y, [0, 0, 1e6])
    assert model.partial_fit(rows, moved).score(rows, moved) > 0.5


def test_added_heads_are_ridge_regressions_on_the_code(tasks, rng):
    X, Y = tasks
    model = reg().fit(X, np.nan_to_num(Y[:, 0]))
    y, weight = np.nan_to_num(Y[:, 2]), rng.uniform(0.5, 2, len(X))
    code = model.transform(X)
    model.add_task(X, y, sample_weight=weight)
    assert model.predict(X).shape == (len(X), 2)
    scale = np.sqrt(np.cov(code.T, aweights=weight, ddof=0).diagonal())
    S = code / np.where(scale > 1e-12, scale, np.inf)
    own = [Ridge(0.5 / C).fit(S, y, weight / weight.mean()).predict(S) for C in STRENGTHS]
    assert min(np.abs(p - model.predict(X)[:, 1]).max() for p in own) < 1e-6 * y.std()


def test_add_task_refuses(tasks):
    X, Y = tasks
    model = reg().fit(X, pd.DataFrame(Y, columns=list("abc")))
    for y, name, weight in [
        (Y[:, :2], "d", None),
        (Y[:, 0], "a", None),
        (np.where(np.arange(len(X)) == 3, 1.0, np.nan), "d", np.arange(len(X)) != 3),
    ]:
        with pytest.raises(ValueError, match="add_task needs a y of one task"):
            model.add_task(X, y, name, weight)
    with pytest.raises(ValueError, match="at least one target"):
        model.add_task(X, np.full(len(X), np.nan))
    model.add_task(X[:1], [5.0], "d")
    assert_allclose(model.predict(X)[:, 3], 5)


def test_coefficients_are_in_the_units_of_the_targets(tasks):
    X, Y = tasks
    model = reg(n_private_components=2, skip_connection=True).fit(X, Y)
    private = (X - model.decoder_bias_) @ model.encoder_components_[24:].T
    private = np.maximum(private + model.encoder_bias_[24:], 0).reshape(-1, 3, 2)
    by_hand = (
        model.transform(X) @ model.task_coef_.T
        + np.einsum("itj,tj->it", private, model.task_private_coef_)
        + X @ model.task_skip_coef_.T
        + model.task_intercept_
    )
    assert_allclose(model.predict(X), by_hand, rtol=1e-9)


def test_inside_tools(tasks):
    X, Y = tasks
    assert cross_val_score(reg(batch_size=50), X, Y, cv=KFold(3)).mean() > 0.3
    full = np.nan_to_num(Y)
    assert cross_val_predict(reg(), X, full, cv=3).shape == Y.shape
    search = GridSearchCV(
        make_pipeline(MinMaxScaler(), reg(sparsifier=TopK())),
        {"multitasksaeregressor__sparsifier__k": [2, 8]},
        cv=KFold(2),
    ).fit(X, Y)
    assert search.predict(X).shape == Y.shape


def test_warnings_point_at_the_line_that_called(tasks):
    X, Y = tasks
    for model in (reg(tol=0.1), reg(tol=0.1, head_penalty="l2", pretrain_iter=1)):
        with pytest.warns(ConvergenceWarning, match="still improving") as caught:
            model.fit(X, Y)
        assert caught[0].filename == __file__


def test_no_warning_escapes(tasks):
    X, Y = tasks
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        model = reg().fit(X, Y, X_val=X[:9], y_val=np.full((9, 3), 1e299))
    assert np.isinf(model.validation_loss_curve_).all()
