"""Heads on a code that stands: the minimum of  sum_t loss_t(V) + penalty(V)  over the heads alone.

The problem is convex, and its zeros are exact. Where the optimizer ends they flicker with the noise
of the batches. Accelerated proximal gradient steps over all rows (Beck and Teboulle, "A Fast
Iterative Shrinkage-Thresholding Algorithm", 2009):

V' <- prox(U - g(U) / D),   U <- V' + (a - 1) / a' (V' - V),   a' = (1 + sqrt(1 + 4 a^2)) / 2

D bounds the losses' second derivative. With z_i what the heads read of row i, and the 1 of the
bias, that of task t is at most  h_t sum_i w_it z_i z_i^T  (h_t is 1/2 for a softmax, 2 for a
squared error), and that at most a diagonal matrix, for any positive x (De Pierro, "A Modified
Expectation Maximization Algorithm for Penalized Likelihood Estimation", 1995):

D_j = max_t h_t sum_i w_it |z_ij| r_i / x_j,   r_i = sum_j |z_ij| x_j,   x_j = 1 / rms(z_j)

So each latent comes at the scale that it has, and no step is tried and taken back: near the minimum
only rounding tells losses apart, and weights are to be repetition here too.
"""

import numpy as np

from skmtl import _heads, _layouts, _linalg
from skmtl._gradients import dense_gradient
from skmtl._objectives import Batch

N_STEPS = 300


def finish_heads(objective, params, data):
    """Bring ``W_head``, ``W_skip`` and ``b_head`` to the minimum, in place.

    Holds the codes of all rows, sparse where the sparsifier gives them so.
    """
    tasks = objective.tasks
    names = [name for name in (*_heads.WEIGHTS, "b_head") if name in params]
    read = [_read(objective, params, data, rows) for rows in data.blocks()]

    def gradients(at):
        grads: dict = {}
        for batch, code, own, _ in read:
            _, d_scores = tasks.losses(at, batch, code, own)
            tasks.heads_backward(at, batch, code, d_scores, grads)
        return {name: dense_gradient(grads[name]) for name in names}

    steps = {name: 1 / bound for name, bound in _bounds(tasks, params, names, read).items()}
    V = params | {name: params[name].copy() for name in names}
    U, a = V, 1.0
    for _ in range(N_STEPS):
        g = gradients(U)
        new = U | {name: U[name] - (steps[name] * g[name]).astype(U[name].dtype) for name in names}
        tasks.after_step(new, steps.get, 1.0)
        after = (1 + np.sqrt(1 + 4 * a * a)) / 2
        on = float((a - 1) / after)
        U = new | {name: new[name] + on * (new[name] - V[name]) for name in names}
        V, a = new, after
    for name in names:
        params[name][...] = V[name]  # its order in memory stays that of its moments


def _bounds(tasks, params, names, read):
    """D of each array, of its shape."""

    def sums(function, of_row):
        """``max_t h_t sum_i w_it of_row_i function(z_ij)`` by name, one number a column."""
        grads: dict = {}
        for b, (batch, code, own, weight) in enumerate(read):
            _, d_scores = tasks.losses(params, batch, code, own)
            d_scores = _heads.with_values(d_scores, weight * of_row[b], tasks.offsets)
            of_code = _layouts.with_values(code, function(_layouts.values(code)))
            if "W_skip" in names:
                values = function(_layouts.values(batch.X))
                batch = batch._replace(X=_layouts.with_values(batch.X, values))
            tasks.heads_backward(params, batch, of_code, d_scores, grads)
        return {
            name: np.asarray(dense_gradient(grads[name])).max(axis=0, initial=0) for name in names
        }

    squares = sums(np.square, [1] * len(read))
    x = {name: 1 / np.sqrt(np.where(own > 0, own, 1)) for name, own in squares.items()}
    r = []
    for batch, code, _, _ in read:
        parts = {"W_head": code, "W_skip": batch.X}
        r.append(x["b_head"] + sum(_row_sums(parts[n], x[n]) for n in names if n in parts))
    D = {name: own / x[name].astype(np.float64) for name, own in sums(np.abs, r).items()}
    # What nobody reads has no loss either: the penalty alone moves it, in one step.
    least = 1e-12 * max(own.max() for own in D.values())
    D = {name: np.where(own > 0, own, least) for name, own in D.items()}
    return {name: np.broadcast_to(own, params[name].shape) for name, own in D.items()}


def _row_sums(Z, x):
    """``sum_j |z_ij| x_j``, (n, 1)."""
    size = _layouts.with_values(Z, np.abs(_layouts.values(Z)))
    return _linalg.matmul(size, x.astype(size.dtype).reshape(-1, 1))


def _read(objective, params, data, rows):
    """A block of rows, its code kept for good, and h_t w_it of each label."""
    X, labels, label_weight, targets = data.batch
    weight = label_weight[rows] * label_weight.dtype.type(1 / data.n_rows)
    targets = None if targets is None else targets[rows]
    batch = Batch(_layouts.as_rows(X[rows]), labels[rows], weight, targets)
    code, own = objective.read_by_heads(params, batch.X)
    code = _layouts.with_values(code, _layouts.values(code).copy())
    curved = _heads.curvatures(objective.tasks.of_kind).astype(weight.dtype)
    return batch, code, own, np.where(np.asarray(batch.labels) >= 0, weight, 0) * curved
