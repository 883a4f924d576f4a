"""Contestants of ``multitask.py``: from a problem to the error of every task on its test rows.

A contestant is ``kind`` or ``kind:variant``. ``shared`` is one `MultiTaskSAEClassifier` for all
tasks; ``single`` is the same estimator with the same options one task at a time, on that task's
labelled rows. Variants are parameters of the estimator, listed once in `VARIANTS`.

The budget is the same for all networks, torch's too: each of the settings of a grid (`GRID`, or the
variant's own of the same length) is trained for the same number of epochs on the rows to fit, in
which a task alone makes `STEPS` steps; the setting and the epoch with the lowest mean task loss on
the held-out rows are chosen, and a model is trained so on all rows to learn from. Single-task
models choose in two ways: ``own``, a setting and an epoch for each task, or ``common``, one for all
tasks as the shared model has it.

The error of a task is 1 - AUC where it has two classes, else 1 - accuracy.
"""

import math

import numpy as np
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import log_loss, roc_auc_score

STEPS, EPOCHS, BATCH = 300, 15, 128
BASE: dict = {"n_components": 512, "k": 32}
GRID: list = [{"learning_rate": 1e-3}, {"learning_rate": 3e-3}]
STRENGTHS = [0.01, 0.1, 1.0, 10.0]  # C of the logistic regressions
MOST_FEATURES = 600  # of boosting, which needs dense X
#: A code narrower than the number of tasks: heads of few rows share what little they may read.
NARROW = {"n_components": 3, "k": None, "reconstruction_weight": 0.0, "learning_rate": 1e-2}
#: How strongly heads of tasks with one label set are drawn towards their mean.
ALIKE = [
    {"head_penalty": ["mean", {"rho": 0.1, "alpha": 0.001}]},
    {"head_penalty": ["mean", {"rho": 1.0, "alpha": 0.01}]},
]
#: Parameters of the estimator. ``grid`` is the variant's own grid; a ``share`` in one setting alone
#: says how much of a fit is trained, with no row held out to choose: of a few rare labels a task
#: those held out say little.
VARIANTS: dict = {
    "tuned": {
        "grid": [
            {"learning_rate": 3e-3},
            {"learning_rate": 3e-3, "head_dropout": 0.5},
            *(NARROW | alike for alike in ALIKE),
        ]
    },
    "plain": {},
    "no-reconstruction": {"reconstruction_weight": 0.0},
    "pretrained": {"pretrain_iter": 20},
    "skip": {"skip_connection": True},
    "l2": {"head_penalty": ["l2", {"alpha": 0.01}]},
    "group": {"head_penalty": ["group", {}]},
    "mean": {"grid": ALIKE, "learning_rate": 3e-3},
    "narrow": {"grid": [NARROW | alike for alike in ALIKE]},
    "narrow-untuned": {"grid": [NARROW | ALIKE[1] | {"share": 0.2}]},
    "private": {"n_private_components": 32},
    "dropout": {"head_dropout": 0.5},
    "balanced": {"batching": "task_balanced"},
    "members": {"n_members": 5},
    "narrow-members": {"grid": [NARROW | alike for alike in ALIKE], "n_members": 5},
    "guard": {"head_selection": "cv"},
}
MAIN = ["tuned", "plain"]  # variants that run on all sets, the recommended one first
#: Torch's networks have the sizes of "tuned", and as many settings.
TORCH_GRID: list = [
    {"n_components": 512, "learning_rate": 1e-3},
    {"n_components": 512, "learning_rate": 3e-3},
    {"n_components": 3, "learning_rate": 3e-3},
    {"n_components": 3, "learning_rate": 1e-2},
]
#: Balancers on eight latents, as they are and with the losses of tasks on different scales.
BALANCERS = [
    "equal",
    "entropy",
    "log",
    "uncertainty",
    "imtl",
    "nash",
    "cagrad",
    "aligned",
    "upgrad",
]
EIGHT = {"n_components": 8, "k": None, "reconstruction_weight": 0.0}
BALANCED: dict = {
    name + suffix: EIGHT | {"balancer": name} | more
    for name in BALANCERS
    for suffix, more in {"": {}, "-scaled": {"first_scale": 100.0, "last_scale": 0.01}}.items()
}


def grid_of(variant):
    """The settings from which a variant chooses, each with all its parameters."""
    options = VARIANTS[variant] if variant in VARIANTS else BALANCED[variant]
    fixed = {name: value for name, value in options.items() if name != "grid"}
    return [BASE | fixed | setting for setting in options.get("grid", GRID)]


def settings_of(contestant):
    """What a kept result depends on."""
    kind, variant = contestant.split(":")
    budget = {"steps": STEPS, "epochs": EPOCHS, "batch": BATCH}
    if kind in ("shared", "single"):
        return budget | {"grid": grid_of(variant)}
    if kind == "torch":
        return budget | {"grid": TORCH_GRID}
    return {"C": STRENGTHS, "features": MOST_FEATURES}


class Absent(Exception):
    """A contestant that does not fit the problem."""


def error(problem, t, proba, classes):
    """Error of a task, from the probabilities of its labelled test rows; ``classes`` are theirs."""
    y = problem.Y[problem.labelled(problem.test, t), t]
    if problem.n_classes[t] == 2:
        return 1 - roc_auc_score(y, proba[:, list(classes).index(1)])
    return float(np.mean(np.asarray(classes)[proba.argmax(axis=1)] != y))


def errors(problem, of_task):
    """Errors of the tasks that are judged, None of the others."""
    judged = problem.judged()
    return [of_task(t) if t in judged else None for t in range(problem.n_tasks)]


# --- networks: what torch's contestants share ----------------------------------------------------


def n_epochs(Y, tiny):
    """Epochs of a fit on rows with these labels: as many as a task with the mean number of them
    needs for `STEPS` steps, so that a row is seen as often whether its task is alone or not."""
    n_labelled = np.count_nonzero(~np.isnan(Y)) / (1 if Y.ndim == 1 else Y.shape[1])
    return 3 if tiny else max(EPOCHS, math.ceil(STEPS / math.ceil(n_labelled / BATCH)))


def lowest(curves):
    """Setting with the lowest validation loss, and the share of the fit at which it has it."""
    setting = int(np.argmin([np.min(curve) for curve in curves]))
    return setting, (int(np.argmin(curves[setting])) + 1) / len(curves[setting])


def lowest_mean(curves_of_tasks):
    """The same for the mean over tasks, whose fits may differ in their numbers of epochs."""

    def mean(of_setting):
        shares = np.linspace(0, 1, 1 + max(map(len, of_setting)))[1:]
        return np.mean(
            [np.interp(shares, np.linspace(0, 1, 1 + len(c))[1:], c) for c in of_setting], axis=0
        )

    return lowest([mean(of_setting) for of_setting in zip(*curves_of_tasks, strict=True)])


# --- skmtl ---------------------------------------------------------------------------------------


def trained(options, X, Y, seed, n_iter, **validation):
    """A fitted estimator of a variant.

    ``k`` is that of TopK, or None for a plain relu; a penalty is its name and its parameters.
    """
    from skmtl import MultiTaskSAEClassifier
    from skmtl.sparsifiers import TopK

    options = {"batch_size": BATCH} | options | {"max_iter": n_iter, "random_state": seed}
    options.pop("share", None)
    if "first_scale" in options:
        options["balancer"] = Scaled(options, Y.shape[1])
    if unknown := set(options) - {"k", *MultiTaskSAEClassifier._get_param_names()}:
        raise Absent(f"no parameter {sorted(unknown)} in this commit")
    k = options.pop("k")
    if "head_penalty" in options:
        from skmtl.head_penalties import HEAD_PENALTIES

        name, parameters = options["head_penalty"]
        options["head_penalty"] = HEAD_PENALTIES[name](**parameters)
    model = MultiTaskSAEClassifier(**options, sparsifier=None if k is None else TopK(k), tol=None)
    return model.fit(X, Y, **validation)


class Scaled:
    """A balancer that sees the losses of the first and the last task on other scales."""

    def __init__(self, options, n_tasks):
        from skmtl.balancers import BALANCERS

        self.balancer = BALANCERS[options["balancer"]]()
        self.scale = np.ones(n_tasks)
        self.scale[[0, -1]] = options.pop("first_scale"), options.pop("last_scale")
        for name in ("init", "needs_gramian", "every", "momentum", "per_batch"):
            if hasattr(self.balancer, name):
                setattr(self, name, getattr(self.balancer, name))

    def balance(self, losses, mass, gramian, state, step):
        if gramian is not None:
            gramian = self.scale[:, None] * gramian * self.scale
        losses = self.scale * losses
        value, weights = self.balancer.balance(losses, mass, gramian, state, step)
        return value, self.scale * weights


def curves(problem, grid, fit, valid, Y, seed, tiny):
    """Validation curve of every setting."""
    X, n_iter = problem.X, n_epochs(Y[fit], tiny)
    held_out = {"X_val": X[valid], "y_val": Y[valid]}
    fits = (trained(options, X[fit], Y[fit], seed, n_iter, **held_out) for options in grid)
    return [model.validation_loss_curve_ for model in fits]


def final(problem, grid, choice, train, Y, seed, tiny):
    """The model of a choice, trained on all rows to learn from."""
    setting, share = choice
    n_iter = max(1, round(share * n_epochs(Y[train], tiny)))
    return trained(grid[setting], problem.X[train], Y[train], seed, n_iter)


def shared(problem, variant, seed, tiny):
    """One estimator for all tasks."""
    grid, Y = grid_of(variant), problem.Y
    choice = 0, grid[0].get("share")
    if choice[1] is None:
        choice = lowest(curves(problem, grid, problem.fit, problem.valid, Y, seed, tiny))
    model = final(problem, grid, choice, problem.train, Y, seed, tiny)
    proba = model.predict_proba(problem.X[problem.test])

    def of_task(t):
        known = ~np.isnan(Y[problem.test, t])
        return error(problem, t, proba[t][known], model.classes_[t])

    return {"errors": errors(problem, of_task), "chosen": choice}


def single(problem, variant, seed, tiny):
    """One estimator a task."""
    grid, found = grid_of(variant), {}
    if "share" in grid[0]:
        choice = 0, grid[0]["share"]
        return {"common": alone(problem, grid, lambda t: choice, seed, tiny), "chosen": choice}
    for t in problem.judged():
        fit, valid = (problem.labelled(rows, t) for rows in (problem.fit, problem.valid))
        found[t] = curves(problem, grid, fit, valid, problem.Y[:, t], seed, tiny)
    common = lowest_mean(list(found.values()))

    return {
        "own": alone(problem, grid, lambda t: lowest(found[t]), seed, tiny),
        "common": alone(problem, grid, lambda t: common, seed, tiny),
        "chosen": common,
    }


def alone(problem, grid, choice, seed, tiny):
    """Errors of single-task models; ``choice`` is a function of the task."""

    def of_task(t):
        train, y = problem.labelled(problem.train, t), problem.Y[:, t]
        model = final(problem, grid, choice(t), train, y, seed, tiny)
        proba = model.predict_proba(problem.X[problem.labelled(problem.test, t)])
        return error(problem, t, proba, model.classes_)

    return errors(problem, of_task)


# --- scikit-learn --------------------------------------------------------------------------------


def logistic(problem, variant, seed, tiny):
    """Logistic regression, one a task or on the rows of all tasks; C by the mean task loss."""
    pooled = variant == "pooled"
    if pooled and not problem.one_label_set:
        raise Absent("the tasks differ in their labels")
    X, Y, judged = problem.X, problem.Y, problem.judged()
    flat = np.nanmax(Y, axis=1)

    def models(rows, C):
        if pooled:
            model = LogisticRegression(C=C, max_iter=300).fit(X[rows], flat[rows])
            return dict.fromkeys(judged, model)
        own = {t: problem.labelled(rows, t) for t in judged}
        return {t: LogisticRegression(C=C, max_iter=300).fit(X[r], Y[r, t]) for t, r in own.items()}

    def loss(C):
        found, losses = models(problem.fit, C), []
        for t, model in found.items():
            rows = problem.labelled(problem.valid, t)
            rows = rows[np.isin(Y[rows, t], model.classes_)]
            if len(rows):
                proba = model.predict_proba(X[rows])
                losses.append(log_loss(Y[rows, t], proba, labels=model.classes_))
        return np.mean(losses)

    C = min(STRENGTHS[:1] if tiny else STRENGTHS, key=loss)
    found = models(problem.train, C)

    def of_task(t):
        proba = found[t].predict_proba(X[problem.labelled(problem.test, t)])
        return error(problem, t, proba, found[t].classes_)

    return {"errors": errors(problem, of_task), "chosen": C}


def boosting(problem, variant, seed, tiny):
    """Gradient boosting by its defaults, one a task or one for all that is told the task."""
    by_id = variant == "task-id"
    if by_id and len(set(problem.n_classes)) > 1:
        raise Absent("the tasks differ in their numbers of classes")
    if problem.X.shape[1] > MOST_FEATURES:
        raise Absent(f"more than {MOST_FEATURES} features")
    X = problem.X.toarray() if hasattr(problem.X, "toarray") else problem.X

    def long(rows, tasks):
        rows = [problem.labelled(rows, t) for t in tasks]
        ids = np.repeat(tasks, [len(r) for r in rows])
        y = np.concatenate([problem.Y[r, t] for r, t in zip(rows, tasks, strict=True)])
        return np.column_stack([X[np.concatenate(rows)], ids]), y

    def model(tasks):
        new = HistGradientBoostingClassifier(
            categorical_features=[X.shape[1]], max_iter=5 if tiny else 100, random_state=seed
        )
        return new.fit(*long(problem.train, tasks))

    every = range(problem.n_tasks)
    of_all = model(every) if by_id else None

    def of_task(t):
        own = of_all or model([t])
        return error(problem, t, own.predict_proba(long(problem.test, [t])[0]), own.classes_)

    return {"errors": errors(problem, of_task), "chosen": None}


KINDS = {"shared": shared, "single": single, "logistic": logistic, "boosting": boosting}


def run(problem, contestant, seed, tiny=False):
    """Errors of one contestant on one problem."""
    kind, variant = contestant.split(":")
    return KINDS[kind](problem, variant, seed, tiny)
