"""Heads on a code that stands: the minimum of  sum_t loss_t(V) + penalty(V)  over the heads alone.

The problem is convex, and its zeros are exact. Where the optimizer ends they flicker with the noise
of the batches. Accelerated proximal gradient steps over all rows (Beck and Teboulle, "A Fast
Iterative Shrinkage-Thresholding Algorithm", 2009):

V' <- prox(U - step g(U)),   U <- V' + (a - 1) / a' (V' - V),   a' = (1 + sqrt(1 + 4 a^2)) / 2

The step is halved until the losses lie below the parabola that it stands for, and never grows: no
decision hangs on rounding, so that weights are repetition here too.
"""

import numpy as np

from skmtl import _heads, _layouts
from skmtl._gradients import dense_gradient
from skmtl._objectives import Batch

N_STEPS = 200


def finish_heads(objective, params, data):
    """Bring ``W_head``, ``W_skip`` and ``b_head`` to the minimum, in place.

    Holds the codes of all rows, sparse where the sparsifier gives them so.
    """
    tasks = objective.tasks
    names = [name for name in (*_heads.WEIGHTS, "b_head") if name in params]
    read = [_read(objective, params, data, rows) for rows in data.blocks()]

    def loss(at):
        return sum(float(tasks.losses(at, *part)[0].sum()) for part in read)

    def loss_and_grads(at):
        value = 0.0
        grads: dict = {}
        for batch, code, own in read:
            losses, d_scores = tasks.losses(at, batch, code, own)
            value += float(losses.sum())
            tasks.heads_backward(at, batch, code, d_scores, grads)
        return value, {name: dense_gradient(grads[name]) for name in names}

    V = params | {name: params[name].copy() for name in names}
    U, a, step = V, 1.0, 1.0
    slack = 10 * float(np.finfo(params["W_head"].dtype).eps)
    for _ in range(N_STEPS):
        value, grads = loss_and_grads(U)
        while True:
            new = U | {name: U[name] - step * grads[name] for name in names}
            tasks.after_step(new, lambda name, step=step: step, 1.0)
            moved = {name: new[name] - U[name] for name in names}
            below = value * (1 + slack) + _dot(grads, moved) + _dot(moved, moved) / (2 * step)
            if loss(new) <= below or step < 1e-12:
                break
            step /= 2
        after = (1 + np.sqrt(1 + 4 * a * a)) / 2
        on = float((a - 1) / after)
        U = new | {name: new[name] + on * (new[name] - V[name]) for name in names}
        V, a = new, after
    for name in names:
        params[name][...] = V[name]  # its order in memory stays that of its moments


def _read(objective, params, data, rows):
    """A block of rows, and its code kept for good."""
    X, labels, label_weight, targets = data.batch
    weight = label_weight[rows] * label_weight.dtype.type(1 / data.n_rows)
    targets = None if targets is None else targets[rows]
    batch = Batch(_layouts.as_rows(X[rows]), labels[rows], weight, targets)
    code, own = objective.read_by_heads(params, batch.X)
    return batch, _layouts.with_values(code, _layouts.values(code).copy()), own


def _dot(a, b):
    return sum(float(np.vdot(a[name], b[name])) for name in a)
