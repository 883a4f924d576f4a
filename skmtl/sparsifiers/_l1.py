"""L1:  code = max(pre, 0),  penalty = alpha * sum_i w_i sum_j code[i, j].

With w_i the rows' weights (they sum to one), d_code[i, j] += alpha * w_i where the code is active.
Meant for unit-norm atoms: with free norms the code shrinks while the atoms grow.
"""

from numbers import Real

import numpy as np

from skmtl._sklearn import Interval
from skmtl.sparsifiers._base import Sparsifier


class L1(Sparsifier):
    """Relu code with a penalty on its sum.

    Parameters
    ----------
    alpha : float, default=0.1
        Weight of the penalty beside the reconstruction error, which is summed over features and
        averaged over rows. At least 0.

    Notes
    -----
    ``penalty = alpha * sum_i w_i sum_j code[i, j]``, with row weights that sum to one. The number
    of latents does not enter. The active entries shrink by about ``alpha / 2`` under the squared
    error with orthogonal unit atoms.

    References
    ----------
    Olshausen and Field, "Sparse coding with an overcomplete basis set", Vision Research, 1997.

    Examples
    --------
    >>> from skmtl.sparsifiers import L1
    >>> L1(alpha=0.5)
    L1(alpha=0.5)
    """

    _parameter_constraints = {"alpha": [Interval(Real, 0, None, closed="left")]}

    def __init__(self, alpha=0.1):
        self.alpha = alpha

    def term(self, batch, fwd, adj, params, state, grads, step):
        weight = step.weight[:, None]
        adj.code += self.alpha * weight  # backward keeps it only where the code is active
        return self.alpha * float(np.sum(weight * fwd.code, dtype=np.float64))
