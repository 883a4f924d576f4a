"""Task heads: one softmax over the classes of each task, all tasks in one product.

scores = code @ W_head.T + b_head, the classes of task t being offsets[t]:offsets[t + 1]
loss_t = sum_i weight[i, t] * (logsumexp(scores[i, task t]) - scores[i, task t][label[i, t]])
d_scores[i, c] = weight[i, t] * (softmax(scores[i, task t])[c] - 1[c = label[i, t]])

A missing label is -1 and has weight 0; its cells get no gradient. Where most labels are missing,
scores are only formed where there is a label: they are then a sparse code over the classes.
``W_head`` is (number of classes, n_components), so that the products are those of the decoder.
"""

import numpy as np

from skmtl import _linalg
from skmtl._gradients import add_gradient, dense_gradient
from skmtl._linalg import CSR, Support
from skmtl._math import exp_negative, log1p_unit
from skmtl._numba import kernel


@kernel
def softmax(scores, weight, label, d_scores):
    """Loss of one row's label of one task, and its gradient."""
    if len(scores) == 2:  # the same, by the difference
        z = scores[1] - scores[0]
        small = exp_negative(-abs(z))
        p = (scores.dtype.type(1) if z >= 0 else small) / (scores.dtype.type(1) + small)
        d_scores[1] = weight * (p - label)
        d_scores[0] = -d_scores[1]
        return weight * (max(z, scores.dtype.type(0)) - z * label + log1p_unit(small))
    top = scores[0]
    for c in range(1, len(scores)):
        top = max(top, scores[c])
    total = scores.dtype.type(0)
    for c in range(len(scores)):
        d_scores[c] = exp_negative(scores[c] - top)
        total += d_scores[c]
    loss = np.log(total) + top - scores[label]
    for c in range(len(scores)):
        d_scores[c] *= weight / total
    d_scores[label] -= weight
    return weight * loss


@kernel
def binary_loss(scores, labels, weight, d_scores, losses):
    """The same for tasks of two classes, by the differences of their scores: without a branch."""
    zero, one = scores.dtype.type(0), scores.dtype.type(1)
    for i in range(labels.shape[0]):
        own, d_own = scores[i], d_scores[i]
        for t in range(labels.shape[1]):
            z = own[2 * t + 1] - own[2 * t]
            w = zero if labels[i, t] < 0 else weight[i, t]
            label = one if labels[i, t] == 1 else zero
            small = exp_negative(-abs(z))
            p = (one if z >= zero else small) / (one + small)
            losses[t] += w * (max(z, zero) - z * label + log1p_unit(small))
            d_own[2 * t + 1] = w * (p - label)
            d_own[2 * t] = w * (label - p)


@kernel
def softmax_loss(scores, offsets, labels, weight, d_scores, losses):
    all_binary = True
    for t in range(labels.shape[1]):
        all_binary &= offsets[t + 1] - offsets[t] == 2
    if all_binary:
        binary_loss(scores, labels, weight, d_scores, losses)
        return
    for i in range(labels.shape[0]):
        for t in range(labels.shape[1]):
            start, stop = offsets[t], offsets[t + 1]
            if labels[i, t] < 0 or weight[i, t] == 0:
                d_scores[i, start:stop] = 0
            else:
                own, d_own = scores[i, start:stop], d_scores[i, start:stop]
                losses[t] += softmax(own, weight[i, t], labels[i, t], d_own)


@kernel
def softmax_loss_of_labelled(data, indptr, offsets, labels, weight, losses):
    """The same where row i holds the classes of its labelled tasks; overwrites the scores."""
    for i in range(labels.shape[0]):
        start = indptr[i]
        for t in range(labels.shape[1]):
            if labels[i, t] >= 0:
                stop = start + offsets[t + 1] - offsets[t]
                scores = data[start:stop].copy()
                losses[t] += softmax(scores, weight[i, t], labels[i, t], data[start:stop])
                start = stop


@kernel
def _labelled_classes(offsets, labels, indptr, indices):
    p = 0
    for i in range(labels.shape[0]):
        for t in range(labels.shape[1]):
            if labels[i, t] >= 0:
                for c in range(offsets[t], offsets[t + 1]):
                    indices[p] = c
                    p += 1
        indptr[i + 1] = p


@kernel
def softmax_by_task(scores, offsets):
    """Overwrite scores by probabilities."""
    for i in range(scores.shape[0]):
        for t in range(len(offsets) - 1):
            start, stop = offsets[t], offsets[t + 1]
            if start == stop:
                continue
            top = scores[i, start]
            for c in range(start + 1, stop):
                top = max(top, scores[i, c])
            total = 0.0
            for c in range(start, stop):
                scores[i, c] = np.exp(scores[i, c] - top)
                total += scores[i, c]
            for c in range(start, stop):
                scores[i, c] /= total


def init_heads(n_components, offsets, dtype):
    """Heads start at zero: every class equally likely, whatever the code."""
    n_classes = offsets[-1]
    return {
        "W_head": np.zeros((n_classes, n_components), dtype=dtype),
        "b_head": np.zeros(n_classes, dtype=dtype),
    }


def scores(params, code):
    """(n, total number of classes)."""
    return _linalg.matmul(code, np.ascontiguousarray(params["W_head"].T)) + params["b_head"]


def losses_and_grad(params, code, labels, weight, offsets, of_labelled):
    """Loss of each task, (T,), and ``d_scores``, dense or, ``of_labelled``, a CSR."""
    losses = np.zeros(len(offsets) - 1)
    if not of_labelled:
        all_scores = scores(params, code)
        d_scores = np.empty_like(all_scores)
        softmax_loss(all_scores, offsets, labels, weight, d_scores, losses)
        return losses, d_scores
    n_cells = int(np.count_nonzero(labels >= 0, axis=0) @ np.diff(offsets))
    indptr = np.zeros(len(labels) + 1, dtype=np.int64)
    indices = np.empty(n_cells, dtype=np.int32)
    _labelled_classes(offsets, labels, indptr, indices)
    cells = CSR(params["b_head"][indices], Support(indices, indptr, int(offsets[-1])))
    _linalg.add_adjoint(_linalg.dense_block(code), params["W_head"], cells)
    softmax_loss_of_labelled(cells.data, indptr, offsets, labels, weight, losses)
    return losses, cells


def heads_backward(params, code, d_scores, task_weights, offsets, d_code, grads):
    """Each head takes its own gradient; what reaches the shared code is weighted by task."""
    W_head = params["W_head"]
    by_class = task_weights.astype(W_head.dtype).repeat(offsets[1:] - offsets[:-1])
    if isinstance(d_scores, CSR):
        gradient = _linalg.weight_gradient(_linalg.dense_block(code), d_scores)
        weighted = _linalg.with_values(d_scores, d_scores.data * by_class[d_scores.indices])
        _linalg.add_on_support(_linalg.matmul(weighted, W_head), d_code)
    else:
        gradient = dense_gradient(_linalg.weight_gradient(code, d_scores))
        W_T = np.ascontiguousarray(W_head.T)
        _linalg.add_adjoint(d_scores * by_class, W_T, d_code)
    add_gradient(grads, "W_head", np.ascontiguousarray(gradient.T))
    add_gradient(grads, "b_head", dense_gradient(_linalg.column_sum(d_scores)))
