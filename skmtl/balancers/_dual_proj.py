"""DualProj:  weights = argmin of  v' G v  over  v >= 1 / T:  the mean gradient, projected on the

directions in which no task loses. G is brought to trace one and gets ``ridge`` on its diagonal.
"""

from numbers import Real

import numpy as np

from skmtl._sklearn import Interval
from skmtl.balancers._gramian_based import GramianBalancer
from skmtl.balancers._least_norm import least_norm_above


class DualProj(GramianBalancer):
    """The mean of the gradients, moved the least so that no task loses.

    Parameters
    ----------
    ridge : float, default=1e-4
        Added to the diagonal of the Gramian, whose trace is one then: bounds the weights.
    every : int, default=4
        Steps from one Gramian to the next.
    momentum : float, default=0.95
        Share of the earlier Gramians in their average, in [0, 1).

    References
    ----------
    Lopez-Paz and Ranzato, "Gradient Episodic Memory for Continual Learning", NeurIPS 2017.

    Examples
    --------
    >>> from skmtl.balancers import DualProj
    >>> DualProj()
    DualProj()
    """

    _parameter_constraints = {
        "ridge": [Interval(Real, 0, None, closed="left")],
        **GramianBalancer._parameter_constraints,
    }

    def __init__(self, ridge=1e-4, every=4, momentum=0.95):
        super().__init__(every, momentum)
        self.ridge = ridge

    def raw_weights(self, gramian, rng=None):
        lowers = np.full((1, len(gramian)), 1 / len(gramian))
        return least_norm_above(self._regular(gramian), lowers)[0]

    def _regular(self, gramian):
        return gramian / np.trace(gramian) + self.ridge * np.eye(len(gramian))
