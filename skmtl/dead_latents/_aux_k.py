"""AuxK: dead latents learn to reconstruct what the living ones leave over.

residual = X - link(recon)                       held fixed
aux      = the k largest max(pre[i, D], 0) of each row i, over the dead latents D
loss     = weight * min(1, |D| / k) * sum_i w_i |aux_i @ W_dec[D] - residual_i|^2

d_aux = 2 weight min(1, |D| / k) w_i (aux @ W_dec[D] - residual) @ W_dec[D].T,  d_pre = d_aux on
aux's support: the encoder learns as the decoder does. No bias: the living have accounted for it.
"""

from numbers import Integral, Real

import numpy as np

from skmtl import _layouts, _linalg
from skmtl._gradients import Rows, add_gradient, formed
from skmtl._layouts import CSR, Support
from skmtl._select import row_lists
from skmtl._sklearn import Interval
from skmtl.dead_latents._base import Ignore, dead_latents


class AuxK(Ignore):
    """Let the dead latents that come closest reconstruct the residual of each row.

    Parameters
    ----------
    weight : float, default=1/32
        Weight of their loss beside the reconstruction error. At least 0.
    k : int or None, default=None
        How many of them take part in a row. None is half the number of features. With fewer dead
        latents than that the loss shrinks in proportion.
    window : float, default=1.0
        Epochs without firing after which a latent is dead.

    References
    ----------
    Gao et al., "Scaling and evaluating sparse autoencoders", arXiv:2406.04093, appendix A.2.

    Examples
    --------
    >>> from skmtl.dead_latents import AuxK
    >>> AuxK(k=32)
    AuxK(k=32)
    """

    _parameter_constraints = {
        "weight": [Interval(Real, 0, None, closed="left")],
        "k": [Interval(Integral, 1, None, closed="left"), None],
        "window": [Interval(Real, 0, None, closed="neither")],
    }

    def __init__(self, weight=1 / 32, k=None, window=1.0):
        self.weight = weight
        self.k = k
        self.window = window

    def term(self, batch, fwd, adj, params, state, grads, step):
        dead = dead_latents(state, self.window, step.epoch_rows)
        if len(dead) == 0 or self.weight == 0 or fwd.recon is None or fwd.residual is None:
            return 0.0
        k = self.k or max(1, batch.X.shape[1] // 2)
        weight = self.weight * min(1.0, len(dead) / k)
        pre, most = fwd.pre_of(dead), min(k, len(dead))
        columns, values, counts = row_lists(pre, np.zeros(len(dead), pre.dtype), most)
        aux = _layouts.csr_from_row_lists(columns, values, counts, len(dead))
        W_dec = np.ascontiguousarray(params["W_dec"][dead])
        error = _linalg.matmul(aux, W_dec) - fwd.residual()
        d_recon = error * (2 * weight * step.weight[:, None])
        of_dead = formed(_linalg.weight_gradient(aux, d_recon))
        add_gradient(grads, "W_dec", Rows(dead[of_dead.index], of_dead.values, len(state["idle"])))
        d_aux = CSR(np.zeros_like(aux.data), aux.support)
        _linalg.add_adjoint(d_recon, W_dec, d_aux)
        among_all = Support(dead[aux.indices].astype(np.int32), aux.indptr, len(state["idle"]))
        adj.pre.append(CSR(d_aux.data, among_all))
        squares = np.einsum("ij,ij->i", error, error)
        return weight * float(step.weight.astype(np.float64) @ squares)
