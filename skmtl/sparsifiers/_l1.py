"""L1:  code = max(pre, 0),  penalty = alpha * sum_i w_i sum_j code[i, j] |W_dec[j]|.

With w_i the rows' weights (they sum to one), d_code[i, j] += alpha * w_i |W_dec[j]| where the code
is active. With unit atoms the norms are one. With free ones they must be in the penalty, else the
code shrinks while the atoms grow; d_W_dec[j] += alpha * sum_i w_i code[i, j] W_dec[j] / |W_dec[j]|.

Annealed, code becomes (code + delta)^p - delta^p and p falls from 1 to ``p_end`` in ten steps;
delta is a hundredth of the mean active entry. At each step alpha is multiplied by what keeps the
penalty of the batch as it was.
"""

from numbers import Real

import numpy as np

from skmtl._gradients import add_gradient
from skmtl._sklearn import Interval
from skmtl.sparsifiers._base import WEAK_START, Sparsifier, risen

# How often p changes in a fit.
N_STEPS = 10


class L1(Sparsifier):
    """Relu code with a penalty on its sum.

    Parameters
    ----------
    alpha : float, default=0.1
        Weight of the penalty beside the reconstruction error, which is summed over features and
        averaged over rows. At least 0.
    warmup : float, default=0.25
        Share of the fit over which ``alpha`` rises from 0, in [0, 1]: a penalty that is there
        before the atoms are silences latents that would have been useful. Of no effect on
        ``partial_fit``.
    atom_norm : bool, default=False
        Weight each latent by the norm of its atom. Meant for ``decoder_norm=None``.
    p_end : float or None, default=None
        If given, the power that the entries of the code are raised to falls from 1 to this over
        the fit, in (0, 1]: large entries are penalised ever less, and shrink less. Of no effect on
        ``partial_fit``.

    Notes
    -----
    ``penalty = alpha * sum_i w_i sum_j code[i, j]``, with row weights that sum to one. The number
    of latents does not enter. The active entries shrink by about ``alpha / 2`` under the squared
    error with orthogonal unit atoms.

    References
    ----------
    Olshausen and Field, "Sparse coding with an overcomplete basis set", Vision Research, 1997.
    Conerly et al., "Update on how we train SAEs", Transformer Circuits Thread, April 2024
    (``atom_norm``). Karvonen et al., "Measuring Progress in Dictionary Learning for Language Model
    Interpretability with Board Game Models", arXiv:2408.00113 (``p_end``).

    Examples
    --------
    >>> from skmtl.sparsifiers import L1
    >>> L1(alpha=0.5)
    L1(alpha=0.5)
    """

    _parameter_constraints = {
        "alpha": [Interval(Real, 0, None, closed="left")],
        "warmup": [Interval(Real, 0, 1, closed="both")],
        "atom_norm": ["boolean"],
        "p_end": [Interval(Real, 0, 1, closed="right"), None],
    }

    #: What "auto" does for dead latents.
    dead_latents = "resample"

    def __init__(self, alpha=0.1, warmup=0.25, atom_norm=False, p_end=None):
        self.alpha = alpha
        self.warmup = warmup
        self.atom_norm = atom_norm
        self.p_end = p_end

    def encoder_norm(self, n_components, n_features):
        return WEAK_START

    def term(self, batch, fwd, adj, params, state, grads, step):
        code, weight = fwd.code, step.weight[:, None]
        alpha = self.alpha * risen(self.warmup, step)
        size, slope = code, 1.0  # the power of the code, and its derivative
        if self.p_end is not None and step.place is not None:
            factor, size, slope = self._annealed(code, weight, step)
            alpha *= factor
        if not self.atom_norm:
            adj.code += alpha * weight * slope  # backward keeps it only where the code is active
            return alpha * float(np.sum(weight * size, dtype=np.float64))
        W_dec = params["W_dec"]
        norm = np.linalg.norm(W_dec, axis=1)
        adj.code += alpha * weight * slope * norm
        d_norm = (alpha * (weight * size).sum(axis=0)).astype(W_dec.dtype)
        safe = np.where(norm > 0, norm, 1)
        add_gradient(grads, "W_dec", (d_norm / safe)[:, None] * W_dec)
        return float(d_norm.astype(np.float64) @ norm)

    def _annealed(self, code, weight, step):
        kept = step.place.memory.setdefault("l1", {"p": 1.0, "factor": 1.0, "delta": 0.0})
        at = min(1.0, np.floor((N_STEPS + 1) * step.progress) / N_STEPS)
        p = float(1 - (1 - self.p_end) * at)
        active = code > 0
        if p != kept["p"] and active.any():
            before = np.sum(weight * _power(code, kept["p"], kept["delta"]), dtype=np.float64)
            delta = 0.01 * float(code[active].mean())
            now = np.sum(weight * _power(code, p, delta), dtype=np.float64)
            kept |= {"p": p, "delta": delta, "factor": kept["factor"] * float(before / now)}
        p, delta = kept["p"], kept["delta"]
        slope = p * np.where(active, code + delta, 1) ** (p - 1)  # backward needs the active ones
        return kept["factor"], _power(code, p, delta), slope


def _power(code, p, delta):
    return code if p == 1 else (code + delta) ** p - delta**p
