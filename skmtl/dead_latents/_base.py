"""The contract of a treatment of dead latents; the default does nothing.

A latent is dead when it has not fired on the last ``window`` times as many rows as an epoch has:
``state["idle"][j]`` counts the rows since latent j fired. So windows follow the data's size.
"""

import numpy as np

from skmtl._sklearn import Component


class Ignore(Component):
    """Leave dead latents alone.

    Examples
    --------
    >>> from skmtl.dead_latents import Ignore
    >>> Ignore()
    Ignore()
    """

    def term(self, batch, fwd, adj, params, state, grads, step):
        """Value of a loss in each step; adds its gradient to ``adj`` and ``grads``."""
        return 0.0

    def after_epoch(self, objective, params, state, data, optimizer, before, after):
        """Change ``params`` and ``state`` between epochs.

        ``before`` and ``after`` are the shares of the fit that lay behind before and after the
        epoch.
        """


def dead_latents(state, window, n_rows):
    """Those that have not fired for ``window`` epochs of ``n_rows`` rows."""
    return np.flatnonzero(state["idle"] >= window * n_rows)
