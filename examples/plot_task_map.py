"""
Which task reads which latent
=============================

Four tasks share some of what is in the rows, and each has something of its own. We look at whether
the heads show it, and add a fifth task afterwards.
"""

# %%
# Rows are sums of 4 of 24 atoms. The labels of each task depend on the 8 shared atoms and on 4 that
# no other task reads. A third of the labels is missing.

import matplotlib.pyplot as plt
import numpy as np

from skmtl import MultiTaskSAEClassifier
from skmtl.datasets import make_multitask_classification
from skmtl.head_penalties import GroupSparse
from skmtl.sparsifiers import TopK

X, Y, truth = make_multitask_classification(
    3000, 40, 4, n_shared=8, n_private=4, missing=0.3, noise=0.02, random_state=0
)
X_test, Y_test = X[2000:], Y[2000:]
X, Y = X[:2000], Y[:2000]


def fitted(head_penalty):
    clf = MultiTaskSAEClassifier(
        32,
        sparsifier=TopK(4),
        pretrain_iter=60,
        max_iter=60,
        tol=None,
        learning_rate=5e-3,
        head_penalty=head_penalty,
        random_state=0,
    )
    return clf.fit(X, Y)


# %%
# Without a penalty every head reads every latent. The group penalty leaves those that matter, and
# the accuracy is no worse for it.

fits = {"no penalty": fitted(None), "group penalty": fitted(GroupSparse())}
for name, clf in fits.items():
    print(
        f"{name:14} accuracy {clf.score(X_test, Y_test):.3f}, "
        f"latents read by a task {clf.task_map_.sum(axis=0)}"
    )

# %%
# Latents in the order of the atoms that they found, beside the truth.

fig, axes = plt.subplots(1, 3, figsize=(8, 5), sharey=True, layout="constrained")
for ax, (name, clf) in zip(axes, fits.items(), strict=False):
    latent_of = (clf.components_ @ truth.dictionary.T).argmax(axis=0)
    weights = np.stack([np.linalg.norm(coef, axis=0) for coef in clf.task_coef_], axis=1)
    ax.imshow(weights[latent_of] / weights.max(), cmap="Greys", aspect="auto", vmin=0, vmax=0.5)
    ax.set(title=name, xlabel="task", xticks=range(4))
axes[2].imshow(truth.task_map, cmap="Greys", aspect="auto", vmin=0, vmax=2)
axes[2].set(title="truth", xlabel="task", xticks=range(4))
axes[0].set_ylabel("atom: 8 shared, then 4 of each task")

clf = fits["group penalty"]
latent_of = (clf.components_ @ truth.dictionary.T).argmax(axis=0)
found = clf.task_map_[latent_of]
agree = 2 * np.sum(found & truth.task_map) / (found.sum() + truth.task_map.sum())
print(f"F1 of the map: {agree:.2f}")

# %%
# A fifth task on the same rows, of which 60 are labelled: does a row hold more than half a unit
# of the first three shared atoms? Its head goes on the code as it is; the other tasks stay.

y = (truth.codes[:, :3].sum(axis=1) > 0.5).astype(int)
before = clf.predict_proba(X_test)
clf.add_task(X[:60], y[:60], name="fifth")
after = clf.predict_proba(X_test)
print(f"fifth task: accuracy {np.mean(clf.predict(X_test)[:, 4] == y[2000:]):.3f}")
print(
    "the others as before:", all(np.array_equal(a, b) for a, b in zip(before, after, strict=False))
)
plt.show()
