"""Private latents: a block of p for each task, read by its head alone.

pre_own[:, block t] = (X - shift) @ W_enc_own[block t].T + b_enc_own[block t]
own[i, j]           = max(pre_own[i, j], 0) where among the k largest of its block, else 0
recon              += own @ W_dec_own
scores[i, c]       += own[i, block t] . W_head_own[c]              for the classes c of task t
value              += coactivation * sum_j sum_l (sum_i w_i code[i, j] own[i, l])^2

In training the block of task t fires on rows with a label of that task only, and what it knows is
taken from the others' reconstruction. At inference all blocks fire, for the heads; reconstructions
are those of the shared code. ``W_head_own`` is (number of classes, p): no head holds a weight for
another task's block. The last line keeps private latents from repeating what shared ones say.
"""

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from scipy.linalg import block_diag

from skmtl import _autoencoder, _layouts, _linalg, _scratch
from skmtl._autoencoder import Adjoints
from skmtl._gradients import add_gradient, dense_gradient
from skmtl._numba import kernel

# Norm of the encoder's rows at the start: blocks begin nearly silent beside a code that is there.
START_NORM = 0.3


@dataclass(frozen=True)
class Private:
    """Sizes and strengths of private latents."""

    size: int  # latents of each task
    k: int  # of those, how many may fire on a row
    coactivation: float = 0.0


@kernel
def choose(pre, bias, allowed, sizes, indices, values, counts):
    """Of each allowed block of ``pre + bias`` the k largest positive entries, ties to the lower."""
    size, k = sizes
    for i in range(len(pre)):
        n_kept = 0
        for t in range(allowed.shape[1]):
            if not allowed[i, t]:
                continue
            first = t * size
            for j in range(first, first + size):
                own = pre[i, j] + bias[j]
                if not own > 0:
                    continue
                n_above = 0
                for other in range(first, first + size):
                    value = pre[i, other] + bias[other]
                    n_above += value > own or (value == own and other < j)
                if n_above < k:
                    indices[i, n_kept] = j
                    values[i, n_kept] = own
                    n_kept += 1
        counts[i] = n_kept


@kernel
def add_own_scores(own, size, W, offsets, scores):
    data, indices, indptr = own
    for i in range(len(scores)):
        for r in range(indptr[i], indptr[i + 1]):
            t, j = indices[r] // size, indices[r] % size
            for c in range(offsets[t], offsets[t + 1]):
                scores[i, c] += data[r] * W[c, j]


@kernel
def own_scores_backward(own, size, W, offsets, by_class, d_scores, d_own, d_W):
    data, indices, indptr = own
    for i in range(len(d_scores)):
        for r in range(indptr[i], indptr[i + 1]):
            t, j = indices[r] // size, indices[r] % size
            for c in range(offsets[t], offsets[t + 1]):
                d_own[r] += d_scores[i, c] * by_class[c] * W[c, j]
                d_W[c, j] += d_scores[i, c] * data[r]


@kernel
def add_own_scores_of_labelled(own, size, W, labelled, scores):
    data, indices, indptr = own
    rows, tasks, starts, offsets = labelled
    for p in range(len(rows)):
        i, t = rows[p], tasks[p]
        for r in range(indptr[i], indptr[i + 1]):
            if indices[r] // size == t:
                for q in range(starts[p], starts[p + 1]):
                    c = offsets[t] + q - starts[p]
                    scores[q] += data[r] * W[c, indices[r] % size]


@kernel
def own_scores_of_labelled_backward(own, W, labelled, by_class, d_scores, d_own, d_W):
    data, indices, indptr = own
    rows, tasks, starts, offsets = labelled
    size = W.shape[1]
    for p in range(len(rows)):
        i, t = rows[p], tasks[p]
        for r in range(indptr[i], indptr[i + 1]):
            if indices[r] // size == t:
                j = indices[r] % size
                for q in range(starts[p], starts[p + 1]):
                    c = offsets[t] + q - starts[p]
                    d_own[r] += d_scores[q] * by_class[c] * W[c, j]
                    d_W[c, j] += d_scores[q] * data[r]


def _arrays(own):
    return own.data, own.indices, own.indptr


def add_scores(own, W, offsets, scores):
    """Add what private latents say to the scores of all heads."""
    add_own_scores(_arrays(own), W.shape[1], W, offsets, scores)


def add_scores_of_labelled(own, W, cells, values):
    """The same for the scores of labelled tasks alone."""
    add_own_scores_of_labelled(_arrays(own), W.shape[1], W, cells, values)


def heads_backward(own, W, d_scores, by_class, offsets, d_own, grads):
    """Gradient of ``W_head_own``; adds to ``d_own``. ``d_scores`` may be `Labelled`."""
    d_W = np.zeros_like(W)
    if isinstance(d_scores, np.ndarray):
        read = _arrays(own), W.shape[1], W, offsets
        own_scores_backward(*read, by_class, d_scores, d_own.data, d_W)
    else:
        cells = d_scores.cells(offsets)
        own_scores_of_labelled_backward(
            _arrays(own), W, cells, by_class, d_scores.values, d_own.data, d_W
        )
    add_gradient(grads, "W_head_own", d_W)


def init_private(private, offsets, params, rng):
    """Arrays of the private latents, beside those of the shared ones in ``params``."""
    n_features, dtype = params["W_dec"].shape[1], params["W_dec"].dtype
    n_latents = (len(offsets) - 1) * private.size
    b_dec = params["b_dec"]
    drawn = _autoencoder.init_params(n_latents, n_features, dtype, b_dec, rng)
    own = {"W_dec_own": drawn["W_dec"], "b_enc_own": drawn["b_enc"]}
    if "W_enc" in params:
        own["W_enc_own"] = drawn["W_enc"] * dtype.type(START_NORM)
    return own | {"W_head_own": np.zeros((offsets[-1], private.size), dtype)}


def _as_encoder(params):
    """The private latents' encoder, under the names that the equations know."""
    W_enc = params.get("W_enc_own", params["W_dec_own"])
    return {"W_enc": W_enc, "b_enc": params["b_enc_own"], "b_dec": params["b_dec"]}


def encode(private, params, rows, shifted, allowed=None):
    """Private code of the encoder's input, a CSR (n, T p).

    ``allowed`` (n, T) says whose blocks may fire on a row; None is all.
    """
    encoder = _as_encoder(params)
    product, bias = _autoencoder.product_and_bias(encoder, rows, shifted, "pre_own")
    n_rows, n_latents = product.shape
    n_tasks = n_latents // private.size
    if allowed is None:
        allowed = np.ones((n_rows, n_tasks), bool)
    # A task added to a fitted model has no block.
    allowed = np.ascontiguousarray(allowed[:, :n_tasks])
    k = min(private.k, private.size)
    indices = np.empty((n_rows, n_tasks * k), np.int32)
    values, counts = np.empty(indices.shape, product.dtype), np.empty(n_rows, np.int64)
    choose(product, bias, allowed, (private.size, k), indices, values, counts)
    return _layouts.csr_from_row_lists(indices, values, counts, n_latents)


def reconstruct(params, own):
    """What private latents add to the reconstruction."""
    W_dec = params["W_dec_own"]
    out = _scratch.empty("recon_own", (own.shape[0], W_dec.shape[1]), W_dec.dtype)
    return _linalg.matmul(own, W_dec, out)


def backward(params, fwd, adj, shifted, grads):
    """From ``adj.own`` and ``adj.recon`` to the gradients of encoder and decoder."""
    if adj.recon is not None:
        add_gradient(grads, "W_dec_own", _linalg.weight_gradient(fwd.own, adj.recon))
        _linalg.add_adjoint(adj.recon, params["W_dec_own"], adj.own)
    found: dict = {}
    encoder, d_own = _as_encoder(params), Adjoints(code=None, pre=[adj.own])
    _autoencoder.encoder_backward(encoder, fwd.input, shifted, d_own, found)
    add_gradient(grads, "W_enc_own" if "W_enc_own" in params else "W_dec_own", found["W_enc"])
    add_gradient(grads, "b_enc_own", found["b_enc"])
    if shifted:
        add_gradient(grads, "b_dec", found["b_dec"])


def private_attributes(params, offsets, attributes):
    """Fitted attributes of all latents, the private ones after the shared ones."""
    both = {
        "components_": "W_dec_own",
        "encoder_components_": "W_enc_own" if "W_enc_own" in params else "W_dec_own",
        "encoder_bias_": "b_enc_own",
    }
    out = {n: np.concatenate([attributes[n], params[own]]) for n, own in both.items()}
    heads = [params["W_head_own"][first:stop] for first, stop in pairwise(offsets)]
    n_blocks = len(params["W_dec_own"]) // params["W_head_own"].shape[1]
    read = block_diag(*((head != 0).any(axis=0)[:, None] for head in heads[:n_blocks]))
    read = np.pad(read.astype(bool), ((0, 0), (0, len(heads) - n_blocks)))
    task_map = np.concatenate([attributes["task_map_"], read])
    return out | {"task_private_coef_": heads, "task_map_": task_map}


def coactivation(private, fwd, adj, weight):
    """Value of the co-activation penalty; adds to ``adj.code`` and ``adj.own``."""
    if not private.coactivation:
        return 0.0
    weighed = _layouts.dense_block(fwd.own) * weight[:, None]
    together = dense_gradient(_linalg.weight_gradient(fwd.code, weighed))  # (m, T p)
    slope = 2 * together.dtype.type(private.coactivation) * together
    _linalg.add_adjoint(weighed, slope, adj.code)
    d_own = _linalg.matmul(fwd.code, slope) * weight[:, None]
    _linalg.add_on_support(d_own, adj.own)
    return private.coactivation * float(np.vdot(together, together))
