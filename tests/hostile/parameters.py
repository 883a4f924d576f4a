"""Hyperparameters out of range or of a wrong type: every one of each estimator and component.

What is bad for a parameter follows from its constraints; where those cannot tell it is listed in
`BAD`. A new parameter is covered as soon as it is in a table.
"""

import functools
import inspect
import math
from fractions import Fraction
from numbers import Integral

import numpy as np

from skmtl._sklearn import Interval, Options, StrOptions
from skmtl.balancers import BALANCERS
from skmtl.dead_latents import DEAD_LATENTS
from skmtl.head_penalties import HEAD_PENALTIES
from skmtl.losses import LOSSES
from skmtl.optimizers import OPTIMIZERS
from skmtl.sparsifiers import SPARSIFIERS
from tests.hostile.case import Call, Case
from tests.hostile.doors import CLASSIFIER, ESTIMATORS, TRANSFORMER, X, Y, fit

#: Tables of components by the parameter they go into.
TABLES = {
    "sparsifier": SPARSIFIERS,
    "loss": LOSSES,
    "optimizer": OPTIMIZERS,
    "dead_latents": DEAD_LATENTS,
    "balancer": BALANCERS,
    "head_penalty": HEAD_PENALTIES,
}
NOTHING = object()
#: What the constraints leave open.
BAD = {
    "random_state": [-1, 2**32, 0.5, "seed", np.random.default_rng(0), [1, 2]],
    "verbose": [-1, "loud", 0.5],
    "n_jobs": [0, 0.5, "all"],
    "checkpoint": [NOTHING, [1, 2], {"a": 1}, 3, True],  # any string is a path
    "nested_sizes": [[], [0, 3], [3, 2], [2, 2], [99], [1.5], ["a"], "all", 3],
    "task_weights": [
        [1.0],
        [1, 2, 3],
        [-1, 1],
        [0, 0],
        [np.nan, 1],
        [np.inf, 1],
        ["a", "b"],
        {"task": 1.0},
        {0: -1.0},
        {0: "a"},
        np.ma.array([1.0, 2.0], mask=[False, True]),
        np.array(["2020-01-01", "2020-01-02"], dtype="M8[D]"),
        "equal",
        1.0,
    ],
    "class_weight": [
        "even",
        3,
        [None],
        ["balanced", "even"],
        {"a": 2.0},
        {0: -1.0},
        {0: np.nan},
        {0: "a"},
        [{0: 1.0}, 3],
    ],
    "missing_label": [[-1], np.array([1, 2]), {"a": 1}],
}


def bad_values(name, constraints):
    """Values that a parameter must refuse."""
    if name in BAD:
        return BAD[name]
    values = [NOTHING, [1, 2], {"a": 1}]
    if not any(isinstance(c, StrOptions) for c in constraints):
        values.append("a")
    for constraint in constraints:
        if isinstance(constraint, StrOptions):
            values += ["no such name", ""]
        elif isinstance(constraint, Interval):
            values += beyond(constraint)
            values += [np.nan, np.inf, -np.inf, 1 + 2j, Fraction(1, 3)]
            values += [2**63] if constraint.right is not None else []
            values += [10**400] if constraint.type is not Integral else []
        elif isinstance(constraint, Options):
            values += ["no such option"]
        elif constraint == "boolean":
            values += [2, 0.5]
    if None not in constraints:
        values.append(None)
    return [value for value in values if not any(holds(value, c) for c in constraints)]


def beyond(interval):
    """Just outside, and far outside."""
    integral = interval.type is Integral
    values = [1.5] if integral else []
    for bound, closed, step in [
        (interval.left, interval.closed in ("left", "both"), -1),
        (interval.right, interval.closed in ("right", "both"), 1),
    ]:
        if bound is not None:
            near = bound + step if integral else math.nextafter(bound, step * math.inf)
            values += [near if closed else bound, bound + 100 * step]
    return values


def holds(value, constraint):
    """Whether a constraint allows a value."""
    if isinstance(constraint, StrOptions | Options):
        return isinstance(value, str | bool) and value in constraint.options
    if isinstance(constraint, Interval):
        return isinstance(value, constraint.type) and value in constraint
    return value is None and constraint is None


def refused(owner, name, values, do):
    """A case of one parameter: each bad value in each place where it can go."""

    def calls():
        return {
            f"{place}={v!r:.40}": Call(functools.partial(do[place], v))
            for place in do
            for v in values
        }

    shown = ", ".join(_short(value) for value in values)
    return Case(
        f"{owner}({name}=...): {shown}",
        f"ValueError or TypeError that names {name}",
        calls,
        rf"\b{name}\b",
    )


def _short(value):
    if value is NOTHING:
        return "object()"
    return (
        " ".join(repr(value).replace("Generator(PCG64) at ", "Generator ").split())[:30]
        if not isinstance(value, np.random.Generator)
        else "default_rng(0)"
    )


def _fit(cls, name, value):
    fit(cls, X, Y, **{name: value})


def _fit_with(cls, parameter, component, name, value):
    fit(cls, X, Y, **{parameter: component(**{name: value})})


def of_estimators():
    """Each parameter once, in all estimators that have it."""
    cases, owners = [], {}
    for label, cls in ESTIMATORS.items():
        for name in inspect.signature(cls).parameters:
            owners.setdefault(name, {})[label] = cls
    for name, of in owners.items():
        constraints = next(iter(of.values()))._parameter_constraints[name]
        do = {label: functools.partial(_fit, cls, name) for label, cls in of.items()}
        owner = "any estimator" if len(of) == 3 else " and ".join(of)
        cases.append(refused(owner, name, bad_values(name, constraints), do))
    return cases


def of_components():
    """Each parameter of each component in the tables."""
    cases, done = [], set()
    for parameter, table in TABLES.items():
        cls = TRANSFORMER if parameter in inspect.signature(TRANSFORMER).parameters else CLASSIFIER
        for component in table.values():
            if component in done:
                continue
            done.add(component)
            for name in inspect.signature(component).parameters:
                constraints = component._parameter_constraints[name]
                do = {"fit": functools.partial(_fit_with, cls, parameter, component, name)}
                cases.append(refused(component.__name__, name, bad_values(name, constraints), do))
    return cases


CASES = [*of_estimators(), *of_components()]
