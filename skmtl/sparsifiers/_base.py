"""The contract of a sparsifier, with the defaults that make it a plain relu."""

from typing import Any

import numpy as np

from skmtl import _linalg
from skmtl._sklearn import Component


class Sparsifier(Component):
    """Turns pre-activations into a code.

    ``code = max(pre, 0)`` and ``d_pre = d_code * 1[code > 0]`` unless a subclass says otherwise.
    Any object with these methods serves; inheriting saves writing those it does not need. The
    arrays of a step are used again by the next: copy what is to be kept.
    """

    #: Names of the arrays from ``init`` that the optimizer leaves alone.
    buffers: tuple = ()
    #: Names of the arrays whose gradient is deliberately not that of the value.
    pseudo_gradients: tuple = ()
    #: What is put right around each step: objects with ``name``, ``project`` and ``after_step``.
    constraints: tuple = ()
    #: Or a method ``encode(product, bias, params, step)``, the code of ``pre = product + bias`` for
    #: a sparsifier that can add the bias in passing. ``fwd.pre`` is then None.
    encode: Any = None
    #: Or besides it ``among(step)``, latents (n, c) to which a training step may be confined, and
    #: ``choose(pre, among, n_components, step)``, the code from their pre-activations alone.

    def __init_subclass__(cls, **options):
        super().__init_subclass__(**options)
        if "forward" in vars(cls) and "encode" not in vars(cls):
            cls.encode = None  # an inherited one would go past the new forward

    def init(self, n_components, dtype, rng):
        """Arrays of the sparsifier's own, by name; trained unless listed in ``buffers``.

        May also replace an initial array of the autoencoder, such as ``b_enc``.
        """
        return {}

    def encoder_norm(self, n_components, n_features):
        """Norm of the encoder's rows at the start; that of the atoms is one."""
        return 1.0

    def calibrate(self, pre, weight, unit, params):
        """Set in ``params``, at the start of a fit, what depends on the scale of the data.

        ``pre`` (n, m) are the first pre-activations of some training rows, ``weight`` (n,) their
        weights, ``unit`` what the best constant reconstruction loses.
        """

    def forward(self, pre, params, step):
        """Code of the pre-activations, (n, m). May look across rows only if ``step.train``."""
        return _linalg.relu(pre)

    def backward(self, fwd, adj, params, grads, step):
        """From ``adj.code``, which may be overwritten, append to ``adj.pre``.

        Adds gradients of the sparsifier's own arrays.
        """
        adj.pre.append(_linalg.relu_backward(fwd.code, adj.code))

    #: Or a method ``read(fwd)``, the relu code that heads read in training, where that is not the
    #: one that reconstructs.
    read: Any = None

    def term(self, batch, fwd, adj, params, state, grads, step):
        """Value of a penalty; adds its gradient to ``adj`` and ``grads``."""
        return 0.0

    def freeze(self, pre_blocks, weight, params):
        """Set in ``params`` what inference needs and batches cannot give, such as a threshold.

        Called before each validation and at the end of a fit. ``pre_blocks`` iterates over the
        pre-activations of the training rows, block by block; ``weight`` is (n,), of mean one.
        """


def norm_for(k, n_components, n_features):
    """Norm of the encoder's rows at which k firing latents add up to about a row's length.

    Of random unit atoms the k nearest to a row each take about a share q of its square, and overlap
    by as much: their sum is 1 + (k - 1) q times too long. A little shorter still ended better on
    synthetic codes, digits and text embeddings.
    """
    k = min(max(1, k), n_components)
    q = min(1.0, 2 * np.log(n_components / k) / n_features)
    return 0.7 / (1 + (k - 1) * q)


# Where a penalty decides what fires, latents that start weak grow towards what is left over. With
# 1024 of them on text embeddings 0.03 and 0.1 left a tenth less unexplained than 1 at the same L0,
# and fewer latents dead; on digits all three ended alike.
WEAK_START = 0.03


def risen(warmup, step):
    """Factor of a penalty that rises from 0 to 1 over the first ``warmup`` share of a fit."""
    return 1.0 if warmup == 0 else min(1.0, step.progress / warmup)
