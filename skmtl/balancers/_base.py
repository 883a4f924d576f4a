"""The contract of a balancer."""

from typing import Any

import numpy as np

from skmtl._sklearn import Component


class Balancer(Component):
    """Combines the losses of the tasks into one.

    The weights reach the parameters that tasks share; each head takes its own gradient. They add
    up to one, as the ``1 / T`` of `Equal` do, so that the tasks together weigh beside the
    reconstruction what they weigh there. Any object with these methods serves.
    """

    #: Whether ``balance`` needs the Gramian. Then ``every`` (steps from one to the next) and
    #: ``momentum`` (of its average) are attributes.
    needs_gramian = False
    #: Whether single batches move the weights, so that few labels in a batch make them noise.
    per_batch = False
    #: Or a method ``observe(losses, state)``, told the losses of the same batch after the step.
    observe: Any = None

    def init(self, n_tasks, priors):
        """State of the balancer: arrays by name.

        ``priors`` holds the shares of each task's classes, (n_classes,); None for no class.
        """
        return {"equal": equal_weights(priors)}

    def balance(self, losses, mass, gramian, state, step):
        """Return the objective's value and the weight of each task, (n_tasks,).

        ``losses`` (n_tasks,) are sums of weight times loss over the labels in the batch, ``mass``
        (n_tasks,) those of the weights: one on average over the batches, and zero for a task
        without a label here. ``gramian`` (n_tasks, n_tasks) holds the inner products of the
        gradients of the tasks' mean losses, averaged over batches, with zeros for tasks that had
        no label yet; None where it is not needed or has not changed since the last step.
        """
        raise NotImplementedError


def equal_weights(priors):
    """One over the number of tasks with classes; zero for the others."""
    labelled = np.array([p is not None for p in priors])
    return labelled / max(1, labelled.sum())


def at_scale_of(equal, raw, among):
    """Weights in proportion to ``raw`` for the tasks ``among``, adding up to what `equal` does.

    ``raw`` has one entry for each task in the mask. Where it says nothing, and for the other tasks,
    the weights are equal.
    """
    weights = equal.copy()
    largest = np.abs(raw).max(initial=0)
    if 0 < largest < np.inf:
        share = raw / largest
        weights[among] = share * (equal[among].sum() / np.abs(share).sum())
    return weights
