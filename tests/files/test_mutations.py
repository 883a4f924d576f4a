"""Damaged and made-up files: our ValueError, or the model that the file says it is."""

import io
import itertools
import tracemalloc

import numpy as np
import pytest

import skmtl
from skmtl import MultiTaskSAEClassifier, SparseAutoencoderTransformer
from skmtl.sparsifiers import JumpReLU
from tests.files.mutations import BLIND, MADE_UP
from tests.files.same import assert_same, results

N_FEATURES = 6
X = np.random.default_rng(0).random((40, N_FEATURES))
Y = np.array([["a", 2**60], ["b", -1]] * 20, dtype=object)


@pytest.fixture(scope="module")
def originals():
    """A small one with all kinds of values, most of it manifest; and one of a megabyte."""
    options = {"max_iter": 3, "tol": None, "random_state": 0}
    small = MultiTaskSAEClassifier(5, sparsifier=JumpReLU(l0=2), weight_decay=0.1, **options)
    small.set_params(class_weight=[{"a": 1.5, "b": 1.0}, None], nested_sizes=(2,))
    large = SparseAutoencoderTransformer(3000, random_state=np.random.RandomState(0), max_iter=1)
    large.set_params(tol=None)
    return [(est, bytes_of(est)) for est in (small.fit(X, Y), large.fit(X))]


def bytes_of(est):
    file = io.BytesIO()
    skmtl.save(est, file)
    return file.getvalue()


def loaded(data):
    """The estimator in a file, or None if it is refused in our words."""
    try:
        return skmtl.load(io.BytesIO(data))
    except ValueError as error:
        message = str(error)
        assert message.startswith("path must be a model file as skmtl.save writes it; got one ")
        assert len(message) < 2000
        return None


def traced(function, *args):
    """Its result, and the most memory that was allocated meanwhile."""
    tracemalloc.start()
    try:
        return function(*args), tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def check_mutants(originals, n):
    refused = made = 0
    for seed, mutate in zip(range(n), itertools.cycle(BLIND + MADE_UP), strict=False):
        rng = np.random.default_rng(seed)
        est, data = originals[rng.random() < 0.2]
        mutant = mutate(rng, data)
        got, peak = traced(loaded, mutant)
        allowed = 2 * max(len(mutant), len(data)) + (1 << 20)
        assert peak <= allowed, (seed, mutate, peak, len(mutant))
        if got is None:
            refused += 1
        elif mutate in BLIND:
            assert mutant == data, (seed, mutate)
            assert_same(got, est)
        else:
            made += 1
            assert_same(loaded(bytes_of(got)), got)
            try:
                results(got, X[:3])
                got.partial_fit(X, Y)
            except ValueError:  # a parameter that a user may set and fit would refuse, too
                pass
            except Exception as error:
                raise AssertionError((seed, mutate)) from error
    assert refused > 0.8 * n
    assert made > 0


@pytest.mark.filterwarnings("error")
def test_mutants(originals):
    check_mutants(originals, 300)


@pytest.mark.long
@pytest.mark.filterwarnings("error")
def test_ten_thousand_mutants(originals):
    check_mutants(originals, 10_000)
