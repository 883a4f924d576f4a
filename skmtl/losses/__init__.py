"""What a reconstruction is judged by: one file a variant, formula first."""

from skmtl.losses._base import Loss
from skmtl.losses._log_loss import LogLoss
from skmtl.losses._mixture import Mixture
from skmtl.losses._squared_error import SquaredError

LOSSES = {"squared_error": SquaredError, "log_loss": LogLoss, "mixture": Mixture}

__all__ = ["LOSSES", "LogLoss", "Loss", "Mixture", "SquaredError"]
