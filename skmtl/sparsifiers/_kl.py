"""KL:  code = sigmoid(pre),  rate_j = sum_i w_i code[i, j] / sum_i w_i  over the rows of a batch,
or with a momentum  rate <- momentum rate + (1 - momentum) (that of the batch),
KL_j = rho log(rho / rate_j) + (1 - rho) log((1 - rho) / (1 - rate_j)),
penalty = beta * sum_i w_i * sum_j KL_j.

d_code[i, j] += beta * w_i * ((1 - rho) / (1 - rate_j) - rho / rate_j)
d_pre = d_code * code * (1 - code)
"""

from numbers import Real

import numpy as np
from scipy.special import expit

from skmtl._sklearn import Interval
from skmtl.sparsifiers._base import Sparsifier


class KL(Sparsifier):
    """Sigmoid code whose mean activation per latent is drawn to a target rate.

    Parameters
    ----------
    target_rate : float, default=0.05
        Mean activation ``rho`` wanted of each latent over the rows, in (0, 1).
    beta : float, default=3.0
        Weight of the penalty beside the reconstruction. At least 0.
    momentum : float, default=0.0
        Share of the earlier batches in the rate, in [0, 1). 0 is the batch alone; with small
        batches 0.9 or more steadies it.

    Notes
    -----
    With a momentum the slope is taken at the running rate, as if that were the batch's. Codes lie
    in (0, 1) and are never exactly zero: sparse here means small on most rows.

    References
    ----------
    Andrew Ng, "Sparse autoencoder", CS294A lecture notes, Stanford, 2011.

    Examples
    --------
    >>> from skmtl.sparsifiers import KL
    >>> KL(target_rate=0.1)
    KL(target_rate=0.1)
    """

    _parameter_constraints = {
        "target_rate": [Interval(Real, 0, 1, closed="neither")],
        "beta": [Interval(Real, 0, None, closed="left")],
        "momentum": [Interval(Real, 0, 1, closed="left")],
    }

    def __init__(self, target_rate=0.05, beta=3.0, momentum=0.0):
        self.target_rate = target_rate
        self.beta = beta
        self.momentum = momentum

    def init(self, n_components, dtype, rng):
        # Start at the target rate: from 1/2 the penalty would drown the reconstruction for long.
        bias = np.log(self.target_rate / (1 - self.target_rate))
        return {"b_enc": np.full(n_components, bias, dtype=dtype)}

    def forward(self, pre, params, step):
        return expit(pre)

    def backward(self, fwd, adj, params, grads, step):
        adj.pre.append(adj.code * fwd.code * (1 - fwd.code))

    def term(self, batch, fwd, adj, params, state, grads, step):
        rho, total = self.target_rate, float(step.weight.sum(dtype=np.float64))
        if total == 0:
            return 0.0
        rate = step.weight @ fwd.code / total
        if self.momentum:
            before = state.get("rate", rate)
            state["rate"] = rate = self.momentum * before + (1 - self.momentum) * rate
        rate = np.clip(rate, 1e-6, 1 - 1e-6)  # from 0 and 1 by more than float32 can round
        slope = self.beta * ((1 - rho) / (1 - rate) - rho / rate)
        adj.code += step.weight[:, None] * slope
        divergence = rho * np.log(rho / rate) + (1 - rho) * np.log((1 - rho) / (1 - rate))
        return self.beta * total * float(divergence.sum(dtype=np.float64))
