"""Splitters that understand stacked labels with gaps."""

from skmtl.model_selection._split import MultiTaskKFold, multitask_train_test_split

__all__ = ["MultiTaskKFold", "multitask_train_test_split"]
