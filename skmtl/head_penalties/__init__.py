"""What keeps heads small, sparse or alike: one file a variant, formula first."""

from skmtl.head_penalties._base import HeadPenalty, Heads
from skmtl.head_penalties._group_sparse import GroupSparse
from skmtl.head_penalties._l2 import L2
from skmtl.head_penalties._towards_mean import TowardsMean

HEAD_PENALTIES = {"l2": L2, "group": GroupSparse, "mean": TowardsMean}

__all__ = ["HEAD_PENALTIES", "L2", "GroupSparse", "HeadPenalty", "Heads", "TowardsMean"]
