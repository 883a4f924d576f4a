"""Whether the parts of a fitted estimator fit together.

A file may be whole and yet not come from `save`: its hashes can be computed anew. Kernels trust
shapes, so all that they are given is checked here, and that no part is of another class. What
`save` writes passes, since it asks the same.
"""

import numpy as np

from skmtl._archive import Refused
from skmtl._classifier import MultiTaskSAEClassifier
from skmtl._fitting import code_attributes
from skmtl._heads import KINDS
from skmtl._objectives import Additive, MixtureLikelihood, Objective, Tasks
from skmtl._private import Private, init_private
from skmtl._regressor import MultiTaskSAERegressor
from skmtl._targets import TaskLabels, TaskTargets
from skmtl.balancers import Balancer
from skmtl.losses import Loss
from skmtl.optimizers import OPTIMIZERS
from skmtl.sparsifiers import Sparsifier

#: Where estimators of tasks keep what they know of their targets, and of which class that is.
TARGETS: dict = {
    MultiTaskSAEClassifier: ("_targets", TaskLabels),
    MultiTaskSAERegressor: ("_targets", TaskTargets),
}
FITTED = ("_params", "_state", "_objective")


def check(estimator):
    """Raise `Refused` unless the parts of an estimator fit together. Unfitted ones do."""
    if not any(hasattr(estimator, name) for name in FITTED):
        return
    try:
        estimator._validate_params()
        _check_objective(estimator._objective)
        shapes = _shapes(estimator._objective, estimator._params)
        for params, state in _members(estimator):
            _check_params(params, shapes)
            _check_state(state, params, estimator._objective.sparsifier)
        _check_published(estimator)
        _check_targets(estimator)
    except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as error:
        raise Refused(f"whose parts do not fit together: {error or type(error).__name__}") from None


def _must(holds, what):
    if not holds:
        raise ValueError(what)


def _alike(a, b):
    """Whether two arrays have the same shape, dtype and layout."""
    layouts = a.flags.c_contiguous == b.flags.c_contiguous
    return (a.shape, a.dtype) == (b.shape, b.dtype) and layouts


def _check_objective(objective):
    """Each part in the place of its kind, its hyperparameters in their ranges."""
    loss, tasks = objective.reconstruction.loss, objective.tasks
    kind = MixtureLikelihood if getattr(loss, "is_mixture", False) else Additive
    _must(type(objective) is Objective and type(objective.reconstruction) is kind, "_objective")
    _must(tasks is None or type(tasks) is Tasks, "tasks")
    _must(type(objective.tied) is bool, "tied")
    components = [(objective.sparsifier, Sparsifier), (loss, Loss)]
    if tasks is not None:
        components.append((tasks.balancer, Balancer))
    for component, kind in components:
        _must(isinstance(component, kind), f"a {kind.__name__}")
        component.validate()


def _shapes(objective, params):
    """Shape of each array of ``params``: what the kinds of the components ask for."""
    sparsifier, tasks, loss = objective.sparsifier, objective.tasks, objective.reconstruction.loss
    is_mixture = getattr(loss, "is_mixture", False)
    m, f = params["W_dec"].shape
    own = sparsifier.init(m, np.float64, np.random.default_rng(0))
    shapes = {"W_dec": (m, f), "W_enc": (m, f), "b_enc": (m,), "b_dec": (f,)}
    shapes |= {name: array.shape for name, array in own.items()}
    if objective.tied or (is_mixture and not loss.amortized):
        del shapes["W_enc"]
    if is_mixture and loss.distribution == "gaussian":
        shapes["log_variance"] = (m,)
    if tasks is not None:
        offsets = tasks.offsets
        _must(offsets.dtype == np.int64 and offsets.ndim == 1 and offsets[0] == 0, "offsets")
        _must((np.diff(offsets) >= 0).all(), "offsets")
        c = int(offsets[-1])
        shapes |= {"W_head": (c, m), "b_head": (c,)}
        if "W_skip" in params:
            shapes["W_skip"] = (c, f)
        _must(tasks.of_kind.keys() <= KINDS.keys(), "kinds of heads")
    if objective.private is not None:
        _must(type(objective.private) is Private and tasks is not None, "private")
        _must(type(objective.private.size) is type(objective.private.k) is int, "private")
        own = init_private(
            objective.private, _of_first_fit(tasks), params, np.random.default_rng(0)
        )
        shapes |= {name: array.shape for name, array in own.items()}
        shapes["W_head_own"] = (c, objective.private.size)
    return shapes


def _of_first_fit(tasks):
    """The offsets without the tasks that were added later, which have no private latents."""
    if not tasks.later:
        return tasks.offsets
    return tasks.offsets[: np.searchsorted(tasks.offsets, tasks.later[0], side="right")]


def _members(estimator):
    """``params`` and ``state`` of the model, or of each member where it is an ensemble."""
    members = [(estimator._params, estimator._state)]
    if type(estimator) in TARGETS:
        _must(type(estimator._members) is list, "_members")
        members += estimator._members
    return members


def _check_params(params, shapes):
    _must({n: a.shape for n, a in params.items()} == shapes, f"the shapes must be {shapes}")
    dtypes = {a.dtype for a in params.values()}
    _must(dtypes in ({np.dtype("f4")}, {np.dtype("f8")}), "the dtypes of arrays differ")
    _must(all(np.isfinite(a).all() for a in params.values()), "arrays must be finite")


def _check_published(estimator):
    params = estimator._params
    _must(estimator.n_features_in_ == len(params["b_dec"]), "n_features_in_")
    for name in ("loss_curve_", "validation_loss_curve_"):
        _must(type(getattr(estimator, name)) is list, name)
    for name, expected in code_attributes(params, estimator._objective).items():
        _must(np.ndim(getattr(estimator, name)) == np.ndim(expected), name)


def _check_state(state, params, sparsifier):
    """What training goes on from: moments are of the shape of what they are the moments of."""
    m = len(params["W_dec"])
    optimizer = state["optimizer"]
    kinds: dict = {cls.__name__: cls for cls in OPTIMIZERS.values()}
    n_moments = kinds[optimizer["kind"]].n_moments
    _must(type(optimizer["t"]) is int and optimizer["t"] >= 0, "steps of the optimizer")
    trained = params.keys() - set(sparsifier.buffers)
    _must(optimizer["moments"].keys() >= trained, "moments")
    for name, moments in optimizer["moments"].items():
        _must(type(moments) is tuple and len(moments) == n_moments, "moments")
        _must(all(_alike(moment, params[name]) for moment in moments), f"moments of {name}")
    _must(isinstance(state["rng"], np.random.Generator), "rng")
    for name in ("fired", "idle"):
        _must(state[name].shape == (m,) and state[name].dtype.kind in "fi", name)


def _check_targets(estimator):
    """Whoever knows where the scores of a task are must say the same."""
    name, cls = TARGETS.get(type(estimator), ("", None))
    tasks = estimator._objective.tasks
    _must((tasks is None) == (name == ""), "tasks")
    if tasks is not None:
        targets = getattr(estimator, name)
        _must(type(targets) is cls and type(targets.one_d) is bool, name)
        _must(np.array_equal(targets.offsets, tasks.offsets), f"{name}.offsets")
        columns = targets.classes if cls is TaskLabels else [targets.known]
        _must(all(column.ndim == 1 for column in columns), f"{name}: classes, or what is known")
        for _, state in _members(estimator):
            _check_tasks(tasks, state)
        _must(targets.names is None or len(targets.names) == targets.n_tasks, f"{name}.names")


def _check_tasks(tasks, state):
    """What tasks are measured in, and what their balancer keeps."""
    sizes = np.diff(tasks.offsets)
    _must(state["scale"].keys() >= {"weight", "unit", "label_weight"}, "scale")
    for name, value in state["scale"].items():
        _must(value.dtype == np.float64 and value.shape in ((), sizes.shape), f"scale: {name}")
    with np.errstate(all="ignore"):
        fresh = tasks.balancer.init(len(sizes), [np.full(n, 1 / n) if n else None for n in sizes])
    for name, value in fresh.items():
        _must(np.shape(state["balancer"][name]) == np.shape(value), f"balancer: {name}")
