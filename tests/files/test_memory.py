"""Files made up to ask for memory: twice their length and a megabyte, whatever they are made of."""

import io
import json

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
from tests.files.same import assert_same
from tests.files.test_mutations import bytes_of, traced

KEY = np.random.RandomState(0).get_state()[1]
TASKS = ("_objective", "object", "Objective", "tasks", "object", "Tasks")
#: What a file can hold many of, as JSON; and arrays that it may refer to.
NODES = {
    "numbers": ("0", []),
    "fractions": ("0.5", []),
    "strings": ('"a"', []),
    "wide strings": ('"\\ud834\\udd1eaaaaaaaaaaaaaaaaaaaaaaaaaaa"', []),
    "lists": ("[]", []),
    "lists of one": ("[[0]]", []),
    "tuples": ('{"tuple": [0]}', []),
    "dicts": ('{"dict": [["a", 1]]}', []),
    "floats apart": ('{"float": "nan"}', []),
    "objects": ('{"objects": [[1], [0]]}', []),
    "arrays": ('{"array": 0}', [KEY]),
    "generators": ('{"generator": [1, 1, 0, 0]}', []),
    "random states": ('{"random_state": [{"array": 0}, 1, 0, 0.0]}', [KEY]),
    **{
        name: (json.dumps({"object": {name: {}}}), [])
        for name in ("SparseAutoencoderTransformer", "MultiTaskSAEClassifier", "TopK", "Mixture")
    },
}


def fat(n):
    """Values of a file of which the arrays are most; by name."""
    return {
        "a list of floats": lambda: [0.1 * i for i in range(n)],
        "an array of strings": lambda: np.array([f"{i}" for i in range(n)], object),
        "one wide character": lambda: np.array(["a" * n + "\U0001d11e"], object),
        "lists of arrays": lambda: [np.full(1, i) for i in range(n)],
        "lists of matrices": lambda: [np.full((1, 1, 1, 1), i) for i in range(n)],
        "lists of strings": lambda: [np.array([f"{i}"], object) for i in range(n)],
        "arrays": lambda: [np.full(1, i % 2 == 0) if i % 2 else np.zeros(1) for i in range(n // 9)],
    }


@pytest.fixture(scope="module", autouse=True)
def warmed_up():
    """What is imported or made once is no part of a file."""
    check_bounded(made_up([], [], 0))


def check_bounded(data):
    """Whether it is read, in the memory that it may take."""

    def load():
        try:
            return skmtl.load(io.BytesIO(data))
        except ValueError as error:
            assert "path must be a model file" in str(error)
            return None

    got, peak = traced(load)
    assert peak <= 2 * len(data) + (1 << 20), (peak, len(data), peak / len(data), got is not None)
    return got is not None


def made_up(note, arrays, padding):
    """A file of an unfitted estimator with something more; ``padding`` bytes are an array."""
    est = SparseAutoencoderTransformer(nested_sizes=np.ones(padding, np.uint8))
    writer = Writer("est", KINDS)
    writer.arrays += arrays
    model = writer.put(est)
    model["object"]["SparseAutoencoderTransformer"]["note_"] = note
    file = io.BytesIO()
    _archive.write(file, model, writer.arrays, spent=-np.inf)
    return file.getvalue()


@pytest.mark.parametrize("name", NODES)
def test_many_small_values(name):
    """As many as are let through, found by halves; and some more, which are not."""
    node, arrays = NODES[name]
    few, many = 0, 1 << 14
    while many - few > 1 + few // 10:
        n = (few + many) // 2
        note = json.loads("[" + ", ".join([node] * n) + "]")
        if check_bounded(made_up(note, arrays, 500_000)):
            few = n
        else:
            many = n
    assert 100 < few < 1 << 14


@pytest.mark.parametrize("padding", [0, 3_000_000])
@pytest.mark.parametrize("what", fat(0))
def test_values_kept_in_arrays(what, padding):
    read = []
    for n in (1000, 4000, 20_000, 50_000):
        writer = Writer("est", KINDS)
        node = writer.put(fat(n)[what]())
        arrays = list(writer.arrays)
        read.append(check_bounded(made_up(node, arrays, padding)))
    assert read[0]


N = 200_000
WIDE = np.array("\1" * N)
#: Large values in places where a fitted estimator has small ones: by place, node and arrays.
MISPLACED = {
    "floats for a number": (("tol",), {"floats": 0}, np.full(N, "0.12345678901234567", "S32")),
    "text for a number": (("tol",), {"scalar": 0}, WIDE),
    "text for the kinds of heads": ((*TASKS, "kinds"), {"array": 0}, WIDE[None]),
    "a kind of heads for each": ((*TASKS, "kinds"), {"array": 0}, np.arange(N).astype("U6")),
    "tasks without end": ((*TASKS, "offsets"), {"array": 0}, np.zeros(N, np.int64)),
    "heads added without end": ((*TASKS, "later"), {"array": 0}, np.zeros(N, np.int64)),
    "latents of tasks without end": (
        (*TASKS[:3], "private"),
        {"object": {"Private": {"size": 10**9, "k": 1}}},
        np.zeros(N),
    ),
}


@pytest.mark.parametrize("what", MISPLACED)
@pytest.mark.parametrize("cls", [MultiTaskSAEClassifier, MultiTaskSAERegressor])
def test_large_values_out_of_place(what, cls):
    X = np.random.default_rng(0).random((20, 3))
    est = cls(2, max_iter=1, tol=None).fit(X, X[:, :2] > 0.5)
    path, node, array = MISPLACED[what]
    writer = Writer("est", KINDS)
    writer.array(array)
    model = writer.put(est)
    at = model["object"][cls.__name__]
    for step in path[:-1]:
        at = at[step]
    at[path[-1]] = node
    file = io.BytesIO()
    _archive.write(file, model, writer.arrays, spent=-np.inf)
    assert not check_bounded(file.getvalue())


def test_one_list_again_and_again():
    writer = Writer("est", KINDS)
    node = writer.put([np.zeros(1)] * 10_000)
    for n in (1, 10, 100, 1000):
        is_read = check_bounded(made_up([node] * n, writer.arrays, 4_000_000))
    assert not is_read


def test_save_refuses_what_load_does():
    """To the last value."""
    for what in fat(0):
        few, many = 0, 1 << 15
        while many - few > 1:
            n = (few + many) // 2
            est = SparseAutoencoderTransformer(nested_sizes=fat(n)[what]())
            try:
                data = bytes_of(est)
            except ValueError:
                many = n
            else:
                few = n
                last = data, est
        data, est = last
        assert_same(skmtl.load(io.BytesIO(data)), est)


def test_a_long_curve():
    """No list of floats is too long: it is as large in the file as it is in memory."""
    est = SparseAutoencoderTransformer(
        nested_sizes=np.random.default_rng(0).random(200_000).tolist()
    )
    data = bytes_of(est)
    got, peak = traced(skmtl.load, io.BytesIO(data))
    assert_same(got, est)
    assert peak <= 2 * len(data) + (1 << 20)
