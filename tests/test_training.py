"""The loop: batches, stopping, restoring, resuming, diverging."""

import pickle
import warnings

import numpy as np
import pytest
from numpy.testing import assert_allclose
from sklearn.exceptions import ConvergenceWarning

from skmtl import MultiTaskSAEClassifier, SparseAutoencoderTransformer
from skmtl._schedules import SCHEDULES
from skmtl._training import minibatches


@pytest.fixture
def problem(rng):
    X = rng.random((70, 6))
    Y = np.column_stack([X[:, 0] > 0.5, X[:, 1] > 0.5]).astype(float)
    Y[rng.random(Y.shape) < 0.3] = np.nan
    return X, Y


def sae(**params):
    defaults = {"max_iter": 8, "tol": None, "random_state": 0, "batch_size": 16}
    return SparseAutoencoderTransformer(12, **defaults | params)


def clf(**params):
    defaults = {"max_iter": 8, "tol": None, "random_state": 0, "batch_size": 16}
    return MultiTaskSAEClassifier(12, **defaults | params)


def assert_same_model(a, b):
    for name, array in a._params.items():
        assert np.array_equal(array, b._params[name]), name


def test_minibatches_cover_the_rows(rng):
    batches = minibatches(10, 4, rng)
    assert [len(b) for b in batches] == [4, 3, 3]
    assert sorted(np.concatenate(batches)) == list(range(10))
    assert [b.tolist() for b in minibatches(4, 4, rng)] == [[0, 1, 2, 3]]


@pytest.mark.parametrize("make", [sae, clf])
def test_partial_fit_equals_fit(make, problem):
    X, Y = problem
    whole = make().fit(X, Y)
    parts = make()
    for _ in range(8):
        if make is clf:
            parts.partial_fit(X, Y, classes=[[0, 1], [0, 1]])
        else:
            parts.partial_fit(X)
    assert_same_model(whole, parts)
    assert_allclose(parts.loss_curve_, whole.loss_curve_, rtol=1e-12)
    assert (whole.n_iter_, parts.n_iter_) == (8, 1)


@pytest.mark.parametrize("make", [sae, clf])
def test_warm_start_goes_on_bit_for_bit_even_from_a_pickle(make, problem):
    X, Y = problem
    whole = make().fit(X, Y)
    half = make(max_iter=4, warm_start=True).fit(X, Y)
    half = pickle.loads(pickle.dumps(half)).fit(X, Y)
    assert_same_model(whole, half)
    assert half.loss_curve_ == whole.loss_curve_ and half.n_iter_ == 4


@pytest.mark.parametrize("make", [sae, clf])
def test_without_warm_start_fit_starts_anew(make, problem):
    X, Y = problem
    once = make().fit(X, Y)
    twice = make().fit(X, Y).fit(X, Y)
    assert_same_model(once, twice)
    assert len(twice.loss_curve_) == 8


def test_random_state(problem):
    X, _ = problem
    state = np.random.RandomState(3)
    first, second = sae(random_state=state).fit(X), sae(random_state=state).fit(X)
    assert not np.array_equal(first.components_, second.components_)
    np.random.seed(0)
    before = np.random.get_state()[1].copy()
    sae(random_state=5).fit(X)
    assert np.array_equal(before, np.random.get_state()[1])  # a seeded fit leaves the global one
    with pytest.raises(ValueError, match="random_state"):
        sae(random_state=np.random.default_rng(0)).fit(X)


@pytest.mark.parametrize("make", [sae, clf])
def test_early_stopping_restores_the_best(make, problem):
    X, Y = problem
    model = make(
        early_stopping=True,
        max_iter=200,
        tol=0.05,  # smaller gains do not keep the fit going, but the best is the best
        n_iter_no_change=20,
        learning_rate=0.2,
        validation_fraction=0.3,
        dead_latents="ignore",  # resampling looks at max_iter
    )
    model.fit(X, Y)
    curve = model.validation_loss_curve_
    assert model.n_iter_ == len(curve) < 200
    best = int(np.argmin(curve))
    assert best < len(curve) - 1  # it did go on past the best
    gains = -np.diff(np.minimum.accumulate(curve))
    assert (gains[:best] < 0.05).any()  # and on a gain below tol
    again = make(
        early_stopping=True,
        max_iter=best + 1,
        tol=None,
        learning_rate=0.2,
        validation_fraction=0.3,
        dead_latents="ignore",  # resampling looks at max_iter
    ).fit(X, Y)
    assert_same_model(model, again)


def test_given_validation_rows_are_watched(problem):
    X, Y = problem
    model = sae().fit(X[:50], X_val=X[50:])
    assert len(model.validation_loss_curve_) == 8
    assert_allclose(-model.score_samples(X[50:]).mean(), model.validation_loss_curve_[-1])
    assert_same_model(model, sae().fit(X[:50]))  # watching changes nothing
    model = clf().fit(X[:50], Y[:50], X_val=X[50:], y_val=Y[50:])
    p = model.predict_proba(X[50:])
    losses = []
    for t in range(2):
        rows = ~np.isnan(Y[50:, t])
        truth = Y[50:][rows, t].astype(int)
        losses.append(-np.log(p[t][rows][np.arange(rows.sum()), truth]).mean())
    assert_allclose(np.mean(losses), model.validation_loss_curve_[-1])


def test_early_stopping_of_the_classifier_keeps_proportions(rng):
    """Nine in ten rows of class 0: the held-out rows have both classes, so a loss to watch."""
    X = rng.random((200, 3))
    y = (np.arange(200) % 10 == 0).astype(int)
    model = clf(early_stopping=True, tol=1e-4, max_iter=20)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        model.fit(X, y)
    assert np.isfinite(model.validation_loss_curve_).all()


def test_tol_stops_and_max_iter_warns(problem):
    X, _ = problem
    stopped = sae(max_iter=500, tol=0.05, n_iter_no_change=3).fit(X)
    assert stopped.n_iter_ < 500
    with pytest.warns(ConvergenceWarning, match="still improving after max_iter=2") as caught:
        sae(max_iter=2, tol=1e-4).fit(X)
    assert caught[0].filename == __file__  # the warning points at the line that called fit


@pytest.mark.parametrize("make", [sae, clf])
def test_divergence_is_an_error_and_leaves_the_old_fit(make, problem):
    X, Y = problem
    model = make().fit(X, Y)
    before = pickle.dumps(model)
    model.set_params(learning_rate=1e300, optimizer="sgd")
    changed = {**model.__dict__}
    with pytest.raises(ValueError, match=r"at epoch \d+. Scale X .*learning_rate=1e\+300"):
        model.fit(X * 1e150, Y)
    assert model.__dict__ == changed
    old = pickle.loads(before)
    assert np.array_equal(model.transform(X), old.transform(X))


@pytest.mark.parametrize("make", [sae, clf])
def test_a_failed_fit_changes_nothing(make, problem):
    X, Y = problem
    model = make().fit(X, Y)
    before = {**model.__dict__}
    for bad in (np.full((70, 6), np.nan), np.ones((3, 0)), "nonsense"):
        with pytest.raises(ValueError):
            model.fit(bad, Y)
    with pytest.raises(ValueError):
        model.fit(X[:, :4], Y, sample_weight=-np.ones(70))
    assert model.__dict__ == before and model.n_features_in_ == 6
    unfitted = make()
    with pytest.raises(ValueError):
        unfitted.fit(X, Y, sample_weight=np.zeros(70))
    assert not hasattr(unfitted, "n_features_in_")


@pytest.mark.parametrize("warm_start", [False, True])
def test_interruption_changes_nothing(warm_start, problem):
    X, _ = problem

    class Interrupts:
        def setup(self, estimator, context): ...
        def teardown(self, estimator, context): ...
        def on_fit_task_begin(self, estimator, context): ...
        def on_fit_task_end(self, estimator, context):
            if context.task_id == 2:
                raise KeyboardInterrupt

    model = sae(warm_start=warm_start).fit(X)
    before = model.components_.copy()
    model.set_callbacks(Interrupts())
    with pytest.raises(KeyboardInterrupt):
        model.fit(X + 1)
    assert np.array_equal(model.components_, before)
    assert not hasattr(model, "_callback_fit_ctx")


def test_partial_fit_with_early_stopping_is_refused(problem):
    X, Y = problem
    with pytest.raises(ValueError, match="early_stopping must be False with partial_fit"):
        sae(early_stopping=True).partial_fit(X)
    with pytest.raises(ValueError, match="early_stopping must be False with partial_fit"):
        clf(early_stopping=True).partial_fit(X, Y, classes=[[0, 1]] * 2)


@pytest.mark.parametrize("make", [sae, clf])
@pytest.mark.parametrize("sparsifier", ["topk", "kl", None])
def test_weights_equal_repetition(make, sparsifier, problem, rng):
    """Full batch: a weight of 2 is the row twice, 0 is the row left out; so for (n, T) weights."""
    X, Y = problem
    weight = rng.integers(0, 3, 70)
    weighted = make(batch_size=500, sparsifier=sparsifier).fit(X, Y, sample_weight=weight)
    repeated = make(batch_size=500, sparsifier=sparsifier)
    repeated.fit(X.repeat(weight, axis=0), Y.repeat(weight, axis=0))
    assert_allclose(weighted.transform(X), repeated.transform(X), atol=1e-9)
    if make is clf:
        for a, b in zip(weighted.predict_proba(X), repeated.predict_proba(X), strict=True):
            assert_allclose(a, b, atol=1e-9)
        masked = make(batch_size=500).fit(X, np.where(weight[:, None] == 0, np.nan, Y))
        by_label = make(batch_size=500).fit(X, Y, sample_weight=np.outer(weight > 0, [1.0, 1.0]))
        assert_same_model(masked, by_label)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("make", [sae, clf])
def test_dtype_is_kept_everywhere(make, dtype, problem):
    X, Y = problem
    model = make().fit(X.astype(dtype), Y)
    for name, array in model._params.items():
        assert array.dtype == dtype, name
    for moments in model._state["optimizer"]["moments"].values():
        assert all(moment.dtype == dtype for moment in moments)
    assert model.transform(X.astype(dtype)).dtype == dtype
    if make is clf:
        assert model.predict_proba(X.astype(dtype))[0].dtype == dtype


def test_float32_and_float64_agree(digits):
    X, Y = digits
    models = [
        MultiTaskSAEClassifier(max_iter=10, tol=None, random_state=0).fit(X.astype(t), Y)
        for t in (np.float32, np.float64)
    ]
    predictions = [m.predict(X.astype(np.float32)) for m in models]
    assert np.mean(predictions[0] == predictions[1]) > 0.99


@pytest.mark.parametrize("name", SCHEDULES)
def test_schedules(name, problem):
    schedule = SCHEDULES[name]
    factors = [schedule(p) for p in np.linspace(0, 1, 101)]
    assert 0 <= min(factors) and max(factors) == pytest.approx(1)
    if name != "constant":
        once = sae(schedule=name, max_iter=1, batch_size=500).fit(problem[0])
        assert not np.array_equal(once.components_, once.encoder_components_)  # it did a step
        assert factors[-1] == pytest.approx(0, abs=1e-12)
    X, _ = problem
    model, constant = sae(schedule=name, max_iter=30).fit(X), sae(max_iter=30).fit(X)
    assert model.loss_curve_[-1] < model.loss_curve_[0]
    assert (name == "constant") == np.array_equal(model.components_, constant.components_)


@pytest.mark.compiled
def test_row_sparse_updates_reach_the_loss_of_dense_ones(digits, monkeypatch):
    """Latents that did not fire stand still in a sparse step; the fit ends as well off."""
    from skmtl import _layouts

    X, _ = digits
    losses = []
    for share in (0.0, 1.0):
        monkeypatch.setattr(_layouts, "SPARSE_BELOW", share)
        model = SparseAutoencoderTransformer(
            128, max_iter=60, tol=None, learning_rate=3e-3, random_state=0
        ).fit(X)
        losses.append(model.loss_curve_[-1])
    assert losses[1] < 1.01 * losses[0]
