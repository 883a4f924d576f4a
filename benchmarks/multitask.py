"""Does sharing pay? One model for all tasks beside single-task twins and other methods.

Each seed draws the rows anew (`multitask_sets`); contestants and their equal budget are those of
`multitask_models`; torch's (`multitask_torch`) run in the environment that ``speed.py`` makes. A
part is one contestant on one set for one seed; one that is kept for the same settings is not run
again (``--redo`` does). All tables are paired over the seeds.

error     1 - AUC of a task with two classes, else 1 - accuracy
gain      of a task on a seed: how far its error falls below the twin's, over the twin's mean error
Delta_m   mean gain over tasks, in percent, with the 95% interval of its mean over seeds
harmed    tasks whose mean gain is below zero: one-sided paired t test at 5%, raw and after Holm's
          correction within the set; chance alone gives 5% of the tasks (raw). Seeds share rows, so
          that the test says "harmed" too often rather than too seldom
twin      the same estimator with the same options, one task at a time, settings chosen for each
          task or in common: whichever is better in the mean over the seeds
"""

import argparse
import json
import os
import subprocess
import sys
import warnings
from pathlib import Path

import multitask_models as models
import numpy as np
from multitask_sets import OWN_ROWS, SAME_ROWS, SETS, draw
from results import kept, part
from scipy.stats import t as student
from sparsifiers import list_table
from speed import PEERS, peers_python

HERE = Path(__file__).parent
REQUIREMENTS = ["--no-deps", "torchjd==0.18.0", "qpsolvers", "quadprog"]  # beside those of speed.py

TORCH = ["torch:plain", "torch:upgrad", "torch:imtl"]
OTHERS = ["logistic:each", "logistic:pooled", "boosting:each", "boosting:task-id", *TORCH]


def both(*variants):
    """The shared model and its single-task twin, of each variant."""
    return [f"{kind}:{variant}" for variant in variants for kind in ("shared", "single")]


NARROW = ["narrow", "narrow-members", "narrow-untuned"]
#: What runs on which sets.
JOBS = {
    "own": (list(OWN_ROWS), [*both(*models.VARIANTS), *OTHERS]),
    "same": (list(SAME_ROWS), [*both(*models.MAIN), *OTHERS]),
    "landmine": (["landmine-half", "landmine-40"], [*both(*models.MAIN, *NARROW), *OTHERS]),
    "missing": (["yeast", "yeast-30", "yeast-60"], [*both(*models.MAIN), "logistic:each"]),
    "balancing": (["scene", "yeast"], [f"shared:{name}" for name in models.BALANCED]),
    "unlabelled": (
        ["yeast-unlabelled", "scene-unlabelled", "tox21-unlabelled"],
        ["shared:plain", "shared:no-reconstruction"],
    ),
}


# --- parts ---------------------------------------------------------------------------------------


def python_of_torch():
    """The interpreter that has torch and torchjd."""
    python = peers_python()
    marker = PEERS / ".ready-multitask"
    if not marker.exists():
        subprocess.run([python, "-m", "pip", "install", "-q", *REQUIREMENTS], check=True)
        marker.touch()
    return python


def run(name, contestant, seed, arguments):
    """Errors of one contestant."""
    kind, variant = contestant.split(":")
    if kind != "torch":
        problem = draw(name, arguments.data, seed, arguments.tiny)
        return models.run(problem, contestant, seed, arguments.tiny)
    size = "tiny" if arguments.tiny else "full"
    command = [python_of_torch(), "multitask_torch.py", name, variant, str(seed), arguments.data]
    limits = {f"{library}_NUM_THREADS": "1" for library in ("OMP", "OPENBLAS", "MKL")}
    done = subprocess.run(
        [*command, size],
        cwd=HERE,
        stdout=subprocess.PIPE,
        check=True,
        text=True,
        env=os.environ | limits,
    )
    return json.loads(done.stdout)


def collect(job, name, arguments):
    """Errors by contestant and seed, (tasks,) each; runs what is wanted and not there."""
    contestants = JOBS[job][1]
    wanted = not arguments.kept and job in arguments.jobs
    wanted = wanted and name.startswith(tuple(arguments.sets))
    found = {}
    for contestant in contestants:
        runs = wanted and contestant.startswith(tuple(arguments.contestants))
        settings = models.settings_of(contestant) | SETS[name]
        for seed in range(arguments.seeds):
            key = f"{name}-{contestant}-{seed}".replace(":", "-")

            def one(contestant=contestant, seed=seed):
                print(f"{name} {contestant} {seed}", file=sys.stderr, flush=True)
                return run(name, contestant, seed, arguments)

            try:
                if runs and arguments.tiny:
                    result = one()
                elif runs:
                    result = part("multitask", key, settings, one, arguments.redo)
                else:
                    result = None if arguments.tiny else kept("multitask", key, settings)
            except models.Absent as reason:
                print(f"{name} {contestant}: absent ({reason})", flush=True)
                break
            for way in set(result or ()) - {"chosen"}:
                label = contestant if way == "errors" else f"{contestant} {way}"
                found.setdefault(label, {})[seed] = np.array(result[way], dtype=float)
    return found


# --- statistics ----------------------------------------------------------------------------------


def paired(found, one, other):
    """Errors of two contestants on the seeds that both have, (seeds, tasks) each."""
    seeds = sorted(set(found.get(one, {})) & set(found.get(other, {})))
    if not seeds:
        return None
    return tuple(np.array([found[name][seed] for seed in seeds]) for name in (one, other))


def interval(values):
    """Mean and ends of its 95% interval, t distribution."""
    values = np.asarray(values, dtype=float)
    mean, n = values.mean(), len(values)
    if n < 2:
        return mean, np.nan, np.nan
    half = student.ppf(0.975, n - 1) * values.std(ddof=1) / np.sqrt(n)
    return mean, mean - half, mean + half


def gains(errors, of_twin):
    """Gain of every task on every seed, (seeds, tasks); tasks never judged are left out."""
    usual = np.nanmean(of_twin, axis=0)
    return (of_twin - errors) / np.maximum(usual, 1e-3)


def p_values(gain):
    """One-sided p value of each task's harm, from those seeds that judge it."""
    out = []
    for column in gain.T:
        column = column[~np.isnan(column)]
        if len(column) < 2 or not column.std():
            out.append(1.0)
            continue
        t = column.mean() / (column.std(ddof=1) / np.sqrt(len(column)))
        out.append(student.cdf(t, len(column) - 1))
    return np.array(out)


def after_holm(p):
    """How many of the p values stay below 5% after Holm's correction."""
    below = np.sort(p) * np.arange(len(p), 0, -1) < 0.05
    return int(np.argmin(np.append(below, False)))


def twin_of(found, variant):
    """The better of the ways in which single-task models were chosen."""
    ways = [f"single:{variant} {way}" for way in ("own", "common")]
    ways = [way for way in ways if way in found]
    return min(ways, key=lambda w: np.nanmean(list(found[w].values())), default=None)


def shown_interval(values, digits=1, scale=1.0):
    mean, low, high = (scale * v for v in interval(values))
    return f"{mean:+.{digits}f} [{low:+.{digits}f}, {high:+.{digits}f}]"


# --- tables --------------------------------------------------------------------------------------

SHARING_HEAD = ["Set", "Tasks", "Variant", "Error of the twin", "Error", "Delta_m %"]
SHARING_HEAD += ["Harmed: raw / Holm / chance", "Helped, raw", "Worst task, gain %", "Seeds"]


def sharing_rows(name, found, task_names):
    """Shared models beside their single-task twins."""
    shown = name
    for variant in models.VARIANTS:
        twin = twin_of(found, variant)
        pair = twin and paired(found, f"shared:{variant}", twin)
        if not pair:
            continue
        gain = 100 * gains(*pair)
        of_task = np.nanmean(gain, axis=0)
        worst = np.nanargmin(of_task)
        n_tasks = int((~np.isnan(of_task)).sum())
        harm = p_values(gain)
        yield [
            shown,
            str(n_tasks),
            variant,
            f"{np.nanmean(pair[1]):.4f} ({twin.split()[-1]})",
            f"{np.nanmean(pair[0]):.4f}",
            shown_interval(np.nanmean(gain, axis=1)),
            f"{(harm < 0.05).sum()} / {after_holm(harm)} / {0.05 * n_tasks:.1f}",
            str(int((p_values(-gain) < 0.05).sum())),
            f"{task_names[worst]}, {of_task[worst]:+.1f}",
            str(len(gain)),
        ]
        shown = ""


BESIDE_HEAD = ["Set", "Contestant", "Score", "Ours less it", "Seeds"]


def beside_rows(name, found, task_names):
    """Scores (1 - error) of all, and the paired difference of the recommended model."""
    ours = f"shared:{models.MAIN[0]}"
    if ours not in found:
        return
    shown = name
    for contestant in found:
        pair = paired(found, ours, contestant)
        if pair is None:
            continue
        mine, its = (np.nanmean(1 - errors, axis=1) for errors in pair)
        difference = "" if contestant == ours else shown_interval(mine - its, digits=4)
        yield [shown, contestant.replace(":", ", "), f"{its.mean():.4f}", difference, str(len(its))]
        shown = ""


BALANCING_HEAD = ["Set", "Balancer", "Score", "Scales apart", "Less equal's", "Won back %", "Seeds"]


def balancing_rows(name, found, task_names):
    """Balancers beside equal weights, and what they win back where losses differ in scale.

    Won back: of what equal weights lose by the scales, how much less the balancer loses.
    """
    score = {c: np.nanmean(1 - np.array(list(of_seeds.values()))) for c, of_seeds in found.items()}
    shown = name
    for balancer in models.BALANCERS:
        plain, scaled = f"shared:{balancer}", f"shared:{balancer}-scaled"
        if not {plain, scaled, "shared:equal", "shared:equal-scaled"} <= set(score):
            continue
        lost = score["shared:equal"] - score["shared:equal-scaled"]
        errors = paired(found, "shared:equal", plain)
        yield [
            shown,
            balancer,
            f"{score[plain]:.4f}",
            f"{score[scaled]:.4f}",
            shown_interval(np.nanmean(errors[0] - errors[1], axis=1), digits=4),
            f"{100 * (score[scaled] - score['shared:equal-scaled']) / lost:.0f}",
            str(len(errors[0])),
        ]
        shown = ""


#: Title, jobs, head and rows of each table.
TABLES = [
    ("Sharing: tasks with rows of their own", ["own", "landmine"], SHARING_HEAD, sharing_rows),
    ("Sharing: tasks on the same rows", ["same", "missing"], SHARING_HEAD, sharing_rows),
    (
        "Scores beside other methods",
        [job for job in JOBS if job != "balancing"],
        BESIDE_HEAD,
        beside_rows,
    ),
    ("Balancing, eight latents", ["balancing"], BALANCING_HEAD, balancing_rows),
]


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--jobs", nargs="*", default=list(JOBS), choices=list(JOBS))
    parser.add_argument("--sets", nargs="*", default=[""], help="beginnings of their names")
    parser.add_argument("--contestants", nargs="*", default=[""], help="beginnings of their names")
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--redo", action="store_true", help="fit all again")
    parser.add_argument("--kept", action="store_true", help="only print what is kept")
    parser.add_argument("--tiny", action="store_true", help="seconds a part, nothing is kept")
    parser.add_argument(
        "--data",
        default=str(HERE.parents[1] / "shared" / "data"),
        help="folder with load.py and the data sets",
    )
    arguments = parser.parse_args()
    if arguments.tiny:
        arguments.seeds = min(arguments.seeds, 2)
    warnings.simplefilter("ignore")
    found = {}
    for job in JOBS:
        for name in JOBS[job][0]:
            found[job, name] = collect(job, name, arguments)
    text = []
    for title, jobs, head, rows_of in TABLES:
        rows = []
        for (job, name), of_set in found.items():
            if job in jobs and of_set:
                rows += rows_of(name, of_set, draw(name, arguments.data, 0).task_names)
        for row in rows:
            print(" | ".join(row), flush=True)
        if rows:
            text.append(list_table(title, head, rows))
    if not arguments.tiny:
        (HERE.parent / "docs" / "multitask_table.inc").write_text("\n".join(text))


if __name__ == "__main__":
    sys.exit(main())
