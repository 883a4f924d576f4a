"""BatchTopK: in training the n k largest positive entries of a batch of n rows; afterwards
code[i, j] = pre[i, j] where pre[i, j] > threshold, else 0.

The threshold is the quantile of the training rows at which k latents a row fire on average: set
exactly, once, when the parameters stand. Rows of weight w count w times in both. The derivative is
the identity on the kept entries.
"""

from numbers import Integral

import numpy as np

from skmtl import _layouts
from skmtl._select import (
    entries_above,
    floor_over_blocks,
    only,
    per_row,
    rows_of,
    weighted_floor,
)
from skmtl._sklearn import Interval
from skmtl.sparsifiers._base import Sparsifier, norm_for

# Rows from which the floor of the candidates is guessed.
SAMPLE = 64


class BatchTopK(Sparsifier):
    """Keep k latents a row on average: some rows need more, some fewer.

    Parameters
    ----------
    k : int, default=16
        Mean number of latents that fire on a row. Clipped to the number of latents.

    Notes
    -----
    Rows of a batch compete in training only. The code of a row in ``transform`` depends on that
    row alone: a latent fires above one threshold, which ``fit`` sets so that k latents a training
    row fire on average: exactly, but for ties and where fewer are positive. A row may get no latent
    at all. Held-out rows have as many on average unless the fit has learnt its rows by heart: of
    few rows and over many epochs they have more.

    References
    ----------
    Bussmann, Leask and Nanda, "BatchTopK Sparse Autoencoders", arXiv:2412.06410.

    Examples
    --------
    >>> from skmtl.sparsifiers import BatchTopK
    >>> BatchTopK(k=8)
    BatchTopK(k=8)
    """

    _parameter_constraints = {"k": [Interval(Integral, 1, None, closed="left")]}
    buffers = ("threshold",)

    #: What "auto" does for dead latents.
    dead_latents = "resample"

    def __init__(self, k=16):
        self.k = k

    def init(self, n_components, dtype, rng):
        return {"threshold": np.zeros(1, dtype)}

    def encoder_norm(self, n_components, n_features):
        return norm_for(self.k, n_components, n_features)

    def forward(self, pre, params, step):
        k = min(self.k, pre.shape[1])
        if not step.train:
            floor = np.full(pre.shape[1], max(params["threshold"][0], 0), pre.dtype)
            return _layouts.laid_out(entries_above(pre, floor), k)
        weight, budget = per_row(step.weight, k)
        for guess in (guessed_floor(pre, k), 0):
            code = entries_above(pre, np.full(pre.shape[1], guess, pre.dtype))
            of_entry = None if weight is None else weight[rows_of(code)]
            if (len(code.data) if of_entry is None else of_entry.sum()) > budget:
                break
        floor = weighted_floor(code.data, of_entry, budget)
        return _layouts.laid_out(only(code, code.data > floor), k)

    def freeze(self, pre_blocks, weight, params):
        k = min(self.k, len(params["b_enc"]))
        floor = floor_over_blocks(pre_blocks, weight, k)
        params["threshold"] = np.full(1, floor, params["threshold"].dtype)


def guessed_floor(pre, k):
    """A floor that somewhat more than k entries a row exceed, from some of the rows."""
    some = pre[:: -(-len(pre) // SAMPLE)].reshape(-1)
    n_above = int(1.5 * k * len(some) / pre.shape[1])
    if n_above >= len(some):
        return 0
    return max(0, -np.partition(-some, n_above)[n_above])
