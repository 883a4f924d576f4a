"""Task heads: the scores of all tasks in one product.

scores = code @ W_head.T + b_head, those of task t being scores[:, offsets[t]:offsets[t + 1]]
         + X @ W_skip.T where heads also read X, and what private latents say, see `_private`
loss_t, d_scores: by the kind of the task's head, each in a file of its own, see `KINDS`

A missing label is -1 and has weight 0; its cells get no gradient. Where most labels are missing,
scores are only formed where there is a label.
``W_head`` is (number of classes, n_components), so that the products are those of the decoder;
``W_skip`` is (number of classes, n_features).
"""

from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np

from skmtl import _layouts, _linalg, _private, _scratch, _softmax_heads, _squared_heads
from skmtl._gradients import add_gradient, dense_gradient
from skmtl._layouts import CSR
from skmtl._numba import kernel
from skmtl._threads import for_each_part

#: From a kind of heads to its ``add_losses`` and ``losses_of_labelled``. A task has one kind.
KINDS: dict = {"softmax": _softmax_heads, "squared_error": _squared_heads}
#: Arrays of weights of heads, a row for each class.
WEIGHTS = ("W_head", "W_skip")


@kernel
def add_mass(labels, weight, mass):
    for i in range(labels.shape[0]):
        for t in range(labels.shape[1]):
            mass[t] += weight[i, t] if labels[i, t] >= 0 else weight.dtype.type(0)


def label_mass(labels, weight):
    """What the labels of each task weigh together, (T,)."""
    mass = np.zeros(labels.shape[1])
    add_mass(labels, weight, mass)
    return mass


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


def init_heads(n_components, offsets, dtype):
    """Heads start at zero: every class equally likely, or the mean, whatever the code."""
    n_classes = offsets[-1]
    return {
        "W_head": np.zeros((n_classes, n_components), dtype=dtype),
        "b_head": np.zeros(n_classes, dtype=dtype),
    }


def init_skip(n_features, offsets, dtype):
    """Weights on X, from zero as those on the code."""
    return {"W_skip": np.zeros((offsets[-1], n_features), dtype=dtype)}


def scores(params, code, X=None, own=None, offsets=None, later=()):
    """(n, total number of classes). ``X`` is what ``W_skip`` reads, where there is one.

    ``own`` is the code of private latents, where there are some. ``later`` holds the first classes
    of heads that were added to a fitted model: their products are apart, so that the bits of
    earlier ones stay as they were.
    """
    edges = [0, *later, len(params["b_head"])]
    parts = [_scores_of(params, code, X, slice(*pair)) for pair in pairwise(edges)]
    out = parts[0] if len(parts) == 1 else np.hstack(parts)
    if own is not None:
        _private.add_scores(own, params["W_head_own"], offsets, out)
    return out


def _scores_of(params, code, X, classes):
    W_head, b_head = params["W_head"][classes], params["b_head"][classes]
    out = _linalg.matmul(code, np.ascontiguousarray(W_head.T)) + b_head
    if "W_skip" in params:
        W_skip = params["W_skip"][classes]
        if not W_skip.flags.c_contiguous:
            W_skip = np.asfortranarray(W_skip)  # some rows of an array in this order
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


def losses_and_grad(params, code, batch, offsets, kinds, of_labelled, own=None):
    """Loss of each task, (T,), and ``d_scores``, an array or, ``of_labelled``, `Labelled`.

    ``kinds`` holds for each kind of heads which tasks are of it, (T,) of bool; ``own`` is the code
    of private latents.
    """
    n_tasks = len(offsets) - 1
    if not of_labelled:
        losses = np.zeros(n_tasks)
        all_scores = scores(params, code, batch.X, own, offsets)
        d_scores = np.empty_like(all_scores)
        for kind, of_kind in kinds.items():
            KINDS[kind].add_losses(all_scores, offsets, of_kind, batch, d_scores, losses)
        return losses, d_scores
    labels = batch.labels
    rows, tasks, starts = _scratch.empty("labelled", (3, labels.size + 1), np.int32)
    n_labels = find_labelled(labels, offsets, rows, tasks, starts)
    rows, tasks, starts = rows[:n_labels], tasks[:n_labels], starts[: n_labels + 1]
    found = Labelled(rows, tasks, starts, np.empty(starts[-1], code.dtype))
    start_of_labelled(params["b_head"], found.cells(offsets), found.values)
    _add_scores(_layouts.dense_block(code), params["W_head"], found, offsets)
    if "W_skip" in params:
        _add_scores(batch.X, np.ascontiguousarray(params["W_skip"]), found, offsets)
    if own is not None:
        cells = found.cells(offsets)
        _private.add_scores_of_labelled(own, params["W_head_own"], cells, found.values)
    losses = np.empty(n_labels)
    for kind, of_kind in kinds.items():
        KINDS[kind].losses_of_labelled(found.cells(offsets), of_kind, batch, found.values, losses)
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


def with_values(d_scores, of_labels, offsets):
    """As ``d_scores``, but all classes of a label's task have its ``of_labels``, (n, T)."""
    if not isinstance(d_scores, Labelled):
        return of_labels.repeat(offsets[1:] - offsets[:-1], axis=1)
    values = of_labels[d_scores.rows, d_scores.tasks]
    return replace(d_scores, values=values.repeat(np.diff(d_scores.starts)))


def curvatures(of_kind):
    """How large the second derivative of each task's loss in its scores can be, (T,)."""
    return sum(KINDS[kind].CURVATURE * of_tasks for kind, of_tasks in of_kind.items())


def by_class(task_weights, offsets, params):
    """The weight of each class's task."""
    return task_weights.astype(params["W_head"].dtype).repeat(offsets[1:] - offsets[:-1])


def heads_backward(params, code, d_scores, task_weights, offsets, d_code, grads):
    """Each head takes its own gradient; what reaches the shared code is weighted by task."""
    W_head, weights = params["W_head"], by_class(task_weights, offsets, params)
    if isinstance(d_scores, Labelled):
        d_W, d_b = _backward_of_labelled(W_head, code, d_scores, weights, offsets, d_code)
    else:
        d_W = np.ascontiguousarray(dense_gradient(_linalg.weight_gradient(code, d_scores)).T)
        d_b = _linalg.column_sum(d_scores)
        _linalg.add_adjoint(d_scores * weights, np.ascontiguousarray(W_head.T), d_code)
    add_gradient(grads, "W_head", d_W)
    add_gradient(grads, "b_head", d_b)


def _backward_of_labelled(W_head, code, d_scores, by_class, offsets, d_code):
    labelled = d_scores.rows, d_scores.tasks, d_scores.starts, offsets
    values, d_heads = d_scores.values, (np.zeros_like(W_head), np.zeros(len(W_head), W_head.dtype))
    own, sparse = _layouts.dense_block(code), isinstance(d_code, CSR)
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


def scores_adjoint_of(task, d_scores, offsets):
    """The rows that a task's loss depends on, and its adjoint of their scores of its classes."""
    start, stop = offsets[task], offsets[task + 1]
    if not isinstance(d_scores, Labelled):
        own = d_scores[:, start:stop]
        rows = np.flatnonzero(own.any(axis=1))
        return rows, own[rows]
    held = np.flatnonzero(d_scores.tasks == task)
    cells = d_scores.starts[held, None] + np.arange(stop - start)
    return d_scores.rows[held].astype(np.int64), d_scores.values[cells]


def code_adjoint_of(task, params, code, d_own, offsets):
    """A task's own adjoint of the code of those rows."""
    head = params["W_head"][offsets[task] : offsets[task + 1]]
    d_code = _layouts.with_values(code, np.zeros_like(_layouts.values(code)))
    _linalg.add_adjoint(d_own, np.ascontiguousarray(head.T), d_code)
    return d_code
