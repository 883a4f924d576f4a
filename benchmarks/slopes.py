"""How the time of an epoch grows with rows, features, latents, k, tasks and entries of sparse X.

Each quantity takes four sizes with the others fixed, from sizes where what does not grow with any
of them is below a tenth; the slope is that of log time on log size (least squares, medians of five
epochs, one thread). 1 is proportional; less is the cost of the parts that do not depend on it.
"""

import argparse
import time
from functools import partial

import numpy as np
import scipy.sparse as sp
from results import part

from skmtl import MultiTaskSAEClassifier, SparseAutoencoderTransformer
from skmtl.sparsifiers import TopK

BASE = {"rows": 8192, "features": 128, "latents": 1024, "k": 16, "tasks": None, "nnz": None}
# Of each quantity the sizes, and what else differs from the base.
QUANTITIES = {
    "rows": ([4096, 8192, 16384, 32768], {}),
    "features": ([128, 256, 512, 1024], {}),
    "latents": ([1024, 2048, 4096, 8192], {}),
    "k": ([16, 32, 64, 128], {"latents": 2048}),
    "tasks": ([64, 128, 256, 512], {"latents": 256}),
    "nnz": ([64, 128, 256, 512], {"features": 8192, "latents": 256, "k": None}),
}
N_EPOCHS = 5


def epoch_seconds(rows, features, latents, k, tasks, nnz):
    """Median time of an epoch: of three-class tasks, or with ``tasks=None`` of the code alone."""
    rng = np.random.default_rng(0)
    if nnz is None:
        X = rng.standard_normal((rows, features), dtype=np.float32)
    else:  # that many entries a row, of values in (0, 1]
        X = sp.random_array(
            (rows, features), density=nnz / features, format="csr", dtype=np.float32, rng=rng
        )
    common = {"sparsifier": k and TopK(k), "random_state": 0, "tol": None}
    if tasks is None and nnz is None:
        model = SparseAutoencoderTransformer(latents, **common)
        fit = partial(model.partial_fit, X)
    else:  # for sparse X the code is trained by a task: a reconstruction is as wide as X
        Y = rng.integers(0, 3, (rows, tasks or 1))
        model = MultiTaskSAEClassifier(latents, reconstruction_weight=float(nnz is None), **common)
        fit = partial(model.partial_fit, X, Y, classes=[[0, 1, 2]] * (tasks or 1))
    fit()
    seconds = []
    for _ in range(N_EPOCHS):
        start = time.perf_counter()
        fit()
        seconds.append(time.perf_counter() - start)
    return float(np.median(seconds))


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--redo", action="store_true", help="time all again")
    redo = parser.parse_args().redo
    print(f"{'quantity':>10} {'sizes':>26}   {'time relative to the first':>28}   slope")
    for quantity, (sizes, other) in QUANTITIES.items():
        fixed = BASE | other
        settings = {"base": fixed, "sizes": sizes, "epochs": N_EPOCHS}

        def seconds_of(quantity=quantity, fixed=fixed, sizes=sizes):
            return [epoch_seconds(**fixed | {quantity: size}) for size in sizes]

        seconds = part("slopes", quantity, settings, seconds_of, redo)
        slope = np.polyfit(np.log(sizes), np.log(seconds), 1)[0]
        relative = "  ".join(f"{s / seconds[0]:6.2f}" for s in seconds)
        print(f"{quantity:>10} {sizes!s:>26}   {relative:>28}   {slope:.2f}")


if __name__ == "__main__":
    main()
