"""Balancers beside torchjd: the same weights, and what a step costs more than with equal weights.

``agreement``: on random Gramians (2 to 100 tasks; of full rank, deficient, of tasks whose losses
differ by 1e4) the largest distance between the weights, both brought to one sum of absolute values.
torchjd's MGDA takes 5000 steps that converge slowly; beside it stands how much longer its vector is
than ours, at least. Where gradients are too dependent to be projected on alike, IMTL is a least
squares solution, of unit gradients here and of gradients there. CAGrad and NashMTL are left out,
since torchjd's need cvxpy; tests check their equations.

``overhead``: seconds of an epoch over those of the same epoch with equal weights, for skmtl (a
Gramian at each step, and at each fourth, the default) and for the same network in torch with
torchjd's ``mtl_backward`` and aggregator. There are 2048 rows or more; tasks share all of them, or
each has its own.

The peers' environment is that of ``speed.py``. A part that has a result for its settings is not run
again (``--redo`` does). The table goes to ``docs/balancers_table.inc``.
"""

import argparse
import json
import subprocess
import sys
import time
import warnings
from pathlib import Path

import numpy as np

HERE = Path(__file__).parent
GRAMIANS = {"tasks": [2, 5, 30, 100], "repeats": 5, "kinds": ["full", "deficient", "scaled"]}
NETWORK = {"features": 128, "latents": 256, "k": 16, "batch": 256, "rounds": 5}
JOBS: dict[str, dict] = {"agreement": GRAMIANS}
for n_tasks in (5, 30, 100):
    for rows in ("own", "shared"):
        JOBS[f"overhead-{rows}-{n_tasks}"] = NETWORK | {"tasks": n_tasks, "rows": rows}
METHODS = ["pcgrad", "mgda", "imtl", "aligned", "upgrad", "dual_proj"]


# --- in the peers' environment -------------------------------------------------------------------


def of_torchjd(name, exact=False):
    """The aggregator of torchjd, at its own settings or as near the exact weights as it gets."""
    from torchjd import aggregation

    return {
        "pcgrad": aggregation.PCGrad,
        "mgda": lambda: aggregation.MGDA(
            **({"epsilon": 1e-12, "max_iters": 5000} if exact else {})
        ),
        "imtl": aggregation.IMTLG,
        "aligned": lambda: aggregation.AlignedMTL(scale_mode="median"),
        "upgrad": aggregation.UPGrad,
        "dual_proj": aggregation.DualProj,
    }[name]()


def random_gramian(n_tasks, kind, rng):
    n_parameters = n_tasks // 2 + 1 if kind == "deficient" else 3 * n_tasks
    J = rng.standard_normal((n_tasks, n_parameters)) + 0.2 * rng.standard_normal(n_parameters)
    if kind == "scaled":
        J *= 10 ** rng.uniform(-2, 2, (n_tasks, 1))
    return J @ J.T


def agreement(settings):
    """Largest distance of the weights, by method and kind of Gramian."""
    import torch

    from skmtl.balancers import BALANCERS

    out = {}
    for name in METHODS:
        theirs, ours = of_torchjd(name, exact=True).gramian_weighting, BALANCERS[name]()
        for kind in settings["kinds"]:
            rng, worst, longer = np.random.default_rng(0), 0.0, np.inf
            for n_tasks in settings["tasks"]:
                if name == "pcgrad" and n_tasks > 2:  # which goes through the tasks at random
                    continue
                for _ in range(settings["repeats"]):
                    G = random_gramian(n_tasks, kind, rng)
                    a = ours.raw_weights(G / np.diagonal(G).mean())
                    b = theirs(torch.from_numpy(G)).numpy()
                    distance = np.abs(a / np.abs(a).sum() - b / np.abs(b).sum()).sum()
                    worst = max(worst, float(distance))
                    longer = min(longer, float((b @ G @ b - a @ G @ a) / np.trace(G)))
            out[f"{name} {kind}"] = worst
            if name == "mgda":
                out[f"{name} {kind}, theirs longer by"] = longer
    return out


def problem(settings):
    """X and binary labels of tasks that bring rows of their own, or share all of them."""
    rng, n_tasks = np.random.default_rng(0), settings["tasks"]
    n_rows = max(32 * n_tasks, 2048) if settings["rows"] == "own" else 2048
    X = rng.standard_normal((n_rows, settings["features"])).astype(np.float32)
    Y = (X @ rng.standard_normal((X.shape[1], n_tasks)) > 0).astype(np.float32)
    if settings["rows"] == "own":
        own = np.arange(n_tasks) == np.arange(n_rows)[:, None] % n_tasks
        Y[~own] = np.nan
    return X, Y


def skmtl_epoch(settings, X, Y, name, every):
    from skmtl import MultiTaskSAEClassifier
    from skmtl.balancers import BALANCERS
    from skmtl.sparsifiers import TopK

    balancer = BALANCERS[name]()
    if hasattr(balancer, "every"):
        balancer.set_params(every=every)
    model = MultiTaskSAEClassifier(
        settings["latents"],
        sparsifier=TopK(settings["k"]),
        batch_size=settings["batch"],
        balancer=balancer,
        random_state=0,
    )
    return lambda: model.partial_fit(X, Y, classes=[[0, 1]] * Y.shape[1])


def torch_epoch(settings, X, Y, name):
    """A relu encoder, a decoder and a head a task; the losses of ``X, Y`` with gaps left out."""
    import torch
    from torchjd.autojac import jac_to_grad, mtl_backward

    torch.manual_seed(0)
    torch.set_num_threads(1)
    d, m, n_tasks = X.shape[1], settings["latents"], Y.shape[1]
    encoder, decoder = torch.nn.Linear(d, m), torch.nn.Linear(m, d)
    heads = torch.nn.Linear(m, n_tasks)
    parameters = [*encoder.parameters(), *decoder.parameters(), *heads.parameters()]
    optimizer = torch.optim.Adam(parameters)
    aggregator = None if name == "equal" else of_torchjd(name)
    X, labels = torch.from_numpy(X), torch.from_numpy(np.nan_to_num(Y))
    present = torch.from_numpy((~np.isnan(Y)).astype(np.float32))
    loss_of = torch.nn.BCEWithLogitsLoss(reduction="none")

    def epoch():
        for rows in torch.randperm(len(X)).split(settings["batch"]):
            optimizer.zero_grad()
            pre = encoder(X[rows])
            best = pre.topk(settings["k"], dim=1)
            code = torch.zeros_like(pre).scatter(1, best.indices, best.values.relu())
            of_rows = loss_of(heads(code), labels[rows]) * present[rows]
            held = present[rows].sum(dim=0)
            losses = of_rows.sum(dim=0) / held.clamp(min=1)
            reconstruction = ((decoder(code) - X[rows]) ** 2).sum(dim=1).mean() / d
            if aggregator is None:
                (reconstruction + losses.mean()).backward()
            else:
                reconstruction.backward(retain_graph=True)
                before = [p.grad.clone() for p in encoder.parameters()]
                for p in encoder.parameters():
                    p.grad = None
                seen = [losses[t] for t in range(n_tasks) if held[t] > 0]
                mtl_backward(seen, features=code, retain_graph=True)
                jac_to_grad(encoder.parameters(), aggregator)
                for p, g in zip(encoder.parameters(), before, strict=True):
                    p.grad += g
            optimizer.step()

    return epoch


def overhead(settings):
    """Median seconds of an epoch over the median with equal weights, by contestant and method."""
    X, Y = problem(settings)
    contestants = {
        "skmtl, each step": lambda name: skmtl_epoch(settings, X, Y, name, 1),
        "skmtl, each 4th": lambda name: skmtl_epoch(settings, X, Y, name, 4),
        "torchjd": lambda name: torch_epoch(settings, X, Y, name),
    }
    out = {}
    for contestant, make in contestants.items():
        names = ["equal", *METHODS]
        epochs = {name: make(name) for name in names}
        seconds: dict[str, list] = {name: [] for name in names}
        for r in range(settings["rounds"] + 1):
            for name, epoch in epochs.items():
                start = time.perf_counter()
                epoch()
                if r:
                    seconds[name].append(time.perf_counter() - start)
        equal = np.median(seconds["equal"])
        out[contestant] = {name: float(np.median(seconds[name]) / equal) for name in METHODS}
    return out


# --- outside -------------------------------------------------------------------------------------


def in_peers_environment(name, settings):
    from speed import peers_python

    run = [peers_python(), __file__, "--inside", name, json.dumps(settings)]
    return json.loads(subprocess.run(run, stdout=subprocess.PIPE, check=True, text=True).stdout)


def table(results):
    """A list-table of the overheads, for the docs."""
    head = ["Tasks", "Their rows", "Contestant", *METHODS]
    lines = [".. list-table::", "   :header-rows: 1", ""]
    rows = [
        [str(settings["tasks"]), settings["rows"], contestant]
        + [f"{ratios[name]:.2f}" for name in METHODS]
        for settings, result in results
        for contestant, ratios in result.items()
    ]
    for row in [head, *rows]:
        lines += [f"   {'*' if i == 0 else ' '} - {cell}" for i, cell in enumerate(row)]
    return "\n".join(lines) + "\n"


def main():
    from results import part

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--jobs", nargs="*", default=list(JOBS), choices=list(JOBS))
    parser.add_argument("--redo", action="store_true", help="measure all again")
    arguments = parser.parse_args()
    overheads = []
    for name in arguments.jobs:
        settings = JOBS[name]
        result = part(
            "balancers",
            name,
            settings,
            lambda name=name: in_peers_environment(name, JOBS[name]),
            arguments.redo,
        )
        if name == "agreement":
            for what, distance in result.items():
                print(f"{what:36} {distance:.1e}")
            continue
        overheads.append((settings, result))
        for contestant, ratios in result.items():
            shown = "  ".join(f"{m} {r:.2f}" for m, r in ratios.items())
            print(f"{name:20} {contestant:18} {shown}", flush=True)
    if len(overheads) == len(JOBS) - 1:
        (HERE.parent / "docs" / "balancers_table.inc").write_text(table(overheads))


if __name__ == "__main__":
    if "--inside" in sys.argv:
        warnings.simplefilter("ignore")
        job, options = sys.argv[2], json.loads(sys.argv[3])
        print(json.dumps(agreement(options) if job == "agreement" else overhead(options)))
    else:
        main()
