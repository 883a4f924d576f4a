import numpy as np
import pytest
import scipy.sparse as sp
from numpy.testing import assert_allclose

from skmtl import _gradients, _linalg
from skmtl._gradients import Product, Rows
from skmtl._linalg import CSR, Support


@pytest.fixture
def code(rng):
    """A code with an empty row, kept as CSR, and the same as an array."""
    dense = rng.standard_normal((6, 10)) * (rng.random((6, 10)) < 0.2)
    dense[2] = 0
    csr = sp.csr_array(dense)
    return CSR(csr.data, Support(csr.indices, csr.indptr.astype(np.int64), 10)), dense


def test_products_agree_with_dense(code, rng):
    csr, dense = code
    W, d_out = rng.standard_normal((10, 4)), rng.standard_normal((6, 4))
    assert_allclose(_linalg.matmul(csr, W), dense @ W, atol=1e-14)
    d_code = _linalg.zeros_like(csr)
    _linalg.add_adjoint(d_out, W, d_code)
    assert_allclose(_linalg.to_dense(d_code), (d_out @ W.T) * (dense != 0), atol=1e-14)
    for A in (d_out, _linalg.as_rows(sp.csr_array(d_out))):
        gradient = _linalg.weight_gradient(csr, A)
        assert isinstance(gradient, Product)
        assert_allclose(_gradients.dense_gradient(gradient), dense.T @ d_out, atol=1e-14)
        assert_allclose(_linalg.weight_gradient(dense, A), dense.T @ d_out, atol=1e-14)
    assert_allclose(
        _gradients.dense_gradient(_linalg.column_sum(csr)), dense.sum(axis=0), atol=1e-14
    )


def test_leaving_the_layout_changes_nothing(code):
    """Zeros on the support vanish from what is handed out, not from the code itself."""
    csr, dense = code
    csr.data[1] = 0
    parts = csr.data, csr.indices, csr.indptr
    before = [part.copy() for part in parts]
    expected = dense.copy()
    expected[np.searchsorted(csr.indptr, 1, "right") - 1, csr.indices[1]] = 0
    assert_allclose(_linalg.to_dense(csr), expected)
    out = _linalg.to_scipy(csr)
    assert out.nnz == len(csr.data) - 1
    assert_allclose(out.toarray(), expected)
    assert all(np.array_equal(a, b) for a, b in zip(before, parts, strict=True))


def test_join_sums_layouts(code):
    csr, dense = code
    assert _linalg.join([csr]) is csr
    before = csr.data.copy()
    assert_allclose(_linalg.join([csr, np.ones((6, 10))]), dense + 1)
    assert_allclose(_linalg.join([csr, csr]), 2 * dense)
    assert np.array_equal(csr.data, before)


def kinds():
    dense = np.arange(8.0).reshape(4, 2)
    return {
        "dense": dense,
        "rows": Rows(np.array([0, 2]), np.ones((2, 2)), 4),
        "other rows": Rows(np.array([1, 2]), np.full((2, 2), 3.0), 4),
    }


@pytest.mark.parametrize("first", kinds())
@pytest.mark.parametrize("second", kinds())
def test_add_gradient_sums_kinds(first, second):
    a, b = kinds()[first], kinds()[second]
    expected = _gradients.dense_gradient(a) + _gradients.dense_gradient(b)
    grads = {}
    _gradients.add_gradient(grads, "W", a)
    _gradients.add_gradient(grads, "W", b)
    assert_allclose(_gradients.dense_gradient(grads["W"]), expected)
    assert isinstance(grads["W"], Rows) == ("rows" in first and "rows" in second)


@pytest.mark.parametrize("make", [np.asarray, sp.csr_array])
def test_weighted_moments(make, rng):
    X = rng.random((50, 3)) * (rng.random((50, 3)) < 0.5)
    weight = rng.random(50)
    mean, variance = _linalg.weighted_moments(make(X), weight)
    assert_allclose(mean, np.average(X, axis=0, weights=weight))
    assert_allclose(variance, np.average((X - mean) ** 2, axis=0, weights=weight))


def test_moments_far_from_the_origin(rng):
    X = (1e4 + rng.standard_normal((10000, 1))).astype(np.float32)
    _, variance = _linalg.weighted_moments(X, np.ones(10000, dtype=np.float32))
    assert_allclose(variance, X.astype(float).var(axis=0), rtol=1e-6)
