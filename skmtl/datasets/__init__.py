"""Data to try skmtl on."""

from skmtl.datasets._digits import load_multitask_digits
from skmtl.datasets._multitask import make_multitask_classification
from skmtl.datasets._sparse_codes import make_sparse_codes

__all__ = ["load_multitask_digits", "make_multitask_classification", "make_sparse_codes"]
