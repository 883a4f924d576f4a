"""CAGrad:  weights = 1 / T + c |g_0| / |g_w| w,  w = argmin of  g_w . g_0 + c |g_0| |g_w|

over  w >= 0, sum_t w[t] = 1;   g_w = sum_t w[t] grad L_t,  g_0 that of w = 1 / T.

With k = |g_w| / (c |g_0|) the same w is the least norm in the hull of the gradients + k g_0, and
weights = 1 / T + w / k. The larger k, the smaller |g_w| / k: k is a root in one dimension.
"""

from numbers import Real

import numpy as np
from scipy.optimize import brentq

from skmtl._sklearn import Interval
from skmtl.balancers._gramian_based import GramianBalancer
from skmtl.balancers._least_norm import least_norm_in_hull

# |g_w| this much below the longest gradient is taken for zero: the mean serves all tasks.
SHORT = 1e-4


class CAGrad(GramianBalancer):
    """Conflict-averse gradient: near the mean, the best direction for the worst-served task.

    Parameters
    ----------
    c : float, default=0.4
        How far from the mean the direction may be, in lengths of the mean. 0 is the mean; 1 and
        above tends to `MGDA`.
    every : int, default=4
        Steps from one Gramian to the next.
    momentum : float, default=0.95
        Share of the earlier Gramians in their average, in [0, 1).

    References
    ----------
    Liu et al., "Conflict-Averse Gradient Descent for Multi-task Learning", NeurIPS 2021.

    Examples
    --------
    >>> from skmtl.balancers import CAGrad
    >>> CAGrad(c=0.5)
    CAGrad(c=0.5)
    """

    _parameter_constraints = {
        "c": [Interval(Real, 0, None, closed="left")],
        **GramianBalancer._parameter_constraints,
    }

    def __init__(self, c=0.4, every=4, momentum=0.95):
        super().__init__(every, momentum)
        self.c = c

    def raw_weights(self, gramian, rng=None):
        with_mean, equal = gramian.mean(axis=1), np.full(len(gramian), 1 / len(gramian))
        radius = self.c * np.sqrt(max(0.0, gramian.mean()))
        if radius == 0:
            return equal

        def shifted(k):
            moved = gramian + k * (with_mean + with_mean[:, None]) + k**2 * gramian.mean()
            return least_norm_in_hull(moved)

        def excess(k):
            w = shifted(k)
            return np.sqrt(max(0.0, w @ gramian @ w)) / k - radius

        longest = np.sqrt(np.diagonal(gramian).max())
        low, high = SHORT * longest / radius, 1.01 * longest / radius
        if excess(low) <= 0:
            return equal
        k = brentq(excess, low, high, rtol=1e-10)
        return equal + shifted(k) / k
