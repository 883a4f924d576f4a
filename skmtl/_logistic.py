"""A head by itself, on what stands: logistic regression with the strength chosen on held-out rows.

min_{W, b}  C sum_i w_i loss_i(S W.T + b) + |W|^2 / 2,    S the columns of R over their deviations

Solved by scikit-learn; the weights returned are for R itself, a row for each class.
"""

import warnings

import numpy as np
import scipy.sparse as sp
from scipy.special import logsumexp
from sklearn.linear_model import LogisticRegression

from skmtl import _linalg
from skmtl._stratify import stratified_folds

STRENGTHS = (0.01, 0.1, 1.0, 10.0)
# Log-odds of a class that no training row has.
NEVER = -20.0


def fit_logistic(R, label, weight, n_classes, C):
    """Weights (n_classes, n_read) and intercepts (n_classes,) of rows R, an array or SciPy CSR."""
    W, b = np.zeros((n_classes, R.shape[1])), np.full(n_classes, NEVER)
    seen = np.unique(label[weight > 0])
    if len(seen) < 2:
        b[seen] = 0
        return W, b
    S, mean, scale = standardized(R, weight)
    model = LogisticRegression(C=C, max_iter=300)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # nearly there is good enough
        model.fit(S, label, sample_weight=weight / weight.mean())
    coef, intercept = model.coef_ * scale, model.intercept_
    if len(seen) == 2:  # the difference of two scores
        coef, intercept = np.vstack([-coef, coef]) / 2, np.append(-intercept, intercept) / 2
    W[seen], b[seen] = coef, intercept - coef @ mean
    return W, b


def standardized(R, weight):
    """S, and the means and scales by which it is R; a CSR is not centred."""
    mean, variance = _linalg.weighted_moments(R, weight)
    scale = np.where(variance > 0, 1 / np.sqrt(np.where(variance > 0, variance, 1)), 0)
    if sp.issparse(R):
        return R @ sp.diags_array(scale, format="csr"), np.zeros_like(mean), scale
    return (R - mean) * scale, mean, scale


def losses_of(scores, label):
    """Cross-entropy of each row."""
    return logsumexp(scores, axis=1) - scores[np.arange(len(label)), label]


def held_out_losses(R, label, weight, n_classes, train, C):
    """Loss of each row outside ``train`` under a head fitted to those inside."""
    W, b = fit_logistic(R[train], label[train], weight[train], n_classes, C)
    return losses_of(R[~train] @ W.T + b, label[~train])


def best_strength(R, label, weight, n_classes, n_folds=5):
    """The C with the least mean loss on held-out rows; 1 where a class has too few of them."""
    folds = folds_of(label[:, None], n_folds)
    if np.bincount(label, minlength=n_classes).min() < 2:
        return 1.0
    totals = [
        sum(
            weight[folds == f] @ held_out_losses(R, label, weight, n_classes, folds != f, C)
            for f in range(folds.max() + 1)
        )
        for C in STRENGTHS
    ]
    return STRENGTHS[int(np.argmin(totals))]


def folds_of(codes, n_folds, rng=None):
    """Fold of each row, every task's classes in proportion."""
    n_folds = min(n_folds, len(codes))
    sizes = np.bincount(np.arange(len(codes)) % n_folds)
    return stratified_folds(codes, sizes, np.random.default_rng(0) if rng is None else rng)
