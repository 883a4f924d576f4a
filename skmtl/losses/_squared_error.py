"""Squared error:  loss_i = sum_f (recon[i, f] - X[i, f])^2,  d_recon = 2 w_i (recon - X)."""

import numpy as np

from skmtl._numba import kernel
from skmtl.losses._base import Loss, sum_of_rows


@kernel
def squared_error(recon, X, weight, d_recon, row_loss):
    two = recon.dtype.type(2)
    for i in range(X.shape[0]):
        total = 0.0
        slope = two * weight[i]
        for f in range(X.shape[1]):
            residual = recon[i, f] - X[i, f]
            d_recon[i, f] = slope * residual
            total += residual * residual
        row_loss[i] = total


class SquaredError(Loss):
    """Squared error of a linear decoder, summed over features.

    Examples
    --------
    >>> from skmtl.losses import SquaredError
    >>> SquaredError()
    SquaredError()
    """

    explains_variance = True

    @property
    def shifts_input(self):
        return True

    def initial_bias(self, mean):
        return mean

    def baseline(self, mean, variance):
        return float(variance.sum())

    def per_row(self, recon, X):
        residual = recon - X
        return np.einsum("if,if->i", residual, residual)

    def value_and_grad(self, recon, X, weight, d_recon):
        return sum_of_rows(squared_error, recon, X, weight, d_recon)
