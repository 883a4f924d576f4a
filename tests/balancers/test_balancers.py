"""Every balancer: permutation, scale, hostile Gramians; each method's values and conditions."""

import copy

import numpy as np
import pytest
from numpy.testing import assert_allclose
from scipy.optimize import minimize

from skmtl._objectives import Step
from skmtl.balancers import (
    BALANCERS,
    DWA,
    FAMO,
    IMTL,
    MGDA,
    AlignedMTL,
    CAGrad,
    DualProj,
    Entropy,
    Equal,
    GradNorm,
    Log,
    NashMTL,
    PCGrad,
    Uncertainty,
    UPGrad,
)
from tests import instances

every_balancer = pytest.mark.parametrize("balancer", instances.BALANCERS, ids=repr)
of_the_gramian = pytest.mark.parametrize("balancer", instances.GRAMIAN_BALANCERS, ids=repr)
PRIORS = [np.array([0.5, 0.5]), np.array([0.2, 0.8]), np.ones(1), np.full(3, 1 / 3)]
MAY_BE_NEGATIVE = (IMTL, AlignedMTL)
# torchjd's regression values, and the Gramian they are of.
J = np.array([[-4.0, 1, 1], [6, 1, 1]])
FROZEN = [
    (PCGrad(), [2.2222, 1.5789]),
    (MGDA(), [0.6, 0.4]),
    (CAGrad(c=0.5), [0.7041, 0.5]),
    (NashMTL(), [0.5915, 0.4071]),
    (AlignedMTL("min"), [0.5591, 0.4083]),
    (UPGrad(), [1.1109, 0.7894]),
    (DualProj(), [0.6109, 0.5]),
]


def a_step(n_rows=4):
    return Step(np.full(n_rows, 1 / n_rows), rng=np.random.default_rng(0), epoch_rows=2 * n_rows)


def gramian_of(n_tasks, rng, n_parameters=None):
    J = rng.standard_normal((n_tasks, n_parameters or 2 * n_tasks))
    return J @ J.T


def run(balancer, batches, n_tasks=4, priors=PRIORS):
    """Weights after some batches ``(losses, mass, gramian)``; a step lowers large losses more."""
    state = balancer.init(n_tasks, priors)
    for losses, mass, gramian in batches:
        value, weights = balancer.balance(losses, mass, gramian, state, a_step())
        assert value == float(weights @ losses)
        if getattr(balancer, "observe", None) is not None:
            balancer.observe((1 - losses / (1 + losses.max())) * losses, state)
    return weights


@every_balancer
def test_permuting_the_tasks_permutes_the_weights(balancer, rng):
    order = np.array([2, 0, 3, 1])
    batches = [(rng.random(4) + 0.1, rng.random(4) + 0.5, gramian_of(4, rng)) for _ in range(6)]
    if isinstance(balancer, PCGrad):  # which draws an order: without a conflict it does not matter
        batches = [(losses, mass, abs(gramian)) for losses, mass, gramian in batches]
    permuted = [(a[order], m[order], G[np.ix_(order, order)]) for a, m, G in batches]
    weights = run(balancer, batches)
    assert_allclose(
        run(balancer, permuted, priors=[PRIORS[t] for t in order]), weights[order], rtol=1e-6
    )


def test_pcgrad_is_equivariant_in_the_mean(rng):
    G, order = gramian_of(4, rng, 3), np.array([2, 0, 3, 1])
    generator = np.random.default_rng(0)
    means = [
        np.mean([PCGrad().raw_weights(H, generator) for _ in range(2000)], axis=0)
        for H in (G, G[np.ix_(order, order)])
    ]
    assert np.ptp(means[0]) > 0.1
    assert_allclose(means[1], means[0][order], rtol=0.02)


@every_balancer
def test_weights_add_up_to_those_of_equal(balancer, rng):
    """However the losses and gradients are scaled; a task without classes has none."""
    for scale in (1e-150, 1.0, 1e100):
        priors = [*PRIORS[:2], None, PRIORS[3]]
        G = gramian_of(4, rng)
        G[2] = G[:, 2] = 0
        mass = np.array([1.0, 1, 0, 1])
        batch = scale * mass * rng.random(4), mass, scale * G
        weights = run(balancer, [batch] * 3, priors=priors)
        assert weights[2] == 0
        if getattr(balancer, "rescaled", True):
            assert_allclose(np.abs(weights).sum(), 1)


@every_balancer
def test_weights_are_finite_whatever_comes(balancer, rng):
    fitted, one = gramian_of(4, rng), np.zeros((4, 4))
    fitted[0] = fitted[:, 0] = 0
    one[1, 1] = 3.0
    conflict = np.outer([1, -1, 1, -1], [1, -1, 1, -1]).astype(float)
    gramians = [
        gramian_of(4, rng),
        fitted,  # a task without gradient
        one,
        np.zeros((4, 4)),
        np.ones((4, 4)),  # all the same
        conflict,  # gradients that cancel
        gramian_of(4, rng, 2),  # rank deficient
        gramian_of(4, rng) * np.outer(10.0 ** np.arange(4), 10.0 ** np.arange(4)),
        gramian_of(4, rng) * 1e280,
        gramian_of(4, rng) * 1e-280,
        None,
    ]
    losses = [np.zeros(4), rng.random(4), np.array([0.0, 1e-100, 1.0, 1e100]), np.full(4, 1e-100)]
    masses = [np.ones(4), np.array([0.0, 0.3, 0, 2.0]), np.zeros(4)]
    state = balancer.init(4, PRIORS)
    for k in range(60):
        mass = masses[k % 3]
        batch = losses[k % 4] * (mass > 0), mass, gramians[k % 11]
        _, weights = balancer.balance(*batch, state, a_step())
        assert np.isfinite(weights).all()
        if not isinstance(balancer, MAY_BE_NEGATIVE):
            assert (weights >= 0).all()
        if getattr(balancer, "observe", None) is not None:
            balancer.observe(losses[(k + 1) % 4] * (mass > 0), state)
    gone = run(balancer, [(losses[0], masses[2], None)], priors=[None] * 4)
    assert not gone.any()


@pytest.mark.parametrize("balancer", [Log(), IMTL(), NashMTL(), FAMO()], ids=repr)
def test_the_scale_of_a_task_does_not_matter(balancer, rng):
    """Weight times scale stays as it was."""
    scale, G, losses = np.array([100.0, 1, 1, 0.01]), gramian_of(4, rng), rng.random(4) + 0.5
    plain = run(balancer, [(losses, np.ones(4), G)])
    scaled = scale * run(balancer, [(scale * losses, np.ones(4), np.outer(scale, scale) * G)])
    assert_allclose(scaled / scaled.sum(), plain / plain.sum(), rtol=1e-6)


@of_the_gramian
def test_hundreds_of_tasks(balancer, rng):
    for n_parameters in (30, 300):
        G = gramian_of(120, rng, n_parameters)
        batch = rng.random(120) + 0.5, np.ones(120), G
        weights = run(balancer, [batch], 120, [np.ones(1)] * 120)
        assert np.isfinite(weights).all() and np.ptp(weights) > 0


@every_balancer
def test_a_task_that_is_not_there_is_not_normalised_by(balancer, rng):
    """What the others weigh among themselves does not depend on it."""
    G, losses = gramian_of(4, rng), rng.random(4) + 0.5
    G[1] = G[:, 1] = losses[1] = 0
    mass = np.array([1.0, 0, 1, 1])
    with_absent = run(balancer, [(losses, mass, G)] * 3)
    there = [0, 2, 3]
    alone = run(
        balancer,
        [(losses[there], mass[there], G[np.ix_(there, there)])] * 3,
        3,
        [PRIORS[t] for t in there],
    )
    if isinstance(balancer, Entropy):  # of the priors alone
        return
    assert_allclose(with_absent[there] * 4 / 3, alone, rtol=1e-7)


@every_balancer
def test_state_is_a_value(balancer, rng):
    """A copy of the state goes on as the state would, and hyperparameters never change."""
    before = repr(balancer)
    batches = [(rng.random(4) + 0.1, np.ones(4), gramian_of(4, rng)) for _ in range(8)]
    state = balancer.init(4, PRIORS)
    for batch in batches[:4]:
        balancer.balance(*batch, state, a_step())
    twin = copy.deepcopy(state)
    for batch in batches[4:]:
        results = [balancer.balance(*batch, s, a_step())[1] for s in (state, twin)]
        assert np.array_equal(*results)
    assert repr(balancer) == before


def test_names():
    assert (
        list(BALANCERS)
        == (
            "equal entropy log uncertainty dwa gradnorm famo pcgrad mgda cagrad imtl nash aligned "
            "upgrad dual_proj"
        ).split()
    )


# --- by their formulas ---------------------------------------------------------------------------


@pytest.mark.parametrize("balancer, weights", FROZEN, ids=[repr(b) for b, _ in FROZEN])
def test_frozen_values(balancer, weights):
    assert_allclose(balancer.raw_weights(J @ J.T), weights, atol=5e-5)


def test_frozen_value_of_imtl():
    raw = IMTL().raw_weights(J @ J.T)
    assert_allclose(raw / raw.sum(), [0.5923, 0.4077], atol=5e-5)


def test_equal_is_the_mean_over_tasks_with_classes():
    balancer = Equal()
    state = balancer.init(3, [np.array([0.5, 0.5]), None, np.array([1.0])])
    losses, mass = np.array([1.0, 0.0, 4.0]), np.array([1.0, 0, 1])
    value, weights = balancer.balance(losses, mass, None, state, None)
    assert value == 2.5
    assert_allclose(weights, [0.5, 0, 0.5])


def test_entropy_measures_by_guessing(rng):
    guess = [-(p * np.log(p)).sum() for p in PRIORS]
    weights = run(Entropy(), [(rng.random(4), np.ones(4), None)])
    assert_allclose(weights[2], 1 / 4)  # one class: as the mean of the others
    assert_allclose(weights[[0, 1, 3]] * np.array(guess)[[0, 1, 3]] / weights[0] / guess[0], 1)


def test_log_follows_the_running_mean():
    """Of sums and masses, so that a batch with few labels counts for few."""
    batches = [(np.array([1.0, 2, 3, 4]), np.ones(4), None)]
    batches += [(np.array([8.0, 1, 0, 4]), np.array([2.0, 0.5, 0, 1]), None)]
    weights = run(Log(momentum=0.5), batches)
    mean = np.array([8.5 / 2.5, 2.0, 3.0, 4.0])
    assert_allclose(weights, 1 / mean / (1 / mean).sum())


def test_uncertainty_ends_at_log(rng):
    losses = np.array([0.1, 1.0, 2.0, 10.0])
    weights = run(Uncertainty(learning_rate=0.05), [(losses, np.ones(4), None)] * 600)
    assert_allclose(weights, 1 / losses / (1 / losses).sum(), rtol=0.01)


def test_dwa_favours_what_falls_slowly():
    """Two batches are an epoch; the weights are equal for two epochs."""
    losses = np.array([[1.0, 1, 1, 1], [0.5, 1, 0.25, 1]])
    balancer, state = DWA(), DWA().init(4, PRIORS)
    seen = [
        balancer.balance(losses[k // 2 % 2], np.ones(4), None, state, a_step())[1] for k in range(5)
    ]
    for weights in seen[:4]:
        assert_allclose(weights, 0.25)
    ratio = np.exp(losses[1] / 2)
    assert_allclose(seen[4], ratio / ratio.sum())


def test_famo_lifts_the_task_that_falls_least():
    balancer, state, losses = FAMO(decay=0.0), FAMO().init(4, PRIORS), np.array([1.0, 2, 3, 4])
    for _ in range(200):
        balancer.balance(losses, np.ones(4), None, state, a_step())
        balancer.observe(losses * [0.9, 0.5, 0.9, 0.9], state)
    z = np.exp(state["logits"])
    assert z[1] < 0.5 * z[0]
    assert_allclose(z[[2, 3]], z[0])
    _, weights = balancer.balance(losses, np.ones(4), None, state, a_step())
    assert_allclose(weights, z / losses / (z / losses).sum())


def test_gradnorm_evens_out_the_norms():
    """With alpha 0 and losses that stand still the weighted norms become the same."""
    norms = np.array([1.0, 2, 0.5, 1.5])
    batch = np.ones(4), np.ones(4), np.diag(norms**2)
    weights = run(GradNorm(alpha=0.0, learning_rate=0.002), [batch] * 3000)
    assert_allclose(weights, 1 / norms / (1 / norms).sum(), rtol=0.02)


def test_mgda_is_the_shortest_vector(rng):
    for n_parameters in (3, 6, 20):
        G = gramian_of(6, rng, n_parameters)
        w = MGDA().raw_weights(G)
        assert_allclose(w.sum(), 1)
        # No vertex has a smaller product with the vector than the vector itself.
        assert (G @ w).min() >= w @ G @ w - 1e-8 * np.trace(G)


def test_cagrad_is_the_minimum(rng):
    for c in (0.2, 0.8):
        G = gramian_of(5, rng) * np.outer([1, 3, 0.2, 1, 2], [1, 3, 0.2, 1, 2])
        radius, with_mean = c * np.sqrt(G.mean()), G.mean(axis=1)

        def cost(w, G=G, radius=radius, with_mean=with_mean):
            return w @ with_mean + radius * np.sqrt(w @ G @ w)

        raw = CAGrad(c=c).raw_weights(G)
        w = raw - 1 / 5
        assert_allclose(w.sum() * np.sqrt(w @ G @ w) / w.sum(), radius, rtol=1e-6)  # |c g_0|
        found = minimize(
            cost,
            np.full(5, 0.2),
            bounds=[(0, 1)] * 5,
            constraints={"type": "eq", "fun": lambda w: w.sum() - 1},
            options={"ftol": 1e-14, "maxiter": 500},
        )
        assert cost(w / w.sum()) <= found.fun + 1e-7 * abs(found.fun)


def test_imtl_projects_alike(rng):
    J = rng.standard_normal((5, 9)) * np.array([[1], [10], [0.1], [1], [3]])
    step = IMTL().raw_weights(J @ J.T) @ J
    projections = J @ step / np.linalg.norm(J, axis=1)
    assert projections[0] > 0
    assert_allclose(projections, projections[0])


def test_nash_meets_its_equation(rng):
    for n_parameters in (9, 4):  # of full rank, and not
        G = gramian_of(5, rng, n_parameters) * np.outer([1, 9, 0.1, 1, 2], [1, 9, 0.1, 1, 2])
        w = NashMTL().raw_weights(G)
        assert (w > 0).all()
        assert_allclose(w * (G @ w), 1, rtol=1e-4)


def test_aligned_makes_the_gradients_orthonormal(rng):
    """On orthogonal gradients every task's part of the step has one length."""
    norms = np.array([1.0, 2, 4])
    for mode, length in {"min": 1, "median": 2, "rmse": np.sqrt(7)}.items():
        raw = AlignedMTL(mode).raw_weights(np.diag(norms**2))
        assert_allclose(raw * norms, length / 3)


@pytest.mark.parametrize("balancer", [UPGrad(), DualProj()], ids=repr)
def test_projections_lose_nowhere(balancer, rng):
    for n_parameters in (3, 12):
        G = gramian_of(6, rng, n_parameters)
        w = balancer.raw_weights(G)
        assert (G @ w).min() > -2e-3 * np.trace(G)  # but for the ridge
    orthogonal = balancer.raw_weights(np.diag([1.0, 4, 9]))
    assert_allclose(orthogonal, 1 / 3)


def test_without_rows_in_common_the_feature_gradients_do_not_meet(rng):
    """A diagonal Gramian: PCGrad and UPGrad are equal weights, IMTL and Nash inverse norms."""
    G = np.diag([1.0, 4, 16, 64])
    batch = [(np.ones(4), np.ones(4), G)]
    for balancer in (PCGrad(), UPGrad(), DualProj()):
        assert_allclose(run(balancer, batch), 0.25, rtol=1e-3)
    inverse = np.array([8, 4, 2, 1]) / 15
    for balancer in (IMTL(), NashMTL()):
        assert_allclose(run(balancer, batch), inverse, rtol=1e-6)
    assert_allclose(run(MGDA(), batch), inverse**2 / (inverse**2).sum(), rtol=1e-6)
