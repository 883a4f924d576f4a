import numpy as np
import pytest
import scipy.sparse as sp
from numpy.testing import assert_allclose

from skmtl import _gradients, _layouts, _linalg
from skmtl._gradients import Product, Rows
from skmtl._layouts import CSR, Support


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
    d_code = _layouts.zeros_like(csr)
    _linalg.add_adjoint(d_out, W, d_code)
    assert_allclose(_layouts.to_dense(d_code), (d_out @ W.T) * (dense != 0), atol=1e-14)
    for A in (d_out, _layouts.as_rows(sp.csr_array(d_out))):
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
    assert_allclose(_layouts.to_dense(csr), expected)
    out = _layouts.to_scipy(csr)
    assert out.nnz == len(csr.data) - 1
    assert_allclose(out.toarray(), expected)
    assert all(np.array_equal(a, b) for a, b in zip(before, parts, strict=True))


def test_join_sums_layouts(code):
    csr, dense = code
    assert _layouts.join([csr]) is csr
    before = csr.data.copy()
    assert_allclose(_layouts.join([csr, np.ones((6, 10))]), dense + 1)
    assert_allclose(_layouts.to_dense(_layouts.join([csr, csr])), 2 * dense)
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


def test_columns_of_a_code(code):
    csr, dense = code
    columns = csr.support.by_column
    assert columns.active.tolist() == np.flatnonzero(dense.any(axis=0)).tolist()
    for a, j in enumerate(columns.active):
        entries = slice(columns.starts[a], columns.starts[a + 1])
        assert columns.rows[entries].tolist() == np.flatnonzero(dense[:, j]).tolist()
        assert_allclose(csr.data[columns.order[entries]], dense[dense[:, j] != 0, j])


@pytest.mark.parametrize("sparse", [False, True])
def test_a_gradient_is_formed_block_by_block(sparse, code, rng, monkeypatch):
    csr, dense = code
    A, shift = rng.standard_normal((6, 4)), rng.standard_normal(4)
    A[rng.random(A.shape) < 0.5] = 0
    rows = _layouts.as_rows(sp.csr_array(A)) if sparse else A
    gradient = _linalg.weight_gradient(csr, rows, shift if sparse else None)
    expected = dense.T @ (A - shift if sparse else A)
    monkeypatch.setattr(_gradients, "BLOCK_SIZE", 8)  # two rows
    parts = _gradients.parts(gradient)
    assert len(parts) == -(-len(gradient.index) // 2)
    blocks = [_gradients.block(gradient, part) for part in parts]
    values = np.concatenate([b.values for b in blocks])
    assert_allclose(values, expected[gradient.index], atol=1e-14)
    assert np.concatenate([b.index for b in blocks]).tolist() == gradient.index.tolist()
    assert_allclose(_gradients.dense_gradient(gradient), expected, atol=1e-14)


def test_gradient_of_a_sparse_x_lies_by_features(rng):
    A = rng.standard_normal((6, 5)) * (rng.random((6, 5)) < 0.5)
    dense, shift = rng.standard_normal((6, 3)), rng.standard_normal(5)
    rows = _layouts.as_rows(sp.csr_array(A))
    gradient = _linalg.weight_gradient(dense, rows, shift)
    assert gradient.flags.f_contiguous
    assert_allclose(gradient, dense.T @ (A - shift), atol=1e-14)
    assert_allclose(_linalg.weight_gradient(dense, rows), dense.T @ A, atol=1e-14)


def test_product_among_is_the_product(rng):
    X, W, b = rng.standard_normal((5, 3)), rng.standard_normal((7, 3)), rng.standard_normal(7)
    among = rng.integers(-1, 7, (5, 4))
    expected = np.where(among < 0, -1, np.take_along_axis(X @ W.T + b, np.maximum(among, 0), 1))
    assert_allclose(_linalg.product_among(X, W, b, among), expected, atol=1e-14)


@pytest.mark.parametrize("index", [[3, 3, 0], [5], [2, 1, 4, 0, 5, 3]])
def test_taken_rows(index, code):
    _, dense = code
    for X in (dense, sp.csr_array(dense)):
        taken = _layouts.dense_block(_layouts.take_rows(X, np.array(index)))
        assert np.array_equal(taken, dense[index])


def test_firing_is_counted_by_weight(code, rng):
    csr, _ = code
    csr.data[0] = 0
    weight = rng.random(6)
    expected = 1 + weight @ (_layouts.to_dense(csr) != 0)
    for layout in (csr, _layouts.to_dense(csr)):
        counts, idle = np.ones(csr.shape[1]), np.full(csr.shape[1], 3)
        _linalg.add_firing(layout, weight, counts, idle)
        assert_allclose(counts, expected)
        assert_allclose(idle, np.where(expected > 1, 0, 3 + 6))


def test_large_products_are_cut_into_tiles(rng, monkeypatch):
    for name in ("TILE", "TILE_ROWS", "TILE_LATENTS"):
        monkeypatch.setattr(_linalg, name, 4)
    X, W = rng.standard_normal((11, 3)), rng.standard_normal((9, 3))
    code, d_out = rng.standard_normal((11, 9)), rng.standard_normal((11, 3))
    assert_allclose(_linalg.product(X, W, np.empty((11, 9))), X @ W.T, atol=1e-14)
    assert_allclose(_linalg.matmul(code, W), code @ W, atol=1e-14)
    assert_allclose(_linalg.weight_gradient(code, X), code.T @ X, atol=1e-14)
    d_code = np.ones((11, 9))
    _linalg.add_adjoint(d_out, W, d_code)
    assert_allclose(d_code, 1 + d_out @ W.T, atol=1e-14)
