"""The Gramian of the tasks' gradients, without a backward pass for each task.

G[s, t] = <grad_s, grad_t>  over  W_enc and b_enc,  grad_t = (D_t' X~, b_t):

G[s, t] = sum over i, j of  K[i, j] D_s[i] . D_t[j]  +  b_s . b_t,   K = X~ X~'.

X~ is the encoder's input as it was in the step (shifted, dropped out), D_t the adjoint of ``pre``
of task t's loss, b_t its gradient in b_enc: the sum of D_t's rows but for sparsifiers that use the
bias once more. D_t has only the rows that task t has a label of, and the entries that the
sparsifier lets through. With N labels in a batch of n rows, T tasks and k entries a row of D_t this
costs n (n d + N k) + T N k, and no array of the size of T gradients is ever held.

Tasks reach the encoder alone, so with tied weights this is the Gramian at the one weight matrix.
Left out are b_dec, where the encoder's input is measured from it, and the sparsifier's own arrays.
"""

from dataclasses import dataclass

import numpy as np

from skmtl import _layouts, _linalg
from skmtl._layouts import CSR
from skmtl._numba import kernel


@kernel
def sparse_products(data, indices, indptr, rows, starts, K, spread, out):
    """out[s, t] = sum over i in s, j in t of K[rows[i], rows[j]] D[i] . D[j],  t >= s.

    Task t has the rows range(starts[t], starts[t + 1]) of D. ``spread`` (m, n), zero before and
    after, holds D_s' K.
    """
    n_tasks = len(starts) - 1
    for s in range(n_tasks):
        for i in range(starts[s], starts[s + 1]):
            k_row = K[rows[i]]
            for p in range(indptr[i], indptr[i + 1]):
                own, d = spread[indices[p]], data[p]
                for j in range(len(k_row)):
                    own[j] += d * k_row[j]
        for t in range(s, n_tasks):
            for j in range(starts[t], starts[t + 1]):
                for p in range(indptr[j], indptr[j + 1]):
                    out[s, t] += data[p] * spread[indices[p], rows[j]]
        for p in range(indptr[starts[s]], indptr[starts[s + 1]]):
            spread[indices[p]] = 0


def gramian(X, shift, adjoints):
    """The Gramian, (T, T) float64.

    Parameters
    ----------
    X : ndarray or CSR of shape (n, d)
        The encoder's input.
    shift : ndarray of shape (d,) or None
        What is yet to be subtracted from a CSR.
    adjoints : list of (rows, D, d_bias) or None
        Of each task, the rows it has an adjoint on, (n_t,), that adjoint of their
        pre-activations, (n_t, m), and the gradient in the bias, (m,). None for a task without any.
    """
    out = np.zeros((len(adjoints), len(adjoints)))
    held = [t for t, part in enumerate(adjoints) if part is not None]
    if not held:
        return out
    rows_of, parts, biases = zip(*(adjoints[t] for t in held), strict=True)
    starts = np.concatenate([[0], np.cumsum([len(rows) for rows in rows_of])])
    rows, of_bias = np.concatenate(rows_of), np.array(biases, dtype=np.float64)
    K, D = _linalg.row_products(X, shift), _layouts.stack_rows(parts)
    if isinstance(D, CSR):
        own = np.zeros((len(held), len(held)))
        spread = np.zeros((D.shape[1], len(K)), K.dtype)
        sparse_products(D.data, D.indices, D.indptr, rows, starts, K, spread, own)
        own = np.triu(own) + np.triu(own, 1).T
    else:
        own = np.array([_products_with(s, D, rows, starts, K) for s in range(len(held))])
        own = (own + own.T) / 2
    out[np.ix_(held, held)] = own + of_bias @ of_bias.T
    return out


def _products_with(s, D, rows, starts, K):
    """Row s of the products: of D_s' K, spread over the batch, with every task's own rows."""
    own = slice(starts[s], starts[s + 1])
    spread = K[:, rows[own]] @ D[own]
    by_row = np.einsum("ij,ij->i", spread[rows], D, dtype=np.float64)
    return np.add.reduceat(by_row, starts[:-1])


@dataclass
class AveragedGramian:
    """An average over batches that a task enters when it has labels, and that stays a Gramian.

    G <- R G R + P g P,  p_t = sqrt(1 - momentum), r_t = sqrt(momentum) for the tasks of the batch,
    0 and 1 for the others; for both tasks of a pair in the batch the usual average. A task's first
    batches are averaged with equal weight. ``g`` is of the gradients of the mean losses.
    """

    every: int = 4  # steps from one Gramian to the next
    momentum: float = 0.95

    def __call__(self, compute, mass, state):
        """The average after this step; None where none is due. ``compute`` gives the batch's."""
        kept = state.setdefault("gramian", no_gramian(len(mass)))
        kept["steps"] += 1
        here = mass > 0
        if (kept["steps"] - 1) % self.every or not here.any():
            return None
        mean_loss = np.where(here, 1 / np.where(here, mass, 1), 0)
        fresh = compute() * np.outer(mean_loss, mean_loss)
        if not np.isfinite(fresh).all():
            return None
        kept["updates"] = kept["updates"] + here
        share = here * np.maximum(1 - self.momentum, 1 / np.maximum(kept["updates"], 1))
        new, old = np.sqrt(share), np.sqrt(1 - share)
        kept["mean"] = kept["mean"] * np.outer(old, old) + fresh * np.outer(new, new)
        norm = np.sqrt(np.diagonal(kept["mean"]))
        known = np.outer(norm > 0, norm > 0)
        cosine = np.divide(
            kept["mean"], np.outer(norm, norm), where=known, out=np.zeros_like(fresh)
        )
        kept["cosines"] = kept["cosines"] + np.clip(cosine, -1, 1)
        kept["n_cosines"] = kept["n_cosines"] + known
        return kept["mean"]


def no_gramian(n_tasks):
    """What is kept of the tasks' gradients before there are any."""
    square = (n_tasks, n_tasks)
    return {
        "steps": 0,
        "updates": np.zeros(n_tasks, np.int64),
        "mean": np.zeros(square),
        "cosines": np.zeros(square),  # sums, and of how many
        "n_cosines": np.zeros(square, np.int64),
    }


def affinity(state):
    """Mean cosine of the averaged gradients of each pair of tasks, (T, T).

    NaN where one of them never had a gradient.
    """
    kept = state["gramian"]
    n = kept["n_cosines"]
    return np.divide(kept["cosines"], n, where=n > 0, out=np.full(n.shape, np.nan))
