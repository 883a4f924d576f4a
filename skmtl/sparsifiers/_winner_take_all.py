"""Winner-take-all, lifetime sparsity: in training each latent keeps its ceil(rate n) largest
positive entries of a batch of n rows; afterwards code = max(pre, 0).

The derivative is the identity on the kept entries: every latent that is positive somewhere gets a
gradient from every batch, so hardly any dies.
"""

from numbers import Real

import numpy as np

from skmtl import _linalg
from skmtl._linalg import CSR, Support
from skmtl._select import laid_out, row_lists
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
    time, and more latents fire than in training. Rows compete by activation, whatever their
    weight.

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
        n_rows, n_components = pre.shape
        n_winners = int(np.ceil(self.rate * n_rows))
        by_latent, no_bias = _linalg.transposed(pre), np.zeros(n_rows, pre.dtype)
        rows, values, counts = row_lists(by_latent, no_bias, n_winners)
        held = np.arange(n_winners) < counts[:, None]
        rows, columns = rows[held], np.repeat(np.arange(n_components, dtype=np.int32), counts)
        order = np.argsort(rows, kind="stable")  # columns of a row stay in ascending order
        indptr = np.zeros(n_rows + 1, np.int64)
        np.cumsum(np.bincount(rows, minlength=n_rows), out=indptr[1:])
        code = CSR(values[held][order], Support(columns[order], indptr, n_components))
        return laid_out(code, self.rate * n_components)
