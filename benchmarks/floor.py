"""Below the cost of the encoder's product: two ways to look at fewer latents, on real activations.

search_every   a row looks among its best latents of the last search over all (in the package)
half           all latents are ranked by the first half of the principal directions of X, and the
               best ``width`` of them rescored exactly; W is trained in those directions, so the
               exact fit beside it is too

Text embeddings, 32768 rows of 384 features, 6144 latents, k = 32, two threads: seconds and FVU of
each, and the ratio of the times at which the exact fit's final FVU is reached, by linear
interpolation between fits of 6 to 10 epochs. Needs the data sets' folder.
"""

import argparse
import sys
import time
from pathlib import Path

import numpy as np
from contestants import fvu, loaded
from results import part

from skmtl import SparseAutoencoderTransformer, _autoencoder, _linalg
from skmtl.sparsifiers import TopK
from skmtl.sparsifiers._topk import row_lists

ROWS, LATENTS, K, BATCH = 32768, 6144, 32, 1024
EPOCHS = [6, 7, 8, 9, 10]
REFERENCE = 8
METHODS = {
    "exact": lambda: TopK(K),
    "search_every=2": lambda: TopK(K, search_every=2),
    "search_every=3": lambda: TopK(K, search_every=3),
    "search_every=4": lambda: TopK(K, search_every=4),
    "half, width 256": lambda: Half(K, 256),
    "half, width 128": lambda: Half(K, 128),
}


class Half(TopK):
    """TopK among those latents that the first half of the features ranks highest."""

    def __init__(self, k=16, width=256):
        super().__init__(k)
        self.width = width

    def best(self, pre, bias):
        """The latents ranked highest, (n, width)."""
        return row_lists(pre, bias, self.width)[0]


def encode(params, X, shifted, sparsifier, step, original=_autoencoder.encode):
    """The package's encode, but for ``Half`` in training."""
    if not isinstance(sparsifier, Half) or not step.train:
        return original(params, X, shifted, sparsifier, step)
    rows = _autoencoder.encoder_input(params, X, shifted)
    W, b = params["W_enc"], params["b_enc"]
    half = rows.shape[1] // 2
    pre = np.empty((len(rows), len(W)), rows.dtype)
    _linalg.product(rows[:, :half], W[:, :half], pre)
    among = sparsifier.best(pre, b)
    exact = _linalg.product_among(rows, W, b, among)
    return _autoencoder.Signals(None, sparsifier.choose(exact, among, len(b)), rows)


def results_of(name, X):
    """Seconds and FVU after each number of epochs."""
    out = []
    for epochs in EPOCHS:
        start = time.perf_counter()
        sae = SparseAutoencoderTransformer(
            LATENTS,
            sparsifier=METHODS[name](),
            batch_size=BATCH,
            max_iter=epochs,
            tol=None,
            random_state=0,
            n_jobs=2,
        ).fit(X)
        seconds = time.perf_counter() - start
        out.append([seconds, fvu(X, sae.inverse_transform(sae.transform(X)))])
    return out


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--redo", action="store_true", help="time all again")
    parser.add_argument("--data", default=str(Path(__file__).parents[2] / "shared" / "data"))
    arguments = parser.parse_args()
    X = loaded("minilm_text", arguments.data).X[:ROWS].astype(np.float32)
    centred = X - X.mean(axis=0)
    directions = np.linalg.eigh(centred.T @ centred)[1][:, ::-1]
    rotated = np.ascontiguousarray(X @ directions)
    results_of("exact", X[:4096])  # compiled
    settings = {"rows": ROWS, "latents": LATENTS, "k": K, "batch": BATCH, "epochs": EPOCHS}

    def kept(name, X, label):
        return part("floor", label, settings, lambda: results_of(name, X), arguments.redo)

    _autoencoder.encode = encode
    exact = {
        "search": kept("exact", X, "exact"),
        "half": kept("exact", rotated, "exact-rotated"),
    }
    print(f"{'':18}{'seconds':>9}{'FVU':>8}   at {REFERENCE} epochs; time of the exact fit over it")
    for name in METHODS:
        rows = rotated if name.startswith("half") else X
        result = kept(name, rows, name.replace(" ", "-").replace(",", ""))
        at = exact["half" if name.startswith("half") else "search"][EPOCHS.index(REFERENCE)]
        seconds, quality = np.transpose(result)
        reached = np.interp(at[1], quality[::-1], seconds[::-1])
        own = result[EPOCHS.index(REFERENCE)]
        print(f"{name:18}{own[0]:9.2f}{own[1]:8.4f}   {at[0] / reached:.2f} to reach {at[1]:.4f}")


if __name__ == "__main__":
    sys.exit(main())
