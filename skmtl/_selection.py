"""The guard: for each task the best of the trained head, a head on X, and a head on code and X.

By the task's own loss on held-out rows. A trained code knows the labels it was trained on, so a
head on it looks better on those rows than it is: each fold is held out of the whole fit, code,
pretraining and all, and the trained head of that fit is what stands for "shared". The other two are
logistic (for real targets ridge) regressions on the rest, each with the strength that does best:

shared   scores of the model trained without the fold
raw      X @ W.T + b
both     code @ V.T + X @ W.T + b,   the code that of the same model

Where one of the last two wins, it is fitted once more to all rows, on the final code: that of each
member of an ensemble.
"""

from dataclasses import dataclass

import numpy as np
import scipy.sparse as sp

from skmtl import _layouts
from skmtl._logistic import STRENGTHS, fit_logistic, folds_of, losses_of
from skmtl._ridge import fit_ridge, squared_errors
from skmtl._threads import map_row_blocks

CHOICES = ("shared", "raw", "both")
N_FOLDS = 3
#: For each kind of heads, how one by itself is fitted, and its loss of each row.
ALONE: dict = {
    "softmax": (fit_logistic, losses_of),
    "squared_error": (fit_ridge, squared_errors),
}


def judge_heads(objective, data, fit_without, seed):
    """Choose each task's head.

    Parameters
    ----------
    objective : Objective
    data : Data
    fit_without : callable
        From the rows to train on, a mask (n,), to the parameters of a model fitted to them.
    seed : int
        Of the folds.

    Returns
    -------
    dict
        From each task that could be judged to the number of the way to form its scores: 0 is
        shared; then come raw and both, with each strength.
    """
    judged = _all_judged(objective.tasks, data.batch)
    if not judged:
        return {}
    counted = np.where(data.batch.label_weight > 0, data.batch.labels, -1)
    folds = folds_of(counted, N_FOLDS, np.random.default_rng(seed))
    losses = {t: np.empty((task.held.sum(), 1 + 2 * len(STRENGTHS))) for t, task in judged.items()}
    for f in range(N_FOLDS):
        own = fit_without(folds != f)
        scores = _in_blocks(data.batch.X, lambda X, own=own: objective.scores(own, X))
        R = code_and_X(objective, own, data.batch.X)
        for t, task in judged.items():
            out = folds[task.held] == f
            losses[t][out] = _losses(task, data.batch.X, scores, R, out)
    # The first of equals: shared.
    return {t: int(np.argmin(task.weight @ losses[t])) for t, task in judged.items()}


def place_heads(objective, params, data, best):
    """Fit the heads chosen by `judge_heads` and put them in place of trained ones.

    Parameters
    ----------
    objective : Objective
    params : dict
        Of a model fitted to all of ``data``, with ``W_skip``; changed in place.
    data : Data
    best : dict
        The choice for each task that was judged.

    Returns
    -------
    ndarray of shape (n_tasks,)
        The choice for each task, by name.
    """
    chosen = np.full(len(objective.tasks.offsets) - 1, "shared", dtype="U6")
    if not any(best.values()):
        return chosen
    R = code_and_X(objective, params, data.batch.X)
    for t, task in _all_judged(objective.tasks, data.batch).items():
        if best[t] == 0:
            continue
        of_choice, of_strength = divmod(best[t] - 1, len(STRENGTHS))
        chosen[t] = CHOICES[1 + of_choice]
        read = data.batch.X if chosen[t] == "raw" else R
        _set_head(params, task.head, *task.fit(read[task.held], STRENGTHS[of_strength]))
    return chosen


@dataclass
class Judged:
    """A task that can be judged: its rows with a label, and its kind of head by itself."""

    held: np.ndarray  # (n,) of bool
    target: np.ndarray  # of the rows held
    weight: np.ndarray
    head: slice  # columns of its scores
    kind: str

    def fit(self, rows, C, some=slice(None)):
        """Weights and intercepts of a head fitted to some of the rows held."""
        width = self.head.stop - self.head.start
        return ALONE[self.kind][0](rows, self.target[some], self.weight[some], width, C)

    def losses(self, scores, some):
        """Loss of each of some of the rows held, by their scores."""
        return ALONE[self.kind][1](scores.astype(float), self.target[some])


def _all_judged(tasks, batch):
    """The tasks that can be judged, by number."""
    found = ((t, _judged(tasks, batch, t)) for t in range(len(tasks.offsets) - 1))
    return {t: task for t, task in found if task is not None}


def _judged(tasks, batch, t):
    """The task, or None where some class is not in every fold and outside it."""
    held = (batch.labels[:, t] >= 0) & (batch.label_weight[:, t] > 0)
    label, weight = batch.labels[held, t], batch.label_weight[held, t].astype(float)
    head = slice(tasks.offsets[t], tasks.offsets[t + 1])
    kind = next(kind for kind, own in tasks.of_kind.items() if own[t])
    if kind == "squared_error":
        target = batch.targets[held, t].astype(float)
        return Judged(held, target, weight, head, kind) if len(target) >= 2 * N_FOLDS else None
    counts = np.bincount(label, minlength=head.stop - head.start)
    if len(counts) < 2 or counts.min() < N_FOLDS:
        return None
    return Judged(held, label, weight, head, kind)


def _losses(task, X, scores, R, out):
    """Losses of a task's labels that are left ``out``, a column for each way to form its scores."""
    columns = [task.losses(scores[task.held, task.head][out], out)]
    for read in (X[task.held], R[task.held]):
        for C in STRENGTHS:
            W, b = task.fit(read[~out], C, ~out)
            columns.append(task.losses(read[out] @ W.T + b, out))
    return np.column_stack(columns)


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
        code, _ = objective.read_by_heads(params, _layouts.as_rows(rows))
        own = code.copy() if isinstance(code, np.ndarray) else _layouts.to_scipy(code)
        return _beside(own, rows) if with_X else own

    return _in_blocks(X, read)


def _beside(code, X):
    if isinstance(code, np.ndarray) and isinstance(X, np.ndarray):
        return np.hstack([code, X])
    return sp.hstack([sp.csr_array(code), sp.csr_array(X)], format="csr")


def _in_blocks(X, function):
    blocks = map_row_blocks(lambda rows: function(X[rows]), X.shape[0])
    return sp.vstack(blocks, format="csr") if sp.issparse(blocks[0]) else np.concatenate(blocks)
