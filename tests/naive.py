"""Slow, obvious twins of what is fast."""

from copy import deepcopy
from dataclasses import replace
from itertools import permutations

import numpy as np
from scipy.optimize import nnls
from scipy.special import logsumexp


def topk(pre, k):
    """Largest k positive entries of each row by a stable sort; equal ones to the lower index."""
    code = np.zeros_like(pre)
    for i, row in enumerate(pre):
        for j in sorted(range(len(row)), key=lambda j: (-row[j], j))[:k]:
            code[i, j] = max(row[j], 0)
    return code


def kl_penalty(code, weight, rho, beta):
    total = 0.0
    for j in range(code.shape[1]):
        rate = np.average(code[:, j], weights=weight)
        total += rho * np.log(rho / rate) + (1 - rho) * np.log((1 - rho) / (1 - rate))
    return beta * total * weight.sum()


def softmax_losses(scores, offsets, labels, weight):
    """Weighted cross-entropy of each task over its labelled rows."""
    losses = np.zeros(len(offsets) - 1)
    for t in range(len(losses)):
        for i in range(len(scores)):
            if labels[i, t] >= 0:
                own = scores[i, offsets[t] : offsets[t + 1]]
                losses[t] += weight[i, t] * (logsumexp(own) - own[labels[i, t]])
    return losses


def squared_losses(scores, offsets, targets, weight):
    """Weighted squared error of each task that has a score."""
    losses = np.zeros(len(offsets) - 1)
    for t in range(len(losses)):
        for i in range(len(scores)):
            if offsets[t] < offsets[t + 1]:
                losses[t] += weight[i, t] * (scores[i, offsets[t]] - targets[i, t]) ** 2
    return losses


def mixture_log_likelihood(X, log_alpha, means_or_logits, distribution, variance=None):
    """log sum_h alpha_h p_dec(x; h), one row and one component at a time."""
    out = np.empty(len(X))
    for i, x in enumerate(X):
        joint = []
        for h, row in enumerate(means_or_logits):
            if distribution == "gaussian":
                log_p = -0.5 * (
                    np.sum((x - row) ** 2) / variance[h] + len(x) * np.log(2 * np.pi * variance[h])
                )
            else:
                p = 1 / (1 + np.exp(-row))
                log_p = np.sum(x * np.log(p) + (1 - x) * np.log(1 - p))
            joint.append(log_alpha[i, h] + log_p)
        out[i] = logsumexp(joint)
    return out


def adam(w, gradients, lr, beta_1, beta_2, epsilon, decay=0.0):
    """Kingma and Ba's algorithm 1 over a list of gradients, AdamW's decay first."""
    m, v = np.zeros_like(w), np.zeros_like(w)
    for t, g in enumerate(gradients, start=1):
        m = beta_1 * m + (1 - beta_1) * g
        v = beta_2 * v + (1 - beta_2) * g**2
        w = w - lr * decay * w
        w = w - lr * (m / (1 - beta_1**t)) / (np.sqrt(v / (1 - beta_2**t)) + epsilon)
    return w


def refine(code, W_dec, target, positive):
    """Least squares, or nonnegative least squares, on each row's support by a library."""
    out = np.zeros_like(code)
    for i, row in enumerate(code):
        S = np.flatnonzero(row)
        if len(S) and positive:
            out[i, S] = nnls(W_dec[S].T, target[i])[0]
        elif len(S):
            out[i, S] = np.linalg.lstsq(W_dec[S].T, target[i])[0]
    return out


def fvu(X, recon, weight):
    """Squared error over squared distance from the weighted mean, row by row, then one ratio."""
    mean = sum(w * x for w, x in zip(weight, X, strict=True)) / sum(weight)
    error = variance = 0.0
    for w, x, r in zip(weight, X, recon, strict=True):
        error += w * sum((x - r) ** 2)
        variance += w * sum((x - mean) ** 2)
    return error / variance


def cosine(a, b, signed=True):
    """Cosine of two atoms; 0 where one is zero."""
    if not a.any() or not b.any():
        return 0.0
    value = float(a @ b / np.sqrt(a @ a) / np.sqrt(b @ b))
    return value if signed else abs(value)


def mean_max_cosine(of, among, signed=True):
    """Mean over the atoms ``of`` of the largest cosine with an atom ``among``."""
    return np.mean([max(cosine(a, b, signed) for b in among) for a in of])


def best_pairing(a, b, signed):
    """Cosines of the one-to-one pairs with the largest sum, by trying every pairing."""
    small, large = (a, b) if len(a) <= len(b) else (b, a)
    tried = (
        [cosine(s, large[j], signed) for s, j in zip(small, order, strict=True)]
        for order in permutations(range(len(large)), len(small))
    )
    return max(tried, key=sum)


def class_gap(code, positive):
    """|mean over the positive rows - mean over the others| of each latent."""
    gaps = []
    for column in code.T:
        ones = [v for v, p in zip(column, positive, strict=True) if p]
        rest = [v for v, p in zip(column, positive, strict=True) if not p]
        gaps.append(abs(sum(ones) / len(ones) - sum(rest) / len(rest)))
    return np.array(gaps)


def joint_inclusion(p, k):
    """P(i and j among k successive draws, each by p among those left), over all orders of draws."""
    together = np.zeros((len(p), len(p)))
    for drawn in permutations(range(len(p)), k):
        chance, left = 1.0, sum(p)
        for j in drawn:
            chance *= p[j] / left
            left -= p[j]
        together[np.ix_(drawn, drawn)] += chance
    return together


def batch_topk(pre, weight, k):
    """Positive entries while those above them weigh less than k a row on average."""
    code = np.zeros_like(pre)
    for i in range(pre.shape[0]):
        for j in range(pre.shape[1]):
            above = sum(weight[r] * (pre[r] > pre[i, j]).sum() for r in range(len(pre)))
            if pre[i, j] > 0 and above < k * weight.sum() * (1 - 1e-9):
                code[i, j] = pre[i, j]
    return code


def winner_take_all(pre, weight, rate):
    """Of each column the positive entries while those above them have less than a share."""
    code = np.zeros_like(pre)
    for i in range(pre.shape[0]):
        for j in range(pre.shape[1]):
            above = weight @ (pre[:, j] > pre[i, j])
            if pre[i, j] > 0 and above < rate * weight.sum() * (1 - 1e-9):
                code[i, j] = pre[i, j]
    return code


def jumprelu_threshold_gradient(pre, threshold, width, d_code, l0_slope, weight):
    """The papers' straight-through estimators, entry by entry.

    ``l0_slope`` is the derivative of the penalty in sum_i weight_i L0_i.
    """
    gradient = np.zeros(pre.shape[1])
    for i in range(pre.shape[0]):
        for j in range(pre.shape[1]):
            inside = abs(pre[i, j] - threshold[j]) < width / 2
            gradient[j] -= inside * d_code[i, j] * threshold[j] / width
            gradient[j] -= inside * l0_slope * weight[i] / width
    return gradient


def geometric_median(X, weight):
    """By a general minimizer."""
    from scipy.optimize import minimize

    def cost(c):
        return weight @ np.linalg.norm(X - c, axis=1)

    start = np.average(X, axis=0, weights=weight) + 0.01
    return minimize(
        cost, start, method="Nelder-Mead", options={"xatol": 1e-9, "fatol": 1e-12, "maxiter": 10**5}
    ).x


def scores(code, X, params):
    """Of every head, from the code and from X, one row and one class at a time."""
    out = np.empty((len(code), len(params["b_head"])))
    for i in range(len(code)):
        for c in range(out.shape[1]):
            out[i, c] = code[i] @ params["W_head"][c] + params["b_head"][c]
            out[i, c] += X[i] @ params["W_skip"][c]
    return out


class OneTask:
    """A balancer that lets one task alone reach the shared parameters."""

    def __init__(self, task):
        self.task = task

    def balance(self, losses, mass, gramian, state, step):
        return losses[self.task], np.eye(len(losses))[self.task]


def task_gradients(objective, params, state, batch, step, names):
    """Gradient of each task's loss in the named arrays, by a backward pass for each, (T, p)."""
    from skmtl._gradients import dense_gradient

    out = []
    for t in range(len(objective.tasks.offsets) - 1):
        tasks = replace(objective.tasks, balancer=OneTask(t), average=None, task_weights=None)
        alone = replace(objective, tasks=tasks, reconstruction_weight=0.0)
        _, grads = alone(params, state, batch, replace(step, rng=deepcopy(step.rng)))  # one noise
        out.append(np.concatenate([dense_gradient(grads[name]).ravel() for name in names]))
    return np.array(out)


def finished_heads(Z, answers, weight, offsets, penalty, n_steps=2000):
    """The minimum over V, (n_classes, columns of Z), of the heads' losses and a group penalty.

    Plain proximal gradient steps with the largest eigenvalue there is; the last column of Z, the
    bias, is not penalized. Returns V and the function that it is the minimum of.
    """
    n_classes, real = offsets[-1], answers.dtype.kind == "f"
    sizes = np.diff(offsets)

    def losses(V):
        scores, value, d_scores = Z @ V.T, 0.0, np.zeros((len(Z), n_classes))
        for i, t in zip(*np.nonzero(weight), strict=True):
            own, w = slice(offsets[t], offsets[t + 1]), weight[i, t]
            s = scores[i, own]
            if real:
                value += w * float(np.sum((s - answers[i, t]) ** 2))
                d_scores[i, own] = 2 * w * (s - answers[i, t])
            else:
                p = np.exp(s - s.max())
                p /= p.sum()
                value -= w * float(np.log(p[answers[i, t]]))
                d_scores[i, own] = w * (p - (np.arange(len(p)) == answers[i, t]))
        return value, d_scores.T @ Z

    def penalized(V):
        W = V[:, :-1]
        for_tasks = sum(
            np.sqrt(sizes[t]) * np.linalg.norm(W[offsets[t] : offsets[t + 1]], axis=0).sum()
            for t in range(len(sizes))
        )
        for_all = np.sqrt(n_classes) * np.linalg.norm(W, axis=0).sum()
        return penalty.alpha * for_tasks + penalty.alpha_latent * for_all

    def shrunk(W, amount):
        norms = np.linalg.norm(W, axis=0)
        return W * np.maximum(0, 1 - amount * np.sqrt(len(W)) / np.where(norms > 0, norms, 1))

    curved = 2.0 if real else 0.5
    step = 1 / max(np.linalg.eigvalsh(curved * (Z * w[:, None]).T @ Z).max() for w in weight.T)
    V = np.zeros((n_classes, Z.shape[1]))
    for _ in range(n_steps):
        V = V - step * losses(V)[1]
        for t in range(len(sizes)):
            own = slice(offsets[t], offsets[t + 1])
            V[own, :-1] = shrunk(V[own, :-1], step * penalty.alpha)
        V[:, :-1] = shrunk(V[:, :-1], step * penalty.alpha_latent)
    return V, lambda V: losses(V)[0] + penalized(V)
