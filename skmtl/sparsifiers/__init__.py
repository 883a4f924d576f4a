"""How a code is made sparse: one file a variant, formula first.

To add one: a file here, a line in ``SPARSIFIERS``, an instance in ``tests/instances.py``.
"""

from skmtl.sparsifiers._base import Sparsifier
from skmtl.sparsifiers._kl import KL
from skmtl.sparsifiers._l1 import L1
from skmtl.sparsifiers._relu import Relu
from skmtl.sparsifiers._softmax import Softmax
from skmtl.sparsifiers._topk import TopK

SPARSIFIERS = {"topk": TopK, "l1": L1, "kl": KL, "softmax": Softmax}

__all__ = ["KL", "L1", "SPARSIFIERS", "Relu", "Softmax", "Sparsifier", "TopK"]
