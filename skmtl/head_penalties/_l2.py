"""L2:  value = alpha / 2 * |V|^2,  prox: V <- V / (1 + steps alpha)."""

from numbers import Real

import numpy as np

from skmtl._sklearn import Interval
from skmtl.head_penalties._base import HeadPenalty


class L2(HeadPenalty):
    """Ridge penalty on the heads alone.

    Parameters
    ----------
    alpha : float, default=0.01
        ``alpha / 2`` times the sum of squares of a task's weights stands beside the mean loss over
        its labels: 0.01 is as much as ``C=1`` of a logistic regression on 100 rows. At least 0.

    See Also
    --------
    TowardsMean : Ridge penalty on what tells the tasks apart.

    Notes
    -----
    ``weight_decay`` instead reaches encoder and decoder too.

    Examples
    --------
    >>> from skmtl.head_penalties import L2
    >>> L2(alpha=0.1)
    L2(alpha=0.1)
    """

    _parameter_constraints = {"alpha": [Interval(Real, 0, None, closed="left")]}

    def __init__(self, alpha=0.01):
        self.alpha = alpha

    def value(self, V, heads):
        return 0.5 * self.alpha * float(np.vdot(V, V))

    def shrink(self, V, steps, heads, progress):
        V /= V.dtype.type(1) + steps * V.dtype.type(self.alpha)
