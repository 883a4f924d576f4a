"""Write the golden files of this version: ``python -m tests.golden.make``, once before a release.

Those of a released version are never written again: they show that later versions still read them,
through ``skmtl._files.MIGRATIONS`` where the format has changed. Those of a version in development
follow the code.
"""

from pathlib import Path

import numpy as np

import skmtl
from skmtl import MultiTaskSAEClassifier, SparseAutoencoderTransformer
from skmtl.datasets import make_sparse_codes
from skmtl.losses import Mixture
from skmtl.optimizers import SGD
from skmtl.sparsifiers import JumpReLU

FOLDER = Path(__file__).parent
QUICK = {"max_iter": 5, "tol": None, "batch_size": 20, "random_state": 0}


def estimators():
    """Few, that have between them most kinds of values; by name."""
    X = make_sparse_codes(40, 6, 8, 2, random_state=0)[0]
    Y = np.array([[["a", 2**60, True], ["b", -1, None]][i % 2] for i in range(40)], dtype=object)
    y = np.arange(40) % 3
    return X, {
        "transformer": SparseAutoencoderTransformer(8, **QUICK).fit(X.astype(np.float32)),
        "mixture": SparseAutoencoderTransformer(4, loss=Mixture(), **QUICK).fit(X),
        "classifier": MultiTaskSAEClassifier(
            8,
            sparsifier=JumpReLU(l0=2),
            optimizer=SGD(momentum=0.5),
            class_weight=[{"a": 2.0, "b": 1.0}, None, None],
            **QUICK,
        ).fit(X, Y),
        "one_task": MultiTaskSAEClassifier(
            8, tied=True, weight_decay=0.01, nested_sizes=(4, 8), pretrain_iter=1, **QUICK
        ).fit(X, y),
    }


def outputs(est, X):
    """What it gives for some rows: a list of arrays, floats and labels as text."""
    out = [est.transform(X)]
    if hasattr(est, "predict"):
        probability = est.predict_proba(X)
        out += probability if isinstance(probability, list) else [probability]
        out.append(np.array([repr(label) for label in est.predict(X).ravel().tolist()]))
    return out


def main():
    folder = FOLDER / skmtl.__version__
    folder.mkdir(exist_ok=True)
    X, fitted = estimators()
    expected = {"X": X}
    for name, est in fitted.items():
        skmtl.save(est, folder / f"{name}.skmtl")
        expected |= {f"{name}.{i}": array for i, array in enumerate(outputs(est, X))}
    np.savez_compressed(folder / "expected.npz", **expected)


if __name__ == "__main__":
    main()
