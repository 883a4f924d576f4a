"""The contract of a reconstruction loss."""

import numpy as np
from scipy.special import logit

from skmtl._sklearn import Component
from skmtl._threads import for_each_part


def in_unit_interval(X):
    """Whether X lies in [0, 1], but for the rounding that scaling to it leaves."""
    slack = 8 * np.finfo(X.dtype).eps
    return X.min() >= -slack and X.max() <= 1 + slack


def clipped_logit(mean):
    """Logit of a mean; one that is 0 or 1 everywhere would ask for an infinite bias."""
    return logit(np.clip(mean, 1e-3, 1 - 1e-3))


def sum_of_rows(kernel, recon, X, weight, d_recon):
    """``sum_i weight[i] * loss_i`` by a kernel that writes gradient and loss of each row."""
    row_loss = np.empty(len(X))

    def part(rows):
        kernel(recon[rows], X[rows], weight[rows], d_recon[rows], row_loss[rows])

    for_each_part(part, *X.shape)
    return float(weight @ row_loss)


class Loss(Component):
    """Measures a reconstruction, row by row; holds the decoder's link.

    The decoder computes ``recon = code @ W_dec + b_dec``; ``link(recon)`` is what is compared with
    X. Losses are sums over features; their means over rows are taken by the caller through
    ``weight``.
    """

    #: Whether the code holds the weights of a mixture and rows of the decoder its components.
    is_mixture = False
    #: Whether ``1 - FVU`` is the score; else the mean log-likelihood.
    explains_variance = False

    @property
    def shifts_input(self):
        """Whether only ``recon - X`` matters, so that bias and X live on one scale.

        Then the encoder sees ``X - b_dec``, and the loss gets ``recon`` and X measured from it.
        """
        return False

    def check_X(self, X, name="X"):
        """Raise a ValueError if a value is outside the loss's domain."""

    def initial_bias(self, mean):
        """Decoder bias whose link is the mean of X, (d,)."""
        raise NotImplementedError

    def baseline(self, mean, variance):
        """Mean loss of the best constant reconstruction: the unit of the multi-task objective."""
        raise NotImplementedError

    def link(self, recon):
        """Reconstruction on the scale of X."""
        return recon

    def per_row(self, recon, X):
        """Loss of each row, (n,)."""
        raise NotImplementedError

    def value_and_grad(self, recon, X, weight, d_recon):
        """``sum_i weight[i] * loss_i``; writes its gradient into ``d_recon``."""
        raise NotImplementedError
