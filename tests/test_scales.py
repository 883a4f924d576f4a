"""What weights mean: batches add up to the whole, units follow the data, held-out rows stay out."""

import numpy as np
import pytest
from numpy.testing import assert_allclose
from sklearn.utils import check_random_state

from skmtl import MultiTaskSAEClassifier, SparseAutoencoderTransformer, _data
from skmtl._constraints import UnitAtoms
from skmtl._gradients import Rows, dense_gradient
from skmtl._objectives import Step
from skmtl._training import minibatches
from skmtl._validation import held_out
from skmtl.losses import SquaredError
from skmtl.sparsifiers import Relu
from tests import instances
from tests.problems import N_CLASSES, labels_with_gaps, small_problem


@pytest.mark.parametrize("kinds", instances.HEADS, ids=str)
def test_minibatch_gradients_average_to_that_of_all_rows(kinds, rng):
    """With uneven weights and labels: what a row or a label counts does not depend on its batch."""
    n_rows = 48  # four batches of twelve
    objective, params, state, _, _ = small_problem(SquaredError(), Relu(), tasks=True, kinds=kinds)
    codes, _ = labels_with_gaps(n_rows, rng)
    real = np.broadcast_to(kinds, codes.shape) == "squared_error"
    codes = np.where(real, np.minimum(codes, 0), codes)
    codes[5:, 3] = -1  # few labels in one task
    table = _data.WeightedRows(
        rng.random((n_rows, 5)),
        rng.uniform(0.1, 3, n_rows),
        codes,
        rng.uniform(0.1, 3, codes.shape) * (codes >= 0),
        rng.normal(5, 3, codes.shape) * (codes >= 0) if real.any() else None,
    )
    data = _data.scaled(table, _data.scale_of(table))

    def gradients(index):
        batch, weight = data.take(index).as_batch(slice(0, len(index)))
        return objective(params, state, batch, Step(weight))

    value, whole = gradients(np.arange(n_rows))
    parts = [gradients(index) for index in minibatches(n_rows, 12, rng)]
    assert_allclose(np.mean([v for v, _ in parts]), value)
    for name, gradient in whole.items():
        mean = np.mean([dense_gradient(g[name]) for _, g in parts], axis=0)
        assert_allclose(mean, gradient, rtol=1e-9, atol=1e-12, err_msg=name)
    # And the whole is the weighted mean over the rows, and over each task's labels.
    batch, weight = data.as_batch(slice(0, n_rows))
    assert_allclose(weight, table.weight / table.weight.sum())
    counted = [t for t in range(len(N_CLASSES)) if N_CLASSES[t]]
    share = table.label_weight[:, counted] / table.label_weight[:, counted].sum(axis=0)
    assert_allclose(batch.label_weight[:, counted], share)


@pytest.mark.parametrize("factor", [1e-3, 1e3])
def test_reconstruction_weight_follows_the_scale_of_X(factor, digits):
    """X times c: losses are in units of the data, so the classifier's curves stay as they are."""
    X, Y = digits
    first = MultiTaskSAEClassifier(8, max_iter=1, tol=None, random_state=0, learning_rate=1e-12)
    curves = [first.fit(c * X, Y).loss_curve_[0] for c in (1.0, factor)]
    assert_allclose(curves[1], curves[0], rtol=1e-3)


def test_tol_is_in_units_of_the_data(digits):
    """A tenth of the variance per epoch is soon not gained any more, whatever the scale of X."""
    X, _ = digits
    stops = [
        SparseAutoencoderTransformer(
            8, sparsifier=None, max_iter=50, tol=0.1, n_iter_no_change=1, random_state=0
        )
        .fit(c * X)
        .n_iter_
        for c in (1.0, 1e3)
    ]
    assert max(stops) < 20


def test_rows_held_out_are_not_trained_on(digits):
    X, Y = digits
    seed = check_random_state(0).randint(2**31)
    out = held_out(np.ones(len(X), dtype=bool), 0.1, seed)
    common = {"max_iter": 3, "tol": None, "random_state": 0}
    stopped = SparseAutoencoderTransformer(8, early_stopping=True, **common).fit(X)
    alone = SparseAutoencoderTransformer(8, **common).fit(X[~out])
    assert np.array_equal(stopped.components_, alone.components_)
    codes = np.where(np.isnan(Y), -1, Y).astype(int)
    out = held_out(np.ones(len(X), dtype=bool), 0.1, seed, codes)
    stopped = MultiTaskSAEClassifier(8, early_stopping=True, **common).fit(X, Y)
    alone = MultiTaskSAEClassifier(8, **common).fit(X[~out], Y[~out])
    assert np.array_equal(stopped.components_, alone.components_)


def test_rows_of_weight_zero_are_never_held_out(rng):
    candidates = rng.random(200) < 0.5
    codes = rng.integers(-1, 3, (200, 2))
    for labels in (None, codes):
        out = held_out(candidates, 0.3, 0, labels)
        assert not (out & ~candidates).any()
        assert abs(out.sum() - 0.3 * candidates.sum()) <= 1


def test_unlabelled_tasks_do_not_dilute_the_validation_loss(digits):
    X, Y = digits
    y_val = Y[:200].copy()
    y_val[:, 1:] = np.nan
    model = MultiTaskSAEClassifier(8, max_iter=2, tol=None, random_state=0)
    model.fit(X, Y, X_val=X[:200], y_val=y_val)
    rows = ~np.isnan(y_val[:, 0])
    p = model.predict_proba(X[:200])[0][rows]
    expected = -np.log(p[np.arange(rows.sum()), y_val[rows, 0].astype(int)]).mean()
    assert_allclose(model.validation_loss_curve_[-1], expected)


def test_pretraining_leaves_the_optimizer_fresh(digits):
    X, Y = digits
    model = MultiTaskSAEClassifier(8, pretrain_iter=5, max_iter=2, tol=None, batch_size=5000)
    assert model.fit(X, Y)._state["optimizer"]["t"] == 2


def test_projected_gradient_is_orthogonal_to_its_atom(rng):
    W = rng.standard_normal((6, 4))
    W /= np.linalg.norm(W, axis=1, keepdims=True)
    index = np.array([1, 4])
    gradient = Rows(index, rng.standard_normal((2, 4)), 6)
    UnitAtoms().project(gradient, W)
    assert_allclose(np.sum(gradient.values * W[index], axis=1), 0, atol=1e-15)
    W *= 2
    W[4] = 0
    UnitAtoms().after_step(gradient, W, 0.1)
    assert_allclose(np.linalg.norm(W, axis=1), [2, 1, 2, 2, 0, 2])


def test_weight_decay_reaches_the_heads(digits):
    X, Y = digits
    norms = [
        np.linalg.norm(
            MultiTaskSAEClassifier(
                8,
                max_iter=10,
                batch_size=50,
                tol=None,
                learning_rate=0.01,
                weight_decay=w,
                random_state=0,
            )
            .fit(X, Y)
            .task_coef_[0]
        )
        for w in (0.0, 0.1)
    ]
    assert norms[1] < 0.7 * norms[0]


class Recorder(Relu):
    """Notes the progress it is told of."""

    seen: list = []

    def forward(self, pre, params, step):
        if step.train:
            self.seen.append(step.progress)
        return super().forward(pre, params, step)


def test_progress_goes_from_zero_to_one(digits):
    X, _ = digits
    Recorder.seen = []
    model = SparseAutoencoderTransformer(
        4, sparsifier=Recorder(), batch_size=len(X) // 3, max_iter=4, tol=None
    )
    model.fit(X)
    assert_allclose(Recorder.seen, (np.arange(12) + 0.5) / 12)
    Recorder.seen = []
    model.partial_fit(X)
    assert Recorder.seen == [1.0] * 3  # a stream has no end to have made progress to
