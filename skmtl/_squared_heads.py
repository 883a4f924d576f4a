"""Heads for real targets: the squared error of one score per task.

loss_t = sum_i weight[i, t] * (scores[i, task t] - targets[i, t])^2
d_scores[i, task t] = 2 * weight[i, t] * (scores[i, task t] - targets[i, t])

Targets come in units of their task: mean 0 and variance 1 over its weighted training rows. So a
head starts at the mean, a task loses 1 there, and none drowns another by the size of its numbers.
"""

from skmtl._numba import kernel

CURVATURE = 2.0


def add_losses(scores, offsets, own, batch, d_scores, losses):
    """Add to the losses of the tasks that are our ``own``; set their columns of ``d_scores``."""
    squared_loss(scores, offsets, own, batch.targets, batch.label_weight, d_scores, losses)


def losses_of_labelled(cells, own, batch, scores, losses):
    """Set the loss of each target of our ``own`` tasks; overwrite its score by its gradient."""
    squared_of_labelled(cells, own, batch.targets, batch.label_weight, scores, losses)


@kernel
def squared_loss(scores, offsets, own, targets, weight, d_scores, losses):
    for i in range(targets.shape[0]):
        for t in range(targets.shape[1]):
            if own[t]:
                for c in range(offsets[t], offsets[t + 1]):  # one, or none without any target
                    error = scores[i, c] - targets[i, t]
                    slope = weight[i, t] * error
                    losses[t] += slope * error
                    d_scores[i, c] = slope + slope


@kernel
def squared_of_labelled(labelled, own, targets, weight, scores, losses):
    rows, tasks, starts, _ = labelled
    for p in range(len(rows)):
        i, t, c = rows[p], tasks[p], starts[p]
        if own[t]:
            error = scores[c] - targets[i, t]
            slope = weight[i, t] * error
            losses[p] = slope * error
            scores[c] = slope + slope
