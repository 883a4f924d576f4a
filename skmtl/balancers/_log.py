"""Log:  minimizes sum_t log L_t:  weights[t] ~ 1 / L_t,  L_t the running mean of task t's loss."""

from numbers import Real

import numpy as np

from skmtl._sklearn import Interval
from skmtl.balancers._averages import TINY, average_losses
from skmtl.balancers._base import Balancer, at_scale_of


class Log(Balancer):
    """Minimize the geometric mean of the losses: relative gains count, not the scale.

    Parameters
    ----------
    momentum : float, default=0.95
        Share of the earlier batches in the running mean of each loss, in [0, 1). Per batch (0) the
        weights of tasks with few labels are noise.

    Notes
    -----
    Multiplying a task's loss by a constant changes nothing. A task that is nearly solved weighs
    ever more.

    References
    ----------
    Chennupati et al., "MultiNet++: Multi-Stream Feature Aggregation and Geometric Loss Strategy for
    Multi-Task Learning", CVPR Workshops 2019.

    Examples
    --------
    >>> from skmtl.balancers import Log
    >>> Log()
    Log()
    """

    _parameter_constraints = {"momentum": [Interval(Real, 0, 1, closed="left")]}

    def __init__(self, momentum=0.95):
        self.momentum = momentum

    def init(self, n_tasks, priors):
        return super().init(n_tasks, priors) | {"averages": np.zeros((2, n_tasks))}

    def balance(self, losses, mass, gramian, state, step):
        mean = average_losses(losses, mass, self.momentum, state)
        known = mean >= 0
        largest = mean[known].max(initial=0)
        raw = largest / np.maximum(mean[known], TINY * largest) if largest > 0 else mean[known]
        weights = at_scale_of(state["equal"], raw, known)
        return float(weights @ losses), weights
