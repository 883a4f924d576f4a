"""The one gradient check."""

import numpy as np

from skmtl import _gradients


def assert_gradient_matches(objective, params, *args, skip=(), eps=1e-6, n_directions=4, seed=0):
    """Along random directions of each array, the gradient agrees with central differences.

    ``objective(params, *args) -> value, grads``. Arrays without a gradient must not matter to the
    value; arrays in ``skip`` have a deliberate pseudo-gradient and are checked elsewhere.
    """
    rng = np.random.default_rng(seed)
    _, grads = objective(params, *args)
    for name in params.keys() - set(skip):
        gradient = grads.get(name)
        if gradient is None:
            gradient = np.zeros_like(params[name])
        gradient = _gradients.dense_gradient(gradient)
        assert gradient.shape == params[name].shape, name
        for _ in range(n_directions):
            v = rng.standard_normal(params[name].shape)
            up, down = (
                objective(params | {name: params[name] + sign * eps * v}, *args)[0]
                for sign in (1, -1)
            )
            np.testing.assert_allclose(
                np.vdot(gradient, v), (up - down) / (2 * eps), rtol=1e-5, atol=1e-7, err_msg=name
            )
