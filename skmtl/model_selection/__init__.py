"""Splitters that understand stacked labels with gaps."""

from skmtl.model_selection._split import (
    LeaveTaskOut,
    MultiTaskKFold,
    multitask_train_test_split,
)

__all__ = ["LeaveTaskOut", "MultiTaskKFold", "multitask_train_test_split"]
