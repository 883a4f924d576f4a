"""Each sparsity mechanism beside the peers' own trainers: error, sparsity, dead latents, recovery.

Toy jobs: ``latents / 2`` random unit atoms, ``k / 2`` of them drawn in each row with weights in
[.5, 1.5]; all is measured on the training rows. Frontier: text embeddings, the error at five
degrees of sparsity, measured on held-out rows (dead latents: on the training rows). MNIST: test
error of a linear classifier on the codes. Same array, batches, steps and one thread for all (ours
shuffles by its own seed and stops at the last full epoch), one grid of rates, several seeds.

FVU        sum |x - x^|^2 / sum |x - mean|^2 over the whole set
L0         mean number of nonzero latents a row, at inference
dead       share of the latents that never fire on the set
recovery   mean over the true atoms of the largest |cosine| with a learned one

The table shows each contestant at the rate of its lowest mean FVU, and once more at the rate of its
highest recovery where that is another. On the frontier log FVU is interpolated in log L0, along the
settings of each rate; at each L0 the best rate counts. There each contestant tries all rates on the
first seed alone; later seeds fit with those that were best anywhere on it.

Each contestant runs in a process of its own in the environment that ``speed.py`` makes (on MNIST,
where no peer takes part, in that of this interpreter). A part is
one contestant's fits of one job and seed: all rates and settings. One that is kept for the same
settings is not run again (``--redo`` does). What cannot be built is reported and left out.
"""

import argparse
import json
import os
import subprocess
import sys
import time
import warnings
from functools import lru_cache
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import sae_peers
from contestants import loaded
from results import kept, part
from speed import PEERS, peers_python

HERE = Path(__file__).parent
REQUIREMENTS = ["--no-deps", "overcomplete==0.3.0"]  # beside those of speed.py
RATES = [1e-3, 3e-3, 1e-2, 3e-2]  # 3e-4 is far behind in so few steps


def job(label, contestants, values, reach="", rates=RATES, **settings):
    """A job: what to reach, its contestants (ours first), and its settings.

    A contestant is ``library:mechanism`` and variants of it, or ``steps=`` of its own; ``values``
    are k, or the weight of a penalty, or whatever says how sparse the code is.
    """
    settings = {"rates": rates, "values": values, **settings}
    return {"label": label, "reach": reach, "contestants": contestants, "settings": settings}


LIBRARIES = ["saelens", "sparsify", "dictionary_learning", "overcomplete"]
TOPK = [
    "skmtl:topk",
    "skmtl:topk:ignore",
    *(f"{library}:topk" for library in LIBRARIES),
    "sparsify:topk:signum",
    *(f"{library}:topk:revived" for library in LIBRARIES),
]
LONG = [  # 400 epochs, in less time than scikit-learn takes for four
    "skmtl:topk:steps=6400",
    "skmtl:topk:steps=6400:refine",
    "saelens:topk:steps=6400",
    "sklearn:omp:epochs=4",
    "sklearn:omp:epochs=4:stopping",
]
TEXT = {"data": "text", "rows": 16384, "latents": 1024, "batch": 256, "steps": 640}
TEXT["rates"] = RATES[:3]  # the best is in the middle of these, on all sides
DEGREES = [4, 8, 16, 32, 64]
PENALTIES = [0.5, 1.0, 2.0, 4.0, 8.0]
JOBS = {
    "B": job(
        "65536 rows, d 64, m 128, k 4, batch 1024, 1500 steps",
        TOPK,
        [4],
        "FVU .0022, recovery .985, dead .02",
        data="toy",
        rows=65536,
        features=64,
        latents=128,
        batch=1024,
        steps=1500,
    ),
    "A": job(
        "16384 rows, d 128, m 1024, k 16, batch 512, 320 steps",
        TOPK,
        [16],
        "FVU .337, recovery .661",
        data="toy",
        rows=16384,
        features=128,
        latents=1024,
        batch=512,
        steps=320,
    ),
    "C": job(
        "4096 rows, d 64, m 256, k 8, batch 256, 300 steps",
        [*TOPK, *LONG],
        [8],
        "recovery .96 in no more time than scikit-learn's, FVU .012, dead .02",
        data="toy",
        rows=4096,
        features=64,
        latents=256,
        batch=256,
        steps=300,
    ),
    "frontier-topk": job(
        "TopK",
        ["skmtl:topk", *(f"{library}:topk" for library in LIBRARIES)],
        DEGREES,
        **TEXT,
    ),
    "frontier-batch_topk": job(
        "BatchTopK",
        ["skmtl:batch_topk"]
        + [f"{library}:batch_topk" for library in LIBRARIES if library != "sparsify"],
        DEGREES,
        **TEXT,
    ),
    "frontier-matryoshka": job(
        "Matryoshka",
        ["skmtl:matryoshka", "saelens:matryoshka", "dictionary_learning:matryoshka"],
        DEGREES,
        **TEXT,
    ),
    "frontier-jumprelu": job(
        "JumpReLU",
        ["skmtl:jumprelu", "saelens:jumprelu", "dictionary_learning:jumprelu"],
        DEGREES,
        **TEXT,
    ),
    "frontier-gated": job(
        "Gated",
        ["skmtl:gated", "saelens:gated", "dictionary_learning:gated"],
        PENALTIES,
        **TEXT,
    ),
    "frontier-l1": job(
        "L1",
        [
            "skmtl:l1",
            "saelens:l1",
            "dictionary_learning:l1",
            "dictionary_learning:l1_by_norm",
            "overcomplete:l1",
        ],
        PENALTIES,
        **TEXT,
    ),
    "mnist-k_sparse": job(
        "k-sparse features, 1000 units, k 25, logistic regression",
        ["skmtl:k_sparse", "pixels:as they are"],
        [25],
        "test error 1.35 %, as published",
        rates=[1e-3],
        data="mnist",
        classifier="logistic",
        latents=1000,
        batch=100,
        steps=18_000,
    ),
    "mnist-winner_take_all": job(
        "winner-take-all features, 2000 units, 5 %, linear SVM",
        ["skmtl:winner_take_all", "pixels:as they are"],
        [0.05],
        "test error 1.20 %, as published",
        rates=[1e-3],
        data="mnist",
        classifier="svm",
        latents=2000,
        batch=100,
        steps=18_000,
    ),
}


# --- data ----------------------------------------------------------------------------------------


def toy(settings, folder, seed):
    """Sums of random atoms, and the atoms."""
    rng = np.random.default_rng(seed)
    n, d, m, k = (settings[name] for name in ("rows", "features", "latents", "values"))
    k = k[0]
    atoms = rng.standard_normal((m // 2, d), dtype=np.float32)
    atoms /= np.linalg.norm(atoms, axis=1, keepdims=True)
    drawn = rng.integers(0, m // 2, (n, k // 2))
    weights = rng.uniform(0.5, 1.5, drawn.shape).astype(np.float32)
    X = np.zeros((n, d), dtype=np.float32)
    for j in range(k // 2):
        X += weights[:, [j]] * atoms[drawn[:, j]]
    return SimpleNamespace(X=X, X_test=X, atoms=atoms)


def text(settings, folder, seed):
    """Training rows drawn by the seed; held-out windows are the same for all."""
    data = loaded("minilm_text", folder)
    split = data.splits["group"]
    train = np.random.default_rng(seed).permutation(split["train"])[: settings["rows"]]
    return SimpleNamespace(X=data.X[train], X_test=data.X[split["test"]], atoms=None)


def mnist(settings, folder, seed):
    data = loaded("mnist", folder)
    X, y = data.X / np.float32(255), data.Y[:, 0].astype(int)
    rows = settings.get("rows", 60_000)
    return SimpleNamespace(X=X[:rows], y=y[:rows], X_test=X[60_000:], y_test=y[60_000:])


@lru_cache(maxsize=1)
def data_of(name, folder, seed, tiny):
    settings = settings_of(name, tiny)
    return globals()[settings["data"]](settings, folder, seed)


# --- skmtl, by its public face -------------------------------------------------------------------

# By the kind of data. Codes that a linear classifier is to read want atoms of free norm.
PARAMETERS = {
    "toy": {"schedule": "warmup_cosine"},
    "text": {"schedule": "linear_decay"},
    "mnist": {"schedule": "linear_decay", "tied": True, "decoder_norm": None},
}
# Where those of the job would not cover the sparsity that the others end at.
OWN_VALUES = {"skmtl:jumprelu": [3, 8, 16, 32, 64], "skmtl:l1": [0.25, 0.75, 2.0, 4.0, 8.0]}
VARIANTS = {
    "ignore": {"dead_latents": "ignore"},
    "refine": {"transform_algorithm": "refine"},
}


def skmtl(X, task):
    from skmtl import SparseAutoencoderTransformer
    from skmtl import sparsifiers as mechanisms

    value = task.value
    parameters = {
        "topk": lambda: {"sparsifier": mechanisms.TopK(value)},
        "k_sparse": lambda: {
            "sparsifier": mechanisms.TopK(value, anneal_from=4 * value, k_transform=3 * value)
        },
        "batch_topk": lambda: {"sparsifier": mechanisms.BatchTopK(value)},
        "matryoshka": lambda: {
            "sparsifier": mechanisms.BatchTopK(value),
            "nested_sizes": sae_peers.prefixes(task.latents),
        },
        "jumprelu": lambda: {"sparsifier": mechanisms.JumpReLU(l0=value, anneal_from=4 * value)},
        "gated": lambda: {"sparsifier": mechanisms.Gated(value)},
        "l1": lambda: {"sparsifier": mechanisms.L1(value, p_end=0.5)},
        "winner_take_all": lambda: {"sparsifier": mechanisms.WinnerTakeAll(value)},
    }[task.mechanism]()
    for variant in task.variants:
        parameters |= VARIANTS[variant]
    model = SparseAutoencoderTransformer(
        task.latents,
        batch_size=task.batch,
        max_iter=task.steps // (len(X) // task.batch),
        tol=None,
        learning_rate=task.rate,
        random_state=task.seed,
        **PARAMETERS[task.data] | parameters,
    )

    def fit():
        model.fit(X)
        return sae_peers.Trained(model.transform, model.inverse_transform, model.components_)

    return fit


def pixels(X, task):
    return lambda: sae_peers.Trained(np.asarray, np.asarray, np.eye(X.shape[1]))


# --- measures ------------------------------------------------------------------------------------


def sparsity_and_error(model, X):
    """FVU, L0 and the share of latents that never fire, block by block."""
    total, n_active, fired = 0.0, 0, 0
    for rows in np.array_split(X, -(-len(X) // 4096)):
        code = model.encode(rows)
        total += ((rows - model.decode(code)).astype(np.float64) ** 2).sum()
        active = code != 0
        n_active += active.sum()
        fired |= active.any(axis=0)
    variance = X.var(axis=0, dtype=np.float64).sum() * len(X)
    return {"fvu": total / variance, "l0": n_active / len(X), "dead": 1 - fired.mean()}


def recovery(truth, learned):
    norms = np.linalg.norm(learned, axis=1, keepdims=True)
    return np.abs(truth @ (learned / np.maximum(norms, 1e-12)).T).max(axis=1).mean()


def reconstruction(model, data, settings):
    """Measures of the toy jobs and of the frontier."""
    result = sparsity_and_error(model, data.X_test)
    if data.X_test is not data.X:
        result["dead"] = sparsity_and_error(model, data.X)["dead"]
    if data.atoms is not None:
        result["recovery"] = recovery(data.atoms, model.atoms)
    return result


def classification(model, data, settings):
    """Errors of a linear classifier whose C is chosen on the last sixth of the training rows.

    Codes are divided by their root mean square length, so that C means the same for all.
    """
    code, code_test = (
        np.concatenate([model.encode(rows) for rows in np.array_split(X, 20)])
        for X in (data.X, data.X_test)
    )
    l0 = (code_test != 0).sum(axis=1).mean()
    dead = 1 - (code != 0).any(axis=0).mean()
    length = np.sqrt((code**2).sum(axis=1).mean())
    code, code_test = code / length, code_test / length
    cut = len(code) * 5 // 6
    found, valid = None, {}
    for C in (1.0, 3.0, 10.0, 30.0):
        found = linear(code[:cut], data.y[:cut], C, settings["classifier"], found)
        valid[C] = (predicted(found, code[cut:]) != data.y[cut:]).mean()
    C = min(valid, key=valid.get)
    wrong = predicted(linear(code, data.y, C, settings["classifier"]), code_test) != data.y_test
    return {"valid": valid[C], "test": wrong.mean(), "C": C, "l0": l0, "dead": dead}


def predicted(found, X):
    return (X @ found[0] + found[1]).argmax(axis=1)


def cross_entropy(scores, hot):
    """LogisticRegression's loss: its sum and derivative."""
    scores = scores - scores.max(axis=1, keepdims=True)
    log_total = np.log(np.exp(scores).sum(axis=1, keepdims=True))
    value = (log_total[:, 0] - scores[hot]).sum(dtype=float)
    return value, np.exp(scores - log_total) - hot


def squared_hinge(scores, hot):
    """LinearSVC's loss, each class against the rest: its sum and derivative."""
    signs = np.where(hot, 1, -1).astype(scores.dtype)
    hinge = np.maximum(1 - signs * scores, 0)
    return (hinge**2).sum(dtype=float), -2 * signs * hinge


# Loss, and about its mean second derivative where the fit ends.
CLASSIFIERS = {"logistic": (cross_entropy, 0.05), "svm": (squared_hinge, 0.4)}


def linear(X, y, C, name, start=None):
    """W and b of least ``|W|^2 / 2 + C sum_i loss(x_i W + b, y_i)``, b left free.

    L-BFGS in the coordinates V = L' W, L L' = I + C h X'X being about the Hessian for a loss of
    second derivative h. In those of W it takes two to three times the steps on codes, which are
    correlated.
    """
    from scipy.linalg import solve_triangular
    from scipy.optimize import minimize

    loss, h = CLASSIFIERS[name]
    hot = y[:, None] == np.arange(y.max() + 1)
    L = np.linalg.cholesky(np.eye(X.shape[1], dtype=X.dtype) + X.dtype.type(C * h) * (X.T @ X))
    unit = X.dtype.type(1 / np.sqrt(C * h * len(X)))  # that of b, by the same token

    def back(V):
        V = V.reshape(-1, hot.shape[1]).astype(X.dtype)
        return solve_triangular(L, V[:-1], lower=True, trans=1), unit * V[-1]

    def objective(V):
        W, b = back(V)
        value, d_scores = loss(X @ W + b, hot)
        d_W = W + X.dtype.type(C) * (X.T @ d_scores)
        gradient = [solve_triangular(L, d_W, lower=True), C * unit * d_scores.sum(axis=0)[None]]
        value = 0.5 * (W**2).sum(dtype=float) + C * value
        return value, np.concatenate(gradient).ravel().astype(float)

    V = np.zeros((X.shape[1] + 1, hot.shape[1]))
    if start is not None:
        V = np.vstack([L.T @ start[0], start[1] / unit])
    options = {"maxiter": 500, "maxcor": 20, "ftol": 1e-6}
    return back(minimize(objective, V.ravel(), jac=True, method="L-BFGS-B", options=options).x)


# --- the contestant's process --------------------------------------------------------------------


def settings_of(name, tiny):
    """A job's settings; with ``tiny`` those of a run of seconds, to see that all works."""
    settings = dict(JOBS[name]["settings"])
    if tiny:
        settings["rows"] = min(settings.get("rows", 2048), 2048)
        settings["steps"] = 2 * settings["rows"] // settings["batch"]
        settings["values"] = settings["values"][::2]
        settings["rates"] = settings["rates"][1:2] or settings["rates"]
    return settings


def one_run(name, contestant, folder, tiny, first, seed, rate, value):
    """Measures of one fit, or the reason why there is none."""
    library, mechanism, *variants = contestant.split(":")
    settings = settings_of(name, tiny)
    data = data_of(name, folder, seed, tiny)
    own = {k: int(v) for k, v in (o.split("=") for o in variants if "=" in o) if not tiny}
    task = SimpleNamespace(**settings | {"epochs": 1} | own, mechanism=mechanism)
    task.variants = [variant for variant in variants if "=" not in variant]
    task.seed, task.rate, task.value = seed, rate, value
    prepare = globals().get(library) or getattr(sae_peers, library)
    try:
        fit = prepare(data.X, task)
    except (ImportError, AttributeError, TypeError) as error:
        return {"absent": f"{type(error).__name__}: {error}"}
    try:
        if first:  # what a first fit imports or compiles is not timed
            short = {"steps": 2, "epochs": 1}
            prepare(data.X[: 2 * task.batch], SimpleNamespace(**vars(task) | short))()
        start = time.perf_counter()
        model = fit()
        seconds = time.perf_counter() - start
    except (ArithmeticError, AssertionError, RuntimeError, ValueError) as error:  # it diverged
        return {"failed": f"{type(error).__name__}: {error}"}
    measure = classification if "classifier" in settings else reconstruction
    result = {k: float(v) for k, v in measure(model, data, settings).items()}
    if not np.all(np.isfinite(list(result.values()))):
        return {"failed": "not finite"}
    return {"seconds": seconds, **result}


def serve(name, contestant, folder, tiny):
    """Answer each line of the input, a run, with its measures."""
    warnings.simplefilter("ignore")
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what a library prints must not be taken for an answer
    for i, line in enumerate(sys.stdin):
        result = one_run(name, contestant, folder, tiny == "tiny", i == 0, **json.loads(line))
        print(json.dumps(result), file=answers, flush=True)


# --- the table's process -------------------------------------------------------------------------


def python_of_all():
    """The interpreter that has all peers."""
    python = peers_python()
    marker = PEERS / ".ready-sparsifiers"
    if not marker.exists():
        subprocess.run([python, "-m", "pip", "install", "-q", *REQUIREMENTS], check=True)
        marker.touch()
    return python


class Contestant:
    """A process that fits for one contestant of one job; started by its first run."""

    def __init__(self, *arguments):
        self.arguments, self.process = arguments, None

    def python(self):
        alone = "classifier" in JOBS[self.arguments[0]]["settings"]  # no peer takes part
        return sys.executable if alone else python_of_all()

    def start(self):
        limits = {f"{lib}_NUM_THREADS": "1" for lib in ("OMP", "OPENBLAS", "MKL", "NUMBA")}
        quiet = {"HF_HUB_OFFLINE": "1", "WANDB_MODE": "disabled", "TQDM_DISABLE": "1"}
        return subprocess.Popen(
            [self.python(), "sparsifiers.py", "--serve", *self.arguments],
            cwd=HERE,
            text=True,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=os.environ | limits | quiet,
        )

    def run(self, **task):
        self.process = self.process or self.start()
        print(json.dumps(task), file=self.process.stdin, flush=True)
        answer = self.process.stdout.readline()
        if not answer:
            raise RuntimeError(
                f"{self.arguments} died; to see why, give {json.dumps(task)} to the input of "
                f"{' '.join(self.process.args)}"
            )
        answer = json.loads(answer)
        if "absent" in answer:
            raise Absent(answer["absent"])
        return answer

    def close(self):
        if self.process:
            self.process.stdin.close()
            self.process.wait()


class Absent(Exception):
    """A contestant that cannot be built, or whose fits all fail."""


def grid(contestant, settings):
    """Rates and values that a contestant tries."""
    no_rate = contestant.startswith(("sklearn:", "pixels:")) or contestant.endswith(":signum")
    rates = [None] if no_rate else settings["rates"]
    values = OWN_VALUES.get(contestant, settings["values"])
    return [(rate, value) for rate in rates for value in values]


def rates_that_count(runs):
    """Rates that are best somewhere between the ends of DEGREES."""
    by_rate = curves(by_setting([runs]))
    ends = DEGREES[0], DEGREES[-1]
    best = set()
    for l0 in np.geomspace(*ends, 40):
        errors = {c[0].rate: error_at([c], l0) for c in by_rate if c}
        errors = {rate: error for rate, error in errors.items() if error is not None}
        best |= {min(errors, key=errors.get)} if errors else set()
    return sorted(best)


def fits(process, contestant, seed, settings):
    """All fits of one contestant for one seed: a list of rate, value and measures."""
    result = [
        {"rate": rate, "value": value, **process.run(seed=seed, rate=rate, value=value)}
        for rate, value in grid(contestant, settings)
    ]
    if all("failed" in one for one in result):
        raise Absent(result[0]["failed"])
    return result


def collect(name, arguments):
    """Fits of a job by contestant, over the seeds; runs what is wanted and not there."""
    settings, by_contestant = settings_of(name, arguments.tiny), {}
    wanted = not arguments.kept and name.startswith(tuple(arguments.jobs))
    for contestant in JOBS[name]["contestants"]:
        process = Contestant(name, contestant, arguments.data, "tiny" if arguments.tiny else "full")
        runs = wanted and contestant.startswith(tuple(arguments.contestants))
        found = []
        of_seed = settings
        for seed in range(arguments.seeds):
            if found and name.startswith("frontier"):
                of_seed = settings | {"rates": rates_that_count(found[0])}
            key = f"{name}-{contestant}-{seed}".replace(":", "-").replace(" ", "_")
            whole = of_seed | {"contestant": contestant, "seed": seed}

            def run(process=process, contestant=contestant, seed=seed, settings=of_seed):
                return fits(process, contestant, seed, settings)

            try:
                if runs and arguments.tiny:
                    result = run()
                elif runs:
                    result = part("sparsifiers", key, whole, run, arguments.redo)
                else:
                    result = None if arguments.tiny else kept("sparsifiers", key, whole)
            except Absent as reason:
                print(f"{name} {contestant}: absent ({reason})", flush=True)
                break
            if result is not None:
                found.append(result)
        process.close()
        if found:
            by_contestant[contestant] = found
    return by_contestant


def by_setting(found):
    """Means and deviations over the seeds, of each rate and value that all tried and none failed.

    Of seconds the median: it outlives a run beside something else.
    """
    settings: dict = {}
    for run in (run for runs in found for run in runs):
        settings.setdefault((run["rate"], run["value"]), []).append(run)
    for runs in settings.values():
        if len(runs) < len(found) or any("failed" in run for run in runs):
            continue
        names = [name for name in runs[0] if name not in ("rate", "value")]
        values = {name: np.array([run[name] for run in runs]) for name in names}
        yield SimpleNamespace(
            rate=runs[0]["rate"],
            value=runs[0]["value"],
            n=len(runs),
            spread={name: v.std() for name, v in values.items()},
            **{n: np.median(v) if n == "seconds" else v.mean() for n, v in values.items()},
        )


def shown(contestant):
    library, *rest = contestant.replace("_", " ").split(":")
    return f"{library}, {' '.join(rest)}"


def number(mean, spread=None, digits=4):
    return f"{mean:.{digits}f}" + ("" if spread is None else f" ± {spread:.{digits}f}")


def rate_of(setting):
    return "its own" if setting.rate is None else f"{setting.rate:g}"


TOY_HEAD = ["Job", "Contestant", "Rate", "FVU", "L0", "Dead", "Recovery", "Seconds", "Seeds"]


def toy_rows(name, by_contestant):
    """The contestants of a toy job at their best rates."""
    reach = f"{name}: {JOBS[name]['label']}; to reach: {JOBS[name]['reach']}"
    for contestant, found in by_contestant.items():
        settings = list(by_setting(found))
        if not settings:
            print(f"{name} {contestant}: no rate without a failed fit", flush=True)
            continue
        best = min(settings, key=lambda s: s.fvu)
        other = max(settings, key=lambda s: s.recovery)
        for s in [best] if best is other else [best, other]:
            yield [
                reach,
                shown(contestant),
                rate_of(s),
                number(s.fvu, s.spread["fvu"]),
                number(s.l0, digits=2),
                number(s.dead, digits=3),
                number(s.recovery, s.spread["recovery"], digits=3),
                number(s.seconds, digits=1),
                str(s.n),
            ]
            reach = ""


def front(settings):
    """Those of the settings that explain anything and that no other beats in both L0 and FVU."""
    best, left = 1.0, []
    for s in sorted(settings, key=lambda s: (s.l0, s.fvu)):
        if s.fvu < best:
            best = s.fvu
            left.append(s)
    return left


def curves(settings):
    """The front of each rate."""
    by_rate: dict = {}
    for s in settings:
        by_rate.setdefault(s.rate, []).append(s)
    return [front(of_rate) for of_rate in by_rate.values()]


def error_at(curves, l0):
    """FVU at an L0 by the best of the curves, None where they have none.

    Their ends are continued by up to a sixth.
    """
    found = []
    for curve in curves:
        x, y = np.log([s.l0 for s in curve]), np.log([s.fvu for s in curve])
        at = np.log(l0)
        if len(curve) < 2 or not x[0] - 0.17 <= at <= x[-1] + 0.17:
            continue
        i = np.clip(np.searchsorted(x, at), 1, len(x) - 1)
        found.append(float(np.exp(y[i] + (at - x[i]) * (y[i] - y[i - 1]) / (x[i] - x[i - 1]))))
    return min(found, default=None)


FRONTIER_HEAD = ["Mechanism", "Contestant", "L0", *(f"FVU at {k}" for k in DEGREES)]
FRONTIER_HEAD += ["Ours over it, worst", "Dead, worst", "Rates", "Seeds"]


def frontier_rows(name, by_contestant):
    """Each contestant's front; ours beside it at its own points."""
    label = JOBS[name]["label"]
    settings = {c: list(by_setting(found)) for c, found in by_contestant.items()}
    first = JOBS[name]["contestants"][0]
    for contestant, of_contestant in settings.items():
        points = front(of_contestant)
        if not points:
            print(f"{name} {contestant}: never better than the mean", flush=True)
            continue
        errors = [error_at(curves(of_contestant), k) for k in DEGREES]
        ratios = []
        if first in settings and contestant != first:
            there = [(error_at(curves(settings[first]), s.l0), s.fvu) for s in points]
            ratios = [mine / its for mine, its in there if mine is not None]
        yield [
            label,
            shown(contestant),
            f"{points[0].l0:.1f} to {points[-1].l0:.1f}",
            *("" if e is None else number(e, digits=3) for e in errors),
            f"{max(ratios):.3f} ({len(ratios)} of {len(points)} points)" if ratios else "",
            number(max(s.dead for s in points), digits=3),
            ", ".join(sorted({rate_of(s) for s in points})),
            str(points[0].n),
        ]
        label = ""


MNIST_HEAD = ["Job", "Contestant", "Test error %", "C", "L0", "Dead", "Seconds of fit", "Seeds"]


def mnist_rows(name, by_contestant):
    reach = f"{JOBS[name]['label']}; to reach: {JOBS[name]['reach']}"
    for contestant, found in by_contestant.items():
        s = min(by_setting(found), key=lambda s: s.valid)
        yield [
            reach,
            shown(contestant),
            number(100 * s.test, 100 * s.spread["test"], digits=2),
            f"{s.C:g}",
            number(s.l0, digits=1),
            number(s.dead, digits=3),
            number(s.seconds, digits=0),
            str(s.n),
        ]
        reach = ""


TABLES = [
    ("Known atoms", ("A", "B", "C"), TOY_HEAD, toy_rows),
    ("Text embeddings, held-out rows", ("frontier",), FRONTIER_HEAD, frontier_rows),
    ("MNIST", ("mnist",), MNIST_HEAD, mnist_rows),
]


def list_table(title, head, rows):
    """A list-table for the docs."""
    lines = [f".. list-table:: {title}", "   :header-rows: 1", ""]
    for row in [head, *rows]:
        lines += [f"   {'*' if i == 0 else ' '} - {cell}" for i, cell in enumerate(row)]
    return "\n".join(lines) + "\n"


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--jobs", nargs="*", default=list(JOBS), help="beginnings of their names")
    parser.add_argument("--contestants", nargs="*", default=[""], help="beginnings of their names")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--redo", action="store_true", help="fit all again")
    parser.add_argument("--kept", action="store_true", help="only print what is kept")
    parser.add_argument("--tiny", action="store_true", help="seconds a job, nothing is kept")
    parser.add_argument(
        "--data",
        default=str(HERE.parents[1] / "shared" / "data"),
        help="folder with load.py and the data sets",
    )
    parser.add_argument("--serve", nargs=4, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.serve:
        return serve(*arguments.serve)
    if arguments.tiny:
        arguments.seeds = 1
    text = []
    for title, names, head, rows_of in TABLES:
        rows = []
        for name in (name for name in JOBS if name.startswith(names)):
            for row in rows_of(name, collect(name, arguments)):
                rows.append(row)
                print(" | ".join(row), flush=True)
        if rows:
            text.append(list_table(title, head, rows))
    if not arguments.tiny:
        (HERE.parent / "docs" / "sparsifiers_table.inc").write_text("\n".join(text))


if __name__ == "__main__":
    sys.exit(main())
