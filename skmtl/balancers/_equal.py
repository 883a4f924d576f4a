"""Equal:  value = (1 / T) sum_t losses[t],  weights[t] = 1 / T,  over the T tasks with classes."""

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

    def balance(self, losses, mass, gramian, state, step):
        return float(state["equal"] @ losses), state["equal"]
