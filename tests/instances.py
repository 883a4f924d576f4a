"""Every component once, with telling parameters. Tests run over these lists.

``test_instances_cover_the_tables`` asserts that no table entry is absent.
"""

from skmtl.balancers import Equal
from skmtl.losses import LogLoss, Mixture, SquaredError
from skmtl.optimizers import SGD, Adam, AdamW
from skmtl.sparsifiers import KL, L1, Relu, Softmax, TopK

SPARSIFIERS = [
    Relu(),
    L1(alpha=0.3),
    KL(target_rate=0.2, beta=2.0),
    TopK(k=1),  # one of eight latents: codes are sparse
    TopK(k=3),  # codes are dense
    TopK(k=1, search_every=3),
    Softmax(),
]
ADDITIVE_LOSSES = [SquaredError(), LogLoss()]
MIXTURES = [
    Mixture(distribution=distribution, amortized=amortized)
    for distribution in ("gaussian", "bernoulli")
    for amortized in (True, False)
]
LOSSES = ADDITIVE_LOSSES + MIXTURES
OPTIMIZERS = [Adam(beta_2=0.99), AdamW(decay=0.1), SGD(momentum=0.5)]
BALANCERS = [Equal()]
