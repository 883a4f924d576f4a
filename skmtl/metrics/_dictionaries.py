"""How much of a known dictionary was found, and how much of theirs two fits share.

cos(a, b)       = <a, b> / (|a| |b|), 0 where an atom is zero; |cos| where signs do not count
true_to_learned = mean over true atoms t    of  max over learned atoms l of cos(t, l)
learned_to_true = mean over learned atoms l of  max over true atoms t    of cos(l, t)
mcc             = sum over pairs (t, l) of cos(t, l) / number of true atoms,
                  the one-to-one pairs being those of the largest sum
"""

from typing import Any

import numpy as np
from scipy.optimize import linear_sum_assignment
from sklearn.utils.validation import check_is_fitted

from skmtl._arrays import check_matrix

BLOCK_ATOMS = 1024
METHODS = ("true_to_learned", "learned_to_true", "mcc")


def dictionary_recovery(
    learned: Any, true: Any, *, method: str = "true_to_learned", signed: bool | None = None
) -> float:
    """How well a learned dictionary matches the one that made the data.

    Parameters
    ----------
    learned : fitted estimator or array-like of shape (n_learned, n_features)
        Learned atoms: one in each row, or an estimator with ``components_``.
    true : array-like of shape (n_true, n_features)
        Atoms that made the data, one in each row. Never an estimator, so that the two cannot
        trade places unnoticed.
    method : {"true_to_learned", "learned_to_true", "mcc"}, default="true_to_learned"
        What is averaged over what; see Notes.

        - "true_to_learned": how much of the truth was found. Each true atom looks for the learned
          atom most similar to it, and the mean is over true atoms. Superfluous learned atoms cost
          nothing.
        - "learned_to_true": how much of what was learned is true. Each learned atom looks for the
          true atom most similar to it, and the mean is over learned atoms. True atoms that nobody
          found cost nothing.
        - "mcc": both at once, since an atom is used only once. True and learned atoms are paired
          one to one (by the Hungarian method) and the mean is over true atoms, those without a
          partner counting 0.
    signed : bool, default=None
        Whether an atom and its negative differ. True by default for the first two, since a code
        that is never negative cannot turn an atom round; False for "mcc", which is defined so. Set
        False for dictionaries whose codes take both signs, such as scikit-learn's.

    Returns
    -------
    similarity : float
        Mean cosine, 1 for identical sets of atoms. The norms of atoms do not matter. An atom of
        zeros has cosine 0 with every other.

    Raises
    ------
    TypeError
        If ``true`` is an estimator.
    ValueError
        If the dictionaries differ in their number of features, or hold values that are not finite.

    See Also
    --------
    seed_stability : Two fits against each other.
    skmtl.datasets.make_sparse_codes : Data from a known dictionary.

    Notes
    -----
    Both of the first two are called MMCS (mean max cosine similarity), some publications report one
    and some the other; "true_to_learned" has also been called representedness. With no fewer
    learned than true atoms, "mcc" is the usual mean correlation coefficient; with fewer, the usual
    one leaves out the true atoms that found no partner.

    "mcc" needs an (n_learned, n_true) array and time that grows with its third power.

    References
    ----------
    Sharkey, Braun and Millidge, "Taking features out of superposition with sparse autoencoders",
    2022, for MMCS. O'Neill, Gumran and Klindt, "Compute Optimal Inference and Provable Amortisation
    Gap in Sparse Autoencoders", arXiv:2411.13117, for MCC.

    Examples
    --------
    One of two true atoms was found, twice:

    >>> from skmtl.metrics import dictionary_recovery
    >>> true, learned = [[1.0, 0.0], [0.0, 1.0]], [[1.0, 0.0], [2.0, 0.0]]
    >>> for method in ("true_to_learned", "learned_to_true", "mcc"):
    ...     print(method, dictionary_recovery(learned, true, method=method))
    true_to_learned 0.5
    learned_to_true 1.0
    mcc 0.5
    """
    if method not in METHODS:
        raise ValueError(f"method must be one of {METHODS}; got {method!r}.")
    if hasattr(true, "fit"):
        raise TypeError(
            f"true must be an array of atoms; got a {type(true).__name__}. The learned dictionary "
            "comes first: dictionary_recovery(learned, true)."
        )
    learned_atoms, true_atoms = _unit_atoms(learned, "learned"), _unit_atoms(true, "true")
    _check_same_features(learned_atoms, true_atoms, "learned", "true")
    if signed is None:
        signed = method != "mcc"
    if method == "true_to_learned":
        return float(_best_cosines(true_atoms, learned_atoms, signed).mean())
    if method == "learned_to_true":
        return float(_best_cosines(learned_atoms, true_atoms, signed).mean())
    return float(_matched_cosines(true_atoms, learned_atoms, signed).sum() / len(true_atoms))


def seed_stability(
    a: Any, b: Any, *, threshold: float = 0.7, signed: bool = True
) -> tuple[float, float]:
    """How much of their dictionaries two fits share, such as two fits with different seeds.

    Atoms of the two are paired one to one so that the sum of cosines is largest (the Hungarian
    method).

    Parameters
    ----------
    a, b : fitted estimator or array-like of shape (n_atoms, n_features)
        Estimators with ``components_``, or their atoms, one in each row. The two may differ in
        their number of atoms.
    threshold : float, default=0.7
        Cosine from which on two atoms count as the same, in [-1, 1].
    signed : bool, default=True
        Whether an atom and its negative differ. Set False where codes take both signs.

    Returns
    -------
    mean_cosine : float
        Sum of the pairs' cosines, divided by the larger number of atoms: what has no partner
        counts 0. 1 for identical dictionaries, in any order and of any norms.
    share : float
        Number of pairs with a cosine of at least ``threshold``, divided likewise.

    Raises
    ------
    TypeError
        If an estimator has no ``components_``.
    ValueError
        If the dictionaries differ in their number of features, or hold values that are not finite.

    See Also
    --------
    dictionary_recovery : Against a dictionary that is known.

    Notes
    -----
    Random atoms have partners too: beside a result look at what two random dictionaries of the same
    shape give. Atoms of latents that never fire stay near where they started and lower the result
    (or raise it, if both fits started alike); to leave them out pass
    ``est.components_[est.firing_rate_ > 0]``.

    Needs an (n_atoms, n_atoms) array and time that grows with its third power.

    References
    ----------
    Paulo and Belrose, "Sparse Autoencoders Trained on the Same Data Learn Different Features",
    arXiv:2501.16615.

    Examples
    --------
    >>> from skmtl.metrics import seed_stability
    >>> seed_stability([[1.0, 0.0], [0.0, 1.0]], [[0.0, 2.0], [-1.0, 0.0]], signed=False)
    (1.0, 1.0)
    >>> seed_stability([[1.0, 0.0], [0.0, 1.0]], [[0.0, 2.0]])
    (0.5, 0.5)
    """
    if not -1 <= threshold <= 1:
        raise ValueError(f"threshold must lie in [-1, 1]; got {threshold!r}.")
    a_atoms, b_atoms = _unit_atoms(a, "a"), _unit_atoms(b, "b")
    _check_same_features(a_atoms, b_atoms, "a", "b")
    matched = _matched_cosines(a_atoms, b_atoms, signed)
    size = max(len(a_atoms), len(b_atoms))
    same = matched >= threshold - 1e-12  # an atom's cosine with itself may round to below 1
    return float(matched.sum() / size), float(np.count_nonzero(same) / size)


def _unit_atoms(dictionary, name):
    """Atoms at unit norm in double precision; an atom of zeros stays zero."""
    if hasattr(dictionary, "fit"):
        check_is_fitted(dictionary)
        if not hasattr(dictionary, "components_"):
            raise TypeError(
                f"{name} must be an array of atoms or an estimator with components_; got a "
                f"{type(dictionary).__name__}, which has none."
            )
        dictionary = dictionary.components_
    atoms = check_matrix(dictionary, name, dtype=np.float64)
    # The largest entry first: squares of very small or very large ones would leave the range.
    for size in (lambda rows: np.abs(rows).max(axis=1), lambda rows: np.linalg.norm(rows, axis=1)):
        divisor = size(atoms)
        atoms = atoms / np.where(divisor > 0, divisor, 1.0)[:, None]
    return atoms


def _check_same_features(a, b, name_a, name_b):
    if a.shape[1] != b.shape[1]:
        raise ValueError(
            f"{name_a} and {name_b} must have one number of features, with an atom in each row; "
            f"got shapes {a.shape} and {b.shape}."
        )


def _cosines(a, b, signed):
    cosines = np.clip(a @ b.T, -1.0, 1.0)  # rounding may lead past 1
    return cosines if signed else np.abs(cosines)


def _best_cosines(a, b, signed):
    """For each atom of a, its largest cosine with an atom of b."""
    starts = range(0, len(a), BLOCK_ATOMS)
    return np.concatenate(
        [_cosines(a[start : start + BLOCK_ATOMS], b, signed).max(axis=1) for start in starts]
    )


def _matched_cosines(a, b, signed):
    """Cosines of the one-to-one pairs of the largest sum, as many as the smaller set has atoms."""
    cosines = _cosines(a, b, signed)
    return cosines[linear_sum_assignment(cosines, maximize=True)]
