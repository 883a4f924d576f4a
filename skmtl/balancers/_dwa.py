"""DWA:  weights[t] ~ softmax_t(r_t / temperature),  r_t = L_t(epoch - 1) / L_t(epoch - 2)."""

from numbers import Real

import numpy as np

from skmtl._sklearn import Interval
from skmtl.balancers._averages import TINY, mean_losses, softmax
from skmtl.balancers._base import Balancer, at_scale_of


class DWA(Balancer):
    """Dynamic weight average: tasks whose loss falls more slowly weigh more.

    Parameters
    ----------
    temperature : float, default=2.0
        The higher, the more alike the weights.

    Notes
    -----
    The weights change once an epoch and are equal in the first two. Ratios of losses from one
    epoch to the next are near one, and so the weights near equal ones.

    References
    ----------
    Liu, Johns and Davison, "End-to-End Multi-Task Learning with Attention", CVPR 2019.

    Examples
    --------
    >>> from skmtl.balancers import DWA
    >>> DWA()
    DWA()
    """

    _parameter_constraints = {"temperature": [Interval(Real, 0, None, closed="neither")]}

    def __init__(self, temperature=2.0):
        self.temperature = temperature

    def init(self, n_tasks, priors):
        state = super().init(n_tasks, priors)
        return state | {
            "weights": state["equal"],
            "sums": np.zeros((2, n_tasks)),  # of losses and masses in this epoch
            "means": np.full((2, n_tasks), np.nan),  # of the last epoch, and of the one before
            "rows": 0,
        }

    def balance(self, losses, mass, gramian, state, step):
        weights = state["weights"]
        state["sums"] = state["sums"] + [losses, mass]
        state["rows"] += len(step.weight)
        if state["rows"] >= step.epoch_rows:
            self._end_epoch(state)
        return float(weights @ losses), weights

    def _end_epoch(self, state):
        last, before = mean_losses(*state["sums"]), state["means"][0]
        known = (last >= 0) & (before > TINY * last)
        ratio = last[known] / before[known]
        state["weights"] = at_scale_of(state["equal"], softmax(ratio / self.temperature), known)
        state["means"] = np.array([last, before])
        state["sums"], state["rows"] = np.zeros_like(state["sums"]), 0
