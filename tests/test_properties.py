"""Properties over generated problems: what must hold for any labels, gaps, weights and layouts.

100 examples of each, the same in every run; ``make test-long`` draws 2000 new ones. Where bits are
claimed, values may be anything. Where sums run in another order, rows are drawn at random, so that
no two latents, classes or rows tie: a tie may go either way.
"""

import io
import pickle
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import assume, given, note
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal

import skmtl
from skmtl import (
    MultiTaskSAEClassifier,
    MultiTaskSAERegressor,
    SparseAutoencoderTransformer,
    stack_tasks,
    unstack_tasks,
)
from skmtl.model_selection import MultiTaskKFold
from skmtl.optimizers import SGD
from skmtl.sparsifiers import SPARSIFIERS
from tests.files.same import assert_same, results

pytestmark = [
    pytest.mark.compiled,  # tens of thousands of fits
    pytest.mark.filterwarnings("ignore:Task .* has"),
]
CLOSE = {"rtol": 1e-6, "atol": 1e-9}
# Where sums run in another order: Adam makes a step of a gradient that is zero but for rounding.
SMOOTH = {"optimizer": SGD(), "learning_rate": 0.2}


# --- problems --------------------------------------------------------------------------------


@dataclass
class Problem:
    """Rows, integer labels of each task (-1 is a gap), weights, and an estimator's options."""

    X: np.ndarray
    labels: np.ndarray
    weight: np.ndarray
    options: dict[str, Any]

    @property
    def Y(self):
        return np.where(self.labels < 0, np.nan, self.labels)

    @property
    def targets(self):
        """Real targets with the same gaps, in units of each task's own."""
        noise = np.cos(1 + np.arange(self.labels.size)).reshape(self.labels.shape)
        return (self.Y + noise) * 10.0 ** np.arange(self.labels.shape[1])

    def classifier(self, **params):
        return MultiTaskSAEClassifier(**self.options | params)

    def regressor(self, **params):
        return MultiTaskSAERegressor(**self.options | params)

    def transformer(self, **params):
        own = SparseAutoencoderTransformer().get_params()
        return SparseAutoencoderTransformer(
            **{k: v for k, v in (self.options | params).items() if k in own}
        )


CODES = [
    *({"sparsifier": name} for name in [*SPARSIFIERS, None]),
    {"loss": "log_loss"},
    {"loss": "mixture"},
    {"n_components": 40, "sparsifier": "topk"},  # codes are sparse
    {"tied": True},
    {"nested_sizes": [2, 4]},
]
HEADS = [
    {},
    {"skip_connection": True},
    {"head_penalty": "group"},
    {"head_penalty": "mean"},
    {"pretrain_iter": 1, "reconstruction_weight": 0.3},
]
BALANCERS = [name for name in skmtl.balancers.BALANCERS if name != "pcgrad"]  # it draws orders

ONE_TO_FOUR = st.integers(1, 4)


@st.composite
def problems(draw, codes=CODES, heads=HEADS, tasks=ONE_TO_FOUR, balancers=("equal",), **params):
    """Up to twelve rows; full batches, so that no order of rows is drawn."""
    n, n_features, n_tasks = draw(st.integers(2, 12)), draw(st.integers(1, 5)), draw(tasks)
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    labels = draw(st.lists(st.integers(-1, 3), min_size=n * n_tasks, max_size=n * n_tasks))
    labels = np.reshape(labels, (n, n_tasks))
    assume((labels >= 0).any())
    weight = draw(st.lists(st.integers(1, 3), min_size=n, max_size=n))
    X = rng.random((n, n_features)) * (
        rng.random((n, n_features)) < draw(st.sampled_from([0.5, 1]))
    )
    options = {"n_components": 6, "max_iter": 2, "tol": None, "batch_size": 64, "random_state": 0}
    options["learning_rate"] = draw(st.sampled_from([1e-3, 0.05]))
    options |= draw(st.sampled_from(codes)) | draw(st.sampled_from(heads))
    options |= {"balancer": draw(st.sampled_from(balancers))} | params
    return Problem(X, labels, np.array(weight, dtype=float), options)


def assert_params_close(a, b, **tolerance):
    # A fit that runs away multiplies rounding by as much as it runs.
    assume(all(np.abs(array).max(initial=0) < 100 for array in a._params.values()))
    assert a._params.keys() == b._params.keys()
    for name, array in a._params.items():
        assert_allclose(array, b._params[name], err_msg=name, **tolerance or CLOSE)


def as_list(p):
    return p if isinstance(p, list) else [p]


# --- gaps --------------------------------------------------------------------------------------


@given(problems(), st.data())
def test_values_under_the_mask_are_irrelevant(problem, data):
    """Whatever stands where ``task_mask`` is False."""
    mask = problem.labels >= 0
    anything = st.lists(st.integers(-(2**53), 2**53), min_size=mask.size, max_size=mask.size)
    other = np.where(mask, problem.labels, np.reshape(data.draw(anything), mask.shape))
    gaps = problem.classifier().fit(problem.X, problem.Y)
    masked = problem.classifier().fit(problem.X, other, task_mask=mask)
    assert_same(masked._params, gaps._params)
    for a, b in zip(as_list(masked.classes_), as_list(gaps.classes_), strict=True):
        assert_array_equal(a, b)
    assert_same(results(masked, problem.X)["predict_proba"], gaps.predict_proba(problem.X))


@given(problems(), st.data())
def test_targets_under_the_mask_are_irrelevant(problem, data):
    mask = problem.labels >= 0
    anything = st.lists(
        st.floats(allow_nan=True, allow_infinity=True), min_size=mask.size, max_size=mask.size
    )
    other = np.where(mask, problem.targets, np.reshape(data.draw(anything), mask.shape))
    gaps = problem.regressor().fit(problem.X, problem.targets)
    masked = problem.regressor().fit(problem.X, other, task_mask=mask)
    assert_same(masked._params, gaps._params)
    assert_same(masked.predict(problem.X), gaps.predict(problem.X))


# --- order and names ---------------------------------------------------------------------------


@given(
    problems(tasks=st.integers(2, 4), balancers=BALANCERS, **SMOOTH),
    st.randoms(use_true_random=False),
)
def test_order_of_tasks_commutes(problem, random):
    order = random.sample(range(problem.labels.shape[1]), problem.labels.shape[1])
    note(order)
    a = problem.classifier().fit(problem.X, problem.Y)
    b = problem.classifier().fit(problem.X, problem.Y[:, order])
    for new, old in enumerate(order):
        assert_allclose(b.predict_proba(problem.X)[new], a.predict_proba(problem.X)[old], **CLOSE)
    assert_allclose(b.transform(problem.X), a.transform(problem.X), **CLOSE)
    c = problem.regressor().fit(problem.X, problem.targets)
    d = problem.regressor().fit(problem.X, problem.targets[:, order])
    assert_allclose(
        (d.predict(problem.X) - d.target_mean_) / d.target_scale_,
        ((c.predict(problem.X) - c.target_mean_) / c.target_scale_)[:, order],
        **CLOSE,
    )


NAMES = st.one_of(
    st.lists(st.integers(-(2**63), 2**63 - 1), min_size=4, max_size=4, unique=True),
    st.lists(st.text(max_size=3), min_size=4, max_size=4, unique=True),
    st.lists(st.integers(-(2**53), 2**53).map(float), min_size=4, max_size=4, unique=True),
)


APART = [head for head in HEADS if head.get("head_penalty") != "mean"]  # that pairs classes


@given(problems(heads=APART, **SMOOTH), st.data())
def test_names_of_classes_commute(problem, data):
    n_tasks = problem.labels.shape[1]
    names = data.draw(st.lists(NAMES, min_size=n_tasks, max_size=n_tasks))
    Y = np.full(problem.labels.shape, None, dtype=object)
    for t, own in enumerate(names):
        for i in np.flatnonzero(problem.labels[:, t] >= 0):
            Y[i, t] = own[problem.labels[i, t]]
    a = problem.classifier().fit(problem.X, problem.Y)
    b = problem.classifier().fit(problem.X, Y)
    predicted = b.predict(problem.X)
    for t, (p, q) in enumerate(
        zip(a.predict_proba(problem.X), b.predict_proba(problem.X), strict=True)
    ):
        classes = list(b.classes_[t])
        columns = [classes.index(names[t][int(c)]) for c in a.classes_[t]]
        assert sorted(columns) == list(range(len(classes)))
        assert_allclose(q[:, columns], p, **CLOSE)
        if len(classes):  # of several classes as likely as each other any may be said
            said = [classes.index(c) for c in predicted[:, t]]
            assert_array_equal(q[np.arange(len(q)), said], q.max(axis=1))


@given(problems(**SMOOTH), st.randoms(use_true_random=False))
def test_order_of_rows_commutes_in_full_batches(problem, random):
    order = random.sample(range(len(problem.X)), len(problem.X))
    a = problem.classifier().fit(problem.X, problem.Y, sample_weight=problem.weight)
    b = problem.classifier().fit(
        problem.X[order], problem.Y[order], sample_weight=problem.weight[order]
    )
    assert_params_close(a, b)


# --- rows, layouts, dtypes, weights ------------------------------------------------------------


@given(problems())
def test_one_row_is_many_rows(problem):
    for model in (
        problem.classifier().fit(problem.X, problem.Y),
        problem.regressor().fit(problem.X, problem.targets),
        problem.transformer().fit(problem.X),
    ):
        whole = results(model, problem.X)
        for i in range(len(problem.X)):
            for name, row in results(model, problem.X[i : i + 1]).items():
                for a, b in zip(as_list(row), as_list(whole[name]), strict=True):
                    if a.dtype.kind == "f":
                        assert_allclose(a, b[i : i + 1], rtol=1e-10, atol=1e-12)


def strided(X):
    wide = np.full((2 * len(X), 3 * X.shape[1]), np.nan)
    wide[::2, ::3] = X
    return wide[::2, ::3]


def backwards(X):
    return np.ascontiguousarray(X[::-1, ::-1])[::-1, ::-1]


def read_only(X):
    X = X.copy()
    X.flags.writeable = False
    return X


def unaligned(X):
    raw = np.zeros(X.nbytes + 1, dtype=np.uint8)[1:]
    view = raw.view(X.dtype).reshape(X.shape)
    view[:] = X
    return view


def wide_indices(X):
    X = sp.csr_array(X)
    return sp.csr_array((X.data, X.indices.astype(np.int64), X.indptr.astype(np.int64)), X.shape)


def unsorted(X):
    """Each row's entries from the last column to the first, each in two halves."""
    rows, columns = np.nonzero(X)
    order = np.lexsort((-columns, rows))
    data = np.repeat(X[rows, columns][order] / 2, 2)
    indptr = np.concatenate([[0], np.cumsum(2 * np.count_nonzero(X, axis=1))])
    return sp.csr_array((data, np.repeat(columns[order], 2), indptr), X.shape)


def explicit_zeros(X):
    return sp.csr_array(
        (X.ravel(), np.tile(np.arange(X.shape[1]), len(X)), np.arange(len(X) + 1) * X.shape[1]),
        X.shape,
    )


def read_only_csr(X):
    X = sp.csr_array(X)
    for array in (X.data, X.indices, X.indptr):
        array.flags.writeable = False
    return X


DENSE = [np.asfortranarray, strided, backwards, read_only, unaligned, np.ndarray.tolist]
DENSE += [lambda X: X.astype(X.dtype.newbyteorder()), lambda X: X.astype(object)]
SPARSE = [sp.csr_matrix, sp.csc_array, sp.coo_array, sp.lil_array, sp.dok_array]
SPARSE += [wide_indices, unsorted, explicit_zeros, read_only_csr]


@given(problems(), st.sampled_from(DENSE), st.sampled_from(SPARSE))
def test_layout_is_irrelevant(problem, dense, sparse):
    X = problem.X
    model = problem.classifier().fit(X, problem.Y)
    other = problem.classifier().fit(dense(X), problem.Y)
    assert_same(other._params, model._params)
    assert_same(results(other, dense(X)), results(model, X))
    rows = sp.csr_array(X)
    of_sparse = problem.classifier().fit(rows, problem.Y)
    other = problem.classifier().fit(sparse(X), problem.Y)
    assert_same(other._params, of_sparse._params)
    assert_same(results(other, sparse(X)), results(of_sparse, rows))


@given(problems(**SMOOTH))
def test_sparse_rows_are_dense_rows(problem):
    dense = problem.classifier().fit(problem.X, problem.Y)
    sparse = problem.classifier().fit(sp.csr_array(problem.X), problem.Y)
    assert_params_close(sparse, dense)
    assert_params_close(
        problem.transformer().fit(sp.csr_array(problem.X)), problem.transformer().fit(problem.X)
    )


NEVER_CHOOSES = [{"sparsifier": name} for name in (None, "l1", "kl", "softmax")]
# Of a few rows that a line separates the best heads are ill-defined: not to the last bits.
WELL_DEFINED = [head for head in HEADS if head.get("head_penalty") != "group"]


@given(problems(codes=NEVER_CHOOSES, heads=WELL_DEFINED, **SMOOTH))
def test_precision_is_irrelevant(problem):
    """Within it, where no code chooses: among near equals the choice may differ."""
    X = problem.X.astype(np.float32)
    single = problem.classifier().fit(X, problem.Y)
    double = problem.classifier().fit(X.astype(float), problem.Y)
    assert single.components_.dtype == np.float32 and double.components_.dtype == np.float64
    assert_params_close(single, double, rtol=1e-3, atol=1e-4)
    for p, q in zip(
        as_list(single.predict_proba(X)), as_list(double.predict_proba(X)), strict=True
    ):
        assert_allclose(p, q, rtol=1e-3, atol=1e-4)


@given(problems(**SMOOTH))
def test_weights_are_repetition_in_full_batches(problem):
    again = np.repeat(np.arange(len(problem.X)), problem.weight.astype(int))
    X, weight = problem.X, problem.weight
    for make, Y in (
        (problem.classifier, problem.Y),
        (problem.regressor, problem.targets),
    ):
        weighted = make().fit(X, Y, sample_weight=weight)
        assert_params_close(weighted, make().fit(X[again], Y[again]))
    assert_params_close(
        problem.transformer().fit(X, sample_weight=weight), problem.transformer().fit(X[again])
    )


@given(problems(**SMOOTH), st.data())
def test_rows_of_weight_zero_are_absent(problem, data):
    extra = data.draw(st.integers(1, 4))
    rng = np.random.default_rng(data.draw(st.integers(0, 2**32 - 1)))
    X = np.concatenate([problem.X, rng.random((extra, problem.X.shape[1]))])
    Y = np.concatenate([problem.Y, problem.Y[rng.integers(0, len(problem.Y), extra)]])
    weight = np.append(problem.weight, np.zeros(extra))
    a = problem.classifier().fit(problem.X, problem.Y, sample_weight=problem.weight)
    assert_params_close(a, problem.classifier().fit(X, Y, sample_weight=weight))


# --- there and back ----------------------------------------------------------------------------


@given(problems(balancers=list(skmtl.balancers.BALANCERS)))
def test_save_then_load_is_identity(problem):
    for model in (
        problem.classifier().fit(problem.X, problem.Y),
        problem.regressor().fit(problem.X, problem.targets),
        problem.transformer().fit(problem.X),
    ):
        file = io.BytesIO()
        skmtl.save(model, file)
        loaded = skmtl.load(io.BytesIO(file.getvalue()))
        assert_same(loaded, model)
        assert_same(pickle.loads(pickle.dumps(model)), model)
        assert_same(results(loaded, problem.X), results(model, problem.X))


LABELS = st.one_of(
    st.lists(st.integers(-(2**63), 2**63 - 1), min_size=1, max_size=5),
    st.lists(st.booleans(), min_size=1, max_size=5),
    st.lists(st.text(max_size=3), min_size=1, max_size=5),
    st.lists(st.floats(allow_nan=False, allow_infinity=False), min_size=1, max_size=5),
)


@given(st.lists(LABELS, min_size=1, max_size=4), st.sampled_from([np.asarray, sp.csr_array]))
def test_unstack_undoes_stack(labels, make):
    rng = np.random.default_rng(0)
    tasks = [(make(rng.random((len(y), 3))), y) for y in labels]
    X, Y = stack_tasks(tasks)
    assert X.shape == (sum(map(len, labels)), 3) and Y.shape == (X.shape[0], len(tasks))
    for (X_t, y_t), (X_back, y_back) in zip(tasks, unstack_tasks(X, Y), strict=True):
        assert_same(sp.csr_array(X_back), sp.csr_array(X_t))
        assert list(y_back) == y_t


# --- folds ---------------------------------------------------------------------------------------


@given(st.data(), st.integers(2, 6), st.booleans(), st.booleans())
def test_folds_partition(data, n_splits, shuffle, grouped):
    n, n_tasks = data.draw(st.integers(n_splits, 30)), data.draw(st.integers(1, 3))
    entries = st.sampled_from([np.nan, 0, 1, 2])
    Y = np.reshape(
        data.draw(st.lists(entries, min_size=n * n_tasks, max_size=n * n_tasks)), (n, -1)
    )
    groups = None
    if grouped:
        groups = np.array(data.draw(st.lists(st.integers(0, 9), min_size=n, max_size=n)))
        assume(len(np.unique(groups)) >= n_splits)
    assume(not np.isnan(Y).all())
    cv = MultiTaskKFold(n_splits, shuffle=shuffle, random_state=0 if shuffle else None)
    folds = list(cv.split(Y, Y, groups))
    again = list(cv.split(Y, Y, groups))
    assert len(folds) == n_splits
    for (train, test), (train_again, test_again) in zip(folds, again, strict=True):
        assert_array_equal(np.sort(np.concatenate([train, test])), np.arange(n))
        assert_array_equal(train, train_again)
        assert_array_equal(test, test_again)
        assert len(test) and (groups is None or not set(groups[train]) & set(groups[test]))
    assert_array_equal(np.sort(np.concatenate([test for _, test in folds])), np.arange(n))
    if groups is None:
        sizes = [len(test) for _, test in folds]
        assert max(sizes) - min(sizes) <= 1
