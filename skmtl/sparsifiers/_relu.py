"""Relu, no penalty:  code = max(pre, 0),  d_pre = d_code * 1[code > 0].

What ``sparsifier=None`` means: the origin document's code. About half the latents fire.
"""

from skmtl.sparsifiers._base import Sparsifier


class Relu(Sparsifier):
    """Relu code without a sparsity penalty.

    See Also
    --------
    L1 : The same code with a penalty on its sum.

    Examples
    --------
    >>> from skmtl.sparsifiers import Relu
    >>> Relu()
    Relu()
    """
