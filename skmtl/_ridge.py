"""A head by itself for real targets: ridge regression on what stands.

min_{W, b}  C sum_i w_i (S[i] . W + b - target_i)^2 + |W|^2 / 2,    S as in `_logistic`

Solved by scikit-learn; the weights returned are for R itself.
"""

from sklearn.linear_model import Ridge

from skmtl._logistic import standardized


def fit_ridge(R, target, weight, n_scores, C):
    """Weights (1, n_read) and intercept (1,) of rows R, an array or SciPy CSR."""
    S, mean, scale = standardized(R, weight)
    model = Ridge(alpha=0.5 / C).fit(S, target, sample_weight=weight / weight.mean())
    W = (model.coef_ * scale)[None]
    return W, model.intercept_ - W @ mean


def squared_errors(scores, target):
    """Squared error of each row."""
    return (scores[:, 0] - target) ** 2
