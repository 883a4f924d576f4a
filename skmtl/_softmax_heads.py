"""Heads for labels: a softmax over the classes of each task.

loss_t = sum_i weight[i, t] * (logsumexp(scores[i, task t]) - scores[i, task t][label[i, t]])
d_scores[i, c] = weight[i, t] * (softmax(scores[i, task t])[c] - 1[c = label[i, t]])

The second derivative, diag(p) - p p^T, has no eigenvalue above 1/2.
"""

import numpy as np

from skmtl._math import exp_negative, log1p_unit
from skmtl._numba import kernel

CURVATURE = 0.5


def add_losses(scores, offsets, own, batch, d_scores, losses):
    """Add to the losses of the tasks that are our ``own``; set their columns of ``d_scores``."""
    softmax_loss(scores, offsets, own, batch.labels, batch.label_weight, d_scores, losses)


def losses_of_labelled(cells, own, batch, scores, losses):
    """Set the loss of each label of our ``own`` tasks; overwrite its scores by their gradient."""
    softmax_of_labelled(cells, own, batch.labels, batch.label_weight, scores, losses)


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
def softmax_loss(scores, offsets, own, labels, weight, d_scores, losses):
    all_binary = True
    for t in range(labels.shape[1]):
        all_binary &= own[t] and offsets[t + 1] - offsets[t] == 2
    if all_binary:
        binary_loss(scores, labels, weight, d_scores, losses)
        return
    for i in range(labels.shape[0]):
        for t in range(labels.shape[1]):
            if not own[t]:
                continue
            start, stop = offsets[t], offsets[t + 1]
            if labels[i, t] < 0 or weight[i, t] == 0:
                d_scores[i, start:stop] = 0
            else:
                of_task, d_of_task = scores[i, start:stop], d_scores[i, start:stop]
                losses[t] += softmax(of_task, weight[i, t], labels[i, t], d_of_task)


@kernel
def softmax_of_labelled(labelled, own, labels, weight, scores, losses):
    rows, tasks, starts, _ = labelled
    for p in range(len(rows)):
        i, t = rows[p], tasks[p]
        if own[t]:
            of_task = scores[starts[p] : starts[p + 1]]
            losses[p] = softmax(of_task, weight[i, t], labels[i, t], of_task)


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
