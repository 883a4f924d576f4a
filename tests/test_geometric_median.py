import numpy as np
import pytest
import scipy.sparse as sp
from numpy.testing import assert_allclose

from skmtl import SparseAutoencoderTransformer
from skmtl._geometric_median import geometric_median
from tests import naive


@pytest.mark.parametrize("layout", [np.asarray, sp.csr_array])
def test_equals_a_general_minimizer(layout, rng):
    X, weight = rng.standard_normal((40, 3)) ** 3, rng.uniform(0.2, 2, 40)
    assert_allclose(
        geometric_median(layout(X), weight, rng), naive.geometric_median(X, weight), atol=1e-4
    )


def test_a_guess_on_a_row_is_no_trap(rng):
    """The mean is one of the rows, not the median: the plain iteration divides by zero there."""
    X = np.array([[0.0, 0.0], [9.0, 0.0], [-1.0, 0.0], [-8.0, 0.0], [0.0, 3.0], [0.0, -3.0]])
    X = np.vstack([X, [[4.0, 4.0]] * 3])
    X = np.vstack([X, X.mean(axis=0)])
    assert_allclose(X.mean(axis=0), X[-1])
    weight = np.ones(len(X))
    assert_allclose(geometric_median(X, weight, rng), naive.geometric_median(X, weight), atol=1e-3)


def test_far_from_the_origin(rng):
    X, weight = rng.standard_normal((50, 3)).astype(np.float32) + 1e4, np.ones(50)
    sparse = geometric_median(sp.csr_array(X), weight, rng)
    assert_allclose(sparse, geometric_median(X, weight, rng), atol=1e-4)


def test_constant_rows(rng):
    assert_allclose(geometric_median(np.full((5, 2), 3.0), np.ones(5), rng), [3, 3])


def test_outliers_hardly_move_it(rng):
    X = rng.standard_normal((200, 4))
    X[:10] += 1e4
    sae = SparseAutoencoderTransformer(
        4, bias_init="geometric_median", learning_rate=1e-12, max_iter=1, tol=None, random_state=0
    )
    assert np.linalg.norm(sae.fit(X).decoder_bias_) < 0.5
    sae.set_params(bias_init="mean")
    assert np.linalg.norm(sae.fit(X).decoder_bias_) > 500


def test_weights_are_repetition(rng):
    X, weight = rng.standard_normal((30, 3)), rng.integers(1, 4, 30)
    repeated = geometric_median(np.repeat(X, weight, axis=0), np.ones(weight.sum()), rng)
    assert_allclose(geometric_median(X, weight.astype(float), rng), repeated, atol=1e-6)
