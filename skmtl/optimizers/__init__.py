"""How gradients become updates: one file a variant, formula first."""

from skmtl.optimizers._adam import Adam, AdamW
from skmtl.optimizers._base import Optimizer
from skmtl.optimizers._sgd import SGD

OPTIMIZERS = {"adam": Adam, "adamw": AdamW, "sgd": SGD}

__all__ = ["OPTIMIZERS", "SGD", "Adam", "AdamW", "Optimizer"]
