"""Cross-entropy of a sigmoid decoder:  p = 1 / (1 + exp(-recon)),

loss_i = -sum_f [X log p + (1 - X) log(1 - p)] = sum_f [log(1 + exp(recon)) - X recon]
d_recon = w_i (p - X)
"""

import numpy as np
from scipy.special import expit

from skmtl._math import exp_negative, log1p_unit
from skmtl._numba import kernel
from skmtl.losses._base import Loss, clipped_logit, in_unit_interval, sum_of_rows


@kernel
def log_loss(recon, X, weight, d_recon, row_loss):
    zero, one = recon.dtype.type(0), recon.dtype.type(1)
    for i in range(X.shape[0]):
        total = 0.0
        for f in range(X.shape[1]):
            z, x = recon[i, f], X[i, f]
            small = exp_negative(-abs(z))  # in (0, 1]: neither form below overflows
            p = (one if z >= zero else small) / (one + small)
            d_recon[i, f] = weight[i] * (p - x)
            total += max(z, zero) - z * x + log1p_unit(small)
        row_loss[i] = total


class LogLoss(Loss):
    """Cross-entropy of a sigmoid decoder, summed over features; X in [0, 1].

    Examples
    --------
    >>> from skmtl.losses import LogLoss
    >>> LogLoss()
    LogLoss()
    """

    def check_X(self, X, name="X"):
        if not in_unit_interval(X):
            raise ValueError(
                f"{name} must lie in [0, 1] with loss='log_loss'; got values from "
                f"{X.min():.9g} to {X.max():.9g}. Scale it, for instance with MinMaxScaler("
                "clip=True), or use loss='squared_error'."
            )

    def initial_bias(self, mean):
        return clipped_logit(mean)

    def baseline(self, mean, variance):
        p = np.clip(mean, 1e-3, 1 - 1e-3)
        return float(-np.sum(mean * np.log(p) + (1 - mean) * np.log(1 - p)))

    def link(self, recon):
        return expit(recon)

    def per_row(self, recon, X):
        cross_entropy = np.maximum(recon, 0) - recon * X + np.log1p(np.exp(-np.abs(recon)))
        return cross_entropy.sum(axis=1)

    def value_and_grad(self, recon, X, weight, d_recon):
        return sum_of_rows(log_loss, recon, X, weight, d_recon)
