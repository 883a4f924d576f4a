"""How the losses of the tasks are combined: one file a variant, formula first."""

from skmtl.balancers._aligned import AlignedMTL
from skmtl.balancers._base import Balancer
from skmtl.balancers._cagrad import CAGrad
from skmtl.balancers._dual_proj import DualProj
from skmtl.balancers._dwa import DWA
from skmtl.balancers._entropy import Entropy
from skmtl.balancers._equal import Equal
from skmtl.balancers._famo import FAMO
from skmtl.balancers._gradnorm import GradNorm
from skmtl.balancers._gramian_based import GramianBalancer
from skmtl.balancers._imtl import IMTL
from skmtl.balancers._log import Log
from skmtl.balancers._mgda import MGDA
from skmtl.balancers._nash import NashMTL
from skmtl.balancers._pcgrad import PCGrad
from skmtl.balancers._uncertainty import Uncertainty
from skmtl.balancers._upgrad import UPGrad

BALANCERS = {
    "equal": Equal,
    "entropy": Entropy,
    "log": Log,
    "uncertainty": Uncertainty,
    "dwa": DWA,
    "gradnorm": GradNorm,
    "famo": FAMO,
    "pcgrad": PCGrad,
    "mgda": MGDA,
    "cagrad": CAGrad,
    "imtl": IMTL,
    "nash": NashMTL,
    "aligned": AlignedMTL,
    "upgrad": UPGrad,
    "dual_proj": DualProj,
}

__all__ = [
    "BALANCERS",
    "DWA",
    "FAMO",
    "IMTL",
    "MGDA",
    "AlignedMTL",
    "Balancer",
    "CAGrad",
    "DualProj",
    "Entropy",
    "Equal",
    "GradNorm",
    "GramianBalancer",
    "Log",
    "NashMTL",
    "PCGrad",
    "UPGrad",
    "Uncertainty",
]
