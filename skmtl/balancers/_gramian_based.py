"""What balancers from the Gramian share:  G[s, t] = <grad L_s, grad L_t>,

step on the shared parameters = sum_t weights[t] grad L_t,  weights a function of G alone.
"""

from numbers import Integral, Real

import numpy as np

from skmtl._sklearn import Interval
from skmtl.balancers._averages import TINY
from skmtl.balancers._base import Balancer, at_scale_of


class GramianBalancer(Balancer):
    """Weights from the inner products of the tasks' gradients.

    Subclasses say `raw_weights`. The Gramian is that of the shared encoder, averaged over batches:
    with few labels in a batch its own is mostly noise. Tasks without a gradient (no label yet, or
    fitted perfectly) are left out and get equal weight.

    Parameters
    ----------
    every : int, default=4
        Steps from one Gramian to the next.
    momentum : float, default=0.95
        Share of the earlier Gramians in their average, in [0, 1).
    """

    _parameter_constraints: dict = {
        "every": [Interval(Integral, 1, None, closed="left")],
        "momentum": [Interval(Real, 0, 1, closed="left")],
    }
    needs_gramian = True
    per_batch = True
    #: Whether the weights are brought to the sum of equal ones.
    rescaled = True

    def __init__(self, every=4, momentum=0.95):
        self.every = every
        self.momentum = momentum

    def init(self, n_tasks, priors):
        state = super().init(n_tasks, priors)
        return state | {"weights": state["equal"]}

    def balance(self, losses, mass, gramian, state, step):
        if gramian is not None:
            state["weights"] = self.weights_of(gramian, state["equal"], step)
        return float(state["weights"] @ losses), state["weights"]

    def weights_of(self, gramian, equal, step):
        """Weights of all tasks, (n_tasks,)."""
        among, own = with_gradient(gramian)
        if not among.any():
            return equal
        raw = self.raw_weights(own, step.rng)
        if self.rescaled:
            return at_scale_of(equal, raw, among)
        weights = equal.copy()
        weights[among] = raw * equal[among].sum()
        return weights

    def raw_weights(self, gramian, rng=None):
        """Weights of tasks that all have a gradient, by the formula; their scale is free.

        ``gramian`` is of mean diagonal one. ``rng`` is the generator of the fit, or None.
        """
        raise NotImplementedError


def with_gradient(gramian):
    """Which tasks have a gradient, (n_tasks,) bool, and their Gramian at mean diagonal one."""
    size = np.diagonal(gramian)
    largest = size.max(initial=0)
    among = size > TINY * largest
    if not among.any():
        return among, gramian[:0, :0]
    own = gramian[np.ix_(among, among)] / largest  # divided out: no sum overflows
    return among, own / np.diagonal(own).mean()


def cosines(gramian):
    """The Gramian of the unit gradients, and the norms."""
    norm = np.sqrt(np.diagonal(gramian))
    return gramian / norm / norm[:, None], norm
