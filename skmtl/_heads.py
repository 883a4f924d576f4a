"""Task heads: one softmax over the classes of each task, all tasks in one product.

scores = code @ W_head.T + b_head, the classes of task t being offsets[t]:offsets[t + 1]
         + X @ W_skip.T where heads also read X
loss_t = sum_i weight[i, t] * (logsumexp(scores[i, task t]) - scores[i, task t][label[i, t]])
d_scores[i, c] = weight[i, t] * (softmax(scores[i, task t])[c] - 1[c = label[i, t]])

A missing label is -1 and has weight 0; its cells get no gradient. Where most labels are missing,
scores are only formed where there is a label.
``W_head`` is (number of classes, n_components), so that the products are those of the decoder;
``W_skip`` is (number of classes, n_features).
"""

from dataclasses import dataclass

import numpy as np

from skmtl import _linalg, _scratch
from skmtl._gradients import add_gradient, dense_gradient
from skmtl._linalg import CSR
from skmtl._math import exp_negative, log1p_unit
from skmtl._numba import kernel
from skmtl._threads import for_each_part


@kernel
def softmax(scores, weight, label, d_scores):
    """Loss of one row's label of one task; its gradient, which may overwrite the scores."""
    if len(scores) == 2:  # the same, by the difference
        z = scores[1] - scores[0]
        small = exp_negative(-abs(z))
        p = (scores.dtype.type(1) if z >= 0 else small) / (scores.dtype.type(1) + small)
        d_scores[1] = weight * (p - label)
        d_scores[0] = -d_scores[1]
        return weight * (max(z, scores.dtype.type(0)) - z * label + log1p_unit(small))
    top, own = scores[0], scores[label]
    for c in range(1, len(scores)):
        top = max(top, scores[c])
    total = scores.dtype.type(0)
    for c in range(len(scores)):
        d_scores[c] = exp_negative(scores[c] - top)
        total += d_scores[c]
    loss = np.log(total) + top - own
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
def add_counts(labels, counts):
    for i in range(labels.shape[0]):
        for t in range(labels.shape[1]):
            counts[t] += labels[i, t] >= 0


def label_counts(labels):
    """How many labels each task has, (T,)."""
    counts = np.zeros(labels.shape[1], np.int64)
    add_counts(labels, counts)
    return counts


@kernel
def find_labelled(labels, offsets, rows, tasks, starts):
    """Row and task of each label, and where the scores of its classes start; how many there are."""
    n_labels, n_cells = 0, 0
    for i in range(labels.shape[0]):
        for t in range(labels.shape[1]):
            if labels[i, t] >= 0:
                rows[n_labels], tasks[n_labels], starts[n_labels] = i, t, n_cells
                n_labels += 1
                n_cells += offsets[t + 1] - offsets[t]
    starts[n_labels] = n_cells
    return n_labels


@kernel
def start_of_labelled(b, labelled, scores):
    """Scores of the classes of labelled tasks, before their heads read anything."""
    rows, tasks, starts, offsets = labelled
    for p in range(len(rows)):
        start = offsets[tasks[p]]
        for q in range(starts[p], starts[p + 1]):
            scores[q] = b[start + q - starts[p]]


@kernel
def add_scores_of_labelled(read, W, labelled, scores, first, stop):
    """scores[q] += read[i] . W[c]"""
    rows, tasks, starts, offsets = labelled
    for p in range(first, stop):
        own, start = read[rows[p]], offsets[tasks[p]]
        for q in range(starts[p], starts[p + 1]):
            head, score = W[start + q - starts[p]], scores[q]
            for j in range(len(own)):
                score += own[j] * head[j]
            scores[q] = score


@kernel
def add_sparse_scores_of_labelled(read, W, labelled, scores, first, stop):
    """The same for ``read = (data, indices, indptr)`` of a CSR array."""
    data, indices, indptr = read
    rows, tasks, starts, offsets = labelled
    for p in range(first, stop):
        i, start = rows[p], offsets[tasks[p]]
        for q in range(starts[p], starts[p + 1]):
            head, score = W[start + q - starts[p]], scores[q]
            for r in range(indptr[i], indptr[i + 1]):
                score += data[r] * head[indices[r]]
            scores[q] = score


@kernel
def loss_of_labelled(labelled, labels, weight, scores, losses):
    """Loss of each label; overwrites the scores of its classes by the gradient."""
    rows, tasks, starts, _ = labelled
    for p in range(len(rows)):
        own = scores[starts[p] : starts[p + 1]]
        losses[p] = softmax(own, weight[rows[p], tasks[p]], labels[rows[p], tasks[p]], own)


@kernel
def backward_of_labelled(code, W, by_class, labelled, d_scores, d_heads, d_code, columns):
    """Adds to some columns of ``d_W`` and ``d_code``, and beside the first ones to ``d_b``."""
    rows, tasks, starts, offsets = labelled
    first, stop = columns
    d_W, d_b = d_heads
    for p in range(len(rows)):
        i, start = rows[p], offsets[tasks[p]]
        own, d_own = code[i, first:stop], d_code[i, first:stop]
        for q in range(starts[p], starts[p + 1]):
            c = start + q - starts[p]
            slope, weighted = d_scores[q], d_scores[q] * by_class[c]
            head, d_head = W[c, first:stop], d_W[c, first:stop]
            if first == 0:
                d_b[c] += slope
            for j in range(len(own)):
                d_head[j] += slope * own[j]
                d_own[j] += weighted * head[j]


@kernel
def weights_of_labelled(read, labelled, d_scores, d_W, first, stop):
    """Adds to some columns of ``d_W``: d_W[c] += d_scores[q] * read[i]"""
    rows, tasks, starts, offsets = labelled
    for p in range(len(rows)):
        own, start = read[rows[p], first:stop], offsets[tasks[p]]
        for q in range(starts[p], starts[p + 1]):
            slope, d_head = d_scores[q], d_W[start + q - starts[p], first:stop]
            for j in range(len(own)):
                d_head[j] += slope * own[j]


@kernel
def sparse_weights_of_labelled(read, labelled, d_scores, d_W):
    """The same for ``read = (data, indices, indptr)`` of a CSR array."""
    data, indices, indptr = read
    rows, tasks, starts, offsets = labelled
    for p in range(len(rows)):
        i, start = rows[p], offsets[tasks[p]]
        for q in range(starts[p], starts[p + 1]):
            slope, d_head = d_scores[q], d_W[start + q - starts[p]]
            for r in range(indptr[i], indptr[i + 1]):
                d_head[indices[r]] += slope * data[r]


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


def init_skip(n_features, offsets, dtype):
    """Weights on X, from zero as those on the code."""
    return {"W_skip": np.zeros((offsets[-1], n_features), dtype=dtype)}


def scores(params, code, X=None):
    """(n, total number of classes). ``X`` is what ``W_skip`` reads, where there is one."""
    out = _linalg.matmul(code, np.ascontiguousarray(params["W_head"].T)) + params["b_head"]
    if "W_skip" in params:
        W_skip = params["W_skip"]
        out += _linalg.product(X, W_skip, _scratch.empty("skip", out.shape, W_skip.dtype))
    return out


@dataclass
class Labelled:
    """``d_scores`` of the classes of the tasks that rows have a label of.

    Label p is that of task ``tasks[p]`` in row ``rows[p]``; the gradient in the scores of its
    classes is ``values[starts[p]:starts[p + 1]]``.
    """

    rows: np.ndarray
    tasks: np.ndarray
    starts: np.ndarray
    values: np.ndarray

    def cells(self, offsets):
        """Where the values belong, for a kernel."""
        return self.rows, self.tasks, self.starts, offsets


def losses_and_grad(params, code, labels, weight, offsets, of_labelled, X=None):
    """Loss of each task, (T,), and ``d_scores``, an array or, ``of_labelled``, `Labelled`."""
    n_tasks = len(offsets) - 1
    if not of_labelled:
        losses = np.zeros(n_tasks)
        all_scores = scores(params, code, X)
        d_scores = np.empty_like(all_scores)
        softmax_loss(all_scores, offsets, labels, weight, d_scores, losses)
        return losses, d_scores
    rows, tasks, starts = _scratch.empty("labelled", (3, labels.size + 1), np.int32)
    n_labels = find_labelled(labels, offsets, rows, tasks, starts)
    rows, tasks, starts = rows[:n_labels], tasks[:n_labels], starts[: n_labels + 1]
    found = Labelled(rows, tasks, starts, np.empty(starts[-1], code.dtype))
    start_of_labelled(params["b_head"], found.cells(offsets), found.values)
    _add_scores(_linalg.dense_block(code), params["W_head"], found, offsets)
    if "W_skip" in params:
        _add_scores(X, np.ascontiguousarray(params["W_skip"]), found, offsets)
    losses = np.empty(n_labels)
    loss_of_labelled(found.cells(offsets), labels, weight, found.values, losses)
    return np.bincount(tasks, losses, minlength=n_tasks), found


def _add_scores(read, W, found, offsets):
    """Add to the scores of labelled tasks what the weights W read."""
    cells, kernel_of, n_read = found.cells(offsets), add_scores_of_labelled, W.shape[1]
    if isinstance(read, CSR):
        n_read = 1 + len(read.data) // max(1, read.shape[0])
        read, kernel_of = (read.data, read.indices, read.indptr), add_sparse_scores_of_labelled

    def part(some):
        kernel_of(read, W, cells, found.values, some.start, some.stop)

    for_each_part(part, len(found.rows), 2 * n_read)


def heads_backward(params, code, d_scores, task_weights, offsets, d_code, grads):
    """Each head takes its own gradient; what reaches the shared code is weighted by task."""
    W_head = params["W_head"]
    by_class = task_weights.astype(W_head.dtype).repeat(offsets[1:] - offsets[:-1])
    if isinstance(d_scores, Labelled):
        d_W, d_b = _backward_of_labelled(W_head, code, d_scores, by_class, offsets, d_code)
    else:
        d_W = np.ascontiguousarray(dense_gradient(_linalg.weight_gradient(code, d_scores)).T)
        d_b = _linalg.column_sum(d_scores)
        _linalg.add_adjoint(d_scores * by_class, np.ascontiguousarray(W_head.T), d_code)
    add_gradient(grads, "W_head", d_W)
    add_gradient(grads, "b_head", d_b)


def _backward_of_labelled(W_head, code, d_scores, by_class, offsets, d_code):
    labelled = d_scores.rows, d_scores.tasks, d_scores.starts, offsets
    values, d_heads = d_scores.values, (np.zeros_like(W_head), np.zeros(len(W_head), W_head.dtype))
    own, sparse = _linalg.dense_block(code), isinstance(d_code, CSR)
    d_own = np.zeros_like(own) if sparse else d_code

    def part(columns):
        span = columns.start, columns.stop
        backward_of_labelled(own, W_head, by_class, labelled, values, d_heads, d_own, span)

    for_each_part(part, own.shape[1], 2 * len(values))
    if sparse:
        _linalg.add_on_support(d_own, d_code)
    return d_heads


def skip_backward(params, X, d_scores, offsets, grads):
    """Gradient of the weights on X."""
    W_skip = params["W_skip"]
    if not isinstance(d_scores, Labelled):
        add_gradient(grads, "W_skip", _linalg.weight_gradient(d_scores, X))
        return
    cells, d_W = d_scores.cells(offsets), np.zeros(W_skip.shape, W_skip.dtype)
    if isinstance(X, CSR):
        rows_of_X = X.data, X.indices, X.indptr
        sparse_weights_of_labelled(rows_of_X, cells, d_scores.values, d_W)
    else:

        def part(columns):
            weights_of_labelled(X, cells, d_scores.values, d_W, columns.start, columns.stop)

        for_each_part(part, X.shape[1], 2 * len(d_scores.values))
    add_gradient(grads, "W_skip", d_W)
