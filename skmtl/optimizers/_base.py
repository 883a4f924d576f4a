"""The contract of an optimizer, and how an update reaches dense arrays and single rows."""

import numpy as np

from skmtl._gradients import Rows
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

    def begin(self, state):
        """Count a step; its updates follow."""
        state["t"] += 1

    def update(self, name, gradient, params, state, lr):
        """Update one array, or with ``Rows`` some of its rows, and its moments in place.

        May be called several times a step, and from several threads, with different rows.
        """
        value, moments, t = params[name], state["moments"][name], state["t"]
        if isinstance(gradient, Rows):
            self._update_rows(value, gradient.index, gradient.values, moments, t, lr)
            return
        if value.flags.c_contiguous != gradient.flags.c_contiguous:  # lie as the gradient does
            lay = np.ascontiguousarray if gradient.flags.c_contiguous else np.asfortranarray
            value, *moments = (lay(array) for array in (value, *moments))
            params[name], state["moments"][name] = value, tuple(moments)
        self._update(value, gradient, moments, t, lr)

    def step(self, params, grads, state, lr):
        """Update ``params`` and ``state`` in place by arrays and ``Rows``."""
        self.begin(state)
        for name, gradient in grads.items():
            self.update(name, gradient, params, state, lr)

    def step_sizes(self, name, state, lr):
        """By how much a unit of its mean gradient moves each entry of an array at this step.

        Of the array's shape, or one number.
        """
        return lr

    def reset_rows(self, state, name, rows):
        """Forget the moments of some rows of one array."""
        for moment in state["moments"][name]:
            moment[rows] = 0

    def _update(self, value, gradient, moments, t, lr):
        """Update one C-contiguous array and its moments in place."""
        raise NotImplementedError

    def _update_rows(self, value, index, gradient, moments, t, lr):
        """The same for the rows ``index``: on copies, unless a subclass knows better."""
        rows = [array[index] for array in (value, *moments)]
        self._update(rows[0], gradient, rows[1:], t, lr)
        for array, updated in zip((value, *moments), rows, strict=True):
            array[index] = updated
