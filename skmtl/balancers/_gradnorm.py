"""GradNorm:  weights move against the sign of  n_t - mean(n) r_t^alpha,

n_t = weights[t] |grad L_t|,  r_t = (L_t / L_t(0)) / mean of these:
d_weights[t] = |grad L_t| sign(n_t - mean(n) r_t^alpha);  then they are brought to their sum.
"""

from numbers import Real

import numpy as np

from skmtl._sklearn import Interval
from skmtl.balancers._averages import average_losses
from skmtl.balancers._base import at_scale_of
from skmtl.balancers._gramian_based import GramianBalancer, with_gradient

# Of an equal weight; a task never falls silent.
LEAST = 1e-3


class GradNorm(GramianBalancer):
    """Learn weights under which all tasks train at one rate.

    Parameters
    ----------
    alpha : float, default=1.5
        How much more a task that lags behind is to weigh. 0 wants gradients of one norm.
    learning_rate : float, default=0.025
        Rate of the weights, in units of an equal weight; gradients are measured by their mean norm.
    every : int, default=4
        Steps from one Gramian to the next, and so from one change of the weights to the next.
    momentum : float, default=0.95
        Share of the earlier Gramians, and losses, in their averages, in [0, 1).

    Notes
    -----
    Of the Gramian only the diagonal is used. The first loss of a task is that of its first batch
    with labels.

    References
    ----------
    Chen et al., "GradNorm: Gradient Normalization for Adaptive Loss Balancing in Deep Multitask
    Networks", ICML 2018.

    Examples
    --------
    >>> from skmtl.balancers import GradNorm
    >>> GradNorm(alpha=0.5)
    GradNorm(alpha=0.5)
    """

    _parameter_constraints = {
        "alpha": [Interval(Real, 0, None, closed="left")],
        "learning_rate": [Interval(Real, 0, None, closed="neither")],
        **GramianBalancer._parameter_constraints,
    }

    def __init__(self, alpha=1.5, learning_rate=0.025, every=4, momentum=0.95):
        super().__init__(every, momentum)
        self.alpha = alpha
        self.learning_rate = learning_rate

    def init(self, n_tasks, priors):
        return super().init(n_tasks, priors) | {
            "averages": np.zeros((2, n_tasks)),
            "first_losses": np.full(n_tasks, np.nan),
        }

    def balance(self, losses, mass, gramian, state, step):
        mean, first = average_losses(losses, mass, self.momentum, state), state["first_losses"]
        state["first_losses"] = first = np.where(np.isnan(first), mean, first)
        if gramian is not None:
            among, own = with_gradient(gramian)
            among, own = among & (first > 0), own[np.ix_(first[among] > 0, first[among] > 0)]
            if among.any():
                weights = state["weights"][among] / state["equal"][among].mean()
                weights = self._moved(weights, np.sqrt(np.diagonal(own)), (mean / first)[among])
                state["weights"] = at_scale_of(state["equal"], weights, among)
        return float(state["weights"] @ losses), state["weights"]

    def _moved(self, weights, norms, loss_ratios):
        """Weights of mean one, after a step."""
        n = weights * norms
        lag = (loss_ratios / max(loss_ratios.mean(), np.finfo(float).tiny)) ** self.alpha
        slope = norms / norms.mean() * np.sign(n - n.mean() * lag)
        return np.maximum(weights - self.learning_rate * slope, LEAST)
