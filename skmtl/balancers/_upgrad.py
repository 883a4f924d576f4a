"""UPGrad:  weights = sum_i argmin of  v' G v  over  v >= e_i / T:

each task's gradient, projected on the directions in which no task loses, then their mean.
G is brought to trace one and gets ``ridge`` on its diagonal.
"""

import numpy as np

from skmtl.balancers._dual_proj import DualProj
from skmtl.balancers._least_norm import least_norm_above


class UPGrad(DualProj):
    """The mean of the gradients, each moved the least so that no task loses.

    Parameters
    ----------
    ridge : float, default=1e-4
        Added to the diagonal of the Gramian, whose trace is one then: bounds the weights.
    every : int, default=4
        Steps from one Gramian to the next.
    momentum : float, default=0.95
        Share of the earlier Gramians in their average, in [0, 1).

    Notes
    -----
    One quadratic program for each task, of which `DualProj` has one in all: with a hundred tasks
    that is most of a step.

    References
    ----------
    Quinton and Rey, "Jacobian Descent for Multi-Objective Optimization", arXiv:2406.16232.

    Examples
    --------
    >>> from skmtl.balancers import UPGrad
    >>> UPGrad()
    UPGrad()
    """

    def raw_weights(self, gramian, rng=None):
        lowers = np.eye(len(gramian)) / len(gramian)
        return least_norm_above(self._regular(gramian), lowers).sum(axis=0)
