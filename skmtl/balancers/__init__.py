"""How the losses of the tasks are combined: one file a variant, formula first."""

from skmtl.balancers._base import Balancer
from skmtl.balancers._equal import Equal

BALANCERS = {"equal": Equal}

__all__ = ["BALANCERS", "Balancer", "Equal"]
