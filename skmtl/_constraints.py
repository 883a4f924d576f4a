"""What is put right around an optimizer's step."""

import numpy as np

from skmtl._linalg import Rows


class UnitAtoms:
    """Keep the rows of ``W_dec`` at unit norm.

    Before the step the gradient loses its part along the atom, g <- g - (g . w) w, which only the
    norm would answer to; after it the atom is normalised, w <- w / |w|. A zero atom is left alone.
    """

    def project(self, grads, params):
        gradient = grads.get("W_dec")
        if gradient is None:
            return
        if isinstance(gradient, Rows):
            W, G = params["W_dec"][gradient.index], gradient.values
        else:
            W, G = params["W_dec"], gradient
        G -= np.einsum("jf,jf->j", G, W)[:, None] * W

    def after_step(self, params, grads, lr):
        gradient = grads.get("W_dec")
        if gradient is None:
            return
        rows = gradient.index if isinstance(gradient, Rows) else slice(None)
        W = params["W_dec"][rows]
        norm = np.sqrt(np.einsum("jf,jf->j", W, W))
        norm[norm == 0] = 1
        params["W_dec"][rows] = W / norm[:, None]
