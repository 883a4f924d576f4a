import numpy as np
import pytest
import scipy.sparse as sp
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.base import clone
from sklearn.datasets import load_breast_cancer
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import MinMaxScaler
from sklearn.utils import check_random_state

from skmtl import SparseAutoencoderTransformer, _layouts, _threads
from skmtl._validation import held_out
from skmtl.losses import Mixture
from skmtl.metrics import explained_variance, l0, shrinkage
from skmtl.sparsifiers import L1, SPARSIFIERS, Softmax, Sparsifier, TopK


def sae(n_components=24, **params):
    defaults = {"max_iter": 5, "tol": None, "random_state": 0}
    return SparseAutoencoderTransformer(n_components, **defaults | params)


CODES = [
    *({"sparsifier": name} for name in SPARSIFIERS),
    pytest.param({"n_components": 200}, marks=pytest.mark.compiled),  # codes of 16 are sparse
    {"sparsifier": None},
    {"sparsifier": "kl", "loss": "log_loss"},
    {"loss": "mixture"},
    {"loss": Mixture(distribution="bernoulli")},
    {"loss": Mixture(amortized=False)},
]
every_code = pytest.mark.parametrize("params", CODES, ids=str)


def test_encoder_and_decoder_are_the_documented_equations(digits):
    X, _ = digits
    model = sae(sparsifier=TopK(k=5)).fit(X)
    pre = (X - model.decoder_bias_) @ model.encoder_components_.T + model.encoder_bias_
    code = model.transform(X)
    kept = code > 0
    assert_allclose(code[kept], pre[kept])
    assert kept.sum(axis=1).max() == 5
    assert (
        pre[~kept].reshape(len(X), -1).max(axis=1) <= np.where(kept, pre, np.inf).min(axis=1)
    ).all()
    assert_allclose(model.inverse_transform(code), code @ model.components_ + model.decoder_bias_)
    assert_allclose(np.linalg.norm(model.components_, axis=1), 1)


def test_log_loss_decoder_is_a_sigmoid_of_unshifted_input(digits):
    X, _ = digits
    model = sae(loss="log_loss", sparsifier=None, decoder_norm=None).fit(X)
    code = np.maximum(X @ model.encoder_components_.T + model.encoder_bias_, 0)
    assert_allclose(model.transform(X), code)
    p = 1 / (1 + np.exp(-(code @ model.components_ + model.decoder_bias_)))
    assert_allclose(model.inverse_transform(code), p)
    log_likelihood = (X * np.log(p) + (1 - X) * np.log1p(-p)).sum(axis=1)
    assert_allclose(model.score_samples(X), log_likelihood)
    assert_allclose(model.score(X), log_likelihood.mean())


@pytest.mark.compiled
@every_code
def test_training_helps(params, digits):
    X, _ = digits
    model = sae(**params, learning_rate=0.01, max_iter=15).fit(X)
    first, last = model.loss_curve_[0], model.loss_curve_[-1]
    assert first - last > 0.01 * abs(first)
    assert model.score(X) > sae(**params, max_iter=1).fit(X).score(X)


@every_code
@pytest.mark.parametrize("make", [sp.csr_array, sp.csr_matrix, sp.csc_array, sp.coo_array])
def test_sparse_input_gives_the_dense_result(params, make, digits):
    X = digits[0][:100] * (digits[0][:100] > 0.5)
    dense, sparse = (sae(**params, max_iter=3, batch_size=40).fit(rows) for rows in (X, make(X)))
    assert_allclose(sparse.components_, dense.components_, atol=1e-9)
    assert_allclose(sparse.transform(make(X)), dense.transform(X), atol=1e-9)
    assert_allclose(sparse.score(make(X)), dense.score(X), rtol=1e-9)
    assert_allclose(sparse.score_samples(make(X)), dense.score_samples(X), rtol=1e-9)


@pytest.mark.compiled
def test_sparse_input_is_not_densified_or_changed(monkeypatch):
    """50 000 rows by 20 000 columns would be 8 GB; blocks of a batch are all that is dense."""
    rng = np.random.default_rng(0)
    X = sp.random_array((3000, 20000), density=1e-3, format="csr", rng=rng)
    X.indices[: X.indptr[1]] = X.indices[: X.indptr[1]][::-1].copy()  # not canonical
    X.has_sorted_indices = False
    before = X.copy()
    largest = []
    original = _layouts.to_dense

    def to_dense(code, out=None):
        largest.append(code.shape[0])
        return original(code, out)

    monkeypatch.setattr(_layouts, "to_dense", to_dense)
    monkeypatch.setattr(sp.csr_array, "toarray", None)  # nobody else densifies
    sae(8, max_iter=1).fit(X).score(X)
    assert max(largest) <= _threads.BLOCK_ROWS
    assert_array_equal(X.indices, before.indices)


@every_code
def test_sparse_output(params, digits):
    X, _ = digits
    model = sae(**params).fit(X)
    dense = model.transform(X)
    code = model.set_params(sparse_output=True).transform(X)
    assert sp.issparse(code) and code.format == "csr" and (code.data != 0).all()
    assert_array_equal(code.toarray(), dense)
    assert_allclose(model.inverse_transform(code), model.inverse_transform(dense))


@pytest.mark.compiled
@every_code
def test_bits_do_not_depend_on_n_jobs_or_containers(params, digits):
    X = np.tile(digits[0], (3, 1))
    one, two = sae(**params, n_jobs=1).fit(X), sae(**params, n_jobs=2).fit(np.asfortranarray(X))
    for name, array in one._params.items():
        assert_array_equal(array, two._params[name])
    assert_array_equal(one.transform(X), two.transform(X))
    assert_array_equal(one.score_samples(X), two.score_samples(X))
    assert_array_equal(one.firing_rate_, two.firing_rate_)


@every_code
def test_rows_do_not_see_each_other(params, digits):
    X, _ = digits
    model = sae(**params).fit(X)
    whole = model.transform(X)
    assert_allclose(model.transform(X[7:8]), whole[7:8], atol=1e-12)
    assert_allclose(model.transform(X[::-1]), whole[::-1], atol=1e-12)


def test_sparsifier_through_grid_search(digits):
    X, _ = digits
    search = GridSearchCV(
        make_pipeline(sae(sparsifier=TopK())),
        {
            "sparseautoencodertransformer__sparsifier__k": [1, 40],  # 40 is above the width
            "sparseautoencodertransformer__n_components": [4, 24],
        },
        cv=2,
        n_jobs=2,
    ).fit(X)
    assert search.best_params_["sparseautoencodertransformer__sparsifier__k"] == 40
    assert np.isfinite(search.cv_results_["mean_test_score"]).all()


def test_components_are_not_touched_by_fit(digits):
    X, _ = digits
    chosen = TopK(k=3)
    model = sae(sparsifier=chosen).fit(X)
    assert model.sparsifier is chosen and vars(chosen) == vars(TopK(k=3))
    chosen.k = 1  # what was fitted stays as it was fitted
    assert l0(model.transform(X)) > 2
    assert clone(model).sparsifier.k == 1


class QuantileThreshold(Sparsifier):
    """A user's own: batch-wide top-k in training, one frozen threshold afterwards."""

    buffers = ("threshold",)

    def __init__(self, k=4):
        self.k = k

    def init(self, n_components, dtype, rng):
        return {"threshold": np.zeros(1, dtype=dtype)}

    def forward(self, pre, params, step):
        cut = params["threshold"]
        if step.train:
            cut = np.partition(pre.ravel(), -self.k * len(pre))[-self.k * len(pre)]
        return np.where(pre > max(cut, 0), pre, 0)

    def freeze(self, pre_blocks, weight, params):
        pre = np.concatenate([*pre_blocks])
        assert len(pre) == len(weight)
        params["threshold"][:] = np.sort(pre.ravel())[-self.k * len(pre) - 1]


def test_a_users_own_sparsifier_needs_no_registration(digits):
    X, _ = digits
    model = sae(sparsifier=QuantileThreshold(k=3)).fit(X)
    assert l0(model.transform(X)) == pytest.approx(3)  # set by the training rows, exactly
    assert model._params["threshold"][0] > 0
    whole = model.transform(X)
    assert_allclose(model.transform(X[5:6]), whole[5:6], atol=1e-12)
    validated = sae(sparsifier=QuantileThreshold(k=3)).fit(X, X_val=X)
    assert_allclose(validated.validation_loss_curve_[-1], -validated.score_samples(X).mean())


@pytest.mark.parametrize("sparsifier", ["topk", None, L1(), "kl"])
def test_mixture_refuses_other_codes(sparsifier, digits):
    with pytest.raises(ValueError, match="sparsifier must be 'auto' or 'softmax' with loss='mixt"):
        sae(loss="mixture", sparsifier=sparsifier).fit(digits[0])
    sae(loss="mixture", sparsifier=Softmax()).fit(digits[0])


def test_options_matter(digits):
    X, _ = digits
    base = sae().fit(X)
    assert base.decoder_bias_.any()
    assert not np.allclose(np.linalg.norm(sae(decoder_norm=None).fit(X).components_, axis=1), 1)
    decayed = sae(weight_decay=0.1).fit(X)
    assert np.abs(decayed.encoder_components_).sum() < np.abs(base.encoder_components_).sum()
    zero = sae(bias_init="zero", max_iter=1, learning_rate=1e-9).fit(X)
    assert np.abs(zero.decoder_bias_).max() < 1e-6
    for optimizer in ("adamw", "sgd"):
        assert not np.array_equal(sae(optimizer=optimizer).fit(X).components_, base.components_)


def test_zero_variance_and_tiny_data():
    constants = [np.full((n, 4), 0.1) for n in (7, 100, 1000)]
    for X in (*constants, np.ones((1, 3)), np.array([[1e-20, 2e-20]] * 3)):
        for make in (np.asarray, sp.csr_array):
            model = sae(4).fit(make(X))
            assert np.isfinite(model.transform(make(X))).all()
            assert model.score(make(X)) in (0, 1)
            assert max(model.loss_curve_) < 10


def test_scaled_data_pass_although_rounding_leaves_the_interval():
    scaled = MinMaxScaler().fit_transform(load_breast_cancer().data)
    assert scaled.max() > 1
    for loss in ("log_loss", Mixture("bernoulli")):
        sae(loss=loss).fit(scaled.astype(np.float32)).score(scaled)
        with pytest.raises(ValueError, match="must lie in"):
            sae(loss=loss).fit(scaled + 1e-3)


def test_weights_of_the_held_out_rows_count(digits):
    X, _ = digits
    weight = np.where(np.arange(len(X)) % 2, 100.0, 0.01)
    model = sae(early_stopping=True).fit(X, sample_weight=weight)
    out = held_out(weight > 0, 0.1, check_random_state(0).randint(2**31))
    expected = np.average(-model.score_samples(X[out]), weights=weight[out])
    assert_allclose(min(model.validation_loss_curve_), expected)


@pytest.mark.parametrize("sparsifier", [TopK(5), None])
def test_firing_rate_counts_the_last_epoch(digits, sparsifier):
    X, _ = digits
    weight = np.arange(len(X), dtype=float)
    model = sae(sparsifier=sparsifier, learning_rate=1e-12, max_iter=2)  # all steps are alike
    model.fit(X, sample_weight=weight)
    active = model.transform(X) != 0
    expected = np.average(active, axis=0, weights=weight)
    assert_allclose(model.firing_rate_, expected, rtol=1e-5)
    model.set_params(learning_rate=0.1, max_iter=1, warm_start=True).fit(X, sample_weight=weight)
    assert abs(model.firing_rate_ - expected).max() > 0.01


def test_firing_rate_is_of_the_restored_parameters(digits):
    X, _ = digits
    model = sae(early_stopping=True, learning_rate=3.0, max_iter=4, random_state=0).fit(X)
    best = int(np.argmin(model.validation_loss_curve_))
    assert best < 3
    again = clone(model).set_params(max_iter=best + 1).fit(X)
    assert_allclose(model.firing_rate_, again.firing_rate_)


def test_constants_of_numpy_type_do_not_widen_float32(digits):
    X = digits[0].astype(np.float32)
    model = sae(sparsifier=L1(np.float64(0.1)), learning_rate=np.float64(1e-3)).fit(X)
    assert all(array.dtype == np.float32 for array in model._params.values())


def test_weight_decay_of_a_mixture_without_encoder(digits):
    sae(loss=Mixture(amortized=False), weight_decay=0.1).fit(digits[0])


def test_blocks_run_in_threads_and_keep_order():
    import threading

    n_threads = min(2, _threads.thread_limit(), _threads._blas_threads())
    seen, all_there = set(), threading.Barrier(n_threads, timeout=60)

    def f(block):
        if threading.get_ident() not in seen:
            seen.add(threading.get_ident())
            all_there.wait()
        return block.start

    n = 40 * _threads.BLOCK_ROWS + 1
    assert _threads.map_row_blocks(f, n, n_jobs=2) == list(range(0, n, _threads.BLOCK_ROWS))
    assert len(seen) == n_threads and threading.get_ident() in seen


def test_blas_limit_is_counted():
    from threadpoolctl import threadpool_info

    def limits():
        return {lib["num_threads"] for lib in threadpool_info() if lib["user_api"] == "blas"}

    before = limits()
    with _threads.OneThreadBLAS():
        with _threads.OneThreadBLAS():
            assert limits() == {1}
        assert limits() == {1}
    assert limits() == before


def test_two_threads_fit_at_once(digits):
    from concurrent.futures import ThreadPoolExecutor

    X, _ = digits
    alone = sae().fit(X)
    with ThreadPoolExecutor(2) as pool:
        for model in pool.map(lambda _: sae().fit(X), range(4)):
            assert_array_equal(model.components_, alone.components_)


def test_firing_rate_is_a_share_in_weighted_partial_fit(digits):
    X, _ = digits
    model = sae().partial_fit(X).partial_fit(X, sample_weight=np.full(len(X), 5.0))
    assert 0 < model.firing_rate_.max() <= 1 + 1e-9


def test_tied_weights(digits):
    X, _ = digits
    model = sae(tied=True, sparsifier=None, weight_decay=0.1, decoder_norm=None).fit(X)
    assert_array_equal(model.encoder_components_, model.components_)
    pre = (X - model.decoder_bias_) @ model.components_.T + model.encoder_bias_
    assert_allclose(model.transform(X), np.maximum(pre, 0), atol=1e-10)
    assert model._objective.terms[0].names == ("W_dec",)  # one matrix, decayed once
    assert "W_enc" not in model._params


@pytest.mark.compiled
def test_nested_prefixes_reconstruct_alone(digits):
    X, _ = digits
    alone = {}
    for nested_sizes in (None, [4, 12]):
        model = sae(
            48, sparsifier=TopK(8), nested_sizes=nested_sizes, max_iter=40, learning_rate=0.01
        ).fit(X)
        code = model.transform(X)
        code[:, 12:] = 0
        error = ((X - model.inverse_transform(code)) ** 2).sum()
        alone[nested_sizes is None] = error / ((X - X.mean(axis=0)) ** 2).sum()
    assert alone[False] < 0.7 * alone[True]


@pytest.mark.parametrize("sizes", [[], [0, 4], [4, 4], [8, 4], [4, 100], [2.5], "ab"], ids=str)
def test_nested_sizes_must_ascend(sizes, digits):
    with pytest.raises((ValueError, TypeError), match="nested_sizes"):
        sae(nested_sizes=sizes).fit(digits[0])


@pytest.mark.compiled
def test_denoising_sees_less_and_gives_back_all(digits):
    X, _ = digits
    rng = np.random.default_rng(0)
    corrupted = X * (rng.random(X.shape) >= 0.3)
    errors = []
    for input_dropout in (0.0, 0.3):
        model = sae(sparsifier=None, input_dropout=input_dropout, max_iter=60, learning_rate=0.01)
        recon = model.fit(X).inverse_transform(model.transform(corrupted))
        errors.append(((X - recon) ** 2).mean())
        assert_array_equal(model.transform(X), model.transform(X))  # no noise afterwards
    assert errors[1] < 0.8 * errors[0]


@pytest.mark.compiled
@pytest.mark.parametrize("layout", [np.asarray, sp.csr_array])
@pytest.mark.parametrize("sparse_output", [False, True])
def test_refined_amplitudes(layout, sparse_output, digits):
    X, _ = digits
    model = sae(48, sparsifier=TopK(6), max_iter=20, sparse_output=sparse_output).fit(layout(X))
    lengths, scores = [], []
    for algorithm in ("encoder", "refine"):
        model.set_params(transform_algorithm=algorithm)
        code = model.transform(layout(X))
        recon = model.inverse_transform(code)
        lengths.append(shrinkage(X, recon, offset=model.decoder_bias_))
        scores.append(model.score(layout(X)))
        assert_allclose(scores[-1], explained_variance(X, recon), rtol=1e-6)
    dense = code.toarray() if sparse_output else code
    model.set_params(transform_algorithm="encoder")
    before = model.transform(layout(X))
    before = before.toarray() if sparse_output else before
    assert (before[dense > 0] > 0).all()  # no latent that the encoder did not choose
    assert scores[1] > scores[0] + 0.01
    assert lengths[0] < lengths[1] <= 1  # of what lies in the atoms' span nothing is missing


def test_refine_needs_squared_error(digits):
    with pytest.raises(ValueError, match="transform_algorithm"):
        sae(loss="log_loss", transform_algorithm="refine").fit(digits[0])


@pytest.mark.parametrize(
    "params",
    [
        {"tied": True},
        {"input_dropout": 0.1},
        {"nested_sizes": np.array([2])},
        {"dead_latents": "aux_k"},
    ],
    ids=str,
)
def test_mixture_refuses_what_it_cannot_mean(params, digits):
    with pytest.raises(ValueError, match=next(iter(params))):
        sae(loss="mixture", **params).fit(digits[0])
