"""AlignedMTL:  weights = sqrt(scale) G^(-1/2) 1 / T:  the step that the mean takes once the

gradients are made orthogonal and of one length, sqrt(scale), with the least change.

G = V diag(values) V',  G^(-1/2) = V diag(values^(-1/2)) V' over the values above zero,
scale = their smallest ("min"), their median ("median") or their mean ("rmse").
"""

from typing import Any

import numpy as np

from skmtl._sklearn import StrOptions
from skmtl.balancers._gramian_based import GramianBalancer

# Eigenvalues this much below the largest are taken for zero.
RCOND = 1e-10
SCALES: dict[str, Any] = {
    "min": np.min,
    "median": lambda values: np.quantile(values, 0.5, method="lower"),
    "rmse": np.mean,
}


class AlignedMTL(GramianBalancer):
    """Align the principal components of the gradients.

    Parameters
    ----------
    scale_mode : {"median", "min", "rmse"}, default="median"
        To which of the singular values of the gradients all are set. The paper's "min" lets the
        step collapse as the number of tasks grows.
    every : int, default=4
        Steps from one Gramian to the next.
    momentum : float, default=0.95
        Share of the earlier Gramians in their average, in [0, 1).

    Notes
    -----
    Weights may be negative. They are not brought to a sum of one, since their scale is what
    ``scale_mode`` chooses; orthogonal gradients of one length get equal weights.

    References
    ----------
    Senushkin et al., "Independent Component Alignment for Multi-Task Learning", CVPR 2023.

    Examples
    --------
    >>> from skmtl.balancers import AlignedMTL
    >>> AlignedMTL(scale_mode="min")
    AlignedMTL(scale_mode='min')
    """

    _parameter_constraints = {
        "scale_mode": [StrOptions(set(SCALES))],
        **GramianBalancer._parameter_constraints,
    }
    rescaled = False

    def __init__(self, scale_mode="median", every=4, momentum=0.95):
        super().__init__(every, momentum)
        self.scale_mode = scale_mode

    def raw_weights(self, gramian, rng=None):
        values, vectors = np.linalg.eigh(gramian)
        held = values > RCOND * values[-1]
        values, vectors = values[held], vectors[:, held]
        scale = np.sqrt(SCALES[self.scale_mode](values) / values)
        return (vectors * scale) @ vectors.mean(axis=0)
