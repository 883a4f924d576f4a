import numpy as np
from numpy.testing import assert_allclose

from skmtl import SparseAutoencoderTransformer
from skmtl._autoencoder import Adjoints, Signals
from skmtl._objectives import Step
from skmtl.metrics import firing_rate, l0
from skmtl.sparsifiers import KL, L1
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
