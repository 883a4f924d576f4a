"""The contract of a penalty on the heads' weights V, applied after each step of the optimizer:

V <- prox(V) = argmin_U  value(U) + sum (U - V)^2 / (2 steps)

A penalty so applied gives exact zeros and is stable however strong it is. ``steps`` are the
optimizer's own step sizes, one an entry: Adam moves a weight by its step times the mean gradient,
so that where heads come to rest the gradients of loss and penalty cancel, as under plain descent.
"""

from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from skmtl._sklearn import Component


@dataclass(frozen=True)
class Heads:
    """Whose the rows of the heads' weights are.

    Parameters
    ----------
    offsets : ndarray of shape (n_tasks + 1,)
        Task t owns the rows ``offsets[t]:offsets[t + 1]``, one for each of its classes.
    kinds : ndarray of shape (n_tasks,)
        Equal for tasks with the same classes.
    """

    offsets: np.ndarray
    kinds: np.ndarray

    @property
    def of_tasks(self):
        """The rows of each task that has classes, as slices."""
        return [slice(*pair) for pair in pairwise(self.offsets) if pair[1] > pair[0]]

    @property
    def of_kinds(self):
        """Rows of the tasks that have the same classes, (n_tasks_alike, n_classes) each."""
        sizes, out = np.diff(self.offsets), []
        for kind in np.unique(self.kinds):
            tasks = np.flatnonzero((self.kinds == kind) & (sizes > 0))
            if len(tasks):
                out.append(self.offsets[tasks][:, None] + np.arange(sizes[tasks[0]]))
        return out


class HeadPenalty(Component):
    """A penalty on the heads' weights, by its proximal map."""

    #: Whether ``fit`` ends with the heads at the minimum of their own, convex problem: zeros that
    #: are to be read must not depend on the last batches.
    finishes = False

    def value(self, V, heads):
        """The penalty of V, (n_classes_total, n_read)."""
        raise NotImplementedError

    def shrink(self, V, steps, heads, progress):
        """Replace V, in place, by its proximal map.

        ``steps`` are of V's shape, or one number; ``progress`` is the share of the fit that lies
        behind, 1 in ``partial_fit``.
        """
        raise NotImplementedError


def step_of_group(steps, axes):
    """One step size for the entries of a group: the inverse root mean square of the inverses.

    Entries that hardly ever got a gradient have huge steps of their own; those of the others count.
    """
    if np.ndim(steps) == 0:
        return steps
    return 1 / np.sqrt(np.mean(1 / np.square(steps), axis=axes, keepdims=True))
