"""Sparse autoencoders and multi-task learning as scikit-learn estimators.

Names are imported when first used: ``import skmtl`` loads neither scikit-learn nor Numba.
"""

from importlib import import_module
from typing import TYPE_CHECKING

from skmtl._version import __version__

if TYPE_CHECKING:
    from skmtl._checkpoint import Checkpoint
    from skmtl._classifier import MultiTaskSAEClassifier
    from skmtl._files import SKOPS_TRUSTED, load, save
    from skmtl._regressor import MultiTaskSAERegressor
    from skmtl._stacking import stack_tasks, unstack_tasks
    from skmtl._transformer import SparseAutoencoderTransformer
    from skmtl._warmup import warmup

_HOME = {
    "Checkpoint": "skmtl._checkpoint",
    "SparseAutoencoderTransformer": "skmtl._transformer",
    "MultiTaskSAEClassifier": "skmtl._classifier",
    "MultiTaskSAERegressor": "skmtl._regressor",
    "stack_tasks": "skmtl._stacking",
    "unstack_tasks": "skmtl._stacking",
    "warmup": "skmtl._warmup",
    "save": "skmtl._files",
    "load": "skmtl._files",
    "SKOPS_TRUSTED": "skmtl._files",
}

__all__ = [
    "SKOPS_TRUSTED",
    "Checkpoint",
    "MultiTaskSAEClassifier",
    "MultiTaskSAERegressor",
    "SparseAutoencoderTransformer",
    "__version__",
    "load",
    "save",
    "stack_tasks",
    "unstack_tasks",
    "warmup",
]


def __getattr__(name):
    if name in _HOME:
        return getattr(import_module(_HOME[name]), name)
    raise AttributeError(f"module 'skmtl' has no attribute {name!r}")


def __dir__():
    return __all__
