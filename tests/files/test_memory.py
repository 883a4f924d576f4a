"""Files made up to ask for memory: twice their length and a megabyte, whatever they are made of."""

import io
import json

import numpy as np
import pytest

import skmtl
from skmtl import SparseAutoencoderTransformer, _archive
from skmtl._files._objects import KINDS
from skmtl._values import Writer
from tests.files.same import assert_same
from tests.files.test_mutations import bytes_of, traced

KEY = np.random.RandomState(0).get_state()[1]
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
            assert "holds" in str(error)
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
