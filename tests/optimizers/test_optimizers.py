import numpy as np
import pytest
from numpy.testing import assert_allclose

from skmtl._gradients import Rows
from skmtl.optimizers import SGD, Adam, AdamW
from tests import instances, naive

every_optimizer = pytest.mark.parametrize("optimizer", instances.OPTIMIZERS, ids=repr)


def rosenbrock(w):
    a, b = w
    value = (1 - a) ** 2 + 100 * (b - a**2) ** 2
    return value, np.array([-2 * (1 - a) - 400 * a * (b - a**2), 200 * (b - a**2)])


@every_optimizer
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_goes_down(optimizer, dtype):
    params = {"w": np.array([-1.0, 1.0], dtype=dtype)}
    state = optimizer.init(params)
    lr = 5e-4 if isinstance(optimizer, SGD) else 0.02
    for _ in range(3000):
        optimizer.step(params, {"w": rosenbrock(params["w"])[1].astype(dtype)}, state, lr)
    assert params["w"].dtype == dtype
    assert rosenbrock(params["w"])[0] < 0.05


@pytest.mark.parametrize("decay", [0.0, 0.3])
def test_adam_equals_the_paper(decay, rng):
    gradients = rng.standard_normal((5, 3, 2))
    w = rng.standard_normal((3, 2))
    expected = naive.adam(w, gradients, 0.1, 0.8, 0.95, 1e-6, decay)
    optimizer = AdamW(decay, 0.8, 0.95, 1e-6) if decay else Adam(0.8, 0.95, 1e-6)
    params = {"w": w.copy()}
    state = optimizer.init(params)
    for g in gradients:
        optimizer.step(params, {"w": g}, state, 0.1)
    assert_allclose(params["w"], expected, rtol=1e-12)


def test_adamw_leaves_biases_alone():
    optimizer = AdamW(decay=0.5)
    params = {"W": np.ones((2, 2)), "b": np.ones(2)}
    state = optimizer.init(params)
    optimizer.step(params, {"W": np.zeros((2, 2)), "b": np.zeros(2)}, state, 0.1)
    assert_allclose(params["W"], 0.95)
    assert_allclose(params["b"], 1)


def test_sgd_equals_its_recurrence():
    params = {"w": np.array([1.0])}
    optimizer, state = SGD(momentum=0.5), None
    state = optimizer.init(params)
    for _ in range(2):
        optimizer.step(params, {"w": np.array([1.0])}, state, 0.1)
    assert_allclose(params["w"], 1 - 0.1 - 0.15)


@every_optimizer
def test_rows_move_only_themselves(optimizer, rng):
    """A Rows gradient is the dense step on those rows; the others keep weights and moments."""
    W = rng.standard_normal((5, 3))
    gradient = rng.standard_normal((2, 3))
    sparse, dense = {"W": W.copy()}, {"W": W[[1, 4]].copy()}
    states = optimizer.init(sparse), optimizer.init(dense)
    for _ in range(3):
        optimizer.step(sparse, {"W": Rows(np.array([1, 4]), gradient, 5)}, states[0], 0.1)
        optimizer.step(dense, {"W": gradient}, states[1], 0.1)
    assert_allclose(sparse["W"][[1, 4]], dense["W"], rtol=1e-14)
    assert np.array_equal(sparse["W"][[0, 2, 3]], W[[0, 2, 3]])
    for moment in states[0]["moments"]["W"]:
        assert not moment[[0, 2, 3]].any()


def test_reset_rows_forgets():
    optimizer = Adam()
    params = {"W": np.ones((3, 2))}
    state = optimizer.init(params)
    optimizer.step(params, {"W": np.ones((3, 2))}, state, 0.1)
    optimizer.reset_rows(state, "W", [1])
    for moment in state["moments"]["W"]:
        assert not moment[1].any() and moment[[0, 2]].all()
