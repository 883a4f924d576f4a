"""Data to try skmtl on."""

from skmtl.datasets._digits import load_multitask_digits

__all__ = ["load_multitask_digits"]
