"""What an integer seed stands for, written down: draws, the order of rows, the first weights.

These hold on every machine and for every n_jobs. A release of NumPy may change its streams
(NEP 19), and then these numbers: not by accident, and with a line in CHANGES.
"""

import numpy as np
import pytest
from sklearn.utils import check_random_state

from skmtl import MultiTaskSAEClassifier, SparseAutoencoderTransformer
from skmtl._autoencoder import init_params
from skmtl._training import minibatches
from skmtl._validation import held_out

SEEDS_OF_FITS = {0: 209652396, 1: 1791095845, 42: 1608637542}
ORDER = [[[2, 1, 0], [4, 6], [5, 3]], [[3, 6, 1], [5, 0], [4, 2]]]
DEALT = [[4, 3], [6, 5], [2, 0, 1]]
HELD_OUT = [1, 6, 11]
DRAWN = [
    [0.04076078835354295, 1.507988118183029],
    [-0.04094769078156105, 0.983838361716033],
    [0.5958609299452241, -1.387684651696698],
]


@pytest.mark.parametrize("random_state", SEEDS_OF_FITS)
def test_seed_of_a_fit(random_state):
    assert check_random_state(random_state).randint(2**31) == SEEDS_OF_FITS[random_state]


def test_order_of_rows():
    rng = np.random.default_rng(SEEDS_OF_FITS[0])
    epochs = [[batch.tolist() for batch in minibatches(7, 3, rng)] for _ in range(2)]
    assert epochs == ORDER
    groups = np.arange(7) % 2
    dealt = [batch.tolist() for batch in minibatches(7, 3, np.random.default_rng(0), groups)]
    assert dealt == DEALT


def test_rows_held_out():
    out = held_out(np.ones(12, bool), 0.25, SEEDS_OF_FITS[0])
    assert np.flatnonzero(out).tolist() == HELD_OUT


def test_first_weights():
    """Drawn in float64 for both types; brought to unit length, which may round."""
    atoms = np.array(DRAWN) / np.linalg.norm(DRAWN, axis=1, keepdims=True)
    rng = np.random.default_rng(SEEDS_OF_FITS[0])
    assert rng.standard_normal((3, 2)).tolist() == DRAWN
    for dtype in (np.float32, np.float64):
        params = init_params(3, 2, dtype, np.zeros(2), np.random.default_rng(SEEDS_OF_FITS[0]))
        for name in ("W_enc", "W_dec"):
            np.testing.assert_allclose(params[name], atoms.astype(dtype), rtol=4e-16)
    for cls in (SparseAutoencoderTransformer, MultiTaskSAEClassifier):
        est = cls(3, learning_rate=1e-300, max_iter=1, tol=None, random_state=0)
        est.fit(np.eye(4)[:, :2], [0, 1, 0, 1])
        np.testing.assert_allclose(est.components_, atoms, rtol=4e-16)
