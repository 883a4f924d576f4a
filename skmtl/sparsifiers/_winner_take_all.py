"""Winner-take-all, lifetime sparsity: in training each latent keeps its ceil(rate n) largest
positive entries of a batch of n rows; afterwards code = max(pre, 0). Rows of weight w count w
times.

The derivative is the identity on the kept entries: every latent that is positive somewhere gets a
gradient from every batch, so hardly any dies.
"""

from numbers import Real

import numpy as np

from skmtl import _layouts, _linalg
from skmtl._select import column_floors, entries_above
from skmtl._sklearn import Interval
from skmtl.sparsifiers._base import Sparsifier


class WinnerTakeAll(Sparsifier):
    """Each latent fires on a given share of the rows of a batch.

    Parameters
    ----------
    rate : float, default=0.05
        Share of a batch's rows on which a latent keeps its activation, in (0, 1]; at least one
        row. A batch should have some ``5 / rate`` rows or more.

    Notes
    -----
    After training the code is a plain relu, as in the paper: ``transform`` looks at one row at a
    time, and more latents fire than in training.

    References
    ----------
    Makhzani and Frey, "Winner-Take-All Autoencoders", arXiv:1409.2752.

    Examples
    --------
    >>> from skmtl.sparsifiers import WinnerTakeAll
    >>> WinnerTakeAll(rate=0.1)
    WinnerTakeAll(rate=0.1)
    """

    _parameter_constraints = {"rate": [Interval(Real, 0, 1, closed="right")]}

    def __init__(self, rate=0.05):
        self.rate = rate

    def forward(self, pre, params, step):
        if not step.train:
            return _linalg.relu(pre)
        code = entries_above(pre, column_floors(pre, step.weight, self.rate))
        return _layouts.laid_out(code, self.rate * pre.shape[1])

    def read(self, fwd):
        """Heads read in training what they will read afterwards."""
        return np.maximum(fwd.pre, 0)
