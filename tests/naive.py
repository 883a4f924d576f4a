"""Slow, obvious twins of what is fast."""

import numpy as np
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
