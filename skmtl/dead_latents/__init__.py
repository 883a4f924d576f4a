"""What is done for latents that stopped firing: one file a variant, formula first."""

from skmtl.dead_latents._aux_k import AuxK
from skmtl.dead_latents._base import Ignore
from skmtl.dead_latents._resample import Resample

DEAD_LATENTS = {"aux_k": AuxK, "resample": Resample, "ignore": Ignore}

__all__ = ["DEAD_LATENTS", "AuxK", "Ignore", "Resample"]
