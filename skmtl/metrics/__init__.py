"""Metrics of several tasks with gaps, of sparse codes and of dictionaries."""

from skmtl.metrics._affinity import task_groups
from skmtl.metrics._codes import dead_fraction, explained_variance, firing_rate, l0, shrinkage
from skmtl.metrics._dictionaries import dictionary_recovery, seed_stability
from skmtl.metrics._probing import sparse_probing
from skmtl.metrics._scorers import get_multitask_scorer
from skmtl.metrics._tasks import (
    multitask_accuracy,
    multitask_classification_report,
    multitask_f1,
    multitask_recall,
    relative_gain,
)

__all__ = [
    "dead_fraction",
    "dictionary_recovery",
    "explained_variance",
    "firing_rate",
    "get_multitask_scorer",
    "l0",
    "multitask_accuracy",
    "multitask_classification_report",
    "multitask_f1",
    "multitask_recall",
    "relative_gain",
    "seed_stability",
    "shrinkage",
    "sparse_probing",
    "task_groups",
]
