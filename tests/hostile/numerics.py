"""Inputs on which formulas break, with every component: one row, constants, tiny numbers."""

import functools

import numpy as np
import scipy.sparse as sp

from skmtl.sparsifiers import BatchTopK, TopK
from tests import instances
from tests.hostile.case import Call, Case, holds, same
from tests.hostile.doors import CLASSIFIER, ESTIMATORS, REGRESSOR, TRANSFORMER, X, Y, fit, make

INPUTS = {
    "one row": X[:1],
    "two equal rows": X[[0, 0]],
    "zeros": np.zeros((6, 4)),
    "ones": np.ones((6, 4)),
    "a row of zeros among others": X * (np.arange(12) != 5)[:, None],
    "CSR without an entry": sp.csr_array((6, 4)),
    "one feature": X[:, :1],
    "1e-30": 1e-30 * X,
}
#: Beside these the defaults.
VARIANTS = {
    "batch of one": {"batch_size": 1},
    "n_components=1": {"n_components": 1},
    "more latents than numbers": {"n_components": 100},
    "nested, tied, dropped out": {"nested_sizes": [2], "tied": True, "input_dropout": 0.5},
    "geometric median, no norm, decay": {
        "bias_init": "geometric_median",
        "decoder_norm": None,
        "weight_decay": 0.1,
    },
    "AuxK": {"dead_latents": "aux_k"},
}


def each(input, value, variants, classes, y=Y, must="fit and predictions are finite"):
    """A fit to the rows for each variant: name to parameters."""

    def calls():
        return {
            f"{cls.__name__}({name})": Call(functools.partial(_finite, cls, value, y, params))
            for cls in classes
            for name, params in variants.items()
        }

    return Case(input, must, calls)


def _finite(cls, value, y, params):
    estimator = make(cls, **params).fit(value, y[: value.shape[0]])
    outs = [estimator.components_, estimator.encoder_bias_, estimator.loss_curve_]
    outs.append(estimator.transform(value))
    if cls is not TRANSFORMER:
        outs.append(np.asarray(estimator.predict(value), dtype=float))
    if cls is CLASSIFIER:
        outs.extend(estimator.predict_proba(value))
    for out in outs:
        holds(np.isfinite(out).all(), "a result is not finite")


def named(parameter, components):
    return {repr(component): {parameter: component} for component in components}


ONCE = list({type(s): s for s in instances.SPARSIFIERS}.values())
COMPONENTS = (
    [
        each(
            f"{name}, with every sparsifier",
            value,
            named("sparsifier", ONCE),
            [TRANSFORMER, CLASSIFIER],
        )
        for name, value in INPUTS.items()
    ]
    + [
        each(
            f"{name}, with every loss",
            value,
            named("loss", [loss for loss in instances.LOSSES if getattr(loss, "amortized", True)]),
            [TRANSFORMER, CLASSIFIER],
        )
        for name, value in INPUTS.items()
    ]
    + [
        each(f"{name}, in other settings", value, VARIANTS, ESTIMATORS.values())
        for name, value in INPUTS.items()
    ]
)
SMALL = {"one row": X[:1], "two rows": X[:2], "constant": np.ones((6, 4)), "1e-30": 1e-30 * X}
BALANCED = [
    each(
        f"{name}, with every balancer",
        value,
        named("balancer", list({type(b): b for b in instances.BALANCERS}.values())),
        [CLASSIFIER, REGRESSOR],
    )
    for name, value in SMALL.items()
] + [
    each(
        "one task, with every balancer",
        X,
        named("balancer", list({type(b): b for b in instances.BALANCERS}.values())),
        [CLASSIFIER, REGRESSOR],
        Y[:, 0],
    ),
    each(
        "constant targets, with every balancer",
        X,
        named("balancer", list({type(b): b for b in instances.BALANCERS}.values())),
        [CLASSIFIER, REGRESSOR],
        np.ones(Y.shape),
    ),
    each(
        "tasks without a label in common, one of one label",
        X,
        named("balancer", list({type(b): b for b in instances.BALANCERS}.values())),
        [CLASSIFIER, REGRESSOR],
        np.where([[True, False]] * 11 + [[False, True]], Y, np.nan),
    ),
]
HEADS = [
    each(
        f"{name}, with every head",
        value,
        {
            **named("head_penalty", instances.HEAD_PENALTIES),
            "skip_connection": {"skip_connection": True},
            "private latents": {
                "n_private_components": 2,
                "k_private": 1,
                "coactivation_penalty": 1.0,
            },
            "head_dropout": {"head_dropout": 0.5},
            "two members": {"n_members": 2},
            "head_selection": {"head_selection": "cv"},
            "task_balanced": {"batching": "task_balanced", "batch_size": 2},
            "pretrained": {"pretrain_iter": 1, "pretrained_penalty": 1.0},
            "affinity": {"compute_affinity": True},
        },
        [CLASSIFIER, REGRESSOR],
    )
    for name, value in SMALL.items()
]


def says(input, must, *calls):
    return Case(input, must, lambda: {f"call {i + 1}": Call(call) for i, call in enumerate(calls)})


def _k_above_width(sparsifier, exact):
    same(
        fit(TRANSFORMER, X, sparsifier=sparsifier).transform(X),
        fit(TRANSFORMER, X, sparsifier=exact).transform(X),
    )


def _rates(cls, rate):
    """Either it works, or it says that the loss left the numbers."""
    try:
        _finite(cls, X, Y, {"learning_rate": rate, "max_iter": 5})
    except ValueError as error:
        holds("lower learning_rate" in str(error), str(error))


def _one_step_beyond(cls):
    """Squares of the gradient overflow in the only step: nothing moved, and that is said."""
    try:
        make(cls, max_iter=1).fit((1e15 * X).astype("f4"), Y)
    except ValueError as error:
        holds("Scale X" in str(error), str(error))
    else:
        holds(cls is not TRANSFORMER, "a fit that moved nothing passed for one")


def _weights_far_apart(cls):
    weight = np.where(np.arange(12) == 3, 1e30, 1e-30)
    estimator = make(cls).fit(X, Y, sample_weight=weight)
    holds(np.isfinite(estimator.loss_curve_).all(), "the loss is not finite")
    holds(np.isfinite(estimator.transform(X)).all(), "the code is not finite")


def _one_heavy_label(cls):
    weight = np.where(np.arange(24).reshape(12, 2) == 5, 1e300, 1e-300)
    estimator = make(cls).fit(X, Y, sample_weight=weight)
    holds(np.isfinite(estimator.loss_curve_).all(), "the loss is not finite")
    holds(np.isfinite(np.asarray(estimator.predict(X), float)).all(), "a prediction is not finite")


SETTINGS = [
    says(
        "k above the width",
        "the same as k = width",
        lambda: _k_above_width(TopK(k=99), TopK(k=6)),
        lambda: _k_above_width(BatchTopK(k=99), BatchTopK(k=6)),
    ),
    *[
        says(
            f"learning_rate={rate:g}",
            "finite results, or an error that says to lower it",
            *[functools.partial(_rates, cls, rate) for cls in ESTIMATORS.values()],
        )
        for rate in (1e-300, 1e5, 1e20, 1e160, 1e300)
    ],
    says(
        "one step whose squares overflow",
        "an error that says to scale X",
        *[functools.partial(_one_step_beyond, cls) for cls in ESTIMATORS.values()],
    ),
    says(
        "one weight 1e60 times the others",
        "finite results",
        *[functools.partial(_weights_far_apart, cls) for cls in ESTIMATORS.values()],
    ),
    says(
        "one label's weight 1e600 times the others",
        "finite results",
        *[functools.partial(_one_heavy_label, cls) for cls in (CLASSIFIER, REGRESSOR)],
    ),
]
CASES = [*COMPONENTS, *BALANCED, *HEADS, *SETTINGS]
