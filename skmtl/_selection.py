"""The guard: for each task the best of the trained head, a head on X, and a head on code and X.

By log loss on held-out rows. A trained code knows the labels it was trained on, so a head on it
looks better on those rows than it is: each fold is held out of the whole fit, code, pretraining and
all, and the trained head of that fit is what stands for "shared". The other two are logistic
regressions on the rest, each with the strength that does best:

shared   scores of the model trained without the fold
raw      X @ W.T + b
both     code @ V.T + X @ W.T + b,   the code that of the same model

Where one of the last two wins, it is fitted once more to all rows, on the final code.
"""

import numpy as np
import scipy.sparse as sp

from skmtl import _linalg
from skmtl._logistic import STRENGTHS, fit_logistic, folds_of, held_out_losses, losses_of
from skmtl._threads import map_row_blocks

CHOICES = ("shared", "raw", "both")
N_FOLDS = 3


def select_heads(objective, params, data, fit_without, seed):
    """Choose and set each task's head in ``params``, which may get ``W_skip``.

    Parameters
    ----------
    objective : Objective
    params : dict
        Of the model fitted to all of ``data``.
    data : Data
    fit_without : callable
        From the rows to train on, a mask (n,), to the parameters of a model fitted to them.
    seed : int
        Of the folds.

    Returns
    -------
    ndarray of shape (n_tasks,)
        The choice for each task.
    """
    labels, weight, offsets = data.batch.labels, data.batch.label_weight, objective.tasks.offsets
    codes = np.where(weight > 0, labels, -1)
    judged = [t for t in range(codes.shape[1]) if _can_judge(codes[:, t], np.diff(offsets)[t])]
    chosen = np.full(codes.shape[1], "shared", dtype="U6")
    if not judged:
        return chosen
    folds = folds_of(codes, N_FOLDS, np.random.default_rng(seed))
    # For each task the summed losses of: shared; raw and both with each strength.
    totals = np.zeros((codes.shape[1], 1 + 2 * len(STRENGTHS)))
    for f in range(N_FOLDS):
        own = fit_without(folds != f)
        scores = _in_blocks(data.batch.X, lambda X, own=own: objective.scores(own, X))
        R = code_and_X(objective, own, data.batch.X)
        for t in judged:
            totals[t] += _losses(data, scores, R, t, offsets, folds == f)
    R = code_and_X(objective, params, data.batch.X)
    for t in judged:
        best = int(np.argmin(totals[t]))  # the first of equals: shared
        if best == 0:
            continue
        chosen[t] = CHOICES[1 + (best - 1) // len(STRENGTHS)]
        held = codes[:, t] >= 0
        read = data.batch.X if chosen[t] == "raw" else R
        head = slice(offsets[t], offsets[t + 1])
        C = STRENGTHS[(best - 1) % len(STRENGTHS)]
        args = codes[held, t], weight[held, t], head.stop - head.start, C
        _set_head(params, head, *fit_logistic(read[held], *args))
    return chosen


def _can_judge(codes, n_classes):
    """Whether each class is there in every fold and outside it."""
    counts = np.bincount(codes[codes >= 0], minlength=n_classes)
    return n_classes >= 2 and counts.min() >= N_FOLDS


def _losses(data, scores, R, t, offsets, out):
    """Summed losses of a task's labels in a fold: the trained head's, and those of the others."""
    held = (data.batch.labels[:, t] >= 0) & (data.batch.label_weight[:, t] > 0)
    label, weight = data.batch.labels[held, t], data.batch.label_weight[held, t].astype(float)
    out = out[held]
    of_shared = losses_of(scores[held, offsets[t] : offsets[t + 1]][out].astype(float), label[out])
    losses = [weight[out] @ of_shared]
    n_classes = offsets[t + 1] - offsets[t]
    for read in (data.batch.X[held], R[held]):
        for C in STRENGTHS:
            of_head = held_out_losses(read, label, weight, n_classes, ~out, C)
            losses.append(weight[out] @ of_head)
    return np.array(losses)


def _set_head(params, head, W, b):
    """A head on X, or on code and X, in place of the trained one."""
    n_features = params["W_skip"].shape[1]
    params["W_skip"][head] = W[:, -n_features:]
    params["W_head"][head] = W[:, :-n_features] if W.shape[1] > n_features else 0
    params["b_head"][head] = b
    if "W_head_own" in params:
        params["W_head_own"][head] = 0


def code_and_X(objective, params, X, with_X=True):
    """The code, with X beside it or not; sparse if one of them is."""

    def read(rows):
        code, _ = objective.read_by_heads(params, _linalg.as_rows(rows))
        own = code.copy() if isinstance(code, np.ndarray) else _linalg.to_scipy(code)
        return _beside(own, rows) if with_X else own

    return _in_blocks(X, read)


def _beside(code, X):
    if isinstance(code, np.ndarray) and isinstance(X, np.ndarray):
        return np.hstack([code, X])
    return sp.hstack([sp.csr_array(code), sp.csr_array(X)], format="csr")


def _in_blocks(X, function):
    blocks = map_row_blocks(lambda rows: function(X[rows]), X.shape[0])
    return sp.vstack(blocks, format="csr") if sp.issparse(blocks[0]) else np.concatenate(blocks)
