"""Metrics of codes and reconstructions, each with its exact definition."""

from typing import Any

import numpy as np
import scipy.sparse as sp
from numpy.typing import ArrayLike


def explained_variance(
    X: Any, X_reconstructed: ArrayLike, *, sample_weight: ArrayLike | None = None
) -> float:
    """1 - FVU: share of the variance of X that the reconstruction explains.

    Parameters
    ----------
    X : array-like of shape (n_samples, n_features)
        Rows.
    X_reconstructed : array-like of shape (n_samples, n_features)
        Their reconstructions.
    sample_weight : array-like of shape (n_samples,), default=None
        Weight of each row.

    Returns
    -------
    score : float
        ``1 - sum_i w_i |x_i - x^_i|^2 / sum_i w_i |x_i - mean|^2``, a ratio of sums over the whole
        set; at most 1. Where all rows are equal, 1 for a perfect reconstruction and else 0.

    Examples
    --------
    >>> from skmtl.metrics import explained_variance
    >>> explained_variance([[0.0], [2.0]], [[0.0], [1.0]])
    0.5
    """
    X = X.toarray() if sp.issparse(X) else np.asarray(X, dtype=float)
    X_reconstructed = np.asarray(X_reconstructed, dtype=float)
    if X.shape != X_reconstructed.shape:
        raise ValueError(
            f"X and X_reconstructed must have one shape; got {X.shape} and {X_reconstructed.shape}."
        )
    weight = None if sample_weight is None else np.asarray(sample_weight, dtype=float)
    mean = np.average(X, axis=0, weights=weight)
    error, variance = (
        float(np.average(((X - other) ** 2).sum(axis=1), weights=weight))
        for other in (X_reconstructed, mean)
    )
    if variance <= 1e-28 * np.mean(X**2) * X.shape[1]:  # nothing but rounding
        return float(error == 0)
    return 1 - error / variance


def l0(code: Any) -> float:
    """Mean number of nonzero latents a row.

    Parameters
    ----------
    code : array-like or sparse array of shape (n_samples, n_components)
        Codes, as from ``transform``.

    Returns
    -------
    l0 : float
        Between 0 and ``n_components``.

    Examples
    --------
    >>> from skmtl.metrics import l0
    >>> l0([[0.0, 1.0, 2.0], [0.0, 0.0, 3.0]])
    1.5
    """
    return float(firing_rate(code).sum())


def firing_rate(code: Any) -> np.ndarray:
    """Share of the rows on which each latent is not zero.

    Parameters
    ----------
    code : array-like or sparse array of shape (n_samples, n_components)
        Codes, as from ``transform``.

    Returns
    -------
    rate : ndarray of shape (n_components,)
        Between 0 and 1.

    Examples
    --------
    >>> from skmtl.metrics import firing_rate
    >>> firing_rate([[0.0, 1.0, 2.0], [0.0, 0.0, 3.0]])
    array([0. , 0.5, 1. ])
    """
    active = (code if sp.issparse(code) else np.asarray(code)) != 0
    return np.asarray(active.mean(axis=0), dtype=float).reshape(-1)


def dead_fraction(code: Any) -> float:
    """Share of the latents that are zero on every row.

    Parameters
    ----------
    code : array-like or sparse array of shape (n_samples, n_components)
        Codes, as from ``transform``.

    Returns
    -------
    share : float
        Between 0 and 1.

    Examples
    --------
    >>> from skmtl.metrics import dead_fraction
    >>> dead_fraction([[0.0, 1.0], [0.0, 0.0]])
    0.5
    """
    return float(np.mean(firing_rate(code) == 0))
