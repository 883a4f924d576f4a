"""Python in a process of its own; fits whose bits are to be found again, there and elsewhere."""

import json
import os
import subprocess
import sys
import warnings
from hashlib import sha256
from pathlib import Path

import numpy as np

from skmtl import MultiTaskSAEClassifier, MultiTaskSAERegressor, SparseAutoencoderTransformer
from skmtl.balancers import CAGrad
from skmtl.losses import Mixture
from skmtl.sparsifiers import TopK

ROOT = Path(__file__).parents[1]
COMMON = {"max_iter": 3, "tol": None, "learning_rate": 0.01, "random_state": 0}


def run(code, *, timeout=600, cwd=None, **environment):
    """What ``code`` prints in a new interpreter; a variable that is None is not set there."""
    variables = {**os.environ, "PYTHONPATH": str(ROOT), **environment}
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={name: value for name, value in variables.items() if value is not None},
        cwd=cwd,
        capture_output=True,
        text=True,
        timeout=timeout,
    )
    assert done.returncode == 0, f"{done.returncode}\n{done.stdout}\n{done.stderr}"
    return done.stdout


def data():
    """Rows with zeros; labels and real targets of four tasks, one of them for each row."""
    rng = np.random.default_rng(0)
    X = np.maximum(rng.standard_normal((120, 5)), 0)
    own = np.arange(4) == np.arange(120)[:, None] % 4
    return X, np.where(own, rng.integers(0, 2, own.shape), np.nan), np.where(own, X[:, :4], np.nan)


def estimators(**params):
    """By name, few that meet between them what may depend on order, memory or threads."""
    common = COMMON | {"batch_size": 30} | params
    return {
        "transformer, sparse codes": SparseAutoencoderTransformer(
            40, sparsifier=TopK(3), transform_algorithm="refine", **common
        ),
        "transformer, mixture": SparseAutoencoderTransformer(8, loss=Mixture(), **common),
        "transformer, median": SparseAutoencoderTransformer(
            8, bias_init="geometric_median", sparsifier="jumprelu", early_stopping=True, **common
        ),
        "classifier, group penalty": MultiTaskSAEClassifier(
            8,
            skip_connection=True,
            head_penalty="group",
            tied=True,
            transform_algorithm="refine",
            **common | {"batch_size": 1},
        ),
        "classifier, Gramian": MultiTaskSAEClassifier(
            40, balancer=CAGrad(), n_private_components=2, sparsifier=TopK(3), **common
        ),
        "classifier, guard": MultiTaskSAEClassifier(8, head_selection="cv", **common),
        "classifier, pretrained": MultiTaskSAEClassifier(
            8, pretrain_iter=2, pretrained_penalty=0.1, batching="task_balanced", **common
        ),
        "regressor, guard": MultiTaskSAERegressor(8, head_selection="cv", **common),
        "regressor, members": MultiTaskSAERegressor(
            30, n_members=2, input_dropout=0.2, head_dropout=0.2, dead_latents="aux_k", **common
        ),
    }


def fit(name, estimator, X=None):
    """Fit to the data, or to the same rows in another shape."""
    rows, labels, targets = data()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return estimator.fit(
            rows if X is None else X, targets if name.startswith("regressor") else labels
        )


def digest(estimator, X=None):
    """Hash of all numbers that a fitted estimator gives."""
    X = data()[0] if X is None else X
    sets = [estimator._params, *(params for params, _ in getattr(estimator, "_members", []))]
    arrays = [params[name] for params in sets for name in sorted(params)]
    arrays += [np.array(estimator.loss_curve_), estimator.firing_rate_, estimator.transform(X)]
    if hasattr(estimator, "predict"):
        arrays.append(estimator.predict(X))
    if hasattr(estimator, "predict_proba"):
        arrays += estimator.predict_proba(X)
    return sha256(b"".join(np.ascontiguousarray(array).tobytes() for array in arrays)).hexdigest()


def digests(X=None, **params):
    return {name: digest(fit(name, e, X), X) for name, e in estimators(**params).items()}


def digests_in(**environment):
    """The same in a new interpreter."""
    script = "import json\nfrom tests.fresh import digests\nprint(json.dumps(digests()))"
    return json.loads(run(script, **environment))
