"""
Finding a known dictionary
==========================

Rows are sums of a few atoms out of many, and the code is to find the atoms. We look at how well
different sparsifiers find them, at what refined amplitudes add, and at the latents that die.
"""

# %%
# 4000 rows of 64 features; each is a sum of 4 of 128 unit atoms, with weights in [0.5, 1.5]. The
# code has twice as many latents as there are atoms.

import matplotlib.pyplot as plt
import numpy as np

from skmtl import SparseAutoencoderTransformer
from skmtl.datasets import make_sparse_codes
from skmtl.metrics import dead_fraction, dictionary_recovery, l0, shrinkage
from skmtl.sparsifiers import L1, BatchTopK, JumpReLU, TopK

X, _, dictionary = make_sparse_codes(4000, 64, 128, 4, dtype=np.float32, random_state=0)


def fitted(sparsifier, **params):
    sae = SparseAutoencoderTransformer(
        256,
        sparsifier=sparsifier,
        learning_rate=0.01,
        max_iter=40,
        tol=None,
        random_state=0,
        **params,
    )
    return sae.fit(X)


fits = {str(s): fitted(s) for s in (TopK(8), BatchTopK(8), JumpReLU(l0=8), L1(0.2))}
for name, sae in fits.items():
    code = sae.transform(X)
    print(
        f"{name:16} unexplained {1 - sae.score(X):.3f}, {l0(code):4.1f} latents a row, "
        f"atoms found {dictionary_recovery(sae.components_, dictionary):.3f}, "
        f"dead {dead_fraction(code):.3f}"
    )

# %%
# The encoder is one product and a selection: it finds the right latents and gets their amplitudes
# a little wrong. Least squares on the latents it chose puts them right, without another fit.

sae = fits["TopK(k=8)"]
for algorithm in ("encoder", "refine"):
    sae.set_params(transform_algorithm=algorithm)
    recon = sae.inverse_transform(sae.transform(X))
    print(
        f"{algorithm}: unexplained {1 - sae.score(X):.3f}, length {shrinkage(X, recon):.3f} of X's"
    )
sae.set_params(transform_algorithm="encoder")

# %%
# Latents that stop firing stay dead unless something is done. By default they are given the
# directions of rows that are badly reconstructed.

figure, (left, right) = plt.subplots(1, 2, figsize=(9, 3.5), layout="constrained")
for treatment in ("ignore", "resample"):
    model = fitted(TopK(4), dead_latents=treatment)
    dead = dead_fraction(model.transform(X))
    left.semilogy(model.loss_curve_, label=f"{treatment}: {dead:.0%} dead at the end")
left.set(xlabel="epoch", ylabel="squared error of a row", title="4 of 256 latents")
left.legend()
for name, model in fits.items():
    cosines = (dictionary @ (model.components_.T / np.linalg.norm(model.components_, axis=1))).max(
        1
    )
    right.plot(np.sort(cosines), label=name)
right.set(xlabel="atom", ylabel="cosine with the nearest latent", title="atoms found")
right.legend()
plt.show()
