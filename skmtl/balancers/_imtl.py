"""IMTL:  weights such that  <g, grad L_t> / |grad L_t|  is the same for all t,

g = sum_t weights[t] grad L_t:   weights = b / norms,  b = C+ 1,  C[s, t] = cos(grad L_s, grad L_t).
"""

import numpy as np

from skmtl.balancers._gramian_based import GramianBalancer, cosines

# Eigenvalues of C this much below the largest are taken for zero.
RCOND = 1e-6


class IMTL(GramianBalancer):
    """Impartial: the step's projections on all the gradients are of one length.

    Parameters
    ----------
    every : int, default=4
        Steps from one Gramian to the next.
    momentum : float, default=0.95
        Share of the earlier Gramians in their average, in [0, 1).

    Notes
    -----
    The paper's IMTL-G. Weights may be negative; their absolute values add up to one. The scale of a
    task's loss does not matter.

    References
    ----------
    Liu et al., "Towards Impartial Multi-task Learning", ICLR 2021.

    Examples
    --------
    >>> from skmtl.balancers import IMTL
    >>> IMTL()
    IMTL()
    """

    def raw_weights(self, gramian, rng=None):
        C, norms = cosines(gramian)
        return np.linalg.pinv(C, rcond=RCOND, hermitian=True).sum(axis=1) / norms
