import numpy as np
import pytest

from skmtl import _linalg
from skmtl.sparsifiers import TopK
from tests import naive


def topk(pre, k):
    return _linalg.to_dense(TopK(k=k).forward(pre, {}, None))


@pytest.mark.parametrize("k", [1, 2, 3, 7, 16, 40])
@pytest.mark.parametrize("n_columns", [1, 2, 9, 40, 333])
def test_equals_a_stable_sort(k, n_columns, rng):
    """On integer data full of ties, on real data, and where fewer than k are positive."""
    for pre in (
        rng.integers(-2, 4, (30, n_columns)).astype(float),
        rng.standard_normal((30, n_columns)),
        rng.standard_normal((30, n_columns)) - 2,
    ):
        assert np.array_equal(topk(pre, k), naive.topk(pre, min(k, n_columns)))


def test_ties_go_to_the_lower_index():
    assert np.array_equal(topk(np.array([[2.0, 1.0, 2.0, 2.0, 5.0]]), 2), [[2, 0, 0, 0, 5]])


def test_sparse_codes_have_ascending_columns(rng):
    code = TopK(k=4).forward(rng.standard_normal((20, 100)), {}, None)
    assert isinstance(code, _linalg.CSR)
    for i in range(20):
        row = code.indices[code.indptr[i] : code.indptr[i + 1]]
        assert len(row) == 4 and (np.diff(row) > 0).all()


def test_k_above_the_width_is_clipped():
    assert np.array_equal(topk(np.array([[1.0, 2.0]]), 50), [[1, 2]])


@pytest.mark.parametrize("k", [0, -1, 1.5])
def test_bad_k(k):
    with pytest.raises(ValueError, match="'k' parameter of TopK"):
        TopK(k=k).validate()
