"""Adam, with g the gradient of step t:

m <- beta1 m + (1 - beta1) g
v <- beta2 v + (1 - beta2) g^2
w <- w - lr * (m / (1 - beta1^t)) / (sqrt(v / (1 - beta2^t)) + epsilon)

AdamW first shrinks the weights, w <- (1 - lr * decay) w, apart from the gradient.
"""

from numbers import Real

import numpy as np

from skmtl._numba import kernel
from skmtl._sklearn import Interval
from skmtl.optimizers._base import Optimizer


@kernel
def constants_of(w, decays, t, lr, shrink):
    """In the arrays' own type, in which the loop then computes."""
    beta1, beta2, epsilon = decays
    number = w.dtype.type
    rises = number(1 - beta1), number(1 - beta2)
    scales = number(1 / (1 - beta1**t)), number(1 / (1 - beta2**t))
    return rises, scales, (number(epsilon), number(lr), number(shrink))


@kernel
def adam(w, g, m, v, constants):
    (rise1, rise2), (m_scale, v_scale), (tiny, rate, kept) = constants
    for a in range(w.size):
        m[a] += rise1 * (g[a] - m[a])
        v[a] += rise2 * (g[a] * g[a] - v[a])
        w[a] = kept * w[a] - rate * (m[a] * m_scale) / (np.sqrt(v[a] * v_scale) + tiny)


@kernel
def adam_array(w, g, m, v, decays, t, lr, shrink):
    n, constants = w.size, constants_of(w, decays, t, lr, shrink)
    adam(w.reshape(n), g.reshape(n), m.reshape(n), v.reshape(n), constants)


@kernel
def adam_rows(w, index, g, m, v, decays, t, lr, shrink):
    constants = constants_of(w, decays, t, lr, shrink)
    for a in range(len(index)):
        j = index[a]
        adam(w[j], g[a], m[j], v[j], constants)


class Adam(Optimizer):
    """Adam.

    Parameters
    ----------
    beta_1 : float, default=0.9
        Decay of the mean of the gradient, in [0, 1).
    beta_2 : float, default=0.999
        Decay of the mean of its square, in [0, 1).
    epsilon : float, default=1e-8
        Added to the root of the mean square. Above 0.

    References
    ----------
    Kingma and Ba, "Adam: A Method for Stochastic Optimization", arXiv:1412.6980.

    Examples
    --------
    >>> from skmtl.optimizers import Adam
    >>> Adam(beta_2=0.99)
    Adam(beta_2=0.99)
    """

    n_moments = 2
    _parameter_constraints = {
        "beta_1": [Interval(Real, 0, 1, closed="left")],
        "beta_2": [Interval(Real, 0, 1, closed="left")],
        "epsilon": [Interval(Real, 0, None, closed="neither")],
    }

    def __init__(self, beta_1=0.9, beta_2=0.999, epsilon=1e-8):
        self.beta_1 = beta_1
        self.beta_2 = beta_2
        self.epsilon = epsilon

    def step_sizes(self, name, state, lr):
        _, v = state["moments"][name]
        number = v.dtype.type
        root = np.sqrt(v * number(1 / (1 - self.beta_2 ** state["t"])))
        return number(lr) / (root + number(self.epsilon))

    def _update(self, value, gradient, moments, t, lr):
        m, v = moments
        if not value.flags.c_contiguous:
            value, gradient, m, v = value.T, gradient.T, m.T, v.T
        adam_array(value, gradient, m, v, self._decays(), t, lr, self._shrink(value, lr))

    def _update_rows(self, value, index, gradient, moments, t, lr):
        m, v = moments
        shrink = self._shrink(value, lr)
        if value.ndim == 1:  # one column
            value, gradient, m, v = (a.reshape(-1, 1) for a in (value, gradient, m, v))
        adam_rows(value, index, gradient, m, v, self._decays(), t, lr, shrink)

    def _decays(self):
        return float(self.beta_1), float(self.beta_2), float(self.epsilon)

    def _shrink(self, value, lr):
        return 1.0


class AdamW(Adam):
    """Adam with decoupled weight decay.

    Parameters
    ----------
    decay : float, default=0.01
        Each step first multiplies the weight matrices by ``1 - lr * decay``; biases stay, and
        with sparse codes the rows of latents that did not fire in the batch.
    beta_1, beta_2, epsilon : float
        As in `Adam`.

    References
    ----------
    Loshchilov and Hutter, "Decoupled Weight Decay Regularization", arXiv:1711.05101.

    Examples
    --------
    >>> from skmtl.optimizers import AdamW
    >>> AdamW(decay=0.1)
    AdamW(decay=0.1)
    """

    _parameter_constraints = {
        **Adam._parameter_constraints,
        "decay": [Interval(Real, 0, None, closed="left")],
    }

    def __init__(self, decay=0.01, beta_1=0.9, beta_2=0.999, epsilon=1e-8):
        super().__init__(beta_1=beta_1, beta_2=beta_2, epsilon=epsilon)
        self.decay = decay

    def _shrink(self, value, lr):
        return 1 - lr * self.decay if value.ndim == 2 else 1.0
