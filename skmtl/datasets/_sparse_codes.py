"""Data from a known dictionary: sums of a few of its atoms in each row.

X = codes @ dictionary + noise * N(0, 1)

In each row the atoms race: atom j has a clock E_j / p_j, and the n_active atoms whose clocks ring
first are active, with amplitudes uniform in ``weights``.

p_j = j^-zipf                                               j = 1, 2, ... by frequency
E_j = -log Phi(z_j)                                         exponential with rate 1
z_j = sqrt(c) u_{g(j)} + sqrt(1 - c) v_j                    c the correlation, u, v ~ N(0, 1)

g(j) is the atom's group of ``group_size`` neighbours, which share u. Without correlation the race
is the same as drawing one atom after the other without replacement, each with probability
proportional to p_j among those not drawn yet.
"""

import math
from numbers import Integral, Real
from typing import Any

import numpy as np
import scipy.sparse as sp
from numpy.typing import DTypeLike
from scipy.special import log_ndtr
from sklearn.utils import check_random_state

BLOCK_ROWS = 1024  # rows whose clocks, one for each atom, are held at a time


def make_sparse_codes(
    n_samples: int = 1000,
    n_features: int = 64,
    n_atoms: int = 128,
    n_active: int = 4,
    *,
    zipf: float = 0.0,
    correlation: float = 0.0,
    group_size: int = 2,
    weights: tuple[float, float] = (0.5, 1.5),
    noise: float = 0.0,
    dtype: DTypeLike = np.float64,
    random_state: Any = None,
) -> tuple[np.ndarray, sp.csr_array, np.ndarray]:
    """Generate rows that are sparse sums of the atoms of a known dictionary.

    Atoms are random directions of norm 1. Each row is the sum of ``n_active`` different ones with
    random positive amplitudes. For rows to hold out, generate more and split them.

    Parameters
    ----------
    n_samples : int, default=1000
        Number of rows.
    n_features : int, default=64
        Number of features of X.
    n_atoms : int, default=128
        Number of atoms. May exceed the number of features.
    n_active : int, default=4
        Number of atoms in each row, at most ``n_atoms``.
    zipf : float, default=0.0
        Exponent of the atoms' frequencies, not negative: atoms are drawn one after the other
        without replacement, atom j with probability proportional to ``(j + 1) ** -zipf``. 0 makes
        all equally frequent, 1 is Zipf's law.
    correlation : float, default=0.0
        How strongly the atoms of a group fire together, in [0, 1): the correlation of the normal
        scores behind the times at which they are drawn. 0 is independence; near 1 a group is drawn
        whole, as long as there is room among the ``n_active``.
    group_size : int, default=2
        Atoms ``0 .. group_size - 1`` form the first group, and so on; the last may be smaller. Of
        no effect without correlation.
    weights : tuple of two floats, default=(0.5, 1.5)
        Amplitudes are drawn uniformly between these two.
    noise : float, default=0.0
        Standard deviation of normal noise, added to each feature of X.
    dtype : {numpy.float64, numpy.float32}, default=numpy.float64
        Precision of what is returned. All is drawn in double precision.
    random_state : int, RandomState instance or None, default=None
        An int gives the same data in every call.

    Returns
    -------
    X : ndarray of shape (n_samples, n_features)
        ``codes @ dictionary`` and noise.
    codes : csr_array of shape (n_samples, n_atoms)
        Amplitudes, ``n_active`` in each row.
    dictionary : ndarray of shape (n_atoms, n_features)
        Atoms at unit norm, the most frequent first where ``zipf`` is set.

    Raises
    ------
    ValueError
        If a parameter is out of its range.

    See Also
    --------
    skmtl.metrics.dictionary_recovery : How much of the dictionary was learnt.
    sklearn.datasets.make_sparse_coded_signal : Amplitudes of both signs, no options.

    Notes
    -----
    Without ``zipf`` every atom is active on a share ``n_active / n_atoms`` of the rows (with
    correlation, if ``group_size`` divides ``n_atoms``). Time grows with ``n_samples * n_atoms``,
    memory does not.

    Examples
    --------
    >>> from skmtl.datasets import make_sparse_codes
    >>> X, codes, dictionary = make_sparse_codes(200, 16, 32, 3, random_state=0)
    >>> X.shape, codes.shape, dictionary.shape
    ((200, 16), (200, 32), (32, 16))
    >>> from skmtl.metrics import l0
    >>> l0(codes)
    3.0
    """
    sizes = {
        "n_samples": n_samples,
        "n_features": n_features,
        "n_atoms": n_atoms,
        "n_active": n_active,
        "group_size": group_size,
    }
    for name, size in sizes.items():
        _require(isinstance(size, Integral) and size >= 1, name, "an integer of at least 1", size)
    _require(n_active <= n_atoms, "n_active", f"at most n_atoms, {n_atoms}", n_active)
    _require(_real(zipf) and zipf >= 0, "zipf", "a number of at least 0", zipf)
    _require(_real(correlation) and 0 <= correlation < 1, "correlation", "in [0, 1)", correlation)
    _require(_real(noise) and noise >= 0, "noise", "a number of at least 0", noise)
    pair = np.iterable(weights) and len(weights) == 2 and all(map(_real, weights))
    ordered = pair and weights[0] <= weights[1]
    _require(ordered, "weights", "two numbers (low, high) in this order", weights)
    low, high = weights
    precision = np.dtype(dtype)
    _require(precision in (np.float64, np.float32), "dtype", "float64 or float32", dtype)

    rng = np.random.default_rng(check_random_state(random_state).randint(2**31))
    dictionary = rng.standard_normal((n_atoms, n_features))
    dictionary /= np.linalg.norm(dictionary, axis=1, keepdims=True)
    log_rank = zipf * np.log(np.arange(1, n_atoms + 1))
    groups = np.arange(n_atoms) // group_size
    X = np.empty((n_samples, n_features), precision)
    active = np.empty((n_samples, n_active), np.int64)
    amplitudes = np.empty((n_samples, n_active))
    for start in range(0, n_samples, BLOCK_ROWS):
        block = slice(start, min(start + BLOCK_ROWS, n_samples))
        n_rows = block.stop - start
        # Logarithms of the clocks, so that no exponent is too large for them.
        clocks = _log_exponential(rng, n_rows, groups, correlation) + log_rank
        first = np.argpartition(clocks, n_active - 1, axis=1)[:, :n_active]
        active[block] = np.sort(first, axis=1)
        amplitudes[block] = rng.uniform(low, high, (n_rows, n_active))
        rows = _csr(amplitudes[block], active[block], n_atoms) @ dictionary
        X[block] = rows + noise * rng.standard_normal(rows.shape) if noise else rows
    codes = _csr(amplitudes.astype(precision), active, n_atoms)
    return X, codes, dictionary.astype(precision)


def _log_exponential(rng, n_rows, groups, correlation):
    """log E for every row and atom, correlated within groups."""
    shape = (n_rows, len(groups))
    if correlation == 0:  # the same law without the detour by normal scores
        return np.log(rng.standard_exponential(shape))
    shared = rng.standard_normal((n_rows, groups[-1] + 1))[:, groups]
    own = rng.standard_normal(shape)
    return np.log(-log_ndtr(np.sqrt(correlation) * shared + np.sqrt(1 - correlation) * own))


def _csr(values, columns, n_columns):
    """CSR array of the values and columns of each row."""
    index = np.int32 if max(values.size, n_columns) <= np.iinfo(np.int32).max else np.int64
    starts = np.arange(0, values.size + 1, values.shape[1], dtype=index)
    entries = (values.ravel(), columns.ravel().astype(index), starts)
    return sp.csr_array(entries, shape=(len(values), n_columns))


def _real(value):
    return isinstance(value, Real) and math.isfinite(value)


def _require(holds, name, what, got):
    if not holds:
        raise ValueError(f"{name} must be {what}; got {got!r}.")
