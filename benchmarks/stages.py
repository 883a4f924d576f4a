"""Where the time of a TopK step goes, stage by stage, beside the encoder's product alone.

Each stage is a function that is timed from outside while a fit runs; what remains is Python and
the fit's own beginning and end. The product alone is timed between, with the same threads.
"""

import argparse
import time
from collections import defaultdict
from contextlib import contextmanager

import numpy as np
from contestants import atoms_and_codes
from results import part
from threadpoolctl import threadpool_limits

from skmtl import SparseAutoencoderTransformer, _autoencoder, _linalg, _training
from skmtl.losses import SquaredError
from skmtl.sparsifiers import TopK

JOBS = {
    "1024": {"rows": 16384, "features": 128, "latents": 1024, "k": 16, "batch": 512, "threads": 1},
    "3072": {"rows": 8192, "features": 384, "latents": 3072, "k": 32, "batch": 1024, "threads": 2},
}
JOBS["12288"] = JOBS["3072"] | {"latents": 12288}
N_EPOCHS = 5
# Label, owner and name of what is timed; all are called from the main thread.
STAGES = [
    ("encoder's product", _linalg, "product"),
    ("largest k", TopK, "encode"),
    ("decode", _linalg, "matmul"),
    ("loss", SquaredError, "value_and_grad"),
    ("adjoint of the code", _linalg, "add_adjoint"),
    ("encoder's backward", _autoencoder, "encoder_backward"),
    ("gradients and optimizer", _training, "update"),
    ("rows of the batch", _training.Data, "take"),
    ("shift of the rows", _autoencoder, "encoder_input"),
]


@contextmanager
def timed(totals):
    """Time the stages."""
    originals = [(owner, name, getattr(owner, name)) for _, owner, name in STAGES]

    def wrap(label, function):
        def timing(*arguments, **options):
            start = time.perf_counter()
            try:
                return function(*arguments, **options)
            finally:
                totals[label] += time.perf_counter() - start

        return timing

    for label, owner, name in STAGES:
        setattr(owner, name, wrap(label, getattr(owner, name)))
    try:
        yield
    finally:
        for owner, name, function in originals:
            setattr(owner, name, function)


def milliseconds(settings):
    """Of each stage and of the whole, per step; and of the product alone."""
    X = atoms_and_codes(settings)
    steps = N_EPOCHS * (len(X) // settings["batch"])

    def fit(max_iter, rows):
        return SparseAutoencoderTransformer(
            settings["latents"],
            sparsifier=TopK(settings["k"]),
            batch_size=settings["batch"],
            max_iter=max_iter,
            tol=None,
            random_state=0,
            n_jobs=settings["threads"],
        ).fit(rows)

    fit(1, X[: 2 * settings["batch"]])
    totals = defaultdict(float)
    with timed(totals):
        start = time.perf_counter()
        fit(N_EPOCHS, X)
        whole = time.perf_counter() - start
    W = np.random.default_rng(0).standard_normal((settings["latents"], X.shape[1]), np.float32)
    rows, alone = X[: settings["batch"]], []
    out = np.empty((len(rows), len(W)), np.float32)
    with threadpool_limits(settings["threads"]):
        for _ in range(15):
            start = time.perf_counter()
            np.dot(rows, W.T, out=out)
            alone.append(time.perf_counter() - start)
    result = {label: 1e3 * seconds / steps for label, seconds in totals.items()}
    result["whole"] = 1e3 * whole / steps
    result["product alone"] = 1e3 * float(np.median(alone))
    return result


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--redo", action="store_true", help="time all again")
    redo = parser.parse_args().redo
    results = {}
    for name, settings in JOBS.items():
        settings = settings | {"epochs": N_EPOCHS}
        results[name] = part("stages", name, settings, lambda s=settings: milliseconds(s), redo)
    print(f"{'share of the product alone':28}" + "".join(f"{name:>10}" for name in JOBS))
    for label in [*(stage[0] for stage in STAGES), "whole"]:
        shares = (results[name].get(label, 0) / results[name]["product alone"] for name in JOBS)
        print(f"{label:28}" + "".join(f"{share:10.2f}" for share in shares))


if __name__ == "__main__":
    main()
