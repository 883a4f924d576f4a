"""Uncertainty:  minimizes sum_t exp(-s_t) L_t + s_t / 2  over the log-variances s_t too,

d_s[t] = 1 / 2 - exp(-s_t) L_t,   weights[t] ~ exp(-s_t).
"""

from numbers import Real

import numpy as np

from skmtl._sklearn import Interval
from skmtl.balancers._averages import adam_step, mean_losses
from skmtl.balancers._base import Balancer, at_scale_of


class Uncertainty(Balancer):
    """Learn each task's noise: the noisier, the less it weighs.

    Parameters
    ----------
    learning_rate : float, default=0.01
        Rate of the log-variances, which follow Adam.

    Notes
    -----
    The log-variance goes to ``log(2 L_t)``, so this is `Log` with inertia, from equal weights on.
    The weights are brought to the sum of equal ones; the paper's own grow as the losses fall.

    References
    ----------
    Kendall, Gal and Cipolla, "Multi-Task Learning Using Uncertainty to Weigh Losses for Scene
    Geometry and Semantics", CVPR 2018.

    Examples
    --------
    >>> from skmtl.balancers import Uncertainty
    >>> Uncertainty()
    Uncertainty()
    """

    _parameter_constraints = {"learning_rate": [Interval(Real, 0, None, closed="neither")]}

    def __init__(self, learning_rate=0.01):
        self.learning_rate = learning_rate

    def init(self, n_tasks, priors):
        return super().init(n_tasks, priors) | {
            "log_variance": np.zeros(n_tasks),
            "log_variance_moments": np.zeros((3, n_tasks)),
            "seen": np.zeros(n_tasks, bool),
        }

    def balance(self, losses, mass, gramian, state, step):
        s, here = state["log_variance"], mass > 0
        state["seen"] = seen = state["seen"] | here
        weights = at_scale_of(state["equal"], np.exp(s[seen].min(initial=0) - s[seen]), seen)
        gradient = 0.5 - np.exp(-s) * mean_losses(losses, mass)
        adam_step("log_variance", gradient, here, self.learning_rate, state)
        return float(weights @ losses), weights
