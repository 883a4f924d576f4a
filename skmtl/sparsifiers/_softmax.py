"""Softmax:  code[i, j] = exp(pre[i, j]) / sum_j' exp(pre[i, j']).

d_pre[i, j] = code[i, j] * (d_code[i, j] - sum_j' code[i, j'] d_code[i, j'])
"""

import numpy as np

from skmtl.sparsifiers._base import Sparsifier


class Softmax(Sparsifier):
    """Code that sums to one over the latents: the mixing weights of the origin's mixture model.

    With ``loss="mixture"`` it is the only code; with any other loss it mixes the atoms.

    Examples
    --------
    >>> from skmtl.sparsifiers import Softmax
    >>> Softmax()
    Softmax()
    """

    def forward(self, pre, params, step):
        code = np.exp(pre - pre.max(axis=1, keepdims=True))
        code /= code.sum(axis=1, keepdims=True)
        return code

    def backward(self, fwd, adj, params, grads, step):
        mean = np.sum(fwd.code * adj.code, axis=1, keepdims=True)
        adj.pre.append(fwd.code * (adj.code - mean))
