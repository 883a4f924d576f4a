"""The equations: encoder and decoder, each with its backward under it.

pre   = (X - shift) @ W_enc.T + b_enc     shift = b_dec where decoder and X share a scale, else 0
code  = sparsifier(pre)
recon = code @ W_dec + b_dec

Rows are samples i, columns of a code latents j; both weights are (n_components, n_features) and
row j belongs to latent j. ``d_x`` is the derivative of the objective in x.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

import numpy as np

from skmtl import _layouts, _linalg, _scratch
from skmtl._gradients import add_gradient, formed, stacked


@dataclass
class Signals:
    """The values of a pass over a batch."""

    pre: np.ndarray | None  # None where a fused sparsifier did not form it
    code: Any
    input: Any = None  # what the encoder multiplies: X, or X - b_dec where that is dense
    bias: np.ndarray | None = None  # what is added to that product
    target: Any = None  # what the reconstruction is compared with, if that is not the input
    recon: np.ndarray | None = None
    own: Any = None  # the code of private latents, and
    beside: np.ndarray | None = None  # what they add to the reconstruction
    # For terms, from the objective. Of some latents, their pre-activations:
    pre_of: Callable | None = None
    # of another code, its reconstruction loss and d_code, the decoder held fixed:
    judge: Callable | None = None
    # and what the reconstruction leaves over, on the scale of X:
    residual: Callable | None = None


@dataclass
class Adjoints:
    """Derivatives of the objective in the signals of the same name.

    ``code`` is added to in place. ``pre`` is a list of contributions, since some reach beyond the
    code's support; they are joined once, before the encoder's backward.
    """

    code: Any
    recon: np.ndarray | None = None
    own: Any = None
    pre: list = field(default_factory=list)


def init_params(n_components, n_features, dtype, b_dec, rng):
    """Random unit atoms; the encoder starts as their copy.

    Drawn in float64 and cast, so that float32 and float64 fits start alike.
    """
    W_dec = rng.standard_normal((n_components, n_features))
    W_dec /= np.linalg.norm(W_dec, axis=1, keepdims=True)
    W_dec = W_dec.astype(dtype)
    return {
        "W_enc": W_dec.copy(),
        "b_enc": np.zeros(n_components, dtype=dtype),
        "W_dec": W_dec,
        "b_dec": np.asarray(b_dec).astype(dtype),
    }


def encoder_input(params, X, shifted, name="input"):
    """``X - b_dec`` where the encoder sees that and X is dense, else X itself."""
    if not shifted or not isinstance(X, np.ndarray) or "W_enc" not in params:
        return X
    return _linalg.add_row(X, -params["b_dec"], _scratch.empty(name, X.shape, X.dtype))


def product_and_bias(params, rows, shifted, name="pre"):
    """``pre`` of the encoder's input as a product and the bias that is to be added to it."""
    W_enc, b_enc = params.get("W_enc"), params["b_enc"]
    n_rows, n_components = rows.shape[0], len(b_enc)
    if W_enc is None:  # a mixture that is not amortized: the same for all rows
        return np.zeros((n_rows, n_components), b_enc.dtype), b_enc
    if shifted and not isinstance(rows, np.ndarray):  # X stays sparse: the shift moves over
        b_enc = b_enc - W_enc @ params["b_dec"]
    out = _scratch.empty(name, (n_rows, n_components), W_enc.dtype)
    return _linalg.product(rows, W_enc, out), b_enc


def encode(params, X, shifted, sparsifier, step):
    """Signals up to the code."""
    rows = encoder_input(params, X, shifted)
    among = sparsifier.among(step) if hasattr(sparsifier, "among") else None
    if among is not None and isinstance(rows, np.ndarray):
        bias = params["b_enc"]
        pre = _linalg.product_among(rows, params["W_enc"], bias, among)
        return Signals(None, sparsifier.choose(pre, among, len(bias), step), rows, bias)
    pre, bias = product_and_bias(params, rows, shifted)
    fused = getattr(sparsifier, "encode", None)
    if fused is not None:  # adds the bias in its own pass over the product
        return Signals(None, fused(pre, bias, params, step), rows, bias)
    _linalg.add_row(pre, bias, pre)
    return Signals(pre, sparsifier.forward(pre, params, step), rows, bias)


def pre_of(params, fwd, latents):
    """Pre-activations of some latents, (n, number of them)."""
    if fwd.pre is not None:
        return fwd.pre[:, latents]
    W_enc, bias = params["W_enc"][latents], fwd.bias[latents]
    out = np.empty((fwd.input.shape[0], len(latents)), W_enc.dtype)
    return _linalg.product(fwd.input, W_enc, out) + bias


def encoder_backward(params, rows, shifted, adj, grads):
    """From ``adj.pre`` to the gradients of ``W_enc``, ``b_enc`` and, where shifted, ``b_dec``."""
    d_pre = _layouts.join(adj.pre)
    d_b_enc = _linalg.column_sum(d_pre)
    add_gradient(grads, "b_enc", d_b_enc)
    if "W_enc" not in params:
        return
    # A copy: the gradient may be formed when the optimizer has already moved the bias.
    shift = params["b_dec"].copy() if shifted and not isinstance(rows, np.ndarray) else None
    add_gradient(grads, "W_enc", _linalg.weight_gradient(d_pre, rows, shift))
    if shifted:  # summing over rows first leaves one product with a vector
        add_gradient(grads, "b_dec", -_linalg.vector_product(d_b_enc, params["W_enc"]))


def decode(params, code, shifted, name="recon"):
    """``recon``, on the scale of the loss's link; measured from ``b_dec`` where shifted."""
    W_dec = params["W_dec"]
    out = _scratch.empty(name, (code.shape[0], W_dec.shape[1]), W_dec.dtype)
    recon = _linalg.matmul(code, W_dec, out)
    if not shifted:
        _linalg.add_row(recon, params["b_dec"], recon)
    return recon


def decoder_backward(params, fwd, adj, grads):
    """From ``adj.recon`` to the gradients of ``W_dec`` and ``b_dec``; adds to ``adj.code``."""
    add_gradient(grads, "W_dec", _linalg.weight_gradient(fwd.code, adj.recon))
    add_gradient(grads, "b_dec", _linalg.sum_rows(adj.recon))
    _linalg.add_adjoint(adj.recon, params["W_dec"], adj.code)


# --- nested prefixes of the latents: recon[l] = code[:, :stops[l]] @ W_dec[:stops[l]] + b_dec -----


def decode_prefixes(params, code, stops, shifted):
    """The reconstruction by each prefix, in one pass: each adds its own latents to the last."""
    W_dec, recons = params["W_dec"], []
    recon = np.zeros((code.shape[0], W_dec.shape[1]), W_dec.dtype)
    if not shifted:
        recon += params["b_dec"]
    for first, stop in pairwise([0, *stops]):
        own, _ = _layouts.columns(code, first, stop)
        recon = recon + _linalg.matmul(own, W_dec[first:stop])
        recons.append(recon)
    return recons


def prefixes_backward(params, code, stops, d_recons, adj, grads):
    """A latent hears of every prefix it is in: its gradient is a sum over the later ones."""
    total = np.zeros_like(d_recons[-1])
    of_groups = []
    for (first, stop), d_recon in reversed([*zip(pairwise([0, *stops]), d_recons, strict=True)]):
        total += d_recon
        own, held = _layouts.columns(code, first, stop)
        gradient = formed(_linalg.weight_gradient(own, total))
        of_groups.append((first, gradient))
        d_own = _layouts.with_values(own, np.zeros_like(_layouts.values(own)))
        _linalg.add_adjoint(total, params["W_dec"][first:stop], d_own)
        _layouts.values(adj.code)[held] += _layouts.values(d_own)
    add_gradient(grads, "W_dec", stacked(of_groups, len(params["W_dec"])))
    add_gradient(grads, "b_dec", _linalg.sum_rows(total))
    adj.recon = total
