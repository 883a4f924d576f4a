"""NashMTL:  weights[t] (G weights)[t] = 1 for all t:  the minimum over  w > 0  of

(1/2) w' G w - sum_t log w[t].

With C the cosines and b = w * norms it is  (1/2) b' C b - sum_t log b[t] + constant, convex and
self-concordant: Newton's steps, damped by 1 / (1 + decrement), get there from anywhere.
"""

import numpy as np

from skmtl.balancers._gramian_based import GramianBalancer, cosines

# Added to the diagonal of C: where gradients cancel, the minimum would lie at infinity.
RIDGE = 1e-8
MAX_STEPS = 200


class NashMTL(GramianBalancer):
    """Nash's bargain: no task can gain relatively more than the others lose together.

    Parameters
    ----------
    every : int, default=4
        Steps from one Gramian to the next.
    momentum : float, default=0.95
        Share of the earlier Gramians in their average, in [0, 1).

    Notes
    -----
    The scale of a task's loss does not matter. For tasks of orthogonal gradients it is `IMTL`. The
    paper's step has length ``sqrt(T)`` always and is clipped; here the weights add up to one.

    References
    ----------
    Navon et al., "Multi-Task Learning as a Bargaining Game", ICML 2022.

    Examples
    --------
    >>> from skmtl.balancers import NashMTL
    >>> NashMTL()
    NashMTL()
    """

    def raw_weights(self, gramian, rng=None):
        C, norms = cosines(gramian)
        C = C + RIDGE * np.eye(len(C))
        b = np.ones(len(C))
        for _ in range(MAX_STEPS):
            gradient = C @ b - 1 / b
            newton = np.linalg.solve(C + np.diag(1 / b**2), gradient)
            decrement = np.sqrt(max(0.0, gradient @ newton))
            b = b - newton / (1 + decrement if decrement > 0.25 else 1)
            if decrement < 1e-8:
                break
        return b / norms
