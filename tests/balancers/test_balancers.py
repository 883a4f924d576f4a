import numpy as np
import pytest
from numpy.testing import assert_allclose

from skmtl.balancers import Equal
from tests import instances

every_balancer = pytest.mark.parametrize("balancer", instances.BALANCERS, ids=repr)


@every_balancer
def test_permuting_the_tasks_permutes_the_weights(balancer, rng):
    losses, order = rng.random(4), np.array([2, 0, 3, 1])
    priors = [np.array([0.5, 0.5]), np.array([0.2, 0.8]), np.ones(1), np.full(3, 1 / 3)]
    results = [
        balancer.balance(
            losses[index], np.full(4, 7), balancer.init(4, [priors[t] for t in index]), None
        )
        for index in (np.arange(4), order)
    ]
    assert_allclose(results[1][0], results[0][0])
    assert_allclose(results[1][1], results[0][1][order])


def test_equal_is_the_mean_over_tasks_with_classes():
    balancer = Equal()
    state = balancer.init(3, [np.array([0.5, 0.5]), None, np.array([1.0])])
    value, weights = balancer.balance(np.array([1.0, 0.0, 4.0]), np.array([5, 0, 1]), state, None)
    assert value == 2.5
    assert_allclose(weights, [0.5, 0, 0.5])
