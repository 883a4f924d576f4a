"""Whether the parts of a fitted estimator fit together.

A file may be whole and yet not come from `save`: its hashes can be computed anew. Kernels trust
shapes, so all that they are given is checked here, and that no part is of another class. What
`save` writes passes, since it asks the same.
"""

import numpy as np

from skmtl._archive import Refused
from skmtl._classifier import MultiTaskSAEClassifier
from skmtl._fitting import code_attributes
from skmtl._gramian import no_gramian
from skmtl._objectives import Additive, MixtureLikelihood, Objective, Tasks
from skmtl._private import Private
from skmtl._regressor import MultiTaskSAERegressor
from skmtl._sklearn import first_invalid
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
        _check_parameters(estimator)
        _check_objective(estimator._objective)
        if estimator._objective.tasks is not None:  # no more of them than the file has values
            n_tasks = len(estimator._objective.tasks.offsets) - 1
            _must(len(estimator._state["priors"]) == n_tasks, "priors")
        shapes = _shapes(estimator._objective, estimator._params)
        for params, state in _members(estimator):
            _check_params(params, shapes)
            _check_state(state, params, estimator._objective)
        _check_targets(estimator)
        _check_published(estimator)
    except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as error:
        raise Refused(f"whose parts do not fit together: {error or type(error).__name__}") from None


def _must(holds, what):
    if not holds:
        raise ValueError(what)


def _alike(a, b):
    """Whether two arrays have the same shape, dtype and layout."""
    layouts = a.flags.c_contiguous == b.flags.c_contiguous
    return (a.shape, a.dtype) == (b.shape, b.dtype) and layouts


def _like(value, expected):
    """Whether a value has the type of another, or its shape and kind of dtype; so all in it."""
    if isinstance(expected, np.ndarray):
        is_array = isinstance(value, np.ndarray) and value.dtype.kind == expected.dtype.kind
        return is_array and value.shape == expected.shape
    if type(value) is not type(expected):
        return False
    if isinstance(expected, dict):
        return value.keys() == expected.keys() and all(_like(value[k], expected[k]) for k in value)
    if isinstance(expected, list):
        return len(value) == len(expected) and all(map(_like, value, expected))
    return True


def _check_parameters(component):
    name = first_invalid(component)
    _must(name is None, f"the {name!r} parameter of {type(component).__name__} is not in its range")


def _check_objective(objective):
    """Each part in the place of its kind, its hyperparameters in their ranges."""
    loss, tasks = objective.reconstruction.loss, objective.tasks
    kind = MixtureLikelihood if getattr(loss, "is_mixture", False) else Additive
    _must(type(objective) is Objective and type(objective.reconstruction) is kind, "_objective")
    _must(tasks is None or type(tasks) is Tasks, "tasks")
    _must(tasks is None or type(tasks.later) is tuple, "later")
    _must(type(objective.tied) is bool, "tied")
    components = [(objective.sparsifier, Sparsifier), (loss, Loss)]
    if tasks is not None:
        components.append((tasks.balancer, Balancer))
    for component, kind in components:
        _must(isinstance(component, kind), f"a {kind.__name__}")
        _check_parameters(component)


def _shapes(objective, params):
    """Shape of each array of ``params``: what the kinds of the components ask for."""
    sparsifier, tasks, loss = objective.sparsifier, objective.tasks, objective.reconstruction.loss
    is_mixture = getattr(loss, "is_mixture", False)
    m, f = params["W_dec"].shape
    shapes = {"W_dec": (m, f), "W_enc": (m, f), "b_enc": (m,), "b_dec": (f,)}
    of_two = sparsifier.init(2, np.float64, np.random.default_rng(0))  # no m is too many for that
    shapes |= {name: (m,) if array.shape == (2,) else array.shape for name, array in of_two.items()}
    if objective.tied or (is_mixture and not loss.amortized):
        del shapes["W_enc"]
    if is_mixture and loss.distribution == "gaussian":
        shapes["log_variance"] = (m,)
    if tasks is not None:
        offsets = tasks.offsets
        _must(offsets.dtype == np.int64 and offsets.ndim == 1 and offsets[0] == 0, "offsets")
        _must((np.diff(offsets) >= 0).all(), "offsets")
        later = np.array(tasks.later, np.int64)
        _must((offsets[np.searchsorted(offsets, later)] == later).all(), "later")
        _must((np.diff(later) > 0).all(), "later")
        c = int(offsets[-1])
        shapes |= {"W_head": (c, m), "b_head": (c,)}
        if "W_skip" in params:
            shapes["W_skip"] = (c, f)
        _must(sum(map(np.sum, tasks.of_kind.values())) == len(offsets) - 1, "kinds of heads")
    if objective.private is not None:
        _must(type(objective.private) is Private and tasks is not None, "private")
        p, k = objective.private.size, objective.private.k
        _must(type(p) is type(k) is int and p > 0, "private")
        blocks = p * (len(_of_first_fit(tasks)) - 1)
        shapes |= {"W_dec_own": (blocks, f), "b_enc_own": (blocks,), "W_head_own": (c, p)}
        if "W_enc" in shapes:
            shapes["W_enc_own"] = (blocks, f)
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
    """What a fit would publish of these parameters."""
    params = estimator._params
    _must(estimator.n_features_in_ == len(params["b_dec"]), "n_features_in_")
    for name in ("loss_curve_", "validation_loss_curve_"):
        _must(type(getattr(estimator, name)) is list, name)
    for name, expected in code_attributes(params, estimator._objective).items():
        value = getattr(estimator, name)
        _must(type(value) is type(expected) or isinstance(value, np.memmap), name)
        _must(np.ndim(value) == np.ndim(expected), name)


def _check_state(state, params, objective):
    """What training goes on from: moments are of the shape of what they are the moments of."""
    m = len(params["W_dec"])
    optimizer = state["optimizer"]
    kinds: dict = {cls.__name__: cls for cls in OPTIMIZERS.values()}
    _must(type(optimizer["kind"]) is str, "kind of the optimizer")
    n_moments = kinds[optimizer["kind"]].n_moments
    _must(type(optimizer["t"]) is int and optimizer["t"] >= 0, "steps of the optimizer")
    trained = params.keys() - set(objective.sparsifier.buffers)
    _must(params.keys() >= optimizer["moments"].keys() >= trained, "moments")
    for name, moments in optimizer["moments"].items():
        _must(type(moments) is tuple and len(moments) == n_moments, "moments")
        _must(all(_alike(moment, params[name]) for moment in moments), f"moments of {name}")
    _must(isinstance(state["rng"], np.random.Generator), "rng")
    for name in ("fired", "idle"):
        _must(state[name].shape == (m,) and state[name].dtype.kind in "fi", name)
    shapes = _shapes_of_scale(objective.tasks)
    _must({name: value.shape for name, value in state["scale"].items()} == shapes, "scale")
    _must(all(value.dtype == np.float64 for value in state["scale"].values()), "scale")
    _must(state.get("pretrained", {}).keys() <= params.keys(), "pretrained")
    for name, start in state.get("pretrained", {}).items():
        _must(_alike(start, params[name]), f"pretrained {name}")


def _shapes_of_scale(tasks):
    """Of what weights, losses and real targets are measured in."""
    shapes: dict = {"weight": (), "unit": ()}
    if tasks is not None:
        of_tasks = ["label_weight"]
        if "squared_error" in tasks.of_kind:
            of_tasks += ["target_mean", "target_scale"]
        shapes |= {name: (len(tasks.offsets) - 1,) for name in of_tasks}
    return shapes


def _check_targets(estimator):
    """Whoever knows where the scores of a task are must say the same."""
    name, cls = TARGETS.get(type(estimator), ("", None))
    tasks = estimator._objective.tasks
    _must((tasks is None) == (name == ""), "tasks")
    if tasks is not None:
        targets = getattr(estimator, name)
        _must(type(targets) is cls and type(targets.one_d) is bool, name)
        _must(targets.n_tasks == len(tasks.offsets) - 1, f"{name}.n_tasks")
        _must(np.array_equal(targets.offsets, tasks.offsets), f"{name}.offsets")
        columns = targets.classes if cls is TaskLabels else [targets.known]
        _must(all(column.ndim == 1 for column in columns), f"{name}: classes, or what is known")
        _check_published_of_tasks(estimator, targets)
        for _, state in _members(estimator):
            _check_tasks(tasks, state)
        _must(targets.names is None or len(targets.names) == targets.n_tasks, f"{name}.names")


def _check_published_of_tasks(estimator, targets):
    _must(type(estimator.pretrain_loss_curve_) is list, "pretrain_loss_curve_")
    of_tasks = np.zeros(targets.n_tasks)
    if type(targets) is TaskLabels:
        expected = {"classes_": targets.classes[0] if targets.one_d else targets.classes}
    else:
        expected = {"target_mean_": of_tasks, "target_scale_": of_tasks}
    if hasattr(estimator, "head_selection_"):
        expected["head_selection_"] = of_tasks.astype("U")
    if hasattr(estimator, "affinity_"):
        expected["affinity_"] = np.broadcast_to(of_tasks, 2 * of_tasks.shape)
    for name, value in {"n_outputs_": targets.n_tasks, **expected}.items():
        _must(_like(getattr(estimator, name), value), name)


def _check_tasks(tasks, state):
    """What the balancer of tasks begins with, and what it keeps."""
    sizes = np.diff(tasks.offsets)
    priors = [p if p is None else np.shape(p) for p in state["priors"]]
    _must(all(p in (None, (n,)) for p, n in zip(priors, sizes, strict=True)), "priors")
    with np.errstate(all="ignore"):
        fresh = tasks.balancer.init(len(sizes), [np.full(n, 1 / n) if n else None for n in sizes])
    _must(_like(state["balancer"], fresh), "balancer")
    if "gramian" in state:
        each = {
            name: np.broadcast_to(value, sizes.shape * np.ndim(value)) if np.ndim(value) else value
            for name, value in no_gramian(1).items()
        }
        _must(_like(state["gramian"], each), "gramian")
