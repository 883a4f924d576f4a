"""Stochastic gradient descent with momentum:  u <- momentum u - lr g,  w <- w + u."""

from numbers import Real

from skmtl._sklearn import Interval
from skmtl.optimizers._base import Optimizer


class SGD(Optimizer):
    """Stochastic gradient descent with momentum.

    Parameters
    ----------
    momentum : float, default=0.9
        Share of the last update that is repeated, in [0, 1).

    References
    ----------
    Polyak, "Some methods of speeding up the convergence of iteration methods", 1964.

    Examples
    --------
    >>> from skmtl.optimizers import SGD
    >>> SGD(momentum=0.5)
    SGD(momentum=0.5)
    """

    n_moments = 1
    _parameter_constraints = {"momentum": [Interval(Real, 0, 1, closed="left")]}

    def __init__(self, momentum=0.9):
        self.momentum = momentum

    def step_sizes(self, name, state, lr):
        return lr / (1 - self.momentum)

    def _update(self, value, gradient, moments, t, lr):
        (u,) = moments
        u *= value.dtype.type(self.momentum)
        u -= value.dtype.type(lr) * gradient
        value += u
