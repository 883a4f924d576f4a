import numpy as np
import pytest
from numpy.testing import assert_array_equal

from skmtl import SparseAutoencoderTransformer, _layouts, _linalg
from skmtl._objectives import Step
from skmtl.sparsifiers import TopK
from tests import naive


def topk(pre, k):
    return _layouts.to_dense(TopK(k=k).forward(pre, {}, None))


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
    assert isinstance(code, _layouts.CSR)
    for i in range(20):
        row = code.indices[code.indptr[i] : code.indptr[i + 1]]
        assert len(row) == 4 and (np.diff(row) > 0).all()


def test_k_above_the_width_is_clipped():
    assert np.array_equal(topk(np.array([[1.0, 2.0]]), 50), [[1, 2]])


@pytest.mark.parametrize("k", [0, -1, 1.5])
def test_bad_k(k):
    with pytest.raises(ValueError, match="'k' parameter of TopK"):
        TopK(k=k).validate()


def fitted(n_jobs=None, **params):
    X = np.random.default_rng(0).standard_normal((3000, 20))
    model = SparseAutoencoderTransformer(
        64, sparsifier=TopK(k=4, **params), max_iter=6, tol=None, random_state=0, n_jobs=n_jobs
    )
    return model.fit(X), X


@pytest.mark.compiled
def test_search_among_all_is_the_exact_search(monkeypatch):
    exact, _ = fitted()
    monkeypatch.setattr(TopK, "remembered", 16)  # of 64 latents all
    among_all, _ = fitted(search_every=3)
    np.testing.assert_allclose(among_all.components_, exact.components_, atol=1e-9)
    assert "memory" not in among_all._state


@pytest.mark.compiled
def test_search_every_is_nearly_as_good_and_looks_at_less(monkeypatch):
    exact, X = fitted()
    widths = []
    original = _linalg.product_among

    def product_among(X, W, b, among):
        widths.append(among.shape)
        return original(X, W, b, among)

    monkeypatch.setattr(_linalg, "product_among", product_among)
    model, _ = fitted(search_every=3)
    assert set(widths) == {(250, 24)} and len(widths) == 4 * 12  # epochs 1, 2, 4 and 5
    assert model.score(X) > 0.98 * exact.score(X)
    assert not np.array_equal(model.components_, exact.components_)
    two, _ = fitted(search_every=3, n_jobs=2)
    assert np.array_equal(model.components_, two.components_)


def test_a_stream_searches_every_time():
    models = []
    for search_every in (1, 3):
        model = SparseAutoencoderTransformer(
            64, sparsifier=TopK(k=4, search_every=search_every), random_state=0
        )
        for _ in range(3):
            model.partial_fit(np.random.default_rng(0).standard_normal((300, 20)))
        models.append(model)
    assert np.array_equal(models[0].components_, models[1].components_)


@pytest.mark.parametrize("progress, k", [(0.0, 12), (0.25, 8), (0.5, 4), (0.9, 4)])
def test_k_falls_over_the_first_half_of_the_fit(progress, k, rng):
    pre = rng.random((9, 20))
    step = Step(np.full(9, 1 / 9), progress=progress)
    code = _layouts.to_dense(TopK(4, anneal_from=12).forward(pre, {}, step))
    assert_array_equal(code, naive.topk(pre, k))
    step.train = False
    code = _layouts.to_dense(TopK(4, anneal_from=12).forward(pre, {}, step))
    assert_array_equal(code, naive.topk(pre, 4))


def test_k_after_the_fit(rng):
    pre, sparsifier = rng.random((9, 20)), TopK(4, k_transform=7)
    step = Step(np.full(9, 1 / 9))
    assert_array_equal(_layouts.to_dense(sparsifier.forward(pre, {}, step)), naive.topk(pre, 4))
    step.train = False
    assert_array_equal(_layouts.to_dense(sparsifier.forward(pre, {}, step)), naive.topk(pre, 7))
    model = SparseAutoencoderTransformer(32, sparsifier=sparsifier, max_iter=1, tol=None)
    X = rng.standard_normal((50, 20))
    assert (model.fit_transform(X) > 0).sum(axis=1).max() == 7
