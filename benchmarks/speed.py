"""Fitting and encoding beside the peers, in ratios.

Each contestant is a process of its own with the same array, batch, epochs, rate and threads. A
round is one run of each in turn; after a round that is not counted come at least five that are,
and the ratio is that of the medians. ``product`` is the encoder's dense product alone, the floor
of an exact method.

The first call installs the peers into ``.venv-peers``. A job that has a result for its settings is
not run again (``--redo`` does); ``--jobs`` names those to run; the table is printed and written to
``docs/speed_table.inc``.
"""

import argparse
import json
import os
import subprocess
import sys
import venv
from pathlib import Path

import numpy as np
from results import kept, part

HERE = Path(__file__).parent
PEERS = HERE.parent / ".venv-peers"
REQUIREMENTS = [
    ["torch==2.13.0"],
    ["torch==2.13.0", "sae-lens==6.54.12", "natsort", "schedulefree", "simple-parsing"],
    ["--no-deps", "eai_sparsify==1.3.3", "dictionary_learning==0.1.0", "nnsight==0.3.7"],
    ["torch==2.13.0", "zstandard", "python-socketio[client]", "sentencepiece", "msgspec", "pillow"],
    ["tensorflow-cpu==2.21.0", "keras==3.15.1"],
    ["scikit-learn==1.9.1", "numba", "joblib", "threadpoolctl"],
    ["--no-deps", "torchjd==0.18.0", "qpsolvers", "quadprog"],
]


def job(label, beside, threads=1, **settings):
    """A job: its label, its contestants with the ratio wanted of each, and its settings."""
    return {"label": label, "beside": beside, "settings": {"threads": threads, **settings}}


SAES = ["sparsify_topk", "saelens_topk", "dictionary_learning_topk", "torch_topk"]
TOPK = {"rows": 16384, "epochs": 10}
LARGE = {"rows": 8192, "features": 384, "k": 32, "batch": 1024, "epochs": 10, "threads": 2}
SMALL = {"data": "digits", "latents": 32, "batch": 256, "epochs": 50}
WIDE = {"data": "mnist", "rows": 20000, "latents": 32, "batch": 256, "epochs": 3}
CROSS, SQUARE = {"loss": "log_loss"}, {"loss": "squared_error"}
BOTTOM = {"latents": 128, "batch": 256, "epochs": 20}
JOBS = {
    "small-cross": job(
        "autoencoder 64 x 32, cross-entropy",
        {"skmtl_autoencoder": None, "torch_autoencoder": 3, "keras_autoencoder": 20},
        **SMALL | CROSS,
    ),
    "small-square": job(
        "autoencoder 64 x 32, squared error",
        {"skmtl_autoencoder": None, "sklearn_autoencoder": 2, "torch_autoencoder": 3},
        **SMALL | SQUARE,
    ),
    "wide-cross": job(
        "autoencoder 784 x 32, cross-entropy",
        {"skmtl_autoencoder": None, "torch_autoencoder": 2, "keras_autoencoder": 10},
        **WIDE | CROSS,
    ),
    "wide-square": job(
        "autoencoder 784 x 32, squared error",
        {"skmtl_autoencoder": None, "sklearn_autoencoder": 1.5, "torch_autoencoder": 2},
        **WIDE | SQUARE,
    ),
    "topk-1024": job(
        "TopK d 128 m 1024 k 16 batch 512",
        {
            "skmtl_topk": None,
            "skmtl_topk_search_every_4": None,
            **dict.fromkeys(SAES, 3),
            "product": None,
        },
        **TOPK | {"features": 128, "latents": 1024, "k": 16, "batch": 512},
    ),
    "topk-3072": job(
        "TopK d 384 m 3072 k 32 batch 1024, 2 threads",
        {
            "skmtl_topk": None,
            "skmtl_topk_search_every_4": None,
            **dict.fromkeys(SAES, 2),
            "product": 1 / 2.1,
        },
        **LARGE | {"latents": 3072},
    ),
    "topk-12288": job(
        "TopK d 384 m 12288 k 32 batch 1024, 2 threads",
        {
            "skmtl_topk": None,
            "skmtl_topk_search_every_4": None,
            **dict.fromkeys(SAES, 4),
            "product": 1 / 1.5,
        },
        **LARGE | {"latents": 12288, "epochs": 5},
    ),
    "tox21": job(
        "12 tasks with gaps, tox21 (CSR)",
        {"skmtl_tasks": None, "torch_tasks": 5, "torch_tasks_sparse": 5, "skmtl_default": None},
        **BOTTOM | {"data": "tox21"},
    ),
    "yeast": job(
        "14 tasks, yeast",
        {"skmtl_tasks": None, "sklearn_tasks": 5, "torch_tasks": 2, "skmtl_default": None},
        **BOTTOM | {"data": "yeast"},
    ),
    "landmine": job(
        "29 tasks of 1 label a row, landmine",
        {"skmtl_tasks": None, "sklearn_tasks": 5, "torch_tasks": 2, "skmtl_default": None},
        **BOTTOM | {"data": "landmine"},
    ),
    "transform": job(
        "transform, 100000 rows, d 128 m 4096 k 32",
        {
            "skmtl_transform": None,
            "sparsify_encode": 2,
            "saelens_encode": 2,
            "torch_plain_encode": 2,
            "product": 1 / 1.3,
            "skmtl_transform_dense": None,
        },
        rows=100_000,
        features=128,
        latents=4096,
        k=32,
        batch=1024,
    ),
    "one-row": job("predict of one row", {"skmtl_one_row": None, "sklearn_one_row": 1}, latents=64),
    "search": job(
        "GridSearchCV of 24 fits, n_jobs=2",
        {"skmtl_search": None, "sklearn_search": 2},
        latents=64,
        batch=128,
        epochs=50,
    ),
}


def peers_python():
    """The interpreter of the peers' environment, made at the first call."""
    python = PEERS / "bin" / "python"
    if not (PEERS / ".ready").exists():
        venv.create(PEERS, with_pip=True)
        for requirements in REQUIREMENTS:
            subprocess.run([python, "-m", "pip", "install", "-q", *requirements], check=True)
        subprocess.run(
            [python, "-m", "pip", "install", "-q", "--no-deps", "-e", ".."], check=True, cwd=HERE
        )
        (PEERS / ".ready").touch()
    return str(python)


class Contestant:
    """A process that runs one contestant's part of a job whenever it is told to."""

    def __init__(self, python, job, name, folder, threads):
        limits = {f"{lib}_NUM_THREADS": str(threads) for lib in ("OMP", "OPENBLAS", "MKL")}
        quiet = {
            "HF_HUB_OFFLINE": "1",
            "WANDB_MODE": "disabled",
            "TQDM_DISABLE": "1",
            "TF_CPP_MIN_LOG_LEVEL": "3",
        }
        self.process = subprocess.Popen(
            [python, "contestants.py", job, name, folder],
            cwd=HERE,
            text=True,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=os.environ | limits | quiet,
        )

    def run(self):
        print("run", file=self.process.stdin, flush=True)
        answer = self.process.stdout.readline()
        if not answer:
            raise RuntimeError(f"{self.process.args[2:4]} died; run it by hand to see why")
        return json.loads(answer)

    def close(self):
        self.process.stdin.close()
        self.process.wait()


def measure(name, folder, n_rounds):
    """Seconds of each run and the last quality, by contestant; rounds go through all in turn."""
    python, threads = peers_python(), JOBS[name]["settings"]["threads"]
    contestants = {c: Contestant(python, name, c, folder, threads) for c in JOBS[name]["beside"]}
    result = {c: {"seconds": []} for c in contestants}
    for r in range(n_rounds + 1):
        for c, contestant in contestants.items():
            answer = contestant.run()
            if r:
                result[c]["seconds"].append(answer["seconds"])
                result[c]["quality"] = answer["quality"]
    for contestant in contestants.values():
        contestant.close()
    return result


def rows_of(name, result):
    """Rows of the table: job, contestant, ratio to ours, bound, quality."""
    medians = {c: np.median(r["seconds"]) for c, r in result.items()}
    ours = next(iter(result))
    for c, bound in JOBS[name]["beside"].items():
        ratio, quality = medians[c] / medians[ours], result[c].get("quality")
        yield [
            JOBS[name]["label"] if c == ours else "",
            c.replace("_", " "),
            f"{ratio:.2f}",
            "" if bound is None else f"{bound:.2f}",
            "" if quality is None else f"{quality:.3f}",
        ]


def table(rows):
    """A list-table for the docs."""
    head = ["Job", "Contestant", "Time over ours", "At least", "FVU"]
    lines = [".. list-table::", "   :header-rows: 1", ""]
    for row in [head, *rows]:
        lines += [f"   {'*' if i == 0 else ' '} - {cell}" for i, cell in enumerate(row)]
    return "\n".join(lines) + "\n"


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--jobs", nargs="*", default=list(JOBS), choices=list(JOBS))
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--redo", action="store_true", help="measure all again")
    parser.add_argument("--kept", action="store_true", help="only print what is kept")
    parser.add_argument(
        "--data",
        default=str(HERE.parents[1] / "shared" / "data"),
        help="folder with load.py and the data sets",
    )
    arguments = parser.parse_args()
    rows = []
    for name in JOBS:
        settings = JOBS[name]["settings"] | {"contestants": list(JOBS[name]["beside"])}

        if name in arguments.jobs and not arguments.kept:
            result = part(
                "speed",
                name,
                settings,
                lambda name=name: measure(name, arguments.data, arguments.rounds),
                arguments.redo,
            )
        else:
            result = kept("speed", name, settings)
        if result is None:
            continue
        for row in rows_of(name, result):
            rows.append(row)
            print("{:46} {:26} {:>8} {:>8} {:>8}".format(*row), flush=True)
    (HERE.parent / "docs" / "speed_table.inc").write_text(table(rows))


if __name__ == "__main__":
    sys.exit(main())
