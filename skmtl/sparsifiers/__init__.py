"""How a code is made sparse: one file a variant, formula first.

To add one: a file here, a line in ``SPARSIFIERS``, an instance in ``tests/instances.py``.
"""

from skmtl.sparsifiers._base import Sparsifier
from skmtl.sparsifiers._batch_topk import BatchTopK
from skmtl.sparsifiers._gated import Gated
from skmtl.sparsifiers._jumprelu import JumpReLU
from skmtl.sparsifiers._kl import KL
from skmtl.sparsifiers._l1 import L1
from skmtl.sparsifiers._relu import Relu
from skmtl.sparsifiers._softmax import Softmax
from skmtl.sparsifiers._topk import TopK
from skmtl.sparsifiers._winner_take_all import WinnerTakeAll

SPARSIFIERS = {
    "topk": TopK,
    "batch_topk": BatchTopK,
    "l1": L1,
    "kl": KL,
    "jumprelu": JumpReLU,
    "gated": Gated,
    "winner_take_all": WinnerTakeAll,
    "softmax": Softmax,
}

__all__ = [
    "KL",
    "L1",
    "SPARSIFIERS",
    "BatchTopK",
    "Gated",
    "JumpReLU",
    "Relu",
    "Softmax",
    "Sparsifier",
    "TopK",
    "WinnerTakeAll",
]
