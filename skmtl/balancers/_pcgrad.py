"""PCGrad:  u_i = e_i;  for the other tasks j in random order:  s = <u_i, e_j>_G,

if s < 0:  u_i[j] -= s / G[j, j];   weights = sum_i u_i.   <u, v>_G = u' G v.
"""

import numpy as np

from skmtl.balancers._gramian_based import GramianBalancer


class PCGrad(GramianBalancer):
    """Project each task's gradient off those it conflicts with.

    Parameters
    ----------
    every : int, default=4
        Steps from one Gramian to the next.
    momentum : float, default=0.95
        Share of the earlier Gramians in their average, in [0, 1).

    Notes
    -----
    Without a conflict the weights are equal: large gradients stay large.

    References
    ----------
    Yu et al., "Gradient Surgery for Multi-Task Learning", NeurIPS 2020.

    Examples
    --------
    >>> from skmtl.balancers import PCGrad
    >>> PCGrad()
    PCGrad()
    """

    def raw_weights(self, gramian, rng=None):
        tasks = np.arange(len(gramian))
        orders = np.tile(tasks, (len(tasks), 1))
        if rng is not None:
            orders = rng.permuted(orders, axis=1)
        u, products = np.eye(len(tasks)), gramian.copy()  # row i: u_i, and G u_i
        for j in orders.T:  # all tasks i at once, each with a j of its own
            s = products[tasks, j]
            factor = np.where((s < 0) & (j != tasks), -s / gramian[j, j], 0)
            u[tasks, j] += factor
            products += factor[:, None] * gramian[j]
        return u.sum(axis=0)
