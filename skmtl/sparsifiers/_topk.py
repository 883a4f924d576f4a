"""TopK:  code[i, j] = max(pre[i, j], 0) where pre[i, j] is among the k largest of row i, else 0.

The selection is piecewise constant, so the derivative is the identity on the kept, positive
entries: the default ``backward``. Of equal entries the lower index is kept.
"""

from numbers import Integral

import numpy as np

from skmtl import _layouts
from skmtl._select import row_lists
from skmtl._sklearn import Interval
from skmtl.sparsifiers._base import Sparsifier, norm_for


class TopK(Sparsifier):
    """Keep the k largest positive pre-activations of each row.

    Parameters
    ----------
    k : int, default=16
        Number of latents that may fire on a row. Clipped to the number of latents.
    search_every : int, default=1
        Epochs from one search over all latents to the next. In between, a row looks among the
        ``6 k`` that were its best at the last search, and the product with all latents, which is
        most of a step, is left out. 1 is exact. Of no effect on ``partial_fit``, on sparse X and
        after the fit.
    anneal_from : int or None, default=None
        The k of the first step, from which it falls linearly to ``k`` over the first half of the
        fit. Latents that many rows try early die less. Of no effect on ``partial_fit``.
    k_transform : int or None, default=None
        The k after the fit, for ``transform``, heads and validation alike; None is ``k``. Where
        the code is read by a classifier, two or three times ``k`` can serve it better.

    Notes
    -----
    A row with fewer than k positive pre-activations has fewer active latents. When k is at most
    an eighth of the latents, codes are kept sparse inside a fit: decoding and the weight
    gradients then cost k a row, not the number of latents.

    With ``search_every`` above 1 a fit also holds ``24 k`` bytes a training row. A row's best
    latents change little from epoch to epoch: on text embeddings (6144 latents, k = 32, 8 epochs)
    3 reached the exact fit's error in about three quarters of its time.

    References
    ----------
    Makhzani and Frey, "k-Sparse Autoencoders", arXiv:1312.5663. Gao et al., "Scaling and
    evaluating sparse autoencoders", arXiv:2406.04093.

    Examples
    --------
    >>> from skmtl.sparsifiers import TopK
    >>> TopK(k=8)
    TopK(k=8)
    """

    _parameter_constraints = {
        "k": [Interval(Integral, 1, None, closed="left")],
        "search_every": [Interval(Integral, 1, None, closed="left")],
        "anneal_from": [Interval(Integral, 1, None, closed="left"), None],
        "k_transform": [Interval(Integral, 1, None, closed="left"), None],
    }
    #: Latents remembered at a search, as a multiple of k.
    remembered = 6

    #: What "auto" does for dead latents.
    dead_latents = "resample"

    def __init__(self, k=16, search_every=1, anneal_from=None, k_transform=None):
        self.k = k
        self.search_every = search_every
        self.anneal_from = anneal_from
        self.k_transform = k_transform

    def encoder_norm(self, n_components, n_features):
        return norm_for(self.k, n_components, n_features)

    def forward(self, pre, params, step):
        return TopK.encode(self, pre, np.zeros(pre.shape[1], pre.dtype), params, step)

    def encode(self, product, bias, params, step):
        n_components = product.shape[1]
        if self.search_every == 1 or step is None or step.place is None:
            indices, values, counts = row_lists(product, bias, self._k(n_components, step))
            return _layouts.from_row_lists(indices, values, counts, n_components)
        place, width = step.place, min(self.remembered * self.k, n_components)
        found, values, _ = row_lists(product, bias, width)
        if "among" not in place.memory:
            place.memory["among"] = np.empty((place.n_rows, width), np.int32)
        place.memory["among"][place.rows] = found
        return self.choose(values, found, n_components, step)

    def _k(self, n_components, step):
        k, train = self.k, step is not None and step.train
        if self.k_transform is not None and not train:
            k = self.k_transform
        if self.anneal_from is not None and train:
            k = round(k + (self.anneal_from - k) * max(0.0, 1 - 2 * step.progress))
        return min(k, n_components)

    def among(self, step):
        """Latents among which the rows of this step look, (n, c), or None for all."""
        place = step.place
        if self.search_every == 1 or place is None or place.epoch % self.search_every == 0:
            return None
        if "among" not in place.memory:  # a subclass with a search of its own remembers nothing
            return None
        return place.memory["among"][place.rows]

    def choose(self, pre, among, n_components, step):
        """Code of the k largest of the pre-activations of the latents ``among``, (n, c)."""
        k = min(self._k(n_components, step), among.shape[1])
        positions, values, counts = row_lists(pre, np.zeros(pre.shape[1], pre.dtype), k)
        indices = np.take_along_axis(among, np.maximum(positions, 0), axis=1)
        return _layouts.from_row_lists(indices, values, counts, n_components)
