"""Every component once, with telling parameters. Tests run over these lists.

``test_instances_cover_the_tables`` asserts that no table entry is absent.
"""

from skmtl.balancers import (
    DWA,
    FAMO,
    IMTL,
    MGDA,
    AlignedMTL,
    CAGrad,
    DualProj,
    Entropy,
    Equal,
    GradNorm,
    Log,
    NashMTL,
    PCGrad,
    Uncertainty,
    UPGrad,
)
from skmtl.dead_latents import AuxK, Ignore, Resample
from skmtl.head_penalties import L2, GroupSparse, TowardsMean
from skmtl.losses import LogLoss, Mixture, SquaredError
from skmtl.optimizers import SGD, Adam, AdamW
from skmtl.sparsifiers import (
    KL,
    L1,
    BatchTopK,
    Gated,
    JumpReLU,
    Relu,
    Softmax,
    TopK,
    WinnerTakeAll,
)

SPARSIFIERS = [
    Relu(),
    L1(alpha=0.3),
    KL(target_rate=0.2, beta=2.0),
    TopK(k=1),  # one of eight latents: codes are sparse
    TopK(k=3),  # codes are dense
    TopK(k=8),  # more than are positive
    TopK(k=1, search_every=3),
    TopK(k=2, anneal_from=6),
    TopK(k=1, k_transform=3),
    BatchTopK(k=1),
    BatchTopK(k=3),
    JumpReLU(l0=2, bandwidth=1e-6),  # too narrow to hold a row: what is left is a true gradient
    JumpReLU(l0=2, anneal_from=4, bandwidth=1e-6),
    JumpReLU("l0", strength=0.2, bandwidth=1e-6),
    JumpReLU("tanh", strength=0.2, bandwidth=1e-6),
    Gated(alpha=0.2),
    WinnerTakeAll(rate=0.1),  # codes are sparse
    WinnerTakeAll(rate=0.5),
    L1(alpha=0.3, atom_norm=True),
    L1(alpha=0.3, p_end=0.5),
    Softmax(),
]
#: Kinds of heads: one for all tasks, or that of each task.
HEADS = ["softmax", "squared_error", ("softmax", "squared_error", "softmax", "squared_error")]
DEAD_LATENTS = [AuxK(), Resample(), Resample(direction="residual"), Ignore()]
ADDITIVE_LOSSES = [SquaredError(), LogLoss()]
MIXTURES = [
    Mixture(distribution=distribution, amortized=amortized)
    for distribution in ("gaussian", "bernoulli")
    for amortized in (True, False)
]
LOSSES = ADDITIVE_LOSSES + MIXTURES
OPTIMIZERS = [Adam(beta_2=0.99), AdamW(decay=0.1), SGD(momentum=0.5)]
GRAMIAN_BALANCERS = [
    GradNorm(every=1),
    PCGrad(every=2),
    MGDA(every=3, momentum=0.5),
    CAGrad(c=0.5),
    IMTL(),
    NashMTL(),
    AlignedMTL(),
    AlignedMTL("min"),
    AlignedMTL("rmse"),
    UPGrad(),
    DualProj(),
]
BALANCERS = [
    Equal(),
    Entropy(),
    Log(momentum=0.8),
    Uncertainty(learning_rate=0.1),
    DWA(temperature=0.5),
    FAMO(),
    *GRAMIAN_BALANCERS,
]
HEAD_PENALTIES = [
    L2(alpha=0.3),
    GroupSparse(alpha=0.2, warmup=0.0),
    GroupSparse(alpha=0.1, alpha_latent=0.15, warmup=0.0),
    TowardsMean(rho=2.0, alpha=0.3),
]
