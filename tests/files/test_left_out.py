"""A file of a model without one of its entries: it is refused, or nothing breaks later."""

import copy
import io

import numpy as np
import pytest

import skmtl
from skmtl import (
    MultiTaskSAEClassifier,
    MultiTaskSAERegressor,
    SparseAutoencoderTransformer,
    _archive,
)
from skmtl._files._objects import KINDS
from skmtl._values import Writer
from tests.files.same import results

pytestmark = [
    pytest.mark.compiled,
    pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning"),
]
X = np.random.default_rng(0).random((30, 4))
Y = np.column_stack([np.arange(30) % 2, np.arange(30) % 3]).astype(float)
QUICK = {"n_components": 4, "max_iter": 1, "tol": None, "random_state": 0}
MUCH = {
    "n_private_components": 2,
    "skip_connection": True,
    "n_members": 2,
    "pretrain_iter": 1,
    "pretrained_penalty": 0.1,
}
ESTIMATORS = {
    "transformer": SparseAutoencoderTransformer(**QUICK, sparsifier="jumprelu"),
    "mixture": SparseAutoencoderTransformer(**QUICK, loss="mixture", optimizer="sgd"),
    "gradnorm": MultiTaskSAEClassifier(
        **QUICK, **MUCH, balancer="gradnorm", compute_affinity=True, head_penalty="group"
    ),
    "famo": MultiTaskSAEClassifier(**QUICK, balancer="famo"),
    "uncertainty": MultiTaskSAERegressor(**QUICK, **MUCH, balancer="uncertainty"),
}


def places(node, path=()):
    """Of each part of an object and entry of a dict, where it is and its key."""
    if isinstance(node, dict):
        for key, value in node.items():
            if path[-2:-1] == ("object",):
                yield path, key
            yield from places(value, (*path, key))
    elif isinstance(node, list):
        for i, value in enumerate(node):
            if path[-1] == "dict":
                yield path, i
            yield from places(value, (*path, i))


def without(model, path, key, is_none):
    """The model without an entry, or with None in its place."""
    model = copy.deepcopy(model)
    node = model
    for step in path:
        node = node[step]
    if not is_none:
        del node[key]
    elif isinstance(node, list):
        node[key][1] = None
    else:
        node[key] = None
    return model


def use(est):
    """Whatever one does with a fitted estimator; a ValueError may say that it cannot be."""
    results(est, X)
    est.score(X, Y)
    est.get_feature_names_out()
    again = copy.deepcopy(est)
    again.partial_fit(X, Y)
    again.set_params(warm_start=True).fit(X, Y)
    if isinstance(est, MultiTaskSAEClassifier):
        est.task_estimator(0).predict(X)
    if not isinstance(est, SparseAutoencoderTransformer):
        est.add_task(X, Y[:, 0], name="new").partial_fit(X, np.column_stack([Y, Y[:, 0]]))


@pytest.mark.parametrize("name", ESTIMATORS)
@pytest.mark.parametrize("is_none", [False, True], ids=["left out", "None"])
def test_left_out(name, is_none):
    writer = Writer("est", KINDS)
    est = ESTIMATORS[name].fit(X, Y)
    est.kept_ = [np.zeros(1)]
    model = writer.put(est)
    (parts,) = model["object"].values()
    parts["kept_"] = [{"array": i} for i in range(len(writer.arrays))]  # none belongs to nothing
    refused = 0
    for path, key in places(model):
        file = io.BytesIO()
        _archive.write(file, without(model, path, key, is_none), writer.arrays)
        file.seek(0)
        try:
            loaded = skmtl.load(file)
        except ValueError:
            refused += 1
            continue
        try:
            use(loaded)
        except ValueError:
            pass
        except Exception as error:  # whatever it is, loading should have refused
            raise AssertionError((path, key)) from error
    assert refused > 20
