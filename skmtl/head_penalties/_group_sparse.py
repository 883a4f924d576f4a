"""GroupSparse:

value = alpha   * sum_t sum_j sqrt(K_t) |V_t[:, j]|        a group for each latent j and task t
      + alpha_latent * sum_j  sqrt(K)   |V[:, j]|          a group for each latent

V_t the K_t rows of task t's classes, K = sum_t K_t. The groups are nested, so the proximal map is
the one of the small groups, then that of the large ones (Jenatton et al. 2011):

V_t[:, j] <- V_t[:, j] * max(0, 1 - step alpha sqrt(K_t) / |V_t[:, j]|)
V[:, j]   <- V[:, j]   * max(0, 1 - step alpha_latent sqrt(K) / |V[:, j]|)
"""

from numbers import Real

import numpy as np

from skmtl._sklearn import Interval
from skmtl.head_penalties._base import HeadPenalty, step_of_group


class GroupSparse(HeadPenalty):
    """Each head reads few latents: the others get weights of exactly zero.

    Parameters
    ----------
    alpha : float, default=0.005
        Strength for each latent and task. A head reads a latent only if that lowers the mean loss
        over its labels by more than about ``alpha * sqrt(K_t)`` for each unit of its weights. At
        least 0.
    alpha_latent : float, default=0.0
        Strength for each latent over all tasks: latents are dropped by all heads at once. At
        least 0.
    warmup : float, default=0.25
        Share of the fit over which both rise from 0, in [0, 1]: heads start at zero, and a penalty
        at once would keep the tasks from forming latents of use to them. Of no effect on
        ``partial_fit``.

    Notes
    -----
    ``task_map_`` then says which latents each task reads: a latent of two or more tasks is shared,
    of one private, of none kept for the reconstruction alone.

    Each step costs one more pass over the heads' weights. At its end ``fit`` holds the code of all
    training rows and takes 300 proximal gradient steps on the heads alone, so that the map is
    that of the heads' own minimum and not of the last batches; ``partial_fit`` does not. The
    penalty is no part of ``loss_curve_``.

    References
    ----------
    Jenatton, Mairal, Obozinski and Bach, "Proximal Methods for Hierarchical Sparse Coding",
    JMLR 12, 2011.

    Examples
    --------
    >>> from skmtl.head_penalties import GroupSparse
    >>> GroupSparse(alpha=0.02)
    GroupSparse(alpha=0.02)
    """

    _parameter_constraints = {
        "alpha": [Interval(Real, 0, None, closed="left")],
        "alpha_latent": [Interval(Real, 0, None, closed="left")],
        "warmup": [Interval(Real, 0, 1, closed="both")],
    }

    finishes = True

    def __init__(self, alpha=0.005, alpha_latent=0.0, warmup=0.25):
        self.alpha = alpha
        self.alpha_latent = alpha_latent
        self.warmup = warmup

    def value(self, V, heads):
        of_tasks = sum(
            np.sqrt(rows.stop - rows.start) * np.linalg.norm(V[rows], axis=0).sum()
            for rows in heads.of_tasks
        )
        of_latents = np.sqrt(len(V)) * np.linalg.norm(V, axis=0).sum()
        return float(self.alpha * of_tasks + self.alpha_latent * of_latents)

    def shrink(self, V, steps, heads, progress):
        risen = 1.0 if self.warmup == 0 else min(1.0, progress / self.warmup)
        if self.alpha:
            for rows in heads.of_tasks:
                own = steps if np.ndim(steps) == 0 else steps[rows]
                _shrink_columns(V[rows], risen * self.alpha, own)
        if self.alpha_latent:
            _shrink_columns(V, risen * self.alpha_latent, steps)


def _shrink_columns(V, alpha, steps):
    """The proximal map of ``alpha * sqrt(len(V)) * sum_j |V[:, j]|``, in place."""
    norms = np.linalg.norm(V, axis=0, keepdims=True)
    taken = step_of_group(steps, 0) * (alpha * np.sqrt(len(V)))
    V *= np.maximum(0, 1 - taken / np.where(norms > 0, norms, 1)).astype(V.dtype)
