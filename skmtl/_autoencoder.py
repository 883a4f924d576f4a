"""The equations: encoder and decoder, each with its backward under it.

pre   = (X - shift) @ W_enc.T + b_enc     shift = b_dec where decoder and X share a scale, else 0
code  = sparsifier(pre)
recon = code @ W_dec + b_dec

Rows are samples i, columns of a code latents j; both weights are (n_components, n_features) and
row j belongs to latent j. ``d_x`` is the derivative of the objective in x.
"""

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import scipy.sparse as sp

from skmtl import _linalg


@dataclass
class Signals:
    """The values of a pass over a batch."""

    pre: np.ndarray
    code: Any
    recon: np.ndarray | None = None


@dataclass
class Adjoints:
    """Derivatives of the objective in the signals of the same name.

    ``code`` is added to in place. ``pre`` is a list of contributions, since some reach beyond the
    code's support; they are joined once, before the encoder's backward.
    """

    code: Any
    recon: np.ndarray | None = None
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


def pre_activations(params, X, shifted):
    """``pre`` of a block of rows; ``shifted`` says whether the encoder sees ``X - b_dec``."""
    W_enc, b_enc = params.get("W_enc"), params["b_enc"]
    if W_enc is None:  # a mixture that is not amortized: the same for all rows
        return np.tile(b_enc, (X.shape[0], 1))
    if not shifted:
        return X @ W_enc.T + b_enc
    if sp.issparse(X):  # the shift moves to the other side of the product: X stays sparse
        return X @ W_enc.T + (b_enc - W_enc @ params["b_dec"])
    return (X - params["b_dec"]) @ W_enc.T + b_enc


def encoder_backward(params, X, shifted, adj, grads):
    """From ``adj.pre`` to the gradients of ``W_enc``, ``b_enc`` and, where shifted, ``b_dec``."""
    d_pre = _linalg.join(adj.pre)
    d_b_enc = _linalg.column_sum(d_pre)
    _linalg.add_gradient(grads, "b_enc", d_b_enc)
    if "W_enc" not in params:
        return
    if not shifted:
        _linalg.add_gradient(grads, "W_enc", _linalg.weight_gradient(d_pre, X))
        return
    b_dec = params["b_dec"]
    if sp.issparse(X):
        d_W_enc = _linalg.shift_gradient(_linalg.weight_gradient(d_pre, X), d_b_enc, b_dec)
    else:
        d_W_enc = _linalg.weight_gradient(d_pre, X - b_dec)
    _linalg.add_gradient(grads, "W_enc", d_W_enc)
    # b_dec also shifts the input; summing over rows first leaves one product with a vector.
    _linalg.add_gradient(grads, "b_dec", -(_linalg.dense_gradient(d_b_enc) @ params["W_enc"]))


def decode(params, code):
    """``recon``, on the scale of the loss's link."""
    recon = _linalg.matmul(code, params["W_dec"])
    recon += params["b_dec"]
    return recon


def decoder_backward(params, fwd, adj, grads):
    """From ``adj.recon`` to the gradients of ``W_dec`` and ``b_dec``; adds to ``adj.code``."""
    _linalg.add_gradient(grads, "W_dec", _linalg.weight_gradient(fwd.code, adj.recon))
    _linalg.add_gradient(grads, "b_dec", adj.recon.sum(axis=0))
    _linalg.add_adjoint(adj.recon, params["W_dec"], adj.code)
