"""Entropy:  weights[t] ~ 1 / H_t,  H_t = -sum_c prior[t, c] log prior[t, c].

H_t is the loss of whoever knows the shares of the classes and nothing of X.
"""

import numpy as np
from scipy.special import entr

from skmtl.balancers._base import Balancer, at_scale_of, equal_weights


class Entropy(Balancer):
    """Measure each task's loss by that of guessing.

    The weights are set once, from the training labels: a task of two classes and one of thirty are
    put on one scale, without anything a batch could disturb.

    Notes
    -----
    A task with one class is weighed as the mean of the others. One with a very rare class is known
    almost surely beforehand, and weighs much.

    Examples
    --------
    >>> from skmtl.balancers import Entropy
    >>> Entropy()
    Entropy()
    """

    def init(self, n_tasks, priors):
        entropy = np.array([0.0 if p is None else entr(p).sum() for p in priors])
        known = entropy > 0
        return {"weights": at_scale_of(equal_weights(priors), 1 / entropy[known], known)}

    def balance(self, losses, mass, gramian, state, step):
        return float(state["weights"] @ losses), state["weights"]
