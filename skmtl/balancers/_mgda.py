"""MGDA:  weights = argmin of  w' G w  over  w >= 0, sum_t w[t] = 1:

the shortest vector in the convex hull of the gradients.
"""

from skmtl.balancers._gramian_based import GramianBalancer
from skmtl.balancers._least_norm import least_norm_in_hull


class MGDA(GramianBalancer):
    """Multiple gradient descent: the direction in which the worst-served task gains most.

    Parameters
    ----------
    every : int, default=4
        Steps from one Gramian to the next.
    momentum : float, default=0.95
        Share of the earlier Gramians in their average, in [0, 1).

    Notes
    -----
    The minimum is found exactly, not by a few steps of Frank and Wolfe's method. The smallest
    gradients dominate: a task that is nearly solved takes most of the weight.

    References
    ----------
    Désidéri, "Multiple-gradient descent algorithm (MGDA) for multiobjective optimization", Comptes
    Rendus Mathématique 350, 2012. Sener and Koltun, "Multi-Task Learning as Multi-Objective
    Optimization", NeurIPS 2018.

    Examples
    --------
    >>> from skmtl.balancers import MGDA
    >>> MGDA()
    MGDA()
    """

    def raw_weights(self, gramian, rng=None):
        return least_norm_in_hull(gramian)
