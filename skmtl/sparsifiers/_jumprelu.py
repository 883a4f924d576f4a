"""JumpReLU:  code[i, j] = pre[i, j] 1[pre[i, j] > theta_j],  theta = scale * threshold, trained.

The step has no derivative; a window of width e around it stands in for one (straight-through):
K[i, j] = 1[|pre[i, j] - theta_j| < e / 2],  d code / d theta_j := -(theta_j / e) K,
d 1[pre > theta_j] / d theta_j := -(1 / e) K,  d code / d pre = 1[pre > theta_j].

With the rows' weights w_i (they sum to one, W) and L0 = sum_i w_i sum_j 1[pre > theta_j] / W:
"target_l0"  penalty = strength * unit * W * (L0 / l0 - 1)^2
"l0"         penalty = strength * unit * W * L0
"tanh"       penalty = strength * unit * sum_i w_i sum_j tanh(c code[i, j] |W_dec[j]| / scale)
             + revival * sum_i w_i sum_dead relu(theta_j - pre[i, j]) |W_dec[j]|,
             and there also d code / d pre += (theta_j / e) K, as for the threshold.

unit is what the best constant reconstruction loses, scale the root mean square of the
pre-activations at the start of a fit, e = bandwidth * scale: so the constants mean the same, and
the learning rate moves thresholds as far, whatever the scale of X.
"""

from numbers import Real

import numpy as np

from skmtl import _layouts
from skmtl._constraints import AtLeast
from skmtl._gradients import Rows, add_gradient
from skmtl._layouts import CSR, Support
from skmtl._select import entries_above, floor_over_blocks, rows_of, weighted_floor
from skmtl._sklearn import Interval, StrOptions
from skmtl.sparsifiers._base import Sparsifier, norm_for


class JumpReLU(Sparsifier):
    """Latents fire above thresholds of their own, which are learnt.

    Parameters
    ----------
    penalty : {"target_l0", "l0", "tanh"}, default="target_l0"
        What keeps the code sparse: the squared relative distance of the mean number of active
        latents from ``l0``; that number itself; or a smooth stand-in for it.
    l0 : float, default=16
        The mean number of active latents a row that "target_l0" aims at, and with which every
        penalty starts: the first thresholds are set by the training rows.
    strength : float, default=1.0
        Weight of the penalty, in units of what the best constant reconstruction loses.
    bandwidth : float, default=0.5
        Width of the window in which a threshold feels the rows, in units of the root mean square
        of the pre-activations at the start.
    steepness : float, default=4.0
        ``c`` of "tanh".
    revival : float, default=3e-6
        With "tanh", weight of the loss that draws latents that have not fired for an epoch towards
        their thresholds.
    anneal_from : float or None, default=None
        With "target_l0" the target, and the first thresholds' L0, at the start of the fit; it
        falls linearly to ``l0`` over the first half. Four times ``l0`` serves high rates.
        ``partial_fit`` aims at ``l0`` at once.

    Notes
    -----
    The threshold is trained as it is, not as its logarithm, under which Adam hardly moves it. The
    window is laid around the pre-activation, not the code, whose lower half would be lost.

    With "target_l0" the thresholds are at the end multiplied by one number, so that ``l0`` latents
    a training row fire on average: they may not have got there if the fit is short.

    References
    ----------
    Rajamanoharan et al., "Jumping Ahead: Improving Reconstruction Fidelity with JumpReLU Sparse
    Autoencoders", arXiv:2407.14435 ("l0"). Lieberum et al., "Gemma Scope", arXiv:2408.05147.
    Conerly et al., "Dictionary Learning Optimization Techniques", Transformer Circuits Thread,
    January 2025 ("tanh").

    Examples
    --------
    >>> from skmtl.sparsifiers import JumpReLU
    >>> JumpReLU(l0=8)
    JumpReLU(l0=8)
    """

    _parameter_constraints = {
        "penalty": [StrOptions({"target_l0", "l0", "tanh"})],
        "l0": [Interval(Real, 0, None, closed="neither")],
        "strength": [Interval(Real, 0, None, closed="left")],
        "bandwidth": [Interval(Real, 0, None, closed="neither")],
        "steepness": [Interval(Real, 0, None, closed="neither")],
        "revival": [Interval(Real, 0, None, closed="left")],
        "anneal_from": [Interval(Real, 0, None, closed="neither"), None],
    }
    buffers = ("unit", "scale", "level")
    pseudo_gradients = ("threshold",)
    constraints = (AtLeast("threshold", 0.0),)
    #: What "auto" does for dead latents.
    dead_latents = "resample"

    def __init__(
        self,
        penalty="target_l0",
        l0=16,
        strength=1.0,
        bandwidth=0.5,
        steepness=4.0,
        revival=3e-6,
        anneal_from=None,
    ):
        self.penalty = penalty
        self.l0 = l0
        self.strength = strength
        self.bandwidth = bandwidth
        self.steepness = steepness
        self.revival = revival
        self.anneal_from = anneal_from

    def init(self, n_components, dtype, rng):
        one = np.ones(1, dtype)
        buffers = {name: one.copy() for name in self.buffers}
        return {"threshold": np.zeros(n_components, dtype), **buffers}

    def encoder_norm(self, n_components, n_features):
        return norm_for(self.l0, n_components, n_features)

    def calibrate(self, pre, weight, unit, params):
        """Set ``unit``, ``scale`` and the first thresholds from some training rows."""
        dtype = pre.dtype
        params["unit"] = np.full(1, unit, dtype)
        of_rows = np.average(np.mean(pre**2, axis=1, dtype=np.float64), weights=weight)
        params["scale"] = np.full(1, np.sqrt(of_rows) or 1, dtype)
        code = entries_above(pre, np.zeros(pre.shape[1], dtype))
        budget = self._target(0.0) * float(weight.sum(dtype=np.float64))
        floor = weighted_floor(code.data, weight[rows_of(code)], budget)
        params["threshold"] = np.full(pre.shape[1], floor / params["scale"][0], dtype)

    def forward(self, pre, params, step):
        threshold = _theta(params)
        if not step.train:
            return entries_above(pre, params["level"][0] * threshold)
        code = entries_above(pre, threshold - self._width(params) / 2)  # the window's other half
        code.data[code.data <= threshold[code.indices]] = 0
        return code

    def freeze(self, pre_blocks, weight, params):
        """Set the level of the thresholds at which ``l0`` latents a row fire."""
        if self.penalty != "target_l0":
            return
        least = 1e-6 * params["scale"][0]
        ratios = (pre / np.maximum(_theta(params), least) for pre in pre_blocks)
        level = floor_over_blocks(ratios, weight, min(self.l0, len(params["b_enc"])))
        params["level"] = np.full(1, level, params["level"].dtype)

    def backward(self, fwd, adj, params, grads, step):
        pre, inside = self._window(fwd, params)
        code, d_code, threshold = fwd.code, adj.code.data, _theta(params)
        steep = threshold / self._width(params)
        _add_theta_gradient(grads, params, -steep * _by_latent(code, d_code * inside))
        slope = (pre > threshold[code.indices]).astype(pre.dtype)
        if self.penalty == "tanh":
            slope += inside * steep[code.indices]
        adj.pre.append(_layouts.with_values(code, d_code * slope))

    def term(self, batch, fwd, adj, params, state, grads, step):
        total = float(step.weight.sum(dtype=np.float64))
        if total == 0:
            return 0.0
        strength = self.strength * float(params["unit"][0])
        if self.penalty == "tanh":
            value = self._tanh(fwd, adj, params, grads, step.weight, strength)
            return value + self._revive(fwd, adj, params, state, grads, step)
        code = fwd.code
        weight = step.weight[rows_of(code)]
        l0 = float(weight @ (code.data > 0)) / total
        value, slope = strength * total * l0, strength
        if self.penalty == "target_l0":
            target = self._target(step.progress)
            value = strength * total * (l0 / target - 1) ** 2
            slope = 2 * strength * (l0 / target - 1) / target
        _, inside = self._window(fwd, params)
        felt = _by_latent(code, weight * inside)
        _add_theta_gradient(grads, params, felt * (-slope / self._width(params)))
        return value

    def _target(self, progress):
        if self.anneal_from is None or self.penalty != "target_l0":
            return self.l0
        return self.l0 + (self.anneal_from - self.l0) * max(0.0, 1 - 2 * progress)

    def _tanh(self, fwd, adj, params, grads, weight, strength):
        code, W_dec = fwd.code, params["W_dec"]
        norm = np.linalg.norm(W_dec, axis=1)
        steepness = self.steepness / params["scale"][0]
        weight = weight[rows_of(code)]
        t = np.tanh(steepness * code.data * norm[code.indices])
        d_t = weight * W_dec.dtype.type(strength * steepness) * (1 - t**2)
        adj.code.data[:] += d_t * norm[code.indices]
        d_norm = _by_latent(code, d_t * code.data)
        firing = np.flatnonzero(d_norm)
        directions = W_dec[firing] / norm[firing, None]
        d_W = (d_norm[firing, None] * directions).astype(W_dec.dtype)
        add_gradient(grads, "W_dec", Rows(firing, d_W, len(W_dec)))
        return strength * float(weight.astype(np.float64) @ t)

    def _revive(self, fwd, adj, params, state, grads, step):
        """Norms are held fixed here."""
        if self.revival == 0 or "idle" not in state:
            return 0.0
        dead = np.flatnonzero(state["idle"] >= step.epoch_rows)
        if len(dead) == 0:
            return 0.0
        norm = np.linalg.norm(params["W_dec"][dead], axis=1) * self.revival
        below = _theta(params)[dead] - fwd.pre[:, dead]
        d_below = step.weight[:, None] * norm * (below > 0)
        n_rows, n_dead = below.shape
        columns = np.tile(dead.astype(np.int32), n_rows)
        support = Support(columns, np.arange(n_rows + 1) * n_dead, fwd.pre.shape[1])
        adj.pre.append(CSR((-d_below).reshape(-1).astype(fwd.pre.dtype), support))
        d_theta = np.zeros_like(params["threshold"])
        d_theta[dead] = d_below.sum(axis=0)
        _add_theta_gradient(grads, params, d_theta)
        return float(np.sum(d_below * below, dtype=np.float64))

    def _width(self, params):
        return params["scale"][0] * params["scale"].dtype.type(self.bandwidth)

    def _window(self, fwd, params):
        """Pre-activations at the code's support, and which of them lie in the window."""
        code = fwd.code
        pre = fwd.pre[rows_of(code), code.indices]
        return pre, abs(pre - _theta(params)[code.indices]) < self._width(params) / 2


def _theta(params):
    return params["scale"][0] * params["threshold"]


def _add_theta_gradient(grads, params, d_theta):
    add_gradient(grads, "threshold", (params["scale"][0] * d_theta).astype(params["b_enc"].dtype))


def _by_latent(code, values):
    return np.bincount(code.indices, values, minlength=code.shape[1])
