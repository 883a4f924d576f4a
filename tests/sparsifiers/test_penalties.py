import numpy as np
import pytest
from numpy.testing import assert_allclose

from skmtl import SparseAutoencoderTransformer
from skmtl._autoencoder import Adjoints, Signals
from skmtl._objectives import Place, Step
from skmtl.metrics import firing_rate, l0, shrinkage
from skmtl.sparsifiers import KL, L1, Gated
from tests import naive


def penalty(sparsifier, code, weight):
    fwd = Signals(pre=code, code=code)
    return sparsifier.term(None, fwd, Adjoints(np.zeros_like(code)), {}, {}, {}, Step(weight))


def test_kl_equals_its_twin(rng):
    code, weight = rng.uniform(0.01, 0.9, (7, 4)), rng.random(7)
    expected = naive.kl_penalty(code, weight, 0.1, 2.5)
    assert_allclose(penalty(KL(target_rate=0.1, beta=2.5), code, weight), expected)


def test_kl_at_the_ends_stays_finite():
    for code in (np.zeros((3, 2), np.float32), np.ones((3, 2), np.float32)):
        assert np.isfinite(penalty(KL(), code, np.full(3, 1 / 3, np.float32)))


@pytest.mark.compiled
def test_kl_holds_the_rate(digits):
    X, _ = digits
    off = {}
    for beta in (0, 10):
        code = SparseAutoencoderTransformer(
            20,
            sparsifier=KL(target_rate=0.1, beta=beta),
            learning_rate=0.01,
            max_iter=40,
            tol=None,
            random_state=0,
        ).fit_transform(X)
        off[beta] = np.abs(code.mean(axis=0) - 0.1).max()
        assert (firing_rate(code) == 1).all()  # never exactly zero, as its docstring says
    assert off[10] < 0.05 < 0.2 < off[0]


def test_l1_equals_its_formula(rng):
    code, weight = rng.random((7, 4)), rng.random(7)
    assert_allclose(penalty(L1(alpha=0.3), code, weight), 0.3 * (weight @ code).sum())


@pytest.mark.compiled
def test_more_l1_fewer_active(digits):
    X, _ = digits
    active = [
        l0(
            SparseAutoencoderTransformer(
                64, sparsifier=L1(alpha), learning_rate=0.01, max_iter=40, tol=None, random_state=0
            ).fit_transform(X)
        )
        for alpha in (0.0, 0.1, 1.0)
    ]
    assert active[0] > 1.3 * active[1] > 2 * active[2] > 0


def test_annealed_l1_is_continuous_and_ends_at_p_end(rng):
    """In steps from 1 to ``p_end``; at each step the penalty of the batch stays as it is."""
    code, weight = rng.random((7, 4)) * (rng.random((7, 4)) < 0.6), rng.random(7)
    sparsifier, place = L1(alpha=0.3, warmup=0, p_end=0.4), Place(0, np.arange(7), 7, {})
    plain = penalty(L1(alpha=0.3), code, weight)
    for progress in (0.05, 0.2, 0.55, 0.98):
        fwd, adj = Signals(pre=code, code=code), Adjoints(np.zeros_like(code))
        step = Step(weight, progress=progress, place=place)
        assert_allclose(sparsifier.term(None, fwd, adj, {}, {}, {}, step), plain)
        kept = place.memory["l1"]
        p, delta, factor = kept["p"], kept["delta"], kept["factor"]
        if p == 1:
            slope = np.ones_like(code)
        else:
            slope = p * (code + delta) ** (p - 1)
        expected = 0.3 * factor * weight[:, None] * slope
        assert_allclose(adj.code[code > 0], expected[code > 0])
    assert_allclose(p, 0.4)


def test_annealed_l1_survives_a_silent_batch():
    code, weight = np.zeros((3, 2)), np.ones(3)
    place = Place(0, np.arange(3), 3, {})
    fwd, adj = Signals(pre=code, code=code), Adjoints(np.zeros_like(code))
    L1(p_end=0.5).term(None, fwd, adj, {}, {}, {}, Step(weight, progress=0.5, place=place))
    tiny = Signals(pre=code + 1e-30, code=code + 1e-30)
    L1(p_end=0.5).term(None, tiny, adj, {}, {}, {}, Step(weight, progress=0.5, place=place))
    assert abs(adj.code).max() < 100


@pytest.mark.compiled
def test_annealed_l1_penalises_large_entries_less(digits):
    X, _ = digits
    shrinks = []
    for p_end in (None, 0.3):
        sae = SparseAutoencoderTransformer(
            64, sparsifier=L1(0.5, p_end=p_end), learning_rate=0.01, max_iter=40, random_state=0
        ).set_params(tol=None)
        recon = sae.fit(X).inverse_transform(sae.transform(X))
        shrinks.append(shrinkage(X, recon, offset=sae.decoder_bias_))
    assert shrinks[0] < shrinks[1]


def test_momentum_of_kl_is_a_running_mean(rng):
    weight, state, running = np.full(5, 0.2), {}, None
    sparsifier = KL(target_rate=0.1, beta=2.0, momentum=0.8)
    for _ in range(4):
        code = rng.uniform(0.05, 0.9, (5, 3))
        rate = code.mean(axis=0)
        running = rate if running is None else 0.8 * running + 0.2 * rate
        fwd, adj = Signals(pre=code, code=code), Adjoints(np.zeros_like(code))
        value = sparsifier.term(None, fwd, adj, {}, state, {}, Step(weight))
        assert_allclose(value, naive.kl_penalty(running[None], np.ones(1), 0.1, 2.0))
        slope = 2.0 * (0.9 / (1 - running) - 0.1 / running)
        assert_allclose(adj.code, np.tile(0.2 * slope, (5, 1)))


def test_weight_of_the_atoms_norm_in_l1(rng):
    code, weight, W_dec = rng.random((7, 4)), rng.random(7), rng.standard_normal((4, 3))
    fwd, adj = Signals(pre=code, code=code), Adjoints(np.zeros_like(code))
    value = L1(0.3, atom_norm=True).term(None, fwd, adj, {"W_dec": W_dec}, {}, {}, Step(weight))
    assert_allclose(value, 0.3 * (weight @ code) @ np.linalg.norm(W_dec, axis=1))


@pytest.mark.parametrize("progress, share", [(0.0, 0), (0.1, 0.25), (0.4, 1), (0.9, 1)])
def test_penalties_rise_with_the_fit(progress, share, rng):
    code, weight = rng.random((7, 4)), rng.random(7)
    step = Step(weight, progress=progress)
    fwd, adj = Signals(pre=code, code=code), Adjoints(np.zeros_like(code))
    value = L1(0.3, warmup=0.4).term(None, fwd, adj, {}, {}, {}, step)
    assert_allclose(value, share * 0.3 * (weight @ code).sum())
    fwd.judge = lambda gate: (0.0, np.zeros_like(gate))
    assert_allclose(Gated(0.3, warmup=0.4).term(None, fwd, adj, {}, {}, {}, step), value)


@pytest.mark.parametrize("sparsifier", [L1(), Gated()], ids=repr)
def test_encoders_start_weak(sparsifier, rng):
    """Latents grow towards what is left over; a fit that hardly moves shows where they start."""
    X = rng.standard_normal((20, 6))
    model = SparseAutoencoderTransformer(
        8, sparsifier=sparsifier, learning_rate=1e-9, max_iter=1, tol=None, random_state=0
    ).fit(X)
    assert_allclose(np.linalg.norm(model.components_, axis=1), 1, rtol=1e-6)
    assert_allclose(np.linalg.norm(model.encoder_components_, axis=1), 0.03, rtol=1e-5)
