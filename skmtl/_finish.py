"""Heads on a code that stands: the minimum of  sum_t loss_t(V) + penalty(V)  over the heads alone.

The problem is convex, and its zeros are exact. Where the optimizer ends they flicker with the noise
of the batches. Proximal gradient steps over all rows:

V <- prox(V - s g),   s = <dV, dV> / <dV, dg>  of the last step    (Barzilai and Borwein)

A step that ends above the largest of the last five values is halved (Wright, Nowak and Figueiredo,
"Sparse Reconstruction by Separable Approximation", 2009).
"""

import numpy as np

from skmtl import _heads, _linalg
from skmtl._gradients import dense_gradient
from skmtl._objectives import Batch

MAX_STEPS = 200
MEMORY = 5  # values among which a new one must not be the largest
TOL = 1e-4  # relative change of the weights at which they stand


def finish_heads(objective, params, data):
    """Bring ``W_head``, ``W_skip`` and ``b_head`` to the minimum, in place.

    Holds the codes of all rows, sparse where the sparsifier gives them so.
    """
    tasks = objective.tasks
    names = [name for name in (*_heads.WEIGHTS, "b_head") if name in params]
    read = [_read(objective, params, data, rows) for rows in data.blocks()]

    def value_and_grads(at):
        value = 0.0
        grads: dict = {}
        for batch, code, own in read:
            losses, d_scores = tasks.losses(at, batch, code, own)
            value += float(losses.sum())
            tasks.heads_backward(at, batch, code, d_scores, grads)
        value += sum(tasks.penalty.value(at[n], tasks.heads) for n in names if n != "b_head")
        return value, {name: dense_gradient(grads[name]) for name in names}

    at, step = params | {n: params[n].copy() for n in names}, 1.0
    value, grads = value_and_grads(at)
    values = [value]
    for _ in range(MAX_STEPS):
        while True:
            new = at | {name: at[name] - step * grads[name] for name in names}
            tasks.after_step(new, lambda name, s=step: s, 1.0)
            value, new_grads = value_and_grads(new)
            if value <= max(values[-MEMORY:]) or step < 1e-8:
                break
            step /= 2
        moved = _dot(names, new, at, new, at)
        bent = _dot(names, new, at, new_grads, grads)
        size = sum(float(np.vdot(new[name], new[name])) for name in names)
        at, grads = new, new_grads
        values.append(value)
        if moved <= TOL**2 * size:
            break
        step = min(max(moved / bent, 1e-6), 1e6) if bent > 0 else 2 * step
    for name in names:
        params[name] = at[name]


def _read(objective, params, data, rows):
    """A block of rows, and its code kept for good."""
    X, labels, label_weight, targets = data.batch
    weight = label_weight[rows] * label_weight.dtype.type(1 / data.n_rows)
    targets = None if targets is None else targets[rows]
    batch = Batch(_linalg.as_rows(X[rows]), labels[rows], weight, targets)
    code, own = objective.read_by_heads(params, batch.X)
    return batch, _linalg.with_values(code, _linalg.values(code).copy()), own


def _dot(names, a, b, c, d):
    """<a - b, c - d>"""
    return sum(float(np.vdot(a[name] - b[name], c[name] - d[name])) for name in names)
