"""Metrics of several tasks with gaps, of sparse codes and of dictionaries."""

from skmtl.metrics._affinity import task_groups
from skmtl.metrics._codes import dead_fraction, explained_variance, firing_rate, l0, shrinkage
from skmtl.metrics._dictionaries import dictionary_recovery, seed_stability
from skmtl.metrics._gain import RelativeGain, relative_gain, relative_gain_report
from skmtl.metrics._labels import (
    multitask_accuracy,
    multitask_balanced_accuracy,
    multitask_f1,
    multitask_recall,
)
from skmtl.metrics._probabilities import (
    multitask_calibration_error,
    multitask_log_loss,
    multitask_roc_auc,
)
from skmtl.metrics._probing import sparse_probing
from skmtl.metrics._report import multitask_classification_report
from skmtl.metrics._scorers import get_multitask_scorer
from skmtl.metrics._values import multitask_r2, multitask_rmse

__all__ = [
    "RelativeGain",
    "dead_fraction",
    "dictionary_recovery",
    "explained_variance",
    "firing_rate",
    "get_multitask_scorer",
    "l0",
    "multitask_accuracy",
    "multitask_balanced_accuracy",
    "multitask_calibration_error",
    "multitask_classification_report",
    "multitask_f1",
    "multitask_log_loss",
    "multitask_r2",
    "multitask_recall",
    "multitask_rmse",
    "multitask_roc_auc",
    "relative_gain",
    "relative_gain_report",
    "seed_stability",
    "shrinkage",
    "sparse_probing",
    "task_groups",
]
