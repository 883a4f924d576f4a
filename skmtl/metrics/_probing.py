"""Sparse probing: how well k latents alone tell one label.

For a class c and the training rows:

gap_j   = | mean of code_j over rows of class c - mean of code_j over the others |
latents = the k with the largest gap, equal ones by lower index

and a logistic regression on these k columns tells c from the rest; it is scored on test rows, which
neither choose the latents nor train the probe.
"""

from numbers import Integral
from typing import Any

import numpy as np
import scipy.sparse as sp
from sklearn.base import clone
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import check_scoring
from sklearn.model_selection import StratifiedShuffleSplit, check_cv
from sklearn.utils import Bunch

from skmtl._targets import TaskLabels
from skmtl.metrics._codes import check_code

BLOCK_ROWS = 1024


def sparse_probing(
    code: Any,
    y: Any,
    *,
    n_latents: Any = (1, 2, 5),
    scoring: Any = "balanced_accuracy",
    probe: Any = None,
    test_size: float | int = 0.2,
    cv: Any = None,
    missing_label: Any = None,
    random_state: Any = None,
) -> Bunch:
    """Score probes of one label that see only k latents of a code.

    The latents are the k whose means over the two classes differ most on training rows. With more
    than two classes each class is told from the rest by k latents of its own, and scores are
    averaged over classes.

    Parameters
    ----------
    code : array-like or sparse array of shape (n_samples, n_components)
        Codes, as from ``transform``. Sparse ones stay sparse.
    y : array-like of shape (n_samples,) or (n_samples, 1)
        One label a row. Rows without one (NaN, None, pd.NA, ``missing_label``) are left out.
    n_latents : int or sequence of int, default=(1, 2, 5)
        The numbers k of latents that a probe may see, each clipped to the width of the code.
    scoring : str or callable, default="balanced_accuracy"
        A scikit-learn scorer for two classes: "accuracy", "roc_auc", "f1", ... or
        ``scorer(probe, X, y)``. The positive class is labelled True. With balanced accuracy chance
        is 0.5 however rare a class is; where classes are equally frequent it is the accuracy.
    probe : classifier, default=None
        Cloned and fitted on k columns of the code. None for
        ``LogisticRegression(class_weight="balanced", max_iter=1000)``.
    test_size : float or int, default=0.2
        Share or number of the labelled rows to score on, in one stratified split. Not used with
        ``cv``.
    cv : int, splitter or iterable of (train, test), default=None
        Splits to average over in place of the one. An int asks for that many stratified folds in
        the order of rows. Indices count labelled rows only.
    missing_label : scalar, default=None
        A value of y that also means "no label here".
    random_state : int, RandomState instance or None, default=None
        The one split that is made without ``cv``.

    Returns
    -------
    result : Bunch
        - ``n_latents``: ndarray of shape (n_k,), the numbers k as used.
        - ``score``: ndarray of shape (n_k,), the mean over splits and probes.
        - ``scores``: ndarray of shape (n_splits, n_probes, n_k).
        - ``latents``: ndarray of shape (n_splits, n_probes, max k), the latents chosen, best first;
          a probe of k latents sees the first k.
        - ``classes``: ndarray of shape (n_probes,), the positive class of each probe: the second
          of two, or all of more.

    Raises
    ------
    ValueError
        If y has several columns, fewer than two classes, or a training split lacks a class.

    Notes
    -----
    A score says what k latents tell, not that they mean the label: compare with the same on X or
    on random directions. On codes from large language models such probes gave no consistent gain
    over probes of the activations (arXiv:2502.16681).

    References
    ----------
    Gurnee et al., "Finding Neurons in a Haystack: Case Studies with Sparse Probing",
    arXiv:2305.01610. Karvonen et al., "SAEBench", arXiv:2503.09532: k of 1, 2 and 5, latents by
    difference of means, one class against as many rows of the others.

    Examples
    --------
    >>> import numpy as np
    >>> from skmtl.metrics import sparse_probing
    >>> rng = np.random.default_rng(0)
    >>> code, y = rng.random((200, 8)), np.arange(200) % 2
    >>> code[:, 3] += y
    >>> result = sparse_probing(code, y, n_latents=(1, 2), random_state=0)
    >>> result.latents[0, 0, 0].item(), result.score[0].item()
    (3, 1.0)
    """
    code = check_code(code)
    labels, classes = _read_label(y, missing_label, code.shape[0])
    n_latents = np.minimum(_read_n_latents(n_latents), code.shape[1])
    probe = LogisticRegression(class_weight="balanced", max_iter=1000) if probe is None else probe
    scorer = check_scoring(probe, scoring=scoring)
    rows = np.flatnonzero(labels >= 0)
    if cv is None:
        splitter = StratifiedShuffleSplit(1, test_size=test_size, random_state=random_state)
    else:
        splitter = check_cv(cv, labels[rows], classifier=True)
    positives = [1] if len(classes) == 2 else range(len(classes))
    found, latents = [], []
    for train, test in splitter.split(rows, labels[rows]):
        gaps = _class_gaps(code, labels, rows[train], len(classes))
        for c in positives:
            chosen = np.argsort(-gaps[c], kind="stable")[: n_latents.max()]
            columns = code[:, chosen]
            columns = columns.toarray() if sp.issparse(columns) else columns
            target = labels == c
            for k in n_latents:
                fitted = clone(probe).fit(columns[rows[train], :k], target[rows[train]])
                found.append(scorer(fitted, columns[rows[test], :k], target[rows[test]]))
            latents.append(chosen)
    scores = np.reshape(found, (-1, len(positives), len(n_latents)))
    return Bunch(
        n_latents=n_latents,
        score=scores.mean(axis=(0, 1)),
        scores=scores,
        latents=np.reshape(latents, (len(scores), len(positives), -1)),
        classes=classes[list(positives)],
    )


def _read_label(y, missing_label, n_rows):
    """Integer codes of one column of labels, -1 for a gap, and its classes."""
    learnt, codes = TaskLabels.learn(y, missing_label)
    if codes.shape[1] != 1:
        raise ValueError(
            f"y must have one label a row; got shape {codes.shape}. Probe one column at a time."
        )
    if len(codes) != n_rows:
        raise ValueError(f"code and y must have one number of rows; got {n_rows} and {len(codes)}.")
    classes = learnt.classes[0]
    if len(classes) < 2:
        raise ValueError(f"y must have at least two classes to tell apart; got {classes.tolist()}.")
    return codes[:, 0], classes


def _read_n_latents(n_latents):
    numbers = np.atleast_1d(np.asarray(n_latents, dtype=object))
    if not numbers.size or not all(isinstance(k, Integral) and int(k) >= 1 for k in numbers):
        raise ValueError(
            f"n_latents must be an integer of at least 1, or several; got {n_latents!r}."
        )
    return numbers.astype(np.int64)


def _class_gaps(code, labels, train, n_classes):
    """|mean over a class - mean over the others| of each latent, (n_classes, n_components)."""
    # Rows outside the training split carry the label of no class: nothing of their code is copied.
    labels_of_train = np.full(len(labels), -1)
    labels_of_train[train] = labels[train]
    count = np.bincount(labels[train], minlength=n_classes)[:, None].astype(float)
    if not count.all():
        raise ValueError(
            "cv must leave rows of every class to train on; got a split without class number "
            f"{int(np.flatnonzero(count == 0)[0])}. Use stratified splits."
        )
    sums = np.zeros((n_classes, code.shape[1]))
    for start in range(0, len(labels), BLOCK_ROWS):
        block = slice(start, start + BLOCK_ROWS)
        of_class = labels_of_train[block] == np.arange(n_classes)[:, None]
        sums += of_class.astype(float) @ code[block]
    rest = count.sum() - count
    return np.abs(sums / count - (sums.sum(axis=0) - sums) / rest)
