from contextlib import nullcontext

import numpy as np
import pytest
import scipy.sparse as sp
from numpy.testing import assert_allclose
from sklearn.base import clone

from skmtl import MultiTaskSAEClassifier, SparseAutoencoderTransformer, _layouts, _scratch
from skmtl._gradients import dense_gradient
from skmtl._objectives import Additive, Batch, Objective, Step
from skmtl._training import Data
from skmtl.dead_latents import AuxK, Ignore, Resample
from skmtl.losses import LogLoss, SquaredError
from skmtl.metrics import dead_fraction
from skmtl.optimizers import Adam
from skmtl.sparsifiers import L1, BatchTopK, Gated, JumpReLU, TopK
from tests import instances
from tests.gradients import assert_gradient_matches
from tests.problems import small_problem

DEAD = np.array([1, 4, 6])


def with_dead(loss, sparsifier, term, sparse=False):
    """A small problem in which three latents have not fired for an epoch."""
    objective, params, state, batch, step = small_problem(loss, sparsifier, sparse=sparse)
    objective.terms.append(term)
    step.epoch_rows = 40
    idle = np.zeros(8, np.int64)
    idle[DEAD] = 100
    return objective, params, state | {"idle": idle}, batch, step


@pytest.mark.parametrize("instance", instances.DEAD_LATENTS, ids=repr)
def test_parameter_holder(instance):
    assert clone(instance).get_params() == instance.get_params()
    instance.validate()


@pytest.mark.parametrize("sparse", [False, True], ids=["dense", "csr"])
@pytest.mark.parametrize("loss", [SquaredError(), LogLoss()], ids=repr)
@pytest.mark.parametrize("sparsifier", [TopK(k=1), L1(alpha=0.1)], ids=repr)
def test_aux_k_loss_and_gradient(loss, sparsifier, sparse):
    """The gradient of the dead, with the residual held fixed, is that of their loss."""
    aux = AuxK(weight=0.3, k=2)
    objective, params, state, batch, step = with_dead(loss, sparsifier, aux.term, sparse)
    alone, *_ = with_dead(loss, sparsifier, Ignore().term, sparse)
    at = dict(params)

    def of_the_dead(params):
        """Value and gradient of the extra loss alone, the living being where they were."""
        value, grads = objective(params, state, batch, step)
        plain_value, plain = alone(params, state, batch, step)
        return value - plain_value, {
            n: dense_gradient(g) - dense_gradient(plain[n]) for n, g in grads.items()
        }

    def twin(params):
        X = _layouts.to_dense(_layouts.as_rows(batch.X)) if sparse else batch.X
        code = _layouts.to_dense(objective.forward(at, _layouts.as_rows(batch.X), step).code)
        residual = X - loss.link(code @ at["W_dec"] + at["b_dec"])
        shift = params["b_dec"] if loss.shifts_input else 0
        pre = (X - shift) @ params["W_enc"].T + params["b_enc"]
        aux_code = np.zeros_like(pre)
        for i, row in enumerate(pre):
            for j in sorted(DEAD, key=lambda j: -row[j])[:2]:
                aux_code[i, j] = max(row[j], 0)
        return 0.3 * step.weight @ ((aux_code @ params["W_dec"] - residual) ** 2).sum(axis=1)

    value, grads = of_the_dead(params)
    assert_allclose(value, twin(params))
    for name in ("W_enc", "b_enc", "W_dec"):
        assert abs(grads[name][DEAD]).max() > 1e-3  # peers give the encoder nothing
        living = np.delete(np.arange(8), DEAD)
        assert_allclose(grads[name][living], 0, atol=1e-12)
    assert_gradient_matches(lambda p: (twin(p), grads), params)


def test_aux_k_shrinks_with_fewer_dead():
    values = []
    for k in (3, 30):
        objective, params, state, batch, step = with_dead(
            SquaredError(), TopK(k=1), AuxK(weight=1.0, k=k).term
        )
        alone, *_ = with_dead(SquaredError(), TopK(k=1), Ignore().term)
        arguments = params, state, batch, step
        values.append(objective(*arguments)[0] - alone(*arguments)[0])
    assert_allclose(values[1], values[0] * 3 / 30)


def test_nothing_happens_while_all_latents_fire():
    objective, params, state, batch, step = with_dead(SquaredError(), TopK(k=1), AuxK().term)
    state["idle"][:] = 39  # less than an epoch of 40 rows
    value, _ = objective(params, state, batch, step)
    alone, *_ = with_dead(SquaredError(), TopK(k=1), Ignore().term)
    assert value == alone(params, state, batch, step)[0]


@pytest.mark.parametrize("direction", ["row", "residual"])
def test_resampling_moves_the_dead_alone(direction, rng):
    objective, params, state, batch, _ = small_problem(SquaredError(), TopK(k=2))
    data = Data(Batch(batch.X), np.ones(12))
    optimizer = Adam()
    state["optimizer"] = optimizer.init(params)
    for moments in state["optimizer"]["moments"].values():
        for moment in moments:
            moment[:] = 1
    state["fired"], state["idle"] = np.ones(8), np.full(8, 99)
    state["fired"][DEAD] = 0
    before = {name: value.copy() for name, value in params.items()}
    resample = Resample(times=2, direction=direction, scale=0.3)
    resample.after_epoch(objective, params, state, data, optimizer, 0.2, 0.4)
    for name, value in params.items():  # not yet due
        assert np.array_equal(value, before[name])
    resample.after_epoch(objective, params, state, data, optimizer, 0.4, 0.6)
    living = np.delete(np.arange(8), DEAD)
    for name in ("W_enc", "W_dec", "b_enc"):
        assert np.array_equal(params[name][living], before[name][living])
        for moment in state["optimizer"]["moments"][name]:
            assert (moment[living] == 1).all() and (moment[DEAD] == 0).all()
    assert np.array_equal(params["b_dec"], before["b_dec"])
    assert all((m == 1).all() for m in state["optimizer"]["moments"]["b_dec"])
    assert_allclose(np.linalg.norm(params["W_dec"][DEAD], axis=1), 1)
    size = 0.3 * 0.4 * np.linalg.norm(before["W_enc"][living], axis=1).mean()
    assert_allclose(params["W_enc"][DEAD], size * params["W_dec"][DEAD])
    assert (params["b_enc"][DEAD] == 0).all()
    directions = batch.X - before["b_dec"]
    if direction == "residual":
        directions = objective.residual(before, batch.X)
    directions = directions / np.linalg.norm(directions, axis=1, keepdims=True)
    assert_allclose((params["W_dec"][DEAD] @ directions.T).max(axis=1), 1)


def test_rows_are_drawn_by_their_squared_loss_and_weight():
    """Losses 1, 3 and 2 with weights 1, 1 and 2: shares 1, 9 and 8 of 18."""
    X = np.diag([1.0, 3.0, 2.0])
    params = {
        "W_dec": np.full((3000, 3), 0.5),
        "W_enc": np.full((3000, 3), 0.5),
        "b_enc": np.zeros(3000),
        "b_dec": np.zeros(3),
    }
    objective = Objective(TopK(1), Additive(SquaredError()))
    objective.row_losses = lambda params, X: X.sum(axis=1)
    optimizer = Adam()
    state = {"fired": np.zeros(3000), "idle": np.ones(3000), "rng": np.random.default_rng(0)}
    state["optimizer"] = optimizer.init(params)
    data = Data(Batch(X), np.array([1.0, 1.0, 2.0]))
    Resample().after_epoch(objective, params, state, data, optimizer, 0, 0.5)
    drawn = np.bincount(params["W_dec"].argmax(axis=1), minlength=3) / 3000
    assert_allclose(drawn, np.array([1, 9, 8]) / 18, atol=0.03)


@pytest.mark.compiled
@pytest.mark.parametrize("sparsifier", [TopK(4), BatchTopK(4)], ids=repr)
def test_losses_are_those_of_the_code(sparsifier, digits, monkeypatch):
    """Also where the rule of inference is only set at the end of a fit."""
    X, _ = digits
    seen = []
    row_losses = Objective.row_losses

    def spy(self, params, X, refined=False):
        losses = row_losses(self, params, X, refined)
        train = Step(np.full(len(X), 1 / len(X)))
        code = _layouts.to_dense(self.forward(params, X, train).code)
        recon = code @ params["W_dec"] + params["b_dec"]
        seen.append(np.corrcoef(losses, ((X - recon) ** 2).sum(axis=1))[0, 1])
        return losses

    monkeypatch.setattr(Objective, "row_losses", spy)
    SparseAutoencoderTransformer(
        256, sparsifier=sparsifier, learning_rate=0.01, max_iter=4, tol=None, random_state=0
    ).fit(X)
    assert len(seen) > 2 and min(seen) > 0.95


@pytest.mark.compiled
def test_resampling_with_log_loss(digits):
    """The decoder's bias is a logit there, and no row."""
    X, _ = digits
    options = {"learning_rate": 0.01, "max_iter": 30, "tol": None, "random_state": 0}
    dead, scores = {}, {}
    for treatment in ("ignore", "resample"):
        sae = SparseAutoencoderTransformer(
            256, sparsifier=TopK(4), loss="log_loss", dead_latents=treatment, **options
        ).fit(X)
        dead[treatment], scores[treatment] = dead_fraction(sae.transform(X)), sae.score(X)
    assert dead["ignore"] > 0.7 and dead["resample"] < 0.5 * dead["ignore"]
    assert scores["resample"] > scores["ignore"] + 0.3


@pytest.mark.compiled
def test_resampling_holds_few_rows_at_once(monkeypatch):
    X = sp.random_array((6000, 400), density=0.02, rng=np.random.default_rng(0), format="csr")
    largest = []
    to_dense = _layouts.to_dense

    def spy(code, out=None):
        largest.append(code.shape[0])
        return to_dense(code, out)

    monkeypatch.setattr(_layouts, "to_dense", spy)
    model = SparseAutoencoderTransformer(300, sparsifier=TopK(2), max_iter=3, tol=None)
    model.set_params(random_state=0, learning_rate=0.05).fit(X)
    assert (model.firing_rate_ == 0).any() and max(largest) <= 1024


def test_terms_see_what_they_would_without_reused_memory():
    """Gated judges another code by the same decoder; the residual must still be the code's."""
    values = []
    for within in (nullcontext, _scratch.region):
        objective, params, state, batch, step = with_dead(
            SquaredError(), Gated(0.2), AuxK(weight=0.3, k=2).term
        )
        with within():
            value, grads = objective(params, state, batch, step)
            values.append((value, {n: dense_gradient(g).copy() for n, g in grads.items()}))
    assert values[0][0] == values[1][0]
    for name, gradient in values[0][1].items():
        assert np.array_equal(gradient, values[1][1][name]), name


def dead_after(X, n_components, dead_latents, max_iter):
    sae = SparseAutoencoderTransformer(
        n_components,
        sparsifier=TopK(4),
        dead_latents=dead_latents,
        learning_rate=0.01,
        batch_size=128,
        max_iter=max_iter,
        tol=None,
        random_state=0,
    ).fit(X)
    return dead_fraction(sae.transform(X)), sae.score(X)


@pytest.mark.compiled
def test_resampling_lowers_the_dead_fraction(digits):
    X, _ = digits
    before, score = dead_after(X, 256, "ignore", 30)
    after, revived = dead_after(X, 256, "resample", 30)
    assert before > 0.3 and after < 0.4 * before
    assert revived > score + 0.01


@pytest.mark.compiled
def test_aux_k_lowers_the_dead_fraction():
    """Where much is left over for the dead to learn."""
    X = np.random.default_rng(0).standard_normal((3000, 32)).astype(np.float32)
    before, score = dead_after(X, 512, "ignore", 20)
    after, revived = dead_after(X, 512, "aux_k", 20)
    assert before > 0.1 and after < 0.25 * before
    assert revived > score


@pytest.mark.compiled
def test_weights_are_repetition_in_resampling(rng):
    X, weight = rng.standard_normal((40, 6)), rng.integers(1, 4, 40)
    options = {"max_iter": 30, "tol": None, "random_state": 0, "learning_rate": 0.05}
    codes = []
    for rows, weights in [(X, weight), (np.repeat(X, weight, axis=0)[::-1].copy(), None)]:
        sae = SparseAutoencoderTransformer(60, sparsifier=TopK(2), **options)
        codes.append(sae.fit(rows, sample_weight=weights).transform(X))
    assert_allclose(codes[0], codes[1], atol=1e-6)


def test_auto_resamples_where_latents_compete():
    X = np.random.default_rng(0).random((50, 4))
    for sparsifier, expected in [
        (TopK(1), Resample),
        (JumpReLU(), Resample),
        (L1(), Resample),
        (None, Ignore),
    ]:
        sae = SparseAutoencoderTransformer(8, sparsifier=sparsifier, max_iter=1, tol=None).fit(X)
        assert type(sae._objective.dead_latents) is expected


def test_own_treatment_is_called(digits):
    X, Y = digits

    class Counting(Ignore):
        calls: list = []

        def after_epoch(self, objective, params, state, data, optimizer, before, after):
            self.calls.append((before, after, len(state["fired"])))

    MultiTaskSAEClassifier(8, dead_latents=Counting(), max_iter=2, tol=None).fit(X, Y)
    assert Counting.calls == [(0.0, 0.5, 8), (0.5, 1.0, 8)]
