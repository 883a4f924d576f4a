"""Gated:  code = 1[gate > 0] max(mag, 0)  with  gate = pre,  mag = exp(r_mag) v + b_mag,
v = pre - b_enc the encoder's product without its bias.

penalty = alpha * sum_i w_i sum_j max(gate[i, j], 0)
          + sum_i w_i loss_i(max(gate, 0) @ W_dec + b_dec)   with W_dec and b_dec held fixed.

The step passes no gradient; the second line is what trains the gates:
d_mag = d_code 1[gate > 0, mag > 0],   d_gate = (d_code of that loss + alpha w_i) 1[gate > 0],
d_r_mag = sum_i d_mag exp(r_mag) v,  d_b_mag = sum_i d_mag,
d_pre = d_mag exp(r_mag) + d_gate,  d_b_enc -= sum_i d_mag exp(r_mag), since v has no bias.
"""

from numbers import Real

import numpy as np

from skmtl._gradients import add_gradient
from skmtl._sklearn import Interval
from skmtl.sparsifiers._base import WEAK_START, Sparsifier, risen


class Gated(Sparsifier):
    """One half of the encoder decides whether a latent fires, the other how strongly.

    Parameters
    ----------
    alpha : float, default=0.1
        Weight of the L1 penalty on the gates beside the reconstruction error, as in `L1`. At
        least 0.
    warmup : float, default=0.25
        Share of the fit over which ``alpha`` rises from 0, in [0, 1]: a penalty that is there
        before the atoms are silences latents that would have been useful. Of no effect on
        ``partial_fit``.

    Notes
    -----
    The penalty shrinks the gates and not the code, which so keeps its length. Both halves share
    their weights but for a factor ``exp(r_mag)`` a latent. The gates learn from a reconstruction
    of their own whose decoder is a frozen copy, as in the paper.

    References
    ----------
    Rajamanoharan et al., "Improving Dictionary Learning with Gated Sparse Autoencoders",
    arXiv:2404.16014.

    Examples
    --------
    >>> from skmtl.sparsifiers import Gated
    >>> Gated(alpha=0.5)
    Gated(alpha=0.5)
    """

    _parameter_constraints = {
        "alpha": [Interval(Real, 0, None, closed="left")],
        "warmup": [Interval(Real, 0, 1, closed="both")],
    }
    #: What "auto" does for dead latents.
    dead_latents = "resample"

    pseudo_gradients = ("W_dec", "b_dec")  # which the second reconstruction holds fixed

    def __init__(self, alpha=0.1, warmup=0.25):
        self.alpha = alpha
        self.warmup = warmup

    def init(self, n_components, dtype, rng):
        return {"r_mag": np.zeros(n_components, dtype), "b_mag": np.zeros(n_components, dtype)}

    def encoder_norm(self, n_components, n_features):
        return WEAK_START

    def forward(self, pre, params, step):
        _, mag = _magnitude(pre, params)
        return np.maximum(mag, 0) * (pre > 0)

    def backward(self, fwd, adj, params, grads, step):
        v, _ = _magnitude(fwd.pre, params)
        d_mag = adj.code * (fwd.code > 0)  # the gate is open and the magnitude positive
        d_v = d_mag * np.exp(params["r_mag"])
        add_gradient(grads, "r_mag", np.einsum("ij,ij->j", d_v, v))
        add_gradient(grads, "b_mag", d_mag.sum(axis=0))
        add_gradient(grads, "b_enc", -d_v.sum(axis=0))
        adj.pre.append(d_v)

    def term(self, batch, fwd, adj, params, state, grads, step):
        gate = np.maximum(fwd.pre, 0)
        weight = step.weight[:, None]
        value, d_gate = fwd.judge(gate)
        alpha = self.alpha * risen(self.warmup, step)
        d_gate += alpha * weight
        adj.pre.append(d_gate * (gate > 0))
        return value + alpha * float(np.sum(weight * gate, dtype=np.float64))


def _magnitude(pre, params):
    v = pre - params["b_enc"]
    return v, np.exp(params["r_mag"]) * v + params["b_mag"]
