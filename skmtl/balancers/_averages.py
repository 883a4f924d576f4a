"""What balancers remember of the tasks' losses, and how they move parameters of their own.

Averages move only for the tasks with labels in the batch, as sums and masses: their ratio is the
mean loss over the labels of the last batches, however they were spread.
"""

import numpy as np

# A loss, or a squared norm, this much below the largest is taken for zero.
TINY = 1e-12


def average_losses(losses, mass, momentum, state):
    """Take a batch into the average; return each task's mean loss, (T,), NaN before its first.

    ``state["averages"]``, (2, T), are the sums of losses and masses.
    """
    decay = np.where(mass > 0, momentum, 1.0)
    state["averages"] = decay * state["averages"] + [losses, mass]
    return mean_losses(*state["averages"])


def mean_losses(losses, mass):
    """Mean loss of each task, NaN where there is no label."""
    return np.divide(losses, mass, out=np.full(len(losses), np.nan), where=mass > 0)


def softmax(x):
    """Shares of the exponentials; of nothing, nothing."""
    e = np.exp(x - x.max(initial=-np.inf))
    return e / e.sum()


def adam_step(name, gradient, among, lr, state):
    """Move ``state[name]`` of the tasks ``among`` against the gradient, by Adam's rule.

    ``state[name + "_moments"]``, (3, T), are the steps of each and its moments.
    """
    beta_1, beta_2, epsilon = 0.9, 0.999, 1e-8
    count, first, second = state[name + "_moments"]
    g = gradient[among]
    count[among] += 1
    first[among] = beta_1 * first[among] + (1 - beta_1) * g
    second[among] = beta_2 * second[among] + (1 - beta_2) * g**2
    m = first[among] / (1 - beta_1 ** count[among])
    v = second[among] / (1 - beta_2 ** count[among])
    state[name][among] -= lr * m / (np.sqrt(v) + epsilon)
