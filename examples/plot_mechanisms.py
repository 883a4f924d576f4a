"""
Every way to a sparse code
==========================

The same images of digits under each mechanism: how many latents a row has, how much of the rows
the code leaves unexplained, how many latents are dead, and what the latents look like.
"""

# %%
# One size of code for all, and a strength that leaves a row some ten latents; under KL none is ever
# quite off.

import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_digits

from skmtl import SparseAutoencoderTransformer
from skmtl.metrics import dead_fraction, l0
from skmtl.sparsifiers import KL, L1, BatchTopK, Gated, JumpReLU, TopK, WinnerTakeAll

X = (load_digits().data / 16).astype(np.float32)

MECHANISMS = {
    "TopK(10)": {"sparsifier": TopK(10)},
    "TopK(10, anneal_from=40)": {"sparsifier": TopK(10, anneal_from=40)},
    "BatchTopK(10)": {"sparsifier": BatchTopK(10)},
    "BatchTopK(10), nested": {"sparsifier": BatchTopK(10), "nested_sizes": [16, 32]},
    "JumpReLU(l0=10)": {"sparsifier": JumpReLU(l0=10)},
    "Gated(0.8)": {"sparsifier": Gated(0.8)},
    "L1(0.4)": {"sparsifier": L1(0.4)},
    "L1(0.3, p_end=0.5)": {"sparsifier": L1(0.3, p_end=0.5)},
    "WinnerTakeAll(0.07)": {"sparsifier": WinnerTakeAll(0.07)},
    "KL(0.15)": {"sparsifier": KL(0.15)},
    "TopK(10), tied": {"sparsifier": TopK(10), "tied": True},
    "TopK(10), denoising": {"sparsifier": TopK(10), "input_dropout": 0.2},
}


def fitted(**params):
    sae = SparseAutoencoderTransformer(
        64, learning_rate=3e-3, max_iter=60, tol=None, random_state=0, **params
    )
    return sae.fit(X)


fits = {name: fitted(**params) for name, params in MECHANISMS.items()}
print(f"{'':26}latents a row  unexplained  dead")
for name, sae in fits.items():
    code = sae.transform(X)
    print(f"{name:26}{l0(code):13.1f}  {1 - sae.score(X):11.3f}  {dead_fraction(code):4.0%}")

# %%
# The dozen latents that fire most often, one mechanism a row.

figure, axes = plt.subplots(len(fits), 12, figsize=(9, 9), layout="constrained")
for row, (name, sae) in zip(axes, fits.items(), strict=True):
    for axis, j in zip(row, np.argsort(-sae.firing_rate_, kind="stable"), strict=False):
        atom = sae.components_[j]
        axis.imshow(atom.reshape(8, 8), cmap="RdBu_r", vmin=-abs(atom).max(), vmax=abs(atom).max())
        axis.axis("off")
    row[0].set_title(name, loc="left", fontsize=8)
plt.show()
