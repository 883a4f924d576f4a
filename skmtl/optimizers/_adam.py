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
def adam(w, g, m, v, constants):
    beta1, beta2, m_scale, v_scale, epsilon, lr, shrink = constants
    for a in range(w.size):
        m[a] = beta1 * m[a] + (1 - beta1) * g[a]
        v[a] = beta2 * v[a] + (1 - beta2) * g[a] * g[a]
        w[a] = shrink * w[a] - lr * (m[a] * m_scale) / (np.sqrt(v[a] * v_scale) + epsilon)


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

    def _update(self, value, gradient, moments, t, lr):
        self._adam(value, gradient, moments, t, lr, shrink=1.0)

    def _adam(self, value, gradient, moments, t, lr, shrink):
        m, v = moments
        # Bias corrections in float64, the loop in the arrays' own type.
        constants = np.array(
            [
                self.beta_1,
                self.beta_2,
                1 / (1 - self.beta_1**t),
                1 / (1 - self.beta_2**t),
                self.epsilon,
                lr,
                shrink,
            ],
            dtype=value.dtype,
        )
        adam(
            value.reshape(-1),
            np.ascontiguousarray(gradient).reshape(-1),
            m.reshape(-1),
            v.reshape(-1),
            constants,
        )


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

    def _update(self, value, gradient, moments, t, lr):
        shrink = 1 - lr * self.decay if value.ndim == 2 else 1.0
        self._adam(value, gradient, moments, t, lr, shrink)
