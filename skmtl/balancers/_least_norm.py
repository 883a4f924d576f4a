"""The two quadratic programs of the balancers, by SciPy's active sets: exact, no iteration counts.

With G = A' A a quadratic form is a square, w' G w = |A w|^2, and what is asked is nonnegative
least squares.
"""

import numpy as np
from scipy.optimize import nnls

# Added to the diagonal, relative to its mean: tasks of the same gradient share their weight.
RIDGE = 1e-10


def root(gramian):
    """A square A with ``A' A`` the Gramian, up to a small ridge."""
    values, vectors = np.linalg.eigh(gramian)
    ridge = RIDGE * np.trace(gramian) / len(gramian)
    return np.sqrt(np.maximum(values, 0) + ridge)[:, None] * vectors.T


def least_norm_above(gramian, lowers):
    """argmin of ``w' G w`` over ``w >= lower`` for each row of ``lowers``, (len(lowers), n_tasks).

    With w = lower + x it is min |A x + A lower| over x >= 0.
    """
    A = root(gramian)
    return np.array([lower + _nnls(A, -A @ lower) for lower in lowers])


def least_norm_in_hull(gramian):
    """argmin of ``w' G w`` over ``w >= 0, sum_t w[t] = 1``.

    Of min ``w' G w + c (sum_t w[t] - 1)^2`` over ``w >= 0`` only the length is another: among the
    w of any one sum its first part is least where it points to the solution.
    """
    A = root(gramian)
    scale = np.sqrt(np.trace(gramian) / len(gramian))
    A = np.vstack([A, np.full(len(gramian), scale)])
    w = _nnls(A, np.append(np.zeros(len(gramian)), scale))
    return w / w.sum()


def _nnls(A, b):
    return nnls(A, b, maxiter=100 * A.shape[1])[0]
