"""The contract of a reconstruction loss."""

import numpy as np
from scipy.special import logit

from skmtl._sklearn import Component


def in_unit_interval(X):
    """Whether X lies in [0, 1], but for the rounding that scaling to it leaves."""
    slack = 8 * np.finfo(X.dtype).eps
    return X.min() >= -slack and X.max() <= 1 + slack


def clipped_logit(mean):
    """Logit of a mean; one that is 0 or 1 everywhere would ask for an infinite bias."""
    return logit(np.clip(mean, 1e-3, 1 - 1e-3))


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
        """Whether the encoder sees ``X - b_dec``: where decoder bias and X live on one scale."""
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
