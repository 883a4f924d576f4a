"""
Three tasks, one sparse code
============================

Three tasks over the handwritten digits that come with scikit-learn: which digit it is, whether it
is odd, and whether it is at least five. Each task brings 400 labelled rows of its own; none of
them labels the rows of the others. One shared sparse code is learnt on all 1200 rows, then
adjusted to all tasks together, and compared with a logistic regression and a network of its own
for each task.
"""

import matplotlib.pyplot as plt
import numpy as np
from sklearn.linear_model import LogisticRegression

from skmtl import MultiTaskSAEClassifier, SparseAutoencoderTransformer, stack_tasks
from skmtl.datasets import load_multitask_digits
from skmtl.metrics import multitask_classification_report, relative_gain

# %%
# Merge the data of the tasks
# ---------------------------
# Every row is labelled for one task; the other tasks have a gap there.

digits = load_multitask_digits(random_state=3)  # a typical one of benchmarks/digits.py
X, Y = stack_tasks(list(digits.tasks.values()))
print(f"1. {len(digits.tasks)} tasks stacked: X {X.shape}, Y {Y.shape}")
for name, column in zip(digits.task_names, Y.T, strict=True):
    print(f"   {name}: {np.count_nonzero(~np.isnan(column))} of {len(column)} rows labelled")

# %%
# A sparse autoencoder on the merged data
# ---------------------------------------
# A relu code 32 wide, a sigmoid decoder with cross-entropy, Adam, batches of 256 and 50 epochs,
# with held-out rows watched while it trains.

autoencoder = SparseAutoencoderTransformer(
    32,
    sparsifier=None,
    loss="log_loss",
    decoder_norm=None,
    batch_size=256,
    max_iter=50,
    tol=None,
    random_state=0,
).fit(X, X_val=digits.X_test)
print(
    "2. autoencoder: cross-entropy per row "
    f"{autoencoder.loss_curve_[0]:.2f} -> {autoencoder.loss_curve_[-1]:.2f}, "
    f"held out {autoencoder.validation_loss_curve_[-1]:.2f}"
)

# %%
# The same data as a mixture, one component for each of 32 latents: the code is the mixing weights,
# and the model scores rows by their log-likelihood.

mixture = SparseAutoencoderTransformer(
    32, loss="mixture", learning_rate=0.01, max_iter=50, tol=None, random_state=0
).fit(X)
print(f"   mixture: mean log p(x) of held-out rows {mixture.score(digits.X_test):.2f}")

# %%
# Adjust the code to every task
# -----------------------------
# 50 epochs of reconstruction on all rows, then 100 of reconstruction, sparsity and the mean task
# loss together. At most 16 of 256 latents fire on a row (TopK, the default).

settings = {
    "n_components": 256,
    "pretrain_iter": 50,
    "learning_rate": 3e-3,
    "max_iter": 100,
    "tol": None,
    "random_state": 3,
}
shared = MultiTaskSAEClassifier(**settings).fit(X, Y)
print(f"3. shared code: loss {shared.loss_curve_[0]:.3f} -> {shared.loss_curve_[-1]:.3f}")

# %%
# Evaluate each task
# ------------------
# By accuracy, recall and F1 on test rows that are labelled for all tasks, beside (a) one logistic
# regression and (b) one network of the same kind for each task.


def one_per_task(make):
    """Predictions of models that each see the rows of their own task only."""
    return np.column_stack(
        [make().fit(X_t, y_t).predict(digits.X_test) for X_t, y_t in digits.tasks.values()]
    )


predictions = {
    "(a) logistic regression": one_per_task(lambda: LogisticRegression(max_iter=1000)),
    "(b) single-task network": one_per_task(lambda: MultiTaskSAEClassifier(**settings)),
    "(c) shared sparse code": shared.predict(digits.X_test),
}
reports = {
    model: multitask_classification_report(
        digits.Y_test, Y_pred, task_names=digits.task_names, output_dict=True
    )
    for model, Y_pred in predictions.items()
}
print(f"4. {len(digits.X_test)} test rows, {'task':>12} {'accuracy':>9} {'recall':>7} {'F1':>7}")
for model, report in reports.items():
    for task, row in report.items():
        scores = f"{row['accuracy']:9.3f} {row['recall']:7.3f} {row['f1']:7.3f}"
        print(f"   {model:<23} {task:>10} {scores}")


def table(model):
    """Scores of a model, (n_tasks, n_metrics)."""
    rows = (reports[model][task] for task in digits.task_names)
    return [[row["accuracy"], row["recall"], row["f1"]] for row in rows]


gain = relative_gain(table("(c) shared sparse code"), table("(b) single-task network"))
print(f"5. Delta_m of (c) over (b): {gain:+.2f}%")

# %%
# The figure: the autoencoder's losses, the atoms that the digit task leans on most, and the
# accuracies.

figure, (losses, atoms, bars) = plt.subplots(1, 3, figsize=(12, 3.6), layout="constrained")
losses.plot(autoencoder.loss_curve_, label="training rows")
losses.plot(autoencoder.validation_loss_curve_, label="held-out rows")
losses.set(title="Autoencoder", xlabel="epoch", ylabel="cross-entropy per row")
losses.legend()

strongest = np.argsort(-np.linalg.norm(shared.task_coef_[0], axis=0))[:32]
tiles = shared.components_[strongest].reshape(4, 8, 8, 8).transpose(0, 2, 1, 3).reshape(32, 64)
atoms.imshow(tiles, cmap="RdBu_r", vmin=-0.5, vmax=0.5)
atoms.set(title="Atoms of the shared code", xticks=np.arange(8, 64, 8) - 0.5)
atoms.set(yticks=np.arange(8, 32, 8) - 0.5, xticklabels=[], yticklabels=[])
atoms.grid(color="white")
atoms.tick_params(length=0)

for i, (model, report) in enumerate(reports.items()):
    accuracy = [report[task]["accuracy"] for task in digits.task_names]
    bars.bar(np.arange(3) + 0.27 * (i - 1), accuracy, width=0.25, label=model)
bars.set(title="Test accuracy", xticks=range(3), xticklabels=digits.task_names, ylim=(0.85, 1))
figure.legend(*bars.get_legend_handles_labels(), loc="outside lower right", ncols=3)
plt.savefig("multitask_digits.png", dpi=120)
print("   figure written to multitask_digits.png")
plt.show()
