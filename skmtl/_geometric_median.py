"""Geometric median:  argmin_c sum_i w_i sqrt(|x_i - c|^2 + delta^2), by Weiszfeld's iteration
c <- sum_i a_i x_i / sum_i a_i,  a_i = w_i / sqrt(|x_i - c|^2 + delta^2).

``delta``, a millionth of the rows' root mean square distance from their mean, keeps the weights
finite where c meets a row, and lets c leave a row that is not the median.
"""

import numpy as np

from skmtl import _linalg

# Rows that are looked at: the error of the median of so many is far below the data's spread.
N_ROWS = 32768


def geometric_median(X, weight, rng, tol=1e-6, max_iter=200):
    """Weighted geometric median of the rows of X, dense or CSR, (d,) float64."""
    if X.shape[0] > N_ROWS:
        some = np.sort(rng.choice(X.shape[0], N_ROWS, replace=False))
        X, weight = X[some], weight[some]
    weight = weight.astype(np.float64) / weight.sum(dtype=np.float64)
    median, variance = _linalg.weighted_moments(X, weight)
    spread = np.sqrt(variance.sum())
    if spread == 0:
        return median
    for _ in range(max_iter):
        a = weight / np.sqrt(squared_distances(X, median) + (1e-6 * spread) ** 2)
        before, median = median, X.T @ (a / a.sum())
        if np.linalg.norm(median - before) <= tol * spread:
            break
    return median


def squared_distances(X, center):
    """Of each row of X from the center, (n,)."""
    if isinstance(X, np.ndarray):
        return ((X - center) ** 2).sum(axis=1)
    X = X.astype(np.float64)  # the squares nearly cancel where X lies far from the origin
    squares = np.asarray(X.multiply(X).sum(axis=1)).reshape(-1)
    return np.maximum(squares - 2 * (X @ center) + center @ center, 0)
