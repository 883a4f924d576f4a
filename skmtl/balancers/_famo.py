"""FAMO:  weights[t] = c z_t / L_t,  z = softmax(xi),  c = 1 / sum_t (z_t / L_t);

after the step, with the losses L' of the same batch and delta = log L - log L',
xi moves against  z * (delta - sum_t z_t delta_t) + decay xi  by Adam.
"""

from numbers import Real

import numpy as np

from skmtl._sklearn import Interval
from skmtl.balancers._averages import TINY, adam_step, mean_losses, softmax
from skmtl.balancers._base import Balancer, at_scale_of


class FAMO(Balancer):
    """Fast adaptive multitask optimization: let all losses fall at the same relative rate.

    Parameters
    ----------
    learning_rate : float, default=0.025
        Rate of the logits, which follow Adam.
    decay : float, default=0.001
        Draws the logits to zero.

    Notes
    -----
    Each step evaluates the losses of its batch once more, after the parameters have moved: one
    forward pass, however many tasks there are. Decay is 0.001 in the paper and 0.00001 in its
    authors' experiments.

    References
    ----------
    Liu, Feng, Stone and Liu, "FAMO: Fast Adaptive Multitask Optimization", NeurIPS 2023.

    Examples
    --------
    >>> from skmtl.balancers import FAMO
    >>> FAMO()
    FAMO()
    """

    _parameter_constraints = {
        "learning_rate": [Interval(Real, 0, None, closed="neither")],
        "decay": [Interval(Real, 0, None, closed="left")],
    }
    per_batch = True

    def __init__(self, learning_rate=0.025, decay=0.001):
        self.learning_rate = learning_rate
        self.decay = decay

    def init(self, n_tasks, priors):
        return super().init(n_tasks, priors) | {
            "logits": np.zeros(n_tasks),
            "logits_moments": np.zeros((3, n_tasks)),
            "before": np.zeros(n_tasks),  # losses and masses of the batch of the last step
            "mass": np.zeros(n_tasks),
        }

    def balance(self, losses, mass, gramian, state, step):
        here = mass > 0
        mean = mean_losses(losses, mass)[here]
        state["before"], state["mass"] = losses, mass
        largest = mean.max(initial=0)
        raw = softmax(state["logits"][here])
        if largest > 0:
            raw = raw * largest / np.maximum(mean, TINY * largest)
        weights = at_scale_of(state["equal"], raw, here)
        return float(weights @ losses), weights

    def observe(self, losses, state):
        """Move the logits by what the step did to the losses of its own batch."""
        before, here = state["before"], state["mass"] > 0
        largest = before[here].max(initial=0)
        here &= (before > TINY * largest) & (losses > TINY * largest)
        z, gradient = softmax(state["logits"][here]), np.zeros(len(losses))
        delta = np.log(before[here] / losses[here])
        gradient[here] = z * (delta - z @ delta) + self.decay * state["logits"][here]
        adam_step("logits", gradient, here, self.learning_rate, state)
