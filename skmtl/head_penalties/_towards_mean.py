"""TowardsMean:  V_t = M + D_t,  M the mean over the tasks with the same classes, sum_t D_t = 0;

value = rho / 2 * sum_t |D_t|^2  +  alpha / 2 * sum_t |V_t|^2

M and the D_t are orthogonal, so the proximal map shrinks each by itself:
M <- M / (1 + step alpha),   D_t <- D_t / (1 + step (rho + alpha)).
"""

from numbers import Real

import numpy as np

from skmtl._sklearn import Interval
from skmtl.head_penalties._base import HeadPenalty, step_of_group


class TowardsMean(HeadPenalty):
    """Heads of tasks with the same classes are drawn towards their mean.

    A task of few rows then leans on what all tasks say, and keeps of its own what its rows insist
    on.

    Parameters
    ----------
    rho : float, default=0.3
        Strength of the pull: 0 leaves the tasks apart, a very large one gives all the same weights
        (intercepts stay their own). At least 0.
    alpha : float, default=0.01
        Ridge penalty on all weights, the mean included, in the units of `L2`. At least 0.

    Notes
    -----
    Tasks are alike if their classes are the same; others are left to ``alpha``. With
    ``skip_connection`` the weights on X are drawn in the same way. The penalty is no part of
    ``loss_curve_``.

    References
    ----------
    Evgeniou and Pontil, "Regularized Multi-Task Learning", KDD 2004.

    Examples
    --------
    >>> from skmtl.head_penalties import TowardsMean
    >>> TowardsMean(rho=1.0)
    TowardsMean(rho=1.0)
    """

    _parameter_constraints = {
        "rho": [Interval(Real, 0, None, closed="left")],
        "alpha": [Interval(Real, 0, None, closed="left")],
    }

    def __init__(self, rho=0.3, alpha=0.01):
        self.rho = rho
        self.alpha = alpha

    def value(self, V, heads):
        deviation = sum(
            np.sum((V[rows] - V[rows].mean(axis=0)) ** 2, dtype=np.float64)
            for rows in heads.of_kinds
        )
        return 0.5 * float(self.rho * deviation + self.alpha * np.vdot(V, V))

    def shrink(self, V, steps, heads, progress):
        one, rho, alpha = (V.dtype.type(number) for number in (1, self.rho, self.alpha))
        for rows in heads.of_kinds:  # (tasks, classes)
            step = steps if np.ndim(steps) == 0 else step_of_group(steps[rows], 0)
            own = V[rows]
            mean = own.mean(axis=0, keepdims=True)
            V[rows] = mean / (one + step * alpha) + (own - mean) / (one + step * (rho + alpha))
