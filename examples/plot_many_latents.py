"""
Many latents, few of them active
================================

With :class:`~skmtl.sparsifiers.TopK` a step decodes and updates only the latents that fire, so
that a code of a thousand latents costs little more than the product that ranks them. With
``search_every`` most epochs leave that product out too: each row looks among the latents that were
its best when all were last searched.
"""

# %%
# Handwritten digits, 1024 latents, 8 of them active on each image. Two threads share the work;
# their number does not change a bit of the result.

from time import perf_counter

import matplotlib.pyplot as plt
from sklearn.datasets import load_digits

import skmtl
from skmtl import SparseAutoencoderTransformer
from skmtl.sparsifiers import TopK

skmtl.warmup()  # compiled now, so that the times below are those of the fits
X = load_digits().data / 16
fits = {}
for search_every in (1, 4):
    sae = SparseAutoencoderTransformer(
        1024,
        sparsifier=TopK(8, search_every=search_every),
        max_iter=60,
        tol=None,
        sparse_output=True,
        n_jobs=2,
        random_state=0,
    )
    start = perf_counter()
    fits[search_every] = sae.fit(X)
    print(
        f"search_every={search_every}: {perf_counter() - start:.1f} s, "
        f"share of the variance explained {sae.score(X):.3f}"
    )

# %%
# Codes come as a sparse array: 8 numbers an image instead of 1024.

code = fits[4].transform(X)
print(f"{code.shape} with {code.nnz / len(X):.1f} entries a row")

# %%
# The loss rises a little where a row may only look among its old best, and catches up at the next
# search.

figure, (left, right) = plt.subplots(1, 2, figsize=(9, 3.5), layout="constrained")
for search_every, sae in fits.items():
    left.semilogy(sae.loss_curve_, label=f"search_every={search_every}")
left.set(xlabel="epoch", ylabel="squared error of a row")
left.legend()

# %%
# The atoms that fire most.

most = fits[4].firing_rate_.argsort()[::-1][:24]
tiles = fits[4].components_[most].reshape(4, 6, 8, 8).swapaxes(1, 2).reshape(32, 48)
right.imshow(tiles, cmap="RdBu_r", vmin=-0.5, vmax=0.5)
right.set(title="24 most active atoms", xticks=[], yticks=[])
plt.show()
