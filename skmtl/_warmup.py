"""Compile the kernels before they are needed: in an image, or ahead of the first request."""

import warnings
from typing import Any

import numpy as np
import scipy.sparse as sp

from skmtl._classifier import MultiTaskSAEClassifier
from skmtl._regressor import MultiTaskSAERegressor
from skmtl._transformer import SparseAutoencoderTransformer
from skmtl.sparsifiers import TopK

# Between them these fits meet every kernel, each with every kind of code and input.
_TRANSFORMERS: list[dict[str, Any]] = [
    {"loss": "squared_error"},
    {"loss": "log_loss", "optimizer": "adamw"},
    {"loss": "mixture"},
    {"sparsifier": TopK(1, search_every=2)},
    {"sparsifier": None},
    {"sparsifier": "batch_topk", "transform_algorithm": "refine"},
    {"sparsifier": "winner_take_all"},
]


def read_only(rows):
    """A copy such as joblib hands to its workers; another type to Numba."""
    rows = rows.copy()
    for array in (rows.data, rows.indices, rows.indptr) if sp.issparse(rows) else (rows,):
        array.flags.writeable = False
    return rows


def warmup():
    """Compile all kernels for float32 and float64, or load them if they are compiled.

    The first fit in a new environment compiles the kernels it uses, which takes seconds; Numba
    keeps them on disk, and later processes load them. Call this where an image is built, or before
    timing. Compiled kernels go beside the package, or where ``NUMBA_CACHE_DIR`` says.

    Examples
    --------
    >>> import skmtl
    >>> skmtl.warmup()
    """
    rng = np.random.default_rng(0)
    X = np.round(rng.random((40, 3)), 1)
    Y = np.column_stack([X[:, 0] > 0.5, 3 * X[:, 1] // 1])
    gaps = np.where(np.arange(8) == np.arange(40)[:, None] % 8, Y[:, :1], np.nan)  # one in eight
    common: dict[str, Any] = {"max_iter": 2, "tol": None, "batch_size": 10, "random_state": 0}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for dtype in (np.float32, np.float64):
            for make in (np.asarray, sp.csr_array):
                rows = make(X.astype(dtype))
                SparseAutoencoderTransformer(8, **common).fit(read_only(rows)).score(
                    read_only(rows)
                )
                for n_components in (8, 200):  # codes of 16: all of 8, and few of 200
                    for options in _TRANSFORMERS:
                        sae = SparseAutoencoderTransformer(n_components, **common | options)
                        sae.fit(rows).score(rows)
                    for labels in (Y, Y[:, :1] > 0, gaps):
                        model = MultiTaskSAEClassifier(
                            n_components, compute_affinity=True, **common
                        )
                        model.fit(rows, labels).predict_proba(rows)
                        model.set_params(skip_connection=True, n_private_components=2)
                        model.fit(rows, labels).predict_proba(rows)
                    for targets in (X, gaps):
                        reg = MultiTaskSAERegressor(n_components, **common)
                        reg.fit(rows, targets).predict(rows)
