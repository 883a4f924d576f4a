"""How the time of an epoch grows with rows, features, latents and tasks.

Each quantity takes four sizes with the others fixed; the slope is that of log time on log size
(least squares, medians of five epochs). 1 is proportional, less is fixed cost still showing.
"""

import argparse
import time
from functools import partial

import numpy as np
from results import part

from skmtl import MultiTaskSAEClassifier, SparseAutoencoderTransformer
from skmtl.sparsifiers import TopK

BASE = {"rows": 8192, "features": 64, "latents": 256, "tasks": 8}
SIZES = {
    "rows": [4096, 8192, 16384, 32768],
    "features": [64, 128, 256, 512],
    "latents": [256, 512, 1024, 2048],
    "tasks": [32, 64, 128, 256],
}
K = 16
N_EPOCHS = 5


def epoch_seconds(rows, features, latents, tasks):
    """Median time of an epoch: of three-class tasks, or with ``tasks=None`` of the code alone."""
    rng = np.random.default_rng(0)
    X = rng.standard_normal((rows, features)).astype(np.float32)
    common = {"sparsifier": TopK(K), "random_state": 0, "tol": None}
    if tasks is None:
        model = SparseAutoencoderTransformer(latents, **common)
        fit = partial(model.partial_fit, X)
    else:
        Y = rng.integers(0, 3, (rows, tasks))
        model = MultiTaskSAEClassifier(latents, **common)
        fit = partial(model.partial_fit, X, Y, classes=[[0, 1, 2]] * tasks)
    fit()
    seconds = []
    for _ in range(N_EPOCHS):
        start = time.perf_counter()
        fit()
        seconds.append(time.perf_counter() - start)
    return float(np.median(seconds))


def one_quantity(quantity):
    """Median epoch time at each size of one quantity."""
    fixed = BASE | {"tasks": BASE["tasks"] if quantity == "tasks" else None}
    return [epoch_seconds(**fixed | {quantity: size}) for size in SIZES[quantity]]


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--redo", action="store_true", help="time all again")
    redo = parser.parse_args().redo
    print(f"{'quantity':>10} {'sizes':>26}   {'time relative to the first':>28}   slope")
    for quantity, sizes in SIZES.items():
        settings = {"base": BASE, "sizes": sizes, "k": K, "epochs": N_EPOCHS}
        seconds = part("slopes", quantity, settings, lambda q=quantity: one_quantity(q), redo)
        slope = np.polyfit(np.log(sizes), np.log(seconds), 1)[0]
        relative = "  ".join(f"{s / seconds[0]:6.2f}" for s in seconds)
        print(f"{quantity:>10} {sizes!s:>26}   {relative:>28}   {slope:.2f}")


if __name__ == "__main__":
    main()
