"""The mixture of the origin document, p(x) = sum_h alpha_h p_dec(x; h):

logits_h    = W_dec[h] + b_dec
gaussian:   log p_dec(x; h) = -1/2 [|x - logits_h|^2 / v_h + d log(2 pi v_h)]
            v_h = floor + exp(log_variance_h)
bernoulli:  log p_dec(x; h) = x . logits_h - sum_f log(1 + exp(logits_hf))
loss(x)     = -log p(x) = -logsumexp_h(log alpha_h + log p_dec(x; h))

With the responsibilities r_h = alpha_h p_dec(x; h) / p(x):

d_log_p_dec[i, h] = -w_i r_ih,   d_pre[i, h] = w_i (alpha_ih - r_ih)   where alpha = softmax(pre)
"""

import numpy as np
import scipy.sparse as sp
from scipy.special import expit, log_softmax, logit, logsumexp

from skmtl import _layouts, _linalg
from skmtl._gradients import add_gradient
from skmtl._sklearn import Options, StrOptions
from skmtl.losses._base import Loss, clipped_logit, in_unit_interval

VARIANCE_FLOOR = 1e-6  # as GaussianMixture's reg_covar: a component cannot collapse on one row


def seed_clusters(X, weight, n, rng):
    """Centres, sizes and squared radii of ``n`` clusters: where the components start.

    Greedy k-means++ and some rounds of k-means over candidates, rows taken at equal steps of
    weight along a random direction. So the result depends on the weighted distribution of the rows
    alone, not on their order or on whether a weight of 2 is written as two rows.

    Returns
    -------
    centres : ndarray of shape (n, n_features)
    share : ndarray of shape (n,)
        Of the candidates, at least half of one.
    spread : ndarray of shape (n,)
        Mean squared distance to the centre, summed over features.
    total_spread : float
        The same around one centre for all.

    References
    ----------
    Arthur and Vassilvitskii, "k-means++: the advantages of careful seeding", SODA 2007.
    """
    n_candidates, n_trials = max(1024, 4 * n), 2 + int(np.log(n))
    order = np.argsort(X @ rng.standard_normal(X.shape[1]), kind="stable")
    total = np.cumsum(weight[order], dtype=np.float64)
    steps = (np.arange(n_candidates) + rng.random()) / n_candidates * total[-1]
    taken = order[np.minimum(np.searchsorted(total, steps), len(order) - 1)]
    rows = np.asarray(_layouts.dense_block(_layouts.as_rows(X[taken])), dtype=np.float64)
    mean = rows.mean(axis=0)
    rows -= mean

    chosen = [int(rng.integers(n_candidates))]
    nearest = _squared_distances(rows, rows[chosen])[:, 0]
    for _ in range(n - 1):
        trials = np.searchsorted(np.cumsum(nearest), rng.random(n_trials) * nearest.sum())
        trials = np.minimum(trials, n_candidates - 1)
        after = np.minimum(nearest[:, None], _squared_distances(rows, rows[trials]))
        best = after.sum(axis=0).argmin()
        chosen.append(int(trials[best]))
        nearest = after[:, best]

    # Centres that no row is nearest to (more of them than distinct rows) spread like the rows.
    centres, total_spread = rows[chosen], (rows**2).sum(axis=1).mean()
    elsewhere = rng.standard_normal(centres.shape) * rows.std(axis=0)
    for _ in range(10):
        distance = _squared_distances(rows, centres)
        label, nearest = distance.argmin(axis=1), distance.min(axis=1)
        count = np.bincount(label, minlength=n)
        size = np.maximum(count, 0.5)
        spread = np.bincount(label, nearest, minlength=n) / size
        members = sp.csr_array((np.ones(len(rows)), (label, np.arange(len(rows)))), (n, len(rows)))
        centres = np.where(count[:, None] > 0, members @ rows / size[:, None], elsewhere)
    # A cluster of equal rows must not start as a spike.
    spread = np.maximum(np.where(count > 0, spread, total_spread), 0.01 * total_spread)
    return centres + mean, size / n_candidates, spread, total_spread


def _squared_distances(rows, centres):
    """|row - centre|^2, (n_rows, n_centres); exactly zero where rounding alone differs."""
    norms = (rows**2).sum(axis=1)[:, None] + (centres**2).sum(axis=1)
    distance = norms - 2 * rows @ centres.T
    return np.where(distance > 1e-12 * norms, distance, 0)


class Mixture(Loss):
    """Negative log-likelihood of a mixture with one component per latent.

    Parameters
    ----------
    distribution : {"gaussian", "bernoulli"}, default="gaussian"
        Distribution of x given a component: Gaussian with one learnt variance per component, or
        independent Bernoulli features (X in [0, 1]).
    amortized : bool, default=True
        True: the mixing weights alpha are the encoder's softmax output for each row. False: one
        free vector for all rows, the plain mixture model.

    Notes
    -----
    ``p(x) = sum_h alpha_h p_dec(x; h)``, ``alpha = softmax(beta)``. Row h of the decoder plus the
    decoder's bias is the mean (Gaussian) or the logits (Bernoulli) of component h. With
    ``amortized=True`` alpha depends on x, so ``log p(x)`` scores how well x is explained given its
    own code and is no normalised density over x; with ``amortized=False`` it is one.

    Components start at clusters of the rows, whose seeding takes time and memory that grow with
    the square of the number of latents; a step grows linearly with it.

    References
    ----------
    Jordan and Jacobs, "Hierarchical mixtures of experts and the EM algorithm", Neural Computation,
    1994, for mixing weights that depend on the row.

    Examples
    --------
    >>> from skmtl.losses import Mixture
    >>> Mixture(amortized=False)
    Mixture(amortized=False)
    """

    is_mixture = True
    _parameter_constraints = {
        "distribution": [StrOptions({"gaussian", "bernoulli"})],
        "amortized": [Options(bool, {True, False})],
    }

    def __init__(self, distribution="gaussian", amortized=True):
        self.distribution = distribution
        self.amortized = amortized

    @property
    def shifts_input(self):
        return self.distribution == "gaussian"

    def check_X(self, X, name="X"):
        if self.distribution == "bernoulli" and not in_unit_interval(X):
            raise ValueError(
                f"{name} must lie in [0, 1] with Mixture(distribution='bernoulli'); got values "
                f"from {X.min():.9g} to {X.max():.9g}. Scale it, or use distribution='gaussian'."
            )

    def initial_bias(self, mean):
        return mean if self.distribution == "gaussian" else clipped_logit(mean)

    def baseline(self, mean, variance):
        return float(len(mean))

    def init(self, params, X, weight, rng):
        """Put the components on clusters of the rows; the encoder starts at their posteriors."""
        dtype = params["W_dec"].dtype
        centres, share, spread, total_spread = seed_clusters(X, weight, len(params["W_dec"]), rng)
        if self.distribution == "gaussian":
            rows = centres - params["b_dec"]
            variance = np.maximum(spread / X.shape[1], VARIANCE_FLOOR)
            params["log_variance"] = np.log(variance).astype(dtype)
            # With one variance the posterior is a softmax of a linear map. That of the whole data,
            # not of the clusters: a saturated softmax would pass no gradient.
            W_enc = rows * (X.shape[1] / max(total_spread, VARIANCE_FLOOR))
            b_enc = np.log(share) - 0.5 * np.sum(rows * W_enc, axis=1)
        else:
            rows = logit(np.clip(centres, 0.05, 0.95)) - params["b_dec"]
            W_enc = rows
            b_enc = np.log(share) - np.logaddexp(0, rows + params["b_dec"]).sum(axis=1)
        params["W_dec"] = rows.astype(dtype)
        if self.amortized:
            params["W_enc"] = W_enc.astype(dtype)
            params["b_enc"] = (b_enc - b_enc.mean()).astype(dtype)
        else:  # beta is b_enc alone, one vector for all rows
            del params["W_enc"]
            params["b_enc"] = np.log(share).astype(dtype)

    def log_density(self, X, params):
        """``log p_dec(x_i; h)``, (n, m)."""
        if self.distribution == "bernoulli":
            logits = params["W_dec"] + params["b_dec"]
            product = _linalg.matmul(X, np.ascontiguousarray(logits.T))
            return product - np.logaddexp(0, logits).sum(axis=1)
        variance = VARIANCE_FLOOR + np.exp(params["log_variance"])
        constant = X.shape[1] * np.log(2 * np.pi * variance)
        return -0.5 * (self._squared_distance(X, params) / variance + constant)

    def _squared_distance(self, X, params):
        shifted, means = _layouts.dense_block(X) - params["b_dec"], params["W_dec"]
        distance = (shifted**2).sum(axis=1)[:, None] - 2 * shifted @ means.T
        return np.maximum(distance + (means**2).sum(axis=1), 0)

    def log_joint(self, X, pre, params):
        """``log alpha_ih + log p_dec(x_i; h)``, (n, m); its logsumexp over h is ``log p(x_i)``."""
        return log_softmax(pre, axis=1) + self.log_density(X, params)

    def responsibilities(self, X, pre, params):
        """``p(h | x_i)``, (n, m)."""
        joint = self.log_joint(X, pre, params)
        return np.exp(joint - logsumexp(joint, axis=1, keepdims=True))

    def value_and_backward(self, X, weight, fwd, adj, params, grads):
        """``sum_i weight[i] * loss_i``; adds to ``adj.pre`` and ``grads``."""
        joint = self.log_joint(X, fwd.pre, params)
        log_p = logsumexp(joint, axis=1)
        share = weight[:, None] * np.exp(joint - log_p[:, None])  # w_i r_ih
        adj.pre.append(weight[:, None] * fwd.code - share)
        self._density_backward(X, share, params, grads)
        return -float(weight @ log_p)

    def _density_backward(self, X, share, params, grads):
        """Gradients of ``-sum_ih share[i, h] log p_dec(x_i; h)`` with ``share`` held fixed."""
        count = share.sum(axis=0)
        if self.distribution == "bernoulli":
            p = expit(params["W_dec"] + params["b_dec"])
            d_logits = count[:, None] * p - _linalg.weight_gradient(share, X)
        else:
            free = np.exp(params["log_variance"])
            variance = VARIANCE_FLOOR + free
            shifted = _layouts.dense_block(X) - params["b_dec"]
            d_logits = (count[:, None] * params["W_dec"] - share.T @ shifted) / variance[:, None]
            distance = np.sum(share * self._squared_distance(X, params), axis=0)
            d_variance = 0.5 * (X.shape[1] * count / variance - distance / variance**2)
            add_gradient(grads, "log_variance", d_variance * free)
        add_gradient(grads, "b_dec", d_logits.sum(axis=0))
        add_gradient(grads, "W_dec", d_logits)

    def means(self, params):
        """Mean of x under each component, (m, d)."""
        logits = params["W_dec"] + params["b_dec"]
        return logits if self.distribution == "gaussian" else expit(logits)
