"""The contract of an optimizer, and how an update reaches dense arrays and single rows."""

import numpy as np

from skmtl._linalg import Rows
from skmtl._sklearn import Component


class Optimizer(Component):
    """Turns gradients into updates. Holds constants, no learning rate and no arrays.

    A ``Rows`` gradient updates those rows and their moments only: latents that did not fire in a
    batch stand still, where a dense update would let them coast on their momentum.
    """

    #: How many arrays of moments each parameter needs.
    n_moments = 0

    def init(self, params):
        """State of an optimization: the step count and the moments of each array."""
        return {
            "t": 0,
            "moments": {
                name: tuple(np.zeros_like(value) for _ in range(self.n_moments))
                for name, value in params.items()
            },
        }

    def step(self, params, grads, state, lr):
        """Update ``params`` and ``state`` in place."""
        state["t"] += 1
        for name, gradient in grads.items():
            value, moments = params[name], state["moments"][name]
            if isinstance(gradient, Rows):
                rows = [np.ascontiguousarray(a[gradient.index]) for a in (value, *moments)]
                self._update(rows[0], gradient.values, rows[1:], state["t"], lr)
                for array, updated in zip((value, *moments), rows, strict=True):
                    array[gradient.index] = updated
            else:
                self._update(value, gradient, moments, state["t"], lr)

    def reset_rows(self, state, name, rows):
        """Forget the moments of some rows of one array."""
        for moment in state["moments"][name]:
            moment[rows] = 0

    def _update(self, value, gradient, moments, t, lr):
        """Update one C-contiguous array and its moments in place."""
        raise NotImplementedError
