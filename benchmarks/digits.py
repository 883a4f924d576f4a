"""Three digit tasks with rows of their own: logistic regressions, single networks, one shared code.

The demo's comparison over paired seeds: each seed draws the split and the models' initial weights.
Prints the mean accuracy of each model and task, and the paired 95% interval (t distribution) of the
shared code's gain, in points.
"""

import argparse
import warnings

import numpy as np
from results import part
from scipy.stats import t as student
from sklearn.linear_model import LogisticRegression

from skmtl import MultiTaskSAEClassifier, stack_tasks
from skmtl.datasets import load_multitask_digits
from skmtl.metrics import multitask_accuracy, multitask_f1, multitask_recall, relative_gain

N_SEEDS = 20
SETTINGS = {  # those of examples/plot_multitask_digits.py
    "n_components": 256,
    "pretrain_iter": 50,
    "learning_rate": 3e-3,
    "max_iter": 100,
    "tol": None,
}
MODELS = ["logistic regression", "single-task network", "shared sparse code"]


def one_seed(seed):
    """Accuracy, recall and F1 of each model on each task: nested lists."""
    digits = load_multitask_digits(random_state=seed)
    tasks = digits.tasks.values()

    def network(X, y):
        return MultiTaskSAEClassifier(**SETTINGS, random_state=seed).fit(X, y)

    predictions = [
        np.column_stack(
            [LogisticRegression(max_iter=1000).fit(X, y).predict(digits.X_test) for X, y in tasks]
        ),
        np.column_stack([network(X, y).predict(digits.X_test) for X, y in tasks]),
        network(*stack_tasks(list(tasks))).predict(digits.X_test),
    ]
    metrics = (multitask_accuracy, multitask_recall, multitask_f1)
    return [
        np.column_stack([m(digits.Y_test, p, average=None) for m in metrics]).tolist()
        for p in predictions
    ]


def interval(difference):
    """Mean and ends of the paired 95% interval, in points."""
    mean = np.mean(difference)
    half = student.ppf(0.975, len(difference) - 1) * np.std(difference, ddof=1)
    half /= np.sqrt(len(difference))
    return 100 * mean, 100 * (mean - half), 100 * (mean + half)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--redo", action="store_true", help="run all seeds again")
    redo = parser.parse_args().redo
    warnings.filterwarnings("ignore", category=UserWarning)
    scores = np.array(  # (seed, model, task, metric)
        [
            part("digits", f"{seed:02d}", SETTINGS, lambda seed=seed: one_seed(seed), redo)
            for seed in range(N_SEEDS)
        ]
    )
    names = list(load_multitask_digits(random_state=0).task_names)
    print(f"test accuracy, mean of {N_SEEDS} seeds")
    print(f"{'':22}" + "".join(f"{name:>12}" for name in [*names, "mean"]))
    for model, rows in zip(MODELS, scores[..., 0].mean(axis=0), strict=True):
        print(f"{model:22}" + "".join(f"{v:12.4f}" for v in [*rows, rows.mean()]))
    print("\ngain of the shared code in points, paired 95% interval")
    for other in (0, 1):
        gain = scores[:, 2, :, 0] - scores[:, other, :, 0]
        for name, column in [*zip(names, gain.T, strict=True), ("mean", gain.mean(axis=1))]:
            mean, low, high = interval(column)
            print(f"over {MODELS[other]:20} {name:>12} {mean:+7.2f}  [{low:+.2f}, {high:+.2f}]")
    delta = [relative_gain(seed[2], seed[1]) for seed in scores]
    mean, low, high = interval(np.array(delta) / 100)
    print(f"\nDelta_m over the single-task networks: {mean:+.2f}%  [{low:+.2f}, {high:+.2f}]")


if __name__ == "__main__":
    main()
