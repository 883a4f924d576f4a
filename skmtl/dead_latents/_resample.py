"""Resampling: between epochs, a dead latent starts anew in the direction of a row that is badly
reconstructed.

For each dead latent j a row i is drawn with p_i proportional to w_i loss_i^2, and with
c = link(b_dec), u = (x_i - c) / |x_i - c|, or u along the row's residual:
W_dec[j] = u,
W_enc[j] = scale * (share of the fit that is left) * (mean norm of the living encoder rows) * u,
b_enc[j] = 0, or -W_enc[j] . c and W_enc[j] longer where the encoder does not see X - b_dec,
and the optimizer's moments of these rows are set to zero, those of no others.
"""

from numbers import Integral, Real

import numpy as np

from skmtl import _layouts
from skmtl._sklearn import Interval, StrOptions
from skmtl._threads import BLOCK_ROWS, cut
from skmtl.dead_latents._base import Ignore

# Rows looked at, at most, for each dead latent: enough to find badly reconstructed ones.
ROWS_EACH, ROWS_AT_LEAST = 8, 2048
# The living answer to all of X where it is not shifted, a resampled latent to X - c alone: on
# digits under "log_loss" it took four times the length that was enough under "squared_error".
UNSHIFTED = 4


class Resample(Ignore):
    """Give dead latents the directions of rows that are badly reconstructed.

    Parameters
    ----------
    times : int, default=20
        How often, at evenly spaced epochs; after each of them if there are fewer.
    direction : {"row", "residual"}, default="row"
        What a dead latent is pointed at: the row, or what its reconstruction leaves over.
    scale : float, default=0.7
        Norm of its encoder row, as a share of the mean norm of the living, at the start of the fit;
        it falls to 0 towards the end. Above 0. The larger, the more surely it fires, and the more
        it disturbs what there is less and less time to settle.

    Notes
    -----
    Dead is here who did not fire in the whole of the epoch that has just ended. The paper resamples
    four times, always with a scale of 0.2, in fits that see each row once.

    References
    ----------
    Bricken et al., "Towards Monosemanticity", Transformer Circuits Thread, 2023.

    Examples
    --------
    >>> from skmtl.dead_latents import Resample
    >>> Resample(times=2)
    Resample(times=2)
    """

    _parameter_constraints = {
        "times": [Interval(Integral, 1, None, closed="left")],
        "direction": [StrOptions({"row", "residual"})],
        "scale": [Interval(Real, 0, None, closed="neither")],
    }

    def __init__(self, times=20, direction="row", scale=0.7):
        self.times = times
        self.direction = direction
        self.scale = scale

    def after_epoch(self, objective, params, state, data, optimizer, before, after):
        marks = np.arange(1, self.times + 1) / self.times
        if after >= 1 or not np.any((before < marks) & (marks <= after)):
            return
        dead = np.flatnonzero(state["fired"] == 0)
        if len(dead) == 0 or ("W_enc" not in params and not objective.tied):
            return
        chosen = self._drawn_rows(objective, params, state["rng"], data, len(dead))
        if chosen is None:
            return
        X = _layouts.dense_block(_layouts.take_rows(data.batch.X, chosen)).copy()
        center = objective.reconstruction.loss.link(params["b_dec"])
        directions = X - center
        if self.direction == "residual":
            directions = objective.residual(params, X)
        norms = np.linalg.norm(directions, axis=1)
        held = norms > 0  # nothing to point at
        dead, directions = dead[held], directions[held] / norms[held, None]
        params["W_dec"][dead] = directions
        if "W_enc" in params:
            living = np.delete(np.linalg.norm(params["W_enc"], axis=1), dead)
            size = self.scale * (1 - after) * (living.mean() if len(living) else 1.0)
            if not objective.shifted:
                size *= UNSHIFTED
            params["W_enc"][dead] = size * directions
        params["b_enc"][dead] = 0
        if not objective.shifted:
            params["b_enc"][dead] = -objective.with_encoder(params)["W_enc"][dead] @ center
        state["idle"][dead] = 0
        for name in {"W_enc", "W_dec", "b_enc"} & params.keys():
            optimizer.reset_rows(state["optimizer"], name, dead)

    def _drawn_rows(self, objective, params, rng, data, n_drawn):
        """Training rows, drawn by their squared loss; None if there is nothing left to learn."""
        n_rows = max(ROWS_AT_LEAST, ROWS_EACH * n_drawn)
        some = np.arange(data.n_rows)
        if data.n_rows > n_rows:
            some = np.sort(rng.choice(data.n_rows, n_rows, replace=False))
        X, weight = data.batch.X[some], data.weight[some]
        blocks = [X[block] for block in cut(len(some), BLOCK_ROWS)]
        objective.freeze(params, blocks, weight)  # a row's loss is that of its code in transform
        losses = np.concatenate([objective.row_losses(params, block) for block in blocks])
        losses = np.maximum(losses.astype(np.float64), 0)
        p = weight * losses**2
        if not p.sum() > 0:
            return None
        # By the inverse of the distribution of losses: the order of the rows does not matter, and
        # a row of weight two is drawn as two rows are.
        order = np.argsort(losses, kind="stable")
        at = np.searchsorted(np.cumsum(p[order]) / p.sum(), rng.random(n_drawn))
        return some[order[np.minimum(at, len(order) - 1)]]
