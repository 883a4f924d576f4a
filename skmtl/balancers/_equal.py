"""Equal:  value = (1 / T) sum_t losses[t],  weights[t] = 1 / T,  over the T tasks with classes."""

import numpy as np

from skmtl.balancers._base import Balancer


class Equal(Balancer):
    """Mean over tasks: the default.

    A task's loss is already the mean over its own labels, so a task with few labels counts as
    much as one with many. Tasks without any class do not count.

    References
    ----------
    Kurin et al., "In Defense of the Unitary Scalarization for Deep Multi-Task Learning",
    NeurIPS 2022.

    Examples
    --------
    >>> from skmtl.balancers import Equal
    >>> Equal()
    Equal()
    """

    def init(self, n_tasks, priors):
        labelled = np.array([p is not None for p in priors])
        return {"weights": labelled / max(1, labelled.sum())}

    def balance(self, losses, counts, state, step):
        return float(state["weights"] @ losses), state["weights"]
