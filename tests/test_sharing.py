"""Sharing and keeping apart, as a user sees it: what each task's head reads."""

import pickle

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.linear_model import LogisticRegression

from skmtl import MultiTaskSAEClassifier, SparseAutoencoderTransformer
from skmtl._logistic import STRENGTHS, fit_logistic
from skmtl.datasets import make_multitask_classification
from skmtl.head_penalties import L2, GroupSparse, TowardsMean
from skmtl.sparsifiers import TopK
from tests import instances

NAN = float("nan")


def clf(n_components=24, **params):
    defaults = {"max_iter": 6, "tol": None, "random_state": 0, "learning_rate": 0.01}
    return MultiTaskSAEClassifier(n_components, **defaults | params)


@pytest.fixture(scope="module")
def tasks():
    X, Y, _ = make_multitask_classification(300, 12, 3, n_classes=3, missing=0.3, random_state=0)
    return X, Y


# --- skip connection -----------------------------------------------------------------------------


@pytest.mark.parametrize("few", [False, True], ids=["all", "few"])
def test_heads_read_X_too(few, tasks):
    X, Y = tasks
    if few:  # one label in ten: scores are formed where there is one
        Y = np.where(np.random.default_rng(0).random(Y.shape) < 0.9, NAN, Y)
    model = clf(skip_connection=True).fit(X, Y)
    assert model._objective.tasks.of_labelled == few
    for t, p in enumerate(model.predict_log_proba(X)):
        scores = model.transform(X) @ model.task_coef_[t].T + model.task_intercept_[t]
        scores += X @ model.task_skip_coef_[t].T
        expected = scores - np.log(np.exp(scores).sum(axis=1, keepdims=True))
        assert_allclose(p, expected, atol=1e-10)
        assert np.abs(model.task_skip_coef_[t]).max() > 0
    of_sparse = clf(skip_connection=True).fit(sp.csr_array(X), Y)
    for t in range(3):
        assert_allclose(of_sparse.task_skip_coef_[t], model.task_skip_coef_[t], atol=1e-8)
    assert not hasattr(clf(max_iter=1).fit(X, Y), "task_skip_coef_")


@pytest.mark.compiled
def test_skip_learns_what_the_code_cannot_hold(rng):
    """Two latents cannot carry twenty linear tasks; X itself can."""
    X = rng.standard_normal((600, 20))
    Y = X[:, :20] > 0
    kept, skipped = (
        clf(2, sparsifier=TopK(2), skip_connection=skip, max_iter=60, learning_rate=0.02)
        for skip in (False, True)
    )
    assert skipped.fit(X, Y).score(X, Y) > 0.95 > kept.fit(X, Y).score(X, Y) + 0.2


def test_skip_may_be_added_while_a_fit_goes_on(tasks):
    X, Y = tasks
    model = clf(warm_start=True).fit(X, Y)
    model.set_params(skip_connection=True).fit(X, Y)
    assert np.abs(model.task_skip_coef_[0]).max() > 0
    model.set_params(skip_connection=False).fit(X, Y)  # what is there goes on
    assert hasattr(model, "task_skip_coef_")


# --- private latents -----------------------------------------------------------------------------


@pytest.mark.compiled
@pytest.mark.parametrize(
    "sparsifier", [TopK(2), TopK(8), "batch_topk", "l1", "gated", "jumprelu", None], ids=repr
)
@pytest.mark.parametrize("sparse", [False, True], ids=["dense", "csr"])
def test_private_latents(sparsifier, sparse, tasks):
    X, Y = tasks
    rows = sp.csr_array(X) if sparse else X
    options = {"n_private_components": 3, "k_private": 2, "coactivation_penalty": 1.0}
    model = clf(sparsifier=sparsifier, pretrain_iter=2, **options).fit(rows, Y)
    assert model.transform(rows).shape == (300, 24) and len(model.get_feature_names_out()) == 24
    assert model.components_.shape == model.encoder_components_.shape == (24 + 9, 12)
    assert model.encoder_bias_.shape == (33,) and model.task_map_.shape == (33, 3)
    assert_allclose(np.linalg.norm(model.components_, axis=1), 1)
    own = (X - model.decoder_bias_) @ model.encoder_components_[24:].T + model.encoder_bias_[24:]
    for t, p in enumerate(model.predict_log_proba(rows)):
        block = np.maximum(own[:, 3 * t : 3 * t + 3], 0)
        block[block <= np.sort(block, axis=1)[:, :1]] = 0  # the two largest
        scores = model.transform(X) @ model.task_coef_[t].T + model.task_intercept_[t]
        scores += block @ model.task_private_coef_[t].T
        expected = scores - np.log(np.exp(scores).sum(axis=1, keepdims=True))
        assert_allclose(p, expected, atol=1e-8)
        others = np.delete(model.task_map_[24:], slice(3 * t, 3 * t + 3), axis=0)
        assert not others[:, t].any()
    assert model.task_map_[24:].any()
    one_row = np.concatenate([model.predict_proba(rows[[i]])[1] for i in range(5)])
    assert_allclose(one_row, model.predict_proba(rows)[1][:5], atol=1e-12)
    assert_array_equal(
        clf(sparsifier=sparsifier, pretrain_iter=2, n_jobs=2, **options).fit(rows, Y).components_,
        model.components_,
    )


@pytest.mark.compiled
@pytest.mark.parametrize("n_components", [24, 200])
def test_private_latents_in_every_kind_of_fit(n_components, tasks):
    X, Y = tasks
    few = np.where(np.random.default_rng(0).random(Y.shape) < 0.9, NAN, Y)
    for labels in (Y, few, Y[:, 0]):
        model = clf(n_components, n_private_components=2, tied=True).fit(X, labels)
        twice = clf(n_components, n_private_components=2, tied=True, max_iter=12).fit(X, labels)
        assert_array_equal(model.components_, model.encoder_components_)
        model.set_params(warm_start=True).fit(X, labels)
        assert_array_equal(model.components_, twice.components_)
        pickle.loads(pickle.dumps(model)).partial_fit(X, labels).predict(X)
    weight = np.repeat([1.0, 2.0], 150)
    one = clf(n_components, n_private_components=2, batch_size=900, loss="log_loss")
    X = (X - X.min()) / np.ptp(X)
    again = np.concatenate([np.arange(300), np.arange(150, 300)])
    a, b = clone(one).fit(X, Y, sample_weight=weight), clone(one).fit(X[again], Y[again])
    assert_allclose(a.components_, b.components_, atol=1e-6)


@pytest.mark.compiled
def test_private_latents_help_tasks_with_rows_of_their_own():
    """A narrow shared code cannot hold what eight tasks need beside what they share."""
    gained = []
    for seed in range(3):
        X, Y, _ = make_multitask_classification(
            4000, 60, 8, n_shared=6, n_private=4, n_active=4, own_samples=True, random_state=seed
        )
        shared, both = (
            clf(8, sparsifier=TopK(4), n_private_components=p, max_iter=60)
            .fit(X[:2000], Y[:2000])
            .score(X[2000:], Y[2000:])
            for p in (0, 4)
        )
        gained.append(both - shared)
    assert min(gained) > 0 and np.mean(gained) > 0.02


def test_private_latents_refuse(tasks):
    X, Y = tasks
    with pytest.raises(ValueError, match="n_private_components must be 0 with loss='mixture'"):
        clf(loss="mixture", n_private_components=2).fit(X, Y)
    model = clf(warm_start=True, n_private_components=2).fit(X, Y)
    with pytest.raises(ValueError, match="n_private_components must stay as it was"):
        model.set_params(n_private_components=3).fit(X, Y)


# --- staying near the pretrained code ------------------------------------------------------------


def test_pretrained_penalty_keeps_the_code(tasks):
    X, Y = tasks
    before = SparseAutoencoderTransformer(
        24, max_iter=10, tol=None, random_state=0, learning_rate=0.01
    ).fit(X)
    moved = []
    for strength in (0.0, 0.1, 100.0):
        model = clf(pretrain_iter=10, max_iter=20, pretrained_penalty=strength).fit(X, Y)
        moved.append(np.linalg.norm(model.encoder_components_ - before.encoder_components_))
    assert moved[0] > moved[1] > 5 * moved[2]
    with pytest.raises(ValueError, match="pretrain_iter must be at least 1"):
        clf(pretrained_penalty=0.1).fit(X, Y)
    clf(pretrained_penalty=0.1).partial_fit(X, Y, classes=[0, 1, 2])


# --- dropout and penalties -----------------------------------------------------------------------


@pytest.mark.compiled
@pytest.mark.parametrize("sparsifier", [TopK(2), None, "winner_take_all"], ids=repr)
def test_head_dropout(sparsifier, tasks):
    X, Y = tasks
    plain = clf(sparsifier=sparsifier).fit(X, Y)
    models = [clf(sparsifier=sparsifier, head_dropout=0.5, n_jobs=n).fit(X, Y) for n in (1, 2)]
    assert_array_equal(models[0].predict_proba(X)[0], models[1].predict_proba(X)[0])
    assert not np.allclose(models[0].task_coef_[0], plain.task_coef_[0])


@pytest.mark.compiled
@pytest.mark.parametrize("penalty", instances.HEAD_PENALTIES, ids=repr)
@pytest.mark.parametrize("skip", [False, True])
def test_penalties_shrink_heads(penalty, skip, tasks):
    X, Y = tasks
    for optimizer in instances.OPTIMIZERS:
        options = {"optimizer": optimizer, "skip_connection": skip, "max_iter": 10}
        plain = clf(**options).fit(X, Y)
        shrunk = clf(head_penalty=penalty, **options).fit(X, Y)
        heads = shrunk._objective.tasks.heads
        for name in ("W_head", "W_skip")[: 1 + skip]:
            weights = [model._params[name] for model in (plain, shrunk)]
            assert penalty.value(weights[1], heads) < penalty.value(weights[0], heads)
        again = clf(head_penalty=clone(penalty), n_jobs=2, **options).fit(X, Y)
        assert_array_equal(again._params["W_head"], shrunk._params["W_head"])
        pickle.loads(pickle.dumps(shrunk)).partial_fit(X, Y)


def test_task_map_is_where_weights_are(tasks):
    X, Y = tasks
    model = clf(max_iter=40, head_penalty=GroupSparse(alpha=0.03)).fit(X, Y)
    assert model.task_map_.shape == (24, 3) and model.task_map_.dtype == bool
    assert 0 < model.task_map_.mean() < 0.9
    for t, coef in enumerate(model.task_coef_):
        assert_array_equal(model.task_map_[:, t], (coef != 0).any(axis=0))
        assert_array_equal((coef != 0).any(axis=0), (coef != 0).all(axis=0))
    assert clf(head_penalty=GroupSparse(alpha=9)).fit(X, Y).task_map_.sum() == 0
    with_labels = Y.copy()
    with_labels[:, 1] = NAN
    with pytest.warns(UserWarning, match="no label at all"):
        assert clf().fit(X, with_labels).task_map_[:, 1].sum() == 0


def found(weights, atoms, truth, least=0.8):
    """F1 of the map of atoms by tasks that the weights (n_latents, n_tasks) show."""
    cosine = atoms @ truth.dictionary.T
    named = (weights > 0)[cosine.argmax(axis=0)] & (cosine.max(axis=0) > least)[:, None]
    return 2 * np.sum(named & truth.task_map) / (named.sum() + truth.task_map.sum())


@pytest.mark.compiled
def test_group_penalty_finds_who_reads_what():
    """Better than heads under L2 with small weights cut off, wherever one cuts."""
    for seed in range(3):
        X, Y, truth = make_multitask_classification(
            2000, 40, 4, n_shared=8, n_private=4, noise=0.02, random_state=seed
        )
        by_penalty = []
        for penalty in (GroupSparse(), L2(alpha=0.01)):
            model = clf(
                32,
                sparsifier=TopK(4),
                pretrain_iter=60,
                max_iter=60,
                learning_rate=5e-3,
                head_penalty=penalty,
            ).fit(X, Y)
            weights = np.stack([np.abs(coef).max(axis=0) for coef in model.task_coef_], axis=1)
            cuts = [0] if isinstance(penalty, GroupSparse) else np.linspace(0.02, 0.5, 25)
            by_penalty.append(
                max(
                    found(weights * (weights > cut * weights.max(axis=0)), model.components_, truth)
                    for cut in cuts
                )
            )
        exact, by_cut = by_penalty
        assert exact > max(0.9, by_cut)


@pytest.mark.compiled
@pytest.mark.parametrize("skip", [False, True])
@pytest.mark.parametrize("sparsifier", [TopK(2), None], ids=repr)
def test_a_group_sparse_fit_ends_at_the_minimum_of_the_heads(skip, sparsifier, tasks):
    """The optimality conditions of each group, with gradients from the whole data."""
    X, Y = tasks
    penalty = GroupSparse(alpha=0.02, alpha_latent=0.0)
    model = clf(sparsifier=sparsifier, head_penalty=penalty, skip_connection=skip, max_iter=20)
    model.fit(X, Y)
    read = {"task_coef_": model.transform(X)} | ({"task_skip_coef_": X} if skip else {})
    n_zero = 0
    for t, p in enumerate(model.predict_proba(X)):
        held = np.isfinite(Y[:, t])
        d_scores = p[held] - (Y[held, t][:, None] == model.classes_[t])
        assert_allclose(d_scores.mean(axis=0), 0, atol=1e-3)  # intercepts are free
        for name, rows in read.items():
            coef = getattr(model, name)[t]
            gradient = d_scores.T @ rows[held] / held.sum()
            norm = np.linalg.norm(coef, axis=0)
            zero = norm == 0
            n_zero += zero.sum()
            least = 0.02 * np.sqrt(3)
            assert np.all(np.linalg.norm(gradient[:, zero], axis=0) <= least * 1.01)
            pull = least * coef[:, ~zero] / norm[~zero]
            assert_allclose(gradient[:, ~zero], -pull, atol=0.02 * least)
    assert n_zero > 0


@pytest.mark.compiled
def test_towards_mean_helps_tasks_of_few_rows():
    """Twelve related tasks of 20 rows each: heads drawn together do better than heads apart."""
    gained = []
    for seed in range(3):
        X, Y, _ = make_multitask_classification(
            3000,
            15,
            12,
            n_shared=12,
            n_private=0,
            relatedness=0.9,
            own_samples=True,
            random_state=seed,
        )
        few = np.concatenate([np.flatnonzero(np.isfinite(y))[:20] for y in Y.T])
        rest = np.setdiff1d(np.arange(3000), few)
        apart, together = (
            clf(24, sparsifier=TopK(6), skip_connection=True, max_iter=60, head_penalty=penalty)
            .fit(X[few], Y[few])
            .score(X[rest], Y[rest])
            for penalty in (None, TowardsMean(rho=1.0))
        )
        gained.append(together - apart)
    assert min(gained) > 0 and np.mean(gained) > 0.03


def test_only_tasks_with_the_same_classes_are_drawn_together(rng):
    X = rng.random((60, 5))
    Y = np.column_stack([np.arange(60) % 2, np.arange(60) % 3, np.arange(60) // 5 % 2])
    model = clf(8, head_penalty=TowardsMean(rho=1e9), max_iter=3).fit(X, Y)
    assert_allclose(model.task_coef_[0], model.task_coef_[2], atol=1e-6)
    assert np.abs(model.task_coef_[1]).max() > 1e-4


@pytest.mark.parametrize(
    "params, message",
    [
        ({"head_dropout": 1.0}, "head_dropout"),
        ({"head_penalty": "lasso"}, "head_penalty"),
        ({"head_penalty": GroupSparse(alpha=-1)}, "alpha"),
        ({"skip_connection": "yes"}, "skip_connection"),
    ],
    ids=str,
)
def test_bad_parameters(params, message, tasks):
    with pytest.raises(ValueError, match=message):
        clf(**params).fit(*tasks)


# --- the guard -----------------------------------------------------------------------------------


def linear_and_shared(n, rng):
    """Task 0 is linear in X; task 1 is in what a narrow code can hold."""
    Z = rng.random((n, 3)) * (rng.random((n, 3)) < 0.5)
    X = np.hstack([Z @ rng.standard_normal((3, 12)), rng.standard_normal((n, 8))])
    parity = (Z > 0).sum(axis=1) % 2
    return X, np.column_stack([X[:, 12:].sum(axis=1) > 0, parity]).astype(float)


@pytest.mark.compiled
@pytest.mark.parametrize("sparse", [False, True], ids=["dense", "csr"])
def test_the_guard_takes_what_is_better(sparse, rng):
    X, Y = linear_and_shared(900, rng)
    rows = sp.csr_array(X) if sparse else X
    options = {"sparsifier": TopK(2), "max_iter": 40, "reconstruction_weight": 5.0}
    shared = clf(4, **options).fit(rows[:600], Y[:600])
    guarded = clf(4, head_selection="cv", **options).fit(rows[:600], Y[:600])
    assert guarded.head_selection_[0] in ("raw", "both")
    accuracy = [(m.predict(rows[600:]) == Y[600:]).mean(axis=0) for m in (shared, guarded)]
    assert accuracy[1][0] > accuracy[0][0] + 0.1
    assert accuracy[1][1] >= accuracy[0][1] - 0.05
    assert_array_equal(guarded.components_, shared.components_)  # the code is the same
    for t, chosen in enumerate(guarded.head_selection_):
        assert guarded.task_map_[:, t].any() == (chosen != "raw")
        assert guarded.task_skip_coef_[t].any() == (chosen != "shared")
    again = clf(4, head_selection="cv", n_jobs=2, **options).fit(rows[:600], Y[:600])
    assert_array_equal(again.predict_proba(rows)[0], guarded.predict_proba(rows)[0])
    pickle.loads(pickle.dumps(guarded)).partial_fit(rows, Y).predict(rows)
    assert not hasattr(guarded.set_params(head_selection="shared").fit(rows, Y), "head_selection_")


@pytest.mark.compiled
def test_the_guard_equals_logistic_regression_where_it_takes_it(rng):
    X, Y = linear_and_shared(400, rng)
    model = clf(2, head_selection="cv", max_iter=2).fit(X, Y)
    assert model.head_selection_[0] == "raw"
    W, b = min(
        (fit_logistic(X, Y[:, 0].astype(int), np.ones(400), 2, C) for C in STRENGTHS),
        key=lambda head: np.abs(head[0] - model.task_skip_coef_[0]).max(),
    )
    assert_allclose(model.task_skip_coef_[0], W, atol=1e-8)
    assert_allclose(model.task_intercept_[0], b, atol=1e-8)


def test_the_guard_keeps_tasks_of_few_labels(tasks):
    X, Y = tasks
    few = Y.copy()
    few[np.flatnonzero(few[:, 1] == 2)[2:], 1] = NAN  # two labels of a class
    few[:, 2] = NAN
    with pytest.warns(UserWarning, match="no label at all"):
        model = clf(head_selection="cv", n_private_components=2, max_iter=3).fit(X, few)
    assert model.head_selection_.tolist()[1:] == ["shared", "shared"]
    assert set(model.head_selection_) <= {"shared", "raw", "both"}


@pytest.mark.parametrize("sparse", [False, True], ids=["dense", "csr"])
@pytest.mark.parametrize("n_classes", [1, 2, 3])
def test_fit_logistic_is_scikit_learns(n_classes, sparse, rng):
    """On standardised rows, weights brought back to the rows as they were."""
    R, label = rng.random((80, 4)) * [1, 10, 0.1, 0] + 5, rng.integers(0, n_classes, 80)
    weight = rng.uniform(0.5, 2, 80)
    rows = sp.csr_array(R - 5) if sparse else R
    W, b = fit_logistic(rows, label, weight, n_classes + 1, 0.5)  # a class that no row has
    assert W.shape == (n_classes + 1, 4)
    scores = rows @ W.T + b
    p = np.exp(scores) / np.exp(scores).sum(axis=1, keepdims=True)
    assert p[:, -1].max() < 1e-3
    if n_classes == 1:
        assert_allclose(p[:, 0], 1, atol=1e-6)
        return
    held = R - 5 if sparse else R - np.average(R, axis=0, weights=weight)
    scale = np.sqrt(np.cov(R.T, aweights=weight, ddof=0).diagonal()[:3])
    model = LogisticRegression(C=0.5).fit(held[:, :3] / scale, label, weight / weight.mean())
    assert_allclose(p[:, :n_classes], model.predict_proba(held[:, :3] / scale), atol=2e-3)


# --- one more task -------------------------------------------------------------------------------


@pytest.mark.compiled
@pytest.mark.parametrize("sparse", [False, True], ids=["dense", "csr"])
@pytest.mark.parametrize(
    "options",
    [{}, {"skip_connection": True}, {"n_private_components": 2}, {"sparsifier": None}],
    ids=str,
)
def test_add_task(sparse, options, tasks):
    X, Y = tasks
    rows = sp.csr_array(X * (X > 0)) if sparse else X
    model = clf(64, **options).fit(rows, Y[:, :2])
    old = model.predict_proba(rows)
    code = model.transform(rows)
    few = rows[:80]
    for name in (None, "more"):
        model.add_task(few, Y[:80, 2].astype(object), name)
    assert model.n_outputs_ == 4 and len(model.classes_) == len(model.task_coef_) == 4
    assert model.task_map_.shape == (64 + 4 * ("n_private_components" in options), 4)
    assert model.task_names_in_.tolist() == ["0", "1", "2", "more"]
    for before, after in zip(old, model.predict_proba(rows), strict=False):
        assert_array_equal(before, after)
    assert_array_equal(code, model.transform(rows))
    assert_array_equal(model.predict_proba(rows)[2], model.predict_proba(rows)[3])
    assert (model.predict(rows)[:80, 2] == Y[:80, 2]).sum() > 0.5 * np.isfinite(Y[:80, 2]).sum()
    all_labels = np.column_stack([Y, Y[:, 2]])
    assert 0.3 < model.score(rows, all_labels) <= 1
    again = pickle.loads(pickle.dumps(model))
    assert_array_equal(again.predict_proba(rows)[3], model.predict_proba(rows)[3])
    again.partial_fit(rows, all_labels)
    assert np.abs(again.task_coef_[2] - model.task_coef_[2]).max() > 0
    assert np.isfinite(again.predict_proba(rows)[3]).all()
    with pytest.raises(ValueError, match="y must have 4 tasks"):
        again.score(rows, Y)


@pytest.mark.compiled
@pytest.mark.parametrize("balancer", instances.BALANCERS, ids=repr)
def test_add_task_with_every_balancer(balancer, tasks):
    X, Y = tasks
    model = clf(balancer=balancer, compute_affinity=True).fit(X, Y[:, :2])
    model.add_task(X, Y[:, 2]).partial_fit(X, Y)
    assert model.affinity_.shape == (3, 3)


def test_add_task_to_one_dimensional_labels(tasks):
    X, Y = tasks
    y = np.array(["a", "b"])[(Y[:, 0] > 0).astype(int)]
    model = clf().fit(X, y)
    old = model.predict_proba(X)
    model.add_task(X, Y[:, 1], sample_weight=np.linspace(0, 1, 300))
    assert_array_equal(model.predict_proba(X)[0], old)
    predicted = model.predict(X)
    assert predicted.shape == (300, 2) and set(predicted[:, 0]) <= {"a", "b"}
    assert not hasattr(model, "decision_function")


@pytest.mark.compiled
def test_add_task_learns_from_few_rows():
    """A task on the same atoms, from 40 rows: better on the code than on X."""
    better = []
    for seed in range(3):
        X, Y, _ = make_multitask_classification(
            2000, 60, 9, n_shared=8, n_private=0, n_active=3, noise=0.1, random_state=seed
        )
        model = clf(8, sparsifier=TopK(3), pretrain_iter=30, max_iter=30).fit(X, Y[:, :8])
        model.add_task(X[:40], Y[:40, 8])
        alone = LogisticRegression().fit(X[:40], Y[:40, 8]).score(X[40:], Y[40:, 8])
        better.append((model.predict(X[40:])[:, 8] == Y[40:, 8]).mean() - alone)
    assert np.mean(better) > 0


def test_what_is_published_of_tasks_knows_the_added_one(tasks):
    X, Y = tasks
    model = clf(max_iter=2, compute_affinity=True, head_selection="cv").fit(X, Y[:, :2])
    affinity, chosen = model.affinity_, model.head_selection_
    model.add_task(X, Y[:, 2])
    assert_array_equal(model.affinity_[:2, :2], affinity)
    assert np.isnan(model.affinity_[2]).all() and np.isnan(model.affinity_[:, 2]).all()
    assert model.head_selection_.tolist() == [*chosen, "both"]


def test_add_task_refuses(tasks):
    X, Y = tasks
    model = clf(max_iter=2).fit(X, Y)
    for bad, name in ((Y, None), (np.zeros(300), None)):
        with pytest.raises(ValueError, match="one task with at least two classes"):
            model.add_task(X, bad, name)
    with pytest.raises(ValueError, match="name that is not taken"):
        model.add_task(X, Y[:, 0], "a").add_task(X, Y[:, 0], "a")
    gaps = np.where(np.arange(len(X)) < 20, np.nan, np.arange(len(X)) % 2)
    with pytest.raises(ValueError, match=r"a label that counts.* 0 such label\(s\)"):
        model.add_task(X, gaps, sample_weight=np.isnan(gaps))
    named = clf(max_iter=2).fit(X, pd.DataFrame(Y[:, :2], columns=["a", "2"]))
    with pytest.raises(ValueError, match="name must be that of no other task; got '2'"):
        named.add_task(X, Y[:, 0])
    with pytest.raises(ValueError, match="features"):
        model.add_task(X[:, 1:], Y[:, 0])
    with pytest.raises(NotFittedError):
        clf().add_task(X, Y[:, 0])
