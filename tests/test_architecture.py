"""The layers: who may import whom. What design says, the imports must show."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import skmtl

PACKAGE = Path(skmtl.__file__).parent
GROUND = {
    "_constraints",
    "_geometric_median",
    "_gradients",
    "_layouts",
    "_linalg",
    "_math",
    "_numba",
    "_refine",
    "_scratch",
    "_select",
    "_sklearn",
    "_threads",
    "_warn",
}
COMPONENTS = {
    "sparsifiers",
    "losses",
    "optimizers",
    "balancers",
    "dead_latents",
    "head_penalties",
}
LABELS = {"_targets"}  # the only place that knows "missing"; satellites read labels through it
SIBLINGS = {"_classifier", "_regressor"}  # they share what is in _multitask
ESTIMATORS = {"_transformer", *SIBLINGS}
BELOW_ESTIMATORS = {
    *GROUND,
    *LABELS,
    "_arrays",
    "_class_weight",
    "_balancing",
    "_checkpoint",
    "_components",
    "_data",
    "_finish",
    "_private",
    "_added",
    "_ridge",
    "_selection",
    "_logistic",
    "_fitting",
    "_gramian",
    "_heads",
    "_objectives",
    "_softmax_heads",
    "_validation",
    "_versions",
    "balancers",
    "head_penalties",
}
# From each module to the modules of the package it may import.
MAY_IMPORT = {
    "_version": set(),
    "_compiled": set(),
    "_numba": {"_compiled"},
    "_sklearn": set(),
    "_warn": set(),
    "_math": {"_numba"},
    "_scratch": set(),
    "_threads": {"_numba", "_scratch"},
    "_gradients": {"_numba", "_scratch", "_threads"},
    "_layouts": {"_numba", "_scratch"},
    "_linalg": {"_gradients", "_layouts", "_numba", "_scratch", "_threads"},
    "_select": {"_layouts", "_numba", "_threads"},
    "_refine": {"_layouts", "_linalg", "_numba", "_threads"},
    "_geometric_median": {"_linalg"},
    **dict.fromkeys(COMPONENTS, GROUND),
    "_components": set(),
    "_targets": {"_arrays"},
    "_arrays": {"_sklearn"},
    "_class_weight": set(),
    "_stratify": set(),
    "_schedules": set(),
    "_autoencoder": GROUND,
    "_softmax_heads": {"_math", "_numba"},
    "_squared_heads": {"_numba"},
    "_private": GROUND | {"_autoencoder"},
    "_heads": GROUND | {"_private", "_softmax_heads", "_squared_heads"},
    "_constraints": {"_numba"},
    "_gramian": {"_layouts", "_linalg", "_numba"},
    "_balancing": {"_arrays", "_gramian", "_warn"},
    "_objectives": GROUND | {"_private", "_autoencoder", "_gramian", "_heads"},
    "_training": GROUND | {"_objectives"},
    "_logistic": GROUND | {"_stratify"},
    "_ridge": {"_logistic"},
    "_selection": GROUND | {"_logistic", "_ridge"},
    "_added": {"_heads"},
    "_archive": {"_version"},
    "_values": {"_archive"},
    "_checkpoint": GROUND | {"_archive", "_atomic", "_training", "_values", "_version"},
    "_finish": GROUND | {"_heads", "_objectives"},
    "_validation": {"_arrays", "_sklearn", "_stratify", "_threads"},
    "_data": {"_layouts", "_linalg", "_objectives", "_training", "_validation"},
    "_fitting": GROUND
    | COMPONENTS
    | {"_autoencoder", "_checkpoint", "_components", "_objectives", "_schedules", "_training"},
    **dict.fromkeys(("_transformer", "_multitask"), BELOW_ESTIMATORS),
    "_task_estimator": set(),
    **dict.fromkeys(SIBLINGS, BELOW_ESTIMATORS | {"_multitask", "_task_estimator"}),
    "_stacking": LABELS | {"_arrays", "_sklearn"},
    "metrics": LABELS | {"_arrays"},
    "model_selection": LABELS | {"_arrays", "_sklearn", "_stratify"},
    "datasets": {"model_selection"},
    "_warmup": ESTIMATORS | {"sparsifiers"},
    "_atomic": set(),
    "_versions": {"_version"},
    # Their classes are what a file may hold, and it is given nothing else.
    "_files": ESTIMATORS
    | COMPONENTS
    | LABELS
    | {"_archive", "_atomic", "_fitting", "_gramian", "_objectives", "_private", "_sklearn"}
    | {"_values", "_version"},
    "__init__": {"_version", *ESTIMATORS, "_checkpoint", "_stacking", "_warmup", "_files"},
}


def module_of(path):
    return path.relative_to(PACKAGE).with_suffix("").parts[0]


def imports_of(path):
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


@pytest.mark.parametrize("path", sorted(PACKAGE.rglob("*.py")), ids=lambda p: p.name)
def test_imports_go_down(path):
    module = module_of(path)
    for name in imports_of(path):
        parts = name.split(".")
        if parts[0] == "skmtl":
            target = parts[1]
            assert target == module or target in MAY_IMPORT[module], f"{module} -> {target}"
        elif any(part.startswith("_") and not part.startswith("__") for part in parts):
            allowed = parts[0] == "sklearn" and module == "_sklearn"
            assert allowed, f"{path.name} imports the private {name}"


def in_fresh_process(code):
    return subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    ).stdout.strip()


def test_import_is_light():
    loaded = in_fresh_process(
        "import sys, skmtl; dir(skmtl); "
        "print([m for m in ('numba', 'sklearn', 'numpy', 'matplotlib') if m in sys.modules])"
    )
    assert loaded == "[]"


def test_public_names_exist():
    for name in skmtl.__all__:
        assert getattr(skmtl, name) is not None
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        name = "nothing"
        getattr(skmtl, name)


def test_kernels_are_compiled_one_way():
    """``kernel`` decides how; nobody else calls Numba, and no kernel runs parallel."""
    for path in PACKAGE.rglob("*.py"):
        if path.name not in ("_numba.py", "_compiled.py"):
            assert not any(name.split(".")[0] == "numba" for name in imports_of(path)), path


@pytest.mark.compiled
def test_another_fit_compiles_nothing():
    out = in_fresh_process(
        """
import numpy as np
from skmtl import MultiTaskSAEClassifier
from skmtl import _heads, _layouts, _linalg, _softmax_heads
from skmtl.losses import _squared_error
from skmtl.optimizers import _adam
from skmtl.sparsifiers import TopK, _topk
kernels = [k for m in (_heads, _softmax_heads, _layouts, _linalg, _squared_error, _adam, _topk)
           for k in vars(m).values() if hasattr(k, "signatures")]
X = np.random.default_rng(0).random((60, 5))
y = np.arange(60) % 3
def fit(X, **params):
    MultiTaskSAEClassifier(max_iter=2, tol=None, **params).fit(X, y).predict(X)
fit(X, n_components=64, sparsifier=TopK(k=4))
before = [len(k.signatures) for k in kernels]
X.flags.writeable = False
fit(np.asfortranarray(X), n_components=40, sparsifier=TopK(k=3), batch_size=7, learning_rate=0.01)
print(len(before) > 5, before == [len(k.signatures) for k in kernels])
"""
    )
    assert out.split()[-1] == "True"


@pytest.mark.compiled
def test_warmup_compiles_all():
    """After it, fits of other shapes, labels, layouts and numbers of threads compile nothing."""
    out = in_fresh_process(
        """
import sys
import numpy as np
import scipy.sparse as sp
import skmtl
from skmtl import MultiTaskSAEClassifier, MultiTaskSAERegressor, SparseAutoencoderTransformer
from skmtl.sparsifiers import SPARSIFIERS, TopK
from skmtl._warmup import read_only
skmtl.warmup()
sparsifiers = [TopK(3, search_every=2), TopK(30), None, *set(SPARSIFIERS) - {"softmax"}]
def signatures():
    return {
        (name, key): len(value.signatures)
        for name, module in sys.modules.items() if name.startswith("skmtl")
        for key, value in vars(module).items() if hasattr(value, "signatures")
    }
before = signatures()
rng = np.random.default_rng(0)
for dtype in (np.float32, np.float64):
    dense = rng.random((300, 7)).astype(dtype)
    Y = rng.integers(0, 4, (300, 5)).astype(float)
    Y[rng.random(Y.shape) < 0.9] = np.nan
    for X in (dense, sp.csr_array(dense), read_only(dense), read_only(sp.csr_array(dense))):
        for sparsifier in sparsifiers:
            common = {"max_iter": 2, "tol": None, "sparsifier": sparsifier, "n_jobs": 2}
            SparseAutoencoderTransformer(50, nested_sizes=[9], **common).fit(X).set_params(
                transform_algorithm="refine").transform(X)
            SparseAutoencoderTransformer(50, loss="log_loss", **common).fit(X).transform(X)
            MultiTaskSAEClassifier(50, optimizer="adamw", compute_affinity=True, **common).fit(
                X, Y).predict(X[:1])
            MultiTaskSAERegressor(50, **common).fit(X, np.nan_to_num(Y))
            MultiTaskSAERegressor(50, **common).fit(X, Y).predict(X[:1])
        MultiTaskSAEClassifier(
            50, skip_connection=True, n_private_components=3, **common).fit(X, Y).predict(X)
after = signatures()
print({k: (before.get(k), n) for k, n in after.items() if n != before.get(k)}, len(after) > 20)
"""
    )
    assert out == "{} True"
