"""The classes of ours that an estimator may hold. One line for each, by table or by name."""

from skmtl._classifier import MultiTaskSAEClassifier
from skmtl._gramian import AveragedGramian
from skmtl._objectives import (
    Additive,
    MixtureLikelihood,
    Objective,
    StayNear,
    Tasks,
    WeightDecay,
)
from skmtl._private import Private
from skmtl._regressor import MultiTaskSAERegressor
from skmtl._targets import TaskLabels, TaskTargets
from skmtl._transformer import SparseAutoencoderTransformer
from skmtl.balancers import BALANCERS
from skmtl.dead_latents import DEAD_LATENTS
from skmtl.head_penalties import HEAD_PENALTIES, Heads
from skmtl.losses import LOSSES
from skmtl.optimizers import OPTIMIZERS
from skmtl.sparsifiers import SPARSIFIERS, Relu

ESTIMATORS = [SparseAutoencoderTransformer, MultiTaskSAEClassifier, MultiTaskSAERegressor]
COMPONENTS = [
    *(cls for table in (SPARSIFIERS, LOSSES, OPTIMIZERS) for cls in table.values()),
    *(cls for table in (BALANCERS, DEAD_LATENTS, HEAD_PENALTIES) for cls in table.values()),
    Relu,
]
# Dataclasses, of which the fields are kept.
PARTS = [Objective, Additive, MixtureLikelihood, Tasks, WeightDecay, StayNear]
PARTS += [AveragedGramian, Private, Heads, TaskLabels, TaskTargets]
CLASSES = {cls.__name__: cls for cls in (*ESTIMATORS, *COMPONENTS, *PARTS)}

#: What skops.io.load needs to be told to trust.
SKOPS_TRUSTED = sorted(f"{cls.__module__}.{cls.__qualname__}" for cls in CLASSES.values())


def name_of(value):
    """Name of an object's class in ``CLASSES``; None for an object of any other class."""
    cls = type(value)
    return cls.__name__ if CLASSES.get(cls.__name__) is cls else None
