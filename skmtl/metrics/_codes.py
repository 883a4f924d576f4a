"""Metrics of codes and reconstructions, each with its exact definition.

Sums run over all rows i of a set, w_i is a row's weight, x^ the reconstruction of x and o a point
to measure from:

FVU    = sum w |x - x^|^2 / sum w |x - mean|^2          explained variance = 1 - FVU
norm   = (sum w |x^ - o|^2 / sum w |x - o|^2)^(1/2)
gamma  = sum w |x^ - o|^2 / sum w <x - o, x^ - o>
rate_j = sum w [code_j != 0] / sum w                    L0 = sum_j rate_j

All are ratios of sums over the set, not means of ratios by row or by batch.
"""

from typing import Any

import numpy as np
import scipy.sparse as sp
from numpy.typing import ArrayLike

from skmtl._arrays import as_floats, check_matrix

BLOCK_ROWS = 1024  # rows in double precision at a time


def explained_variance(
    X: Any, X_reconstructed: ArrayLike, *, sample_weight: ArrayLike | None = None
) -> float:
    """1 - FVU: share of the variance of X that the reconstruction explains.

    Parameters
    ----------
    X : array-like or sparse array of shape (n_samples, n_features)
        Rows.
    X_reconstructed : array-like of shape (n_samples, n_features)
        Their reconstructions.
    sample_weight : array-like of shape (n_samples,), default=None
        Weight of each row.

    Returns
    -------
    score : float
        ``1 - sum_i w_i |x_i - x^_i|^2 / sum_i w_i |x_i - mean|^2``, a ratio of sums over the whole
        set and about the set's weighted mean; at most 1. Where all rows are equal, 1 for a perfect
        reconstruction and else 0.

    See Also
    --------
    shrinkage : Whether the reconstructions are too short.

    Examples
    --------
    >>> from skmtl.metrics import explained_variance
    >>> explained_variance([[0.0], [2.0]], [[0.0], [1.0]])
    0.5
    """
    X, X_reconstructed, weight = _check_rows(X, X_reconstructed, sample_weight)
    scale = _power_of_two(X)
    mean = _weighted_mean(X, weight) / scale
    error = variance = square = 0.0
    for x, recon, w in _row_blocks(X, X_reconstructed, weight):
        x, recon = x / scale, recon / scale
        error += _sum_of_products(w, x - recon, x - recon)
        variance += _sum_of_products(w, x - mean, x - mean)
        square += _sum_of_products(w, x, x)
    if variance <= 1e-28 * square:  # nothing but rounding
        return float(error == 0)
    return float(1 - error / variance)


def shrinkage(
    X: Any,
    X_reconstructed: ArrayLike,
    *,
    kind: str = "norm",
    offset: ArrayLike | None = None,
    sample_weight: ArrayLike | None = None,
) -> float:
    """How long the reconstructions are beside X: 1 is right, less than 1 is shrunk.

    Sparsity penalties on amplitudes, such as L1, pull codes towards zero and make reconstructions
    too short. ``transform_algorithm="refine"`` undoes it.

    Parameters
    ----------
    X : array-like or sparse array of shape (n_samples, n_features)
        Rows.
    X_reconstructed : array-like of shape (n_samples, n_features)
        Their reconstructions.
    kind : {"norm", "gamma"}, default="norm"
        "norm" compares lengths. "gamma" is the factor by which reconstructions are too short in
        their own direction: dividing them by it gives the least squared error.
    offset : array-like of shape (n_features,) or float, default=None
        The point ``o`` that lengths are measured from: None for the weighted mean of X,
        ``decoder_bias_`` for what the code alone adds, 0 for the plain lengths of X. Far from the
        origin, plain lengths hardly depend on the code.
    sample_weight : array-like of shape (n_samples,), default=None
        Weight of each row.

    Returns
    -------
    ratio : float
        "norm": ``sqrt(sum_i w_i |x^_i - o|^2 / sum_i w_i |x_i - o|^2)``. "gamma":
        ``sum_i w_i |x^_i - o|^2 / sum_i w_i <x_i - o, x^_i - o>``, negative where reconstructions
        point away from X. Infinite where the denominator is 0 and the numerator is not; where
        both lengths are 0, 1.

    See Also
    --------
    explained_variance : How close the reconstructions are.

    Notes
    -----
    Least squares on any support, unlimited in sign, leaves a residual orthogonal to ``x^ - o``
    with o the decoder's bias. From there gamma is 1 exactly and the norm is the root of the
    explained share, below 1 by what the code misses: gamma is shrinkage alone, and only a
    perfect reconstruction has both at 1.

    References
    ----------
    Gamma is the relative reconstruction bias of Rajamanoharan et al., "Improving Dictionary
    Learning with Gated Sparse Autoencoders", arXiv:2404.16014, equation 10.

    Examples
    --------
    >>> from skmtl.metrics import shrinkage
    >>> X = [[4.0, 1.0], [-4.0, -1.0]]
    >>> shrinkage(X, [[2.0, 0.0], [-2.0, 0.0]], kind="gamma")
    0.5
    >>> round(shrinkage(X, [[4.0, 0.0], [-4.0, 0.0]]), 3)
    0.97
    """
    if kind not in ("norm", "gamma"):
        raise ValueError(f"kind must be 'norm' or 'gamma'; got {kind!r}.")
    X, X_reconstructed, weight = _check_rows(X, X_reconstructed, sample_weight)
    origin = _weighted_mean(X, weight) if offset is None else np.asarray(offset, dtype=float)
    if origin.shape not in ((), (X.shape[1],)) or not np.isfinite(origin).all():
        raise ValueError(
            f"offset must be one finite number or one per feature, shape ({X.shape[1]},); got "
            f"{offset!r}."
        )
    length = recon_length = product = 0.0
    scale = _power_of_two(X)
    for x, recon, w in _row_blocks(X, X_reconstructed, weight):
        x, recon = (x - origin) / scale, (recon - origin) / scale
        length += _sum_of_products(w, x, x)
        recon_length += _sum_of_products(w, recon, recon)
        product += _sum_of_products(w, x, recon)
    if recon_length == 0:
        return float(length == 0)
    below = length if kind == "norm" else product
    if below == 0:
        return float("inf")
    ratio = recon_length / below
    return float(np.sqrt(ratio) if kind == "norm" else ratio)


def l0(code: Any, *, sample_weight: ArrayLike | None = None) -> float:
    """Mean number of nonzero latents a row.

    Parameters
    ----------
    code : array-like or sparse array of shape (n_samples, n_components)
        Codes, as from ``transform``.
    sample_weight : array-like of shape (n_samples,), default=None
        Weight of each row.

    Returns
    -------
    l0 : float
        ``sum_i w_i (number of j with code_ij != 0) / sum_i w_i``: a count, between 0 and
        ``n_components``, not a share of them.

    See Also
    --------
    firing_rate : The same latent by latent.

    Examples
    --------
    >>> from skmtl.metrics import l0
    >>> l0([[0.0, 1.0, 2.0], [0.0, 0.0, 3.0]])
    1.5
    """
    return float(firing_rate(code, sample_weight=sample_weight).sum())


def firing_rate(code: Any, *, sample_weight: ArrayLike | None = None) -> np.ndarray:
    """Share of the rows on which each latent is not zero.

    Parameters
    ----------
    code : array-like or sparse array of shape (n_samples, n_components)
        Codes, as from ``transform``. Zeros that a sparse array stores are zeros.
    sample_weight : array-like of shape (n_samples,), default=None
        Weight of each row.

    Returns
    -------
    rate : ndarray of shape (n_components,)
        ``sum_i w_i [code_ij != 0] / sum_i w_i``, between 0 and 1.

    Examples
    --------
    >>> from skmtl.metrics import firing_rate
    >>> firing_rate([[0.0, 1.0, 2.0], [0.0, 0.0, 3.0]])
    array([0. , 0.5, 1. ])
    """
    code = check_code(code)
    weight = row_weights(sample_weight, code.shape[0])
    if sp.issparse(code):
        fires = code.data != 0
        of_entry = np.repeat(weight, np.diff(code.indptr))[fires]
        sums = np.bincount(code.indices[fires], of_entry, minlength=code.shape[1])
    else:
        sums = np.zeros(code.shape[1])
        for start in range(0, code.shape[0], BLOCK_ROWS):
            block = slice(start, start + BLOCK_ROWS)
            sums += weight[block] @ (code[block] != 0)
    return np.minimum(sums / weight.sum(), 1.0)  # two orders of summation may differ in a bit


def dead_fraction(code: Any, *, sample_weight: ArrayLike | None = None) -> float:
    """Share of the latents that are zero on every row.

    Parameters
    ----------
    code : array-like or sparse array of shape (n_samples, n_components)
        Codes, as from ``transform``.
    sample_weight : array-like of shape (n_samples,), default=None
        Weight of each row; rows of weight 0 are left out.

    Returns
    -------
    share : float
        ``(number of j with code_ij = 0 for all i) / n_components``, between 0 and 1. The fewer
        rows there are, the more latents look dead.

    Examples
    --------
    >>> from skmtl.metrics import dead_fraction
    >>> dead_fraction([[0.0, 1.0], [0.0, 0.0]])
    0.5
    """
    return float(np.mean(firing_rate(code, sample_weight=sample_weight) == 0))


def check_code(code):
    """A code as a two-dimensional array, or as CSR with one entry a place; never copied whole."""
    return check_matrix(code, "code", accept_sparse="csr", dtype="numeric", order=None)


def row_weights(sample_weight, n_rows):
    """Weights of rows, ones by default; finite, not negative and not all zero."""
    if sample_weight is None:
        return np.ones(n_rows)
    weight = as_floats(sample_weight, "sample_weight")
    if weight.shape != (n_rows,):
        raise ValueError(f"sample_weight must have shape ({n_rows},); got {weight.shape}.")
    if not (np.isfinite(weight).all() and (weight >= 0).all() and weight.any()):
        raise ValueError(
            "sample_weight must be finite, not negative and not zero everywhere; got values from "
            f"{weight.min()} to {weight.max()}. Set the weight of what is to be left out to 0."
        )
    return weight


def _check_rows(X, X_reconstructed, sample_weight):
    options = {"dtype": "numeric", "order": None}
    X = check_matrix(X, "X", accept_sparse="csr", **options)
    X_reconstructed = check_matrix(X_reconstructed, "X_reconstructed", **options)
    if X.shape != X_reconstructed.shape:
        raise ValueError(
            f"X and X_reconstructed must have one shape; got {X.shape} and {X_reconstructed.shape}."
        )
    return X, X_reconstructed, row_weights(sample_weight, X.shape[0])


def _row_blocks(X, X_reconstructed, weight):
    """Rows, reconstructions and weights in dense double precision, a block at a time."""
    for start in range(0, X.shape[0], BLOCK_ROWS):
        block = slice(start, start + BLOCK_ROWS)
        yield _dense(X[block]), _dense(X_reconstructed[block]), weight[block]


def _power_of_two(X):
    """Near the largest entry: what is divided by it changes no bit, and has squares."""
    largest = max(abs(float(X.max())), abs(float(X.min())))
    return 2.0 ** max(np.frexp(largest)[1] - 1, -1022) if largest > 0 else 1.0


def _dense(rows):
    return (rows.toarray() if sp.issparse(rows) else rows).astype(np.float64)


def _weighted_mean(X, weight):
    """Weighted mean of the rows, to the last bit where they are all equal."""
    first = np.flatnonzero(weight)[0]
    origin = _dense(X[first : first + 1])[0]  # sums of differences from a row keep small variances
    total = sum(w @ (x - origin) for x, _, w in _row_blocks(X, X, weight))
    return origin + total / weight.sum()


def _sum_of_products(weight, a, b):
    return float(weight @ (a * b).sum(axis=1))
