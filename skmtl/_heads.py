"""Task heads: one softmax over the classes of each task, all tasks in one product.

scores = code @ W_head + b_head, the columns of task t being offsets[t]:offsets[t + 1]
loss_t = sum_i weight[i, t] * (logsumexp(scores[i, task t]) - scores[i, task t][label[i, t]])
d_scores[i, c] = weight[i, t] * (softmax(scores[i, task t])[c] - 1[c = label[i, t]])

A missing label is -1 and has weight 0; its cells cost nothing and get no gradient.
"""

import numpy as np

from skmtl import _linalg
from skmtl._gradients import add_gradient
from skmtl._numba import kernel


@kernel
def softmax_loss(scores, offsets, labels, weight, d_scores, losses):
    for i in range(labels.shape[0]):
        for t in range(labels.shape[1]):
            start, stop = offsets[t], offsets[t + 1]
            if labels[i, t] < 0 or weight[i, t] == 0:
                for c in range(start, stop):
                    d_scores[i, c] = 0
                continue
            top = scores[i, start]
            for c in range(start + 1, stop):
                top = max(top, scores[i, c])
            total = 0.0
            for c in range(start, stop):
                total += np.exp(scores[i, c] - top)
            for c in range(start, stop):
                d_scores[i, c] = weight[i, t] * np.exp(scores[i, c] - top) / total
            label = start + labels[i, t]
            d_scores[i, label] -= weight[i, t]
            losses[t] += weight[i, t] * (np.log(total) + top - scores[i, label])


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
    n_columns = offsets[-1]
    return {
        "W_head": np.zeros((n_components, n_columns), dtype=dtype),
        "b_head": np.zeros(n_columns, dtype=dtype),
    }


def scores(params, code):
    """(n, total number of classes)."""
    return _linalg.matmul(code, params["W_head"]) + params["b_head"]


def heads_backward(params, code, d_scores, task_weights, offsets, d_code, grads):
    """Each head takes its own gradient; what reaches the shared code is weighted by task."""
    add_gradient(grads, "W_head", _linalg.weight_gradient(code, d_scores))
    add_gradient(grads, "b_head", _linalg.sum_rows(d_scores))
    by_column = np.repeat(task_weights, np.diff(offsets)).astype(d_scores.dtype)
    _linalg.add_adjoint(d_scores * by_column, params["W_head"], d_code)
