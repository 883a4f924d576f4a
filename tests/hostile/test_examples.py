"""Bad input: a clear error that names the argument, never a crash or a silent result."""

import warnings

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp

from skmtl import MultiTaskSAEClassifier, MultiTaskSAERegressor, SparseAutoencoderTransformer
from skmtl.balancers import IMTL
from skmtl.head_penalties import L2
from skmtl.losses import Mixture
from skmtl.optimizers import Adam
from skmtl.sparsifiers import TopK

X = np.random.default_rng(0).random((12, 4))
Y = np.column_stack([np.arange(12) % 3, np.arange(12) % 2]).astype(float)


def broken(format, index):
    A = sp.csr_array(X).asformat(format)
    if format == "coo":
        A.coords[1][3] = index
    else:
        A.indices[3] = index
    return A


def broken_labels(index):
    indicator = sp.csr_array(np.eye(12, 2))
    indicator.indices[0] = index
    return indicator


def with_value(value):
    bad = X.copy()
    bad[2, 1] = value
    return bad


MASKED = np.ma.masked_array(X, X > 0.9)
BAD_X = [
    (with_value(np.nan), {}, "Input X contains NaN"),
    (with_value(np.inf), {}, "Input X contains infinity"),
    (MASKED, {}, "X must be a plain array; got a numpy masked array"),
    (broken("csr", 99), {}, "X must be a valid sparse array"),
    (broken("csr", -5), {}, "X must be a valid sparse array"),
    (broken("csc", 99), {}, "X must be a valid sparse array"),
    (broken("coo", 99), {}, "X must be a valid sparse array"),
    (X - 0.5, {"loss": "log_loss"}, r"X must lie in \[0, 1\] with loss='log_loss'; got values"),
    (sp.csr_array(2 * X), {"loss": "log_loss"}, r"X must lie in \[0, 1\]"),
    (X + 1, {"loss": Mixture("bernoulli")}, r"X must lie in \[0, 1\] with Mixture"),
    (np.empty((0, 4)), {}, "0 sample"),
    (np.empty((12, 0)), {}, "0 feature"),
    (X[0], {}, "Expected 2D array"),
    (X.astype(complex), {}, "Complex data not supported"),
    (X.astype(str) + "a", {}, "could not convert string"),
]
ESTIMATORS = [SparseAutoencoderTransformer, MultiTaskSAEClassifier, MultiTaskSAERegressor]
every_estimator = pytest.mark.parametrize("cls", ESTIMATORS)


def make(cls, **params):
    return cls(6, max_iter=2, tol=None, **params)


@every_estimator
@pytest.mark.parametrize("bad, params, message", BAD_X)
def test_bad_X(cls, bad, params, message):
    y = Y[: len(bad)] if not sp.issparse(bad) else Y
    with pytest.raises(ValueError, match=message):
        make(cls, **params).fit(bad, y)
    fitted = make(cls, **params).fit(X, Y)
    with pytest.raises(ValueError, match=message):
        fitted.transform(bad)
    if cls is not SparseAutoencoderTransformer:
        with pytest.raises(ValueError, match=message):
            fitted.predict(bad)
        named = message.replace("X must", "X_val must").replace("Input X ", "Input X_val ")
        with pytest.raises(ValueError, match=named):
            fitted.fit(X, Y, X_val=bad, y_val=y)
    else:
        with pytest.raises(ValueError, match=message):
            fitted.score(bad)


@every_estimator
def test_wrong_number_of_features(cls):
    fitted = make(cls).fit(X, Y)
    with pytest.raises(ValueError, match=r"X has 3 features, but .* is expecting 4 features"):
        fitted.transform(X[:, :3])
    with pytest.raises(ValueError, match="X has 3 features"):
        fitted.partial_fit(X[:, :3], Y)
    if cls is SparseAutoencoderTransformer:
        with pytest.raises(ValueError, match="X must have 6 columns, one per latent"):
            fitted.inverse_transform(X)
        with pytest.raises(ValueError, match="X_val has 3 features"):
            fitted.fit(X, X_val=X[:, :3])


def test_codes_pass_the_gate_too():
    fitted = make(SparseAutoencoderTransformer).fit(X)
    code = sp.csr_array(fitted.transform(X))
    code.indices[0] = 10**9
    with pytest.raises(ValueError, match="X must be a valid sparse array"):
        fitted.inverse_transform(code)
    with pytest.raises(ValueError, match="X must be a plain array; got a numpy masked"):
        fitted.inverse_transform(np.ma.masked_array(fitted.transform(X)))


BAD_WEIGHTS = [
    (np.zeros(12), "weight.*zero"),
    (-np.ones(12), "Negative values in data passed to `sample_weight`"),
    (np.full(12, np.nan), "sample_weight contains NaN"),
    (np.full(12, np.inf), "sample_weight contains infinity"),
    (np.ones(5), "sample_weight.shape == "),
    (np.ma.array(np.ones(12), mask=np.arange(12) < 3), "sample_weight must be a plain array"),
]
BAD_LABEL_WEIGHTS = [
    (np.zeros((12, 2)), "sample_weight must not be zero everywhere"),
    (-np.ones((12, 2)), "sample_weight must be finite and not negative"),
    (np.full((12, 2), np.nan), "sample_weight must be finite and not negative"),
    (np.ones((12, 3)), r"sample_weight must have shape \(12,\) or \(12, 2\); got \(12, 3\)"),
    (np.full((12, 2), "a"), "sample_weight must be numbers"),
]


@pytest.mark.parametrize("weight, message", BAD_WEIGHTS)
@every_estimator
def test_bad_weights(cls, weight, message):
    with pytest.raises(ValueError, match=message):
        make(cls).fit(X, Y, sample_weight=weight)
    with pytest.raises(ValueError, match=message):
        make(cls).fit(X, Y).score(X, Y, sample_weight=weight)


@pytest.mark.parametrize("weight, message", BAD_LABEL_WEIGHTS)
def test_bad_label_weights(weight, message):
    with pytest.raises(ValueError, match=message):
        make(MultiTaskSAEClassifier).fit(X, Y, sample_weight=weight)


@pytest.mark.parametrize(
    "y, message",
    [
        (np.full((12, 2), np.nan), "y must hold at least one label"),
        (np.full(12, None), "y must hold at least one label"),
        (np.ma.masked_array(Y, Y == 1), "y must be a plain array; got a numpy masked array"),
        (Y[:5], "inconsistent numbers of samples"),
        (None, "requires y to be passed, but the target y is None"),
        (X, "Unknown label type: continuous"),
        (broken_labels(99), "y must be a valid sparse array"),
        (broken_labels(10**9), "y must be a valid sparse array"),
        ([["a", 1]] * 11 + [[2, 1]], "task 0 of y mixes integer and string"),
    ],
)
def test_bad_y(y, message):
    with pytest.raises(ValueError, match=message):
        make(MultiTaskSAEClassifier).fit(X, y)


@pytest.mark.parametrize(
    "y, message",
    [
        (np.full((12, 2), np.nan), "y must hold at least one target"),
        (np.full(12, None), "y must hold at least one target"),
        (np.where(Y == 1, np.inf, Y), "Input y contains infinity or a value too large: task 0"),
        (np.full(12, -1e305), "Input y contains infinity or a value too large: y"),
        (np.ma.masked_array(Y, Y == 1), "y must be a plain array; got a numpy masked array"),
        (Y[:5], "inconsistent numbers of samples"),
        (None, "requires y to be passed, but the target y is None"),
        (np.empty((12, 0)), "y must have at least one task"),
        (np.ones((12, 2, 2)), "y must have shape"),
        (Y + 1j, "Complex data not supported"),
        ([["1.5", "a"]] * 12, "Targets must be real numbers; task 1 of y holds others: could not"),
        ([[1, 1j]] * 12, "Targets must be real numbers; task 1 of y holds others"),
        (np.arange(12).astype("M8[s]"), "Targets must be real numbers; y holds datetime64"),
        (broken_labels(99), "y must be a valid sparse array"),
    ],
)
def test_bad_targets(y, message):
    with pytest.raises(ValueError, match=message):
        make(MultiTaskSAERegressor).fit(X, y)


@pytest.mark.parametrize(
    "arguments, message",
    [
        ({"X_val": X}, "X_val and y_val must be given together"),
        ({"X_val": X, "y_val": Y + 9}, "The labels of task 0 of y_val must be among the classes"),
        ({"X_val": X, "y_val": Y[:3]}, "inconsistent numbers of samples"),
        ({"X_val": X, "y_val": np.full((12, 2), np.nan)}, "y_val must hold at least one label"),
        ({"task_mask": np.ma.array(np.ones((12, 2), bool))}, "task_mask must be a plain array"),
        ({"task_mask": np.ones(12)}, "task_mask must be boolean of y's shape"),
        ({"task_mask": np.zeros((12, 2), bool)}, "task_mask leaves out"),
    ],
)
def test_bad_fit_arguments(arguments, message):
    with pytest.raises(ValueError, match=message):
        make(MultiTaskSAEClassifier).fit(X, Y, **arguments)


@pytest.mark.parametrize(
    "params, message",
    [
        ({"n_components": 0}, "'n_components' parameter"),
        ({"sparsifier": "top-k"}, "'sparsifier' parameter"),
        ({"sparsifier": object()}, "'sparsifier' parameter"),
        ({"loss": "hinge"}, "'loss' parameter"),
        ({"learning_rate": 0}, "'learning_rate' parameter"),
        ({"batch_size": 0}, "'batch_size' parameter"),
        ({"validation_fraction": 1.0}, "'validation_fraction' parameter"),
        ({"decoder_norm": "l2"}, "'decoder_norm' parameter"),
        ({"tol": -1.0}, "'tol' parameter"),
    ],
)
@every_estimator
def test_bad_parameters(cls, params, message):
    with pytest.raises(ValueError, match=message):
        cls(**params).fit(X, Y)


@every_estimator
def test_bad_parameter_of_a_component(cls):
    for params, message in [
        ({"sparsifier": TopK(k=0)}, "'k' parameter of TopK"),
        ({"optimizer": Adam(beta_1=1.0)}, "'beta_1' parameter of Adam"),
        ({"loss": Mixture("laplace")}, "'distribution' parameter of Mixture"),
    ]:
        with pytest.raises(ValueError, match=message):
            make(cls, **params).fit(X, Y)


@every_estimator
def test_too_few_rows_to_hold_out(cls):
    with warnings.catch_warnings(), pytest.raises(ValueError, match="needs at least 2 rows"):
        warnings.simplefilter("ignore")  # the classifier's, of one class
        make(cls, early_stopping=True).fit(X[:1], Y[:1, 0])


@every_estimator
def test_not_fitted(cls):
    from sklearn.exceptions import NotFittedError

    with pytest.raises(NotFittedError):
        make(cls).transform(X)


@every_estimator
def test_odd_but_valid_input(cls):
    """float16, integers, big-endian, strided, read-only, memory-mapped, int64 CSR: all served."""
    expected = make(cls, random_state=0).fit(X, Y).transform(X)
    strided = np.repeat(X, 2, axis=0)[::2]
    frozen = X.copy()
    frozen.flags.writeable = False
    wide = sp.csr_array(X)
    wide.indices, wide.indptr = wide.indices.astype(np.int64), wide.indptr.astype(np.int64)
    for odd in (strided, frozen, X.astype(">f8"), X.tolist(), wide):
        got = make(cls, random_state=0).fit(odd, Y).transform(odd)
        np.testing.assert_allclose(got, expected, atol=1e-12)
    for dtype in (np.float16, np.int8, bool):
        make(cls).fit((X * 3).astype(dtype), Y).transform((X * 3).astype(dtype))


@pytest.mark.parametrize("name", ["sparsifier", "optimizer", "balancer", "head_penalty"])
def test_a_class_in_place_of_a_component(name):
    cls = {"sparsifier": TopK, "optimizer": Adam, "balancer": IMTL, "head_penalty": L2}[name]
    with pytest.raises(TypeError, match=rf"got the class {cls.__name__}. Call it: {cls.__name__}"):
        make(MultiTaskSAEClassifier, **{name: cls}).fit(X, Y)


@pytest.mark.parametrize("cls", [MultiTaskSAEClassifier, MultiTaskSAERegressor])
def test_tasks_in_another_order(cls):
    frame = pd.DataFrame(Y, columns=["a", "b"])
    fitted = make(cls, warm_start=True).fit(X, frame)
    fitted.fit(X, Y).fit(X, frame)
    for other in (frame[["b", "a"]], frame.set_axis(["a", "c"], axis=1)):
        message = r"must be the tasks of fit in their order, \['a', 'b'\]; got"
        for call in (fitted.fit, fitted.partial_fit, fitted.score):
            with pytest.raises(ValueError, match=f"columns of y {message}"):
                call(X, other)
        with pytest.raises(ValueError, match=f"columns of y_val {message}"):
            make(cls).fit(X, frame, X_val=X, y_val=other)


def test_numbers_whose_squares_overflow():
    with warnings.catch_warnings():
        warnings.simplefilter("error", RuntimeWarning)
        own = make(MultiTaskSAEClassifier, random_state=0, n_private_components=2)
        assert np.isfinite(own.fit(1e150 * X, Y).score(1e150 * X, Y))
        with pytest.raises(ValueError, match="The loss must stay finite"):
            make(MultiTaskSAEClassifier, random_state=0).fit(1e300 * X, Y)


@every_estimator
def test_no_refinement_of_a_mixture(cls):
    with pytest.raises(ValueError, match="transform_algorithm='refine' needs loss='squared_error'"):
        make(cls, loss="mixture", transform_algorithm="refine").fit(X, Y)
