"""The one gate: what users pass is checked and converted here, before any kernel sees it."""

import functools

import numpy as np
from sklearn.utils.validation import validate_data

from skmtl._arrays import as_floats, as_numbers, check_matrix, naming
from skmtl._sklearn import check_sample_weight
from skmtl._stratify import stratified_folds
from skmtl._threads import OneThreadBLAS

FLOATS = (np.float64, np.float32)


def transactional(method):
    """A fit that fails or is interrupted leaves the estimator as it was.

    Arrays of a fitted estimator are never changed in place, so putting its attributes back is
    enough. All of it, and not only the loop, uses one BLAS thread: its bits do not depend on how
    many there are.
    """

    @functools.wraps(method)
    def wrapper(self, *args, **kwargs):
        before = dict(self.__dict__)
        try:
            with OneThreadBLAS():
                return method(self, *args, **kwargs)
        except BaseException:
            self.__dict__ = before  # at once: a second interrupt finds all or nothing done
            raise

    return wrapper


def check_X(estimator, X, loss, *, reset, name="X"):
    """X as a C-contiguous float32 or float64 array, or a canonical CSR array of such."""
    options = {"accept_sparse": "csr", "dtype": FLOATS}
    if name == "X":
        check = functools.partial(validate_data, estimator, reset=reset)
        X = check_matrix(X, name, check, **options)
    else:  # validate_data calls every array X in its messages
        checked = check_matrix(X, name, estimator=estimator, **options)
        try:
            validate_data(estimator, X, reset=reset, skip_check_array=True)
        except ValueError as error:
            raise ValueError(str(error).replace("X has", f"{name} has", 1)) from error
        X = checked
    loss.check_X(X, name)
    return X


def check_weight(sample_weight, X, n_tasks=None):
    """Row weights (n,) and label weights (n, n_tasks) or None, non-negative and not all zero.

    A two-dimensional ``sample_weight`` weighs labels; its rows all train the code with weight 1.
    """
    n_rows = X.shape[0]
    if sample_weight is None:
        return np.ones(n_rows), None
    sample_weight = as_numbers(sample_weight, "sample_weight")
    two_d = n_tasks is not None and np.ndim(sample_weight) == 2
    if two_d:
        weight = as_floats(sample_weight, "sample_weight")
        if weight.shape != (n_rows, n_tasks):
            raise ValueError(
                f"sample_weight must have shape ({n_rows},) or ({n_rows}, {n_tasks}); got "
                f"{weight.shape}."
            )
        if not np.isfinite(weight).all() or (weight < 0).any():
            raise ValueError(
                "sample_weight must be finite and not negative in every entry; got values from "
                f"{weight.min()} to {weight.max()}. Set the weight of what is to be left out to 0."
            )
    else:
        with naming("sample_weight"):
            weight = check_sample_weight(
                sample_weight, X, dtype=np.float64, ensure_non_negative=True
            )
    if not weight.any():
        raise ValueError(
            "sample_weight must not be zero everywhere; got only zeros. Give the rows to learn "
            "from a weight above zero."
        )
    return (np.ones(n_rows), weight) if two_d else (weight, None)


def check_entry_weight(sample_weight, X, present):
    """Row weights (n,) and the weights of the entries (n, n_tasks) that are ``present``."""
    weight, of_entries = check_weight(sample_weight, X, present.shape[1])
    return weight, (weight[:, None] if of_entries is None else of_entries) * present


def refuse_early_stopping(estimator):
    """``partial_fit`` runs what it is told to run."""
    if estimator.early_stopping:
        raise ValueError(
            "early_stopping must be False with partial_fit, which never stops by itself; got "
            "True. Use fit, or watch score on rows of your own."
        )


def held_out(candidates, fraction, seed, codes=None):
    """Mask of the rows to hold out for validation, a share of the candidates.

    Parameters
    ----------
    candidates : ndarray of bool, shape (n_rows,)
        Rows with weight.
    fraction : float
        Share to hold out.
    seed : int
    codes : ndarray of shape (n_rows, n_tasks), optional
        Integer labels whose proportions are kept.
    """
    rows = np.flatnonzero(candidates)
    n_out = max(1, round(fraction * len(rows)))
    if n_out >= len(rows):
        raise ValueError(
            f"early_stopping needs at least 2 rows to hold one out; got n_samples = {len(rows)}. "
            "Pass X_val or set early_stopping=False."
        )
    rng = np.random.default_rng(seed)
    out = np.zeros(len(candidates), dtype=bool)
    if codes is None:
        out[rng.permutation(rows)[:n_out]] = True
        return out
    out[rows[stratified_folds(codes[rows], [len(rows) - n_out, n_out], rng) == 1]] = True
    for labels in codes.T:  # a task of few labels per class may have got none: it gets one
        labelled = np.flatnonzero(candidates & (labels >= 0))
        if len(labelled) > 1 and not out[labelled].any():
            commonest = np.bincount(labels[labelled]).argmax()
            out[rng.choice(labelled[labels[labelled] == commonest])] = True
    if not (codes[out] >= 0).any():
        raise ValueError(
            "early_stopping needs at least 2 labelled rows in some task, one of them to hold out; "
            "pass X_val and y_val, or set early_stopping=False."
        )
    return out
