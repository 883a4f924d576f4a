"""A head by itself for real targets: ridge regression on what stands.

min_{W, b}  C sum_i w_i (S[i] . W + b - target_i)^2 + |W|^2 / 2,    S as in `_logistic`

Solved by scikit-learn; the weights returned are for R itself.
"""

import numpy as np
from sklearn.linear_model import Ridge

from skmtl._logistic import STRENGTHS, folds_of, standardized


def fit_ridge(R, target, weight, n_scores, C):
    """Weights (1, n_read) and intercept (1,) of rows R, an array or SciPy CSR."""
    S, mean, scale = standardized(R, weight)
    model = Ridge(alpha=0.5 / C).fit(S, target, sample_weight=weight / weight.mean())
    W = (model.coef_ * scale)[None]
    return W, model.intercept_ - W @ mean


def best_ridge_strength(R, target, weight, n_folds=5):
    """The C with the least mean loss on held-out rows; 1 where there are too few."""
    if len(target) < 2 * n_folds:
        return 1.0
    folds = folds_of(np.zeros((len(target), 1), np.int64), n_folds)
    totals = np.zeros(len(STRENGTHS))
    for f in range(n_folds):
        out = folds == f
        for c, C in enumerate(STRENGTHS):
            W, b = fit_ridge(R[~out], target[~out], weight[~out], 1, C)
            totals[c] += weight[out] @ squared_errors(R[out] @ W.T + b, target[out])
    return STRENGTHS[int(np.argmin(totals))]


def squared_errors(scores, target):
    """Squared error of each row."""
    return (scores[:, 0] - target) ** 2
