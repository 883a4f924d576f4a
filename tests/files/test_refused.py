"""Single ways in which a file can be wrong, each with its message."""

import io
import itertools
import json
import os
import pickle
import zipfile

import joblib
import numpy as np
import pytest

import skmtl
from skmtl import MultiTaskSAEClassifier, SparseAutoencoderTransformer
from skmtl._files import MIGRATIONS, _archive
from tests.files import mutations
from tests.files.same import assert_same


@pytest.fixture(scope="module")
def est():
    X = np.random.default_rng(0).random((20, 4)).astype(np.float32)
    Y = np.array([["a", "b"], ["c", "d"]] * 10)
    return MultiTaskSAEClassifier(3, max_iter=2, tol=None, random_state=0).fit(X, Y)


@pytest.fixture(scope="module")
def data(est):
    file = io.BytesIO()
    skmtl.save(est, file)
    return file.getvalue()


def refusal(data):
    with pytest.raises(ValueError) as caught:
        skmtl.load(io.BytesIO(data))
    return str(caught.value)


def with_model(data, change):
    """The file with its model changed in place, all hashes right."""
    manifest, arrays = mutations.parts_of(data)
    (parts,) = manifest["model"]["object"].values()
    change(parts, arrays)
    file = io.BytesIO()
    _archive.write(file, manifest["model"], arrays)
    return file.getvalue()


def test_each_byte_counts(data):
    """Of a whole file, whichever byte is changed."""
    every = range(0, len(data), 7)
    refused = [refusal(data[:i] + bytes([data[i] ^ 1]) + data[i + 1 :]) for i in every]
    assert len({message.split("got one ")[1][:20] for message in refused}) > 3
    for n in itertools.chain(range(0, 200), range(200, len(data), 101)):
        assert "ends too early" in refusal(data[:n]) or "asks for" in refusal(data[:n])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda data: b"", "ends too early"),
        (lambda data: data + b"\0", "bytes where its manifest asks for"),
        (lambda data: b"#!" + data, "does not begin as one"),
        (lambda data: pickle.dumps(print), "joblib.load reads what joblib"),
        (lambda data: mutations.zipped(mutations.members_of(data).items()), "does not begin"),
        (lambda data: data.replace(b'"k": 16', b'"k": 17'), "manifest is damaged"),
        (lambda data: data.replace(b"arrays/1.npy", b"arrays/../1n"), "arrays/1.npy is damaged"),
        (lambda data: data.replace(b"arrays/1.npy", b"arrays/0.npy"), "arrays/1.npy is damaged"),
        (lambda data: data[:-1] + b"\1", "end is damaged"),
    ],
)
def test_damage(change, message, data):
    assert message in refusal(change(data))


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (b'{"format": 1,', b'{"format": 2,', "format 2, written by a newer skmtl"),
        (b'{"format": 1,', b'{"format": 0,', "of format 0"),
        (b'{"format": 1,', b'{"format": true,', "of format True"),
        (b'{"format": 1,', b'{"format": 1, "format": 1,', "not as save writes it"),
        (b'{"format": 1,', b'{"format": 1,  ', "not as save writes it"),
        (b'{"format": 1,', b'{"format": 1, "more": 1,', "not as save writes it"),
        (b'"tol": null', b'"tol": NaN', "not as save writes it"),
        (b'"tol": null', b'"tol": 1e999', "not as save writes it"),
        (b'"tol": null', b'"tol": 1' + b"0" * 5000, "not JSON|not as save writes it"),
        (b'"tol": null', b'"tol": ' + b"[" * 200 + b"]" * 200, "do not fit together|too deep"),
        (b'"tol": null', b'"tol": ' + b"[" * 9999 + b"]" * 9999, "holds more|not JSON|too deeply"),
        (b'"tol": null', b'"tol": {"pickle": "gASVAA=="}', "where save never writes it"),
        (b'"tol": null', b'"tol": {"object": {"os.system": {}}}', "class 'os.system'"),
        (
            b'"tol": null',
            b'"tol": "x"',
            "'tol' parameter of MultiTaskSAEClassifier is not",
        ),
        (b'"tol": null', b'"predict": null', "where save never writes it"),
        (b'"tol": null', b'"__class__": null', "where save never writes it"),
        (b'"dtype": "<f4", "shape": [3, 4]', b'"dtype": "|O", "shape": [3, 4]', "described as"),
        (b'"shape": [3, 4]', b'"shape": [4, 3]', "is damaged"),
        (b'"shape": [3, 4]', b'"shape": [-3, -4]', "described as"),
        (b'"shape": [3, 4]', b'"shape": [1000000000000]', "asks for"),
        (b'"shape": [3, 4]', b'"shape": [0, 100000000000000]', "asks for"),
        (b'"order": "C"', b'"order": "F"', "damaged|described as"),
    ],
)
def test_manifests(old, new, message, data):
    raw = mutations.members_of(data)["manifest.json"]
    assert old in raw
    found = refusal(mutations.with_manifest(data, raw.replace(old, new, 1)))
    assert any(part in found for part in message.split("|")), found


def set_in(*path, to):
    def change(parts, arrays):
        node = parts
        for key in path[:-1]:
            node = node[key]
        node[path[-1]] = to

    return change


def resized(name, shape):
    """Another shape for one of the arrays of ``params``."""

    def change(parts, arrays):
        index = dict(parts["_params"]["dict"])[name]["array"]
        arrays[index] = np.resize(arrays[index], shape)

    return change


OBJECTIVE = ("_objective", "object", "Objective")


@pytest.mark.parametrize(
    "change",
    [
        *(resized("b_enc", shape) for shape in [(2,), (4,), (3, 1), ()]),
        *(resized("W_dec", shape) for shape in [(3, 3), (4, 4), (3, 0), (12,)]),
        *(resized("W_head", shape) for shape in [(4, 2), (3, 3), (5, 3)]),
        set_in(*OBJECTIVE, "tasks", to=None),
        set_in(*OBJECTIVE, "tied", to=True),
        set_in(*OBJECTIVE, "tied", to="no"),
        set_in(*OBJECTIVE, "sparsifier", to={"object": {"JumpReLU": {}}}),
        set_in(*OBJECTIVE, "sparsifier", to={"object": {"TopK": {"k": -1}}}),
        set_in(*OBJECTIVE, "sparsifier", to={"object": {"Adam": {}}}),
        set_in(*OBJECTIVE, "sparsifier", to=None),
        set_in(
            *OBJECTIVE, "reconstruction", "object", "Additive", "loss", to={"object": {"L1": {}}}
        ),
        set_in(*OBJECTIVE, "tasks", "object", "Tasks", "balancer", to={"object": {"TopK": {}}}),
        set_in("n_features_in_", to=5),
        set_in("_params", to=[]),
        set_in("_params", to={"dict": []}),
        set_in("_state", to={"dict": [["optimizer", 1]]}),
        lambda parts, arrays: parts.pop("_state"),
        lambda parts, arrays: parts.pop("_targets"),
        lambda parts, arrays: parts.pop("_objective"),
        lambda parts, arrays: parts.pop("n_features_in_"),
        lambda parts, arrays: arrays.append(np.zeros(3)),
        lambda parts, arrays: arrays.__setitem__(0, arrays[0].astype(np.float64)),
        lambda parts, arrays: arrays.__setitem__(0, arrays[0] * np.nan),
    ],
)
def test_parts_that_do_not_fit(change, data):
    """Of a file made up with right hashes: kernels are never given what could crash them."""
    message = refusal(with_model(data, change))
    assert "do not fit together" in message or "belong to nothing" in message


@pytest.mark.parametrize(
    ("array", "message"),
    [
        (np.array([2], np.uint8).view(bool), "bools that are neither 0 nor 1"),
        (np.array([2**31], np.uint32).view("U1"), "characters that are none"),
    ],
)
def test_bits_that_mean_nothing(array, message, data):
    def change(parts, arrays):
        parts["note_"] = {"array": len(arrays)}
        arrays.append(array)

    assert message in refusal(with_model(data, change))


def test_no_code_is_run(data, tmp_path):
    """Whatever a pickle inside would do."""
    witness = tmp_path / "witness"

    class Payload:
        def __reduce__(self):
            return os.mkdir, (str(witness),)

    evil = pickle.dumps(Payload())
    members = mutations.members_of(data)
    for name in members:
        refusal(mutations.zipped((members | {name: evil}).items()))
    array = io.BytesIO()
    np.save(array, np.array([Payload()]), allow_pickle=True)
    refusal(mutations.zipped((members | {"arrays/0.npy": array.getvalue()}).items()))
    joblib.dump(Payload(), tmp_path / "evil")
    refusal((tmp_path / "evil").read_bytes())
    assert not witness.exists()


def test_a_bomb_is_not_unpacked(data, tmp_path):
    file = tmp_path / "bomb"
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("manifest.json", bytes(50_000_000))
    assert file.stat().st_size < 100_000
    assert "does not begin as one" in refusal(file.read_bytes())


def test_message_names_the_file(data, tmp_path):
    (tmp_path / "model").write_bytes(data[:-1])
    with pytest.raises(ValueError, match=r"model' must be a model file.*bytes where"):
        skmtl.load(tmp_path / "model")


# --- formats ------------------------------------------------------------------------------------


def test_older_formats_are_migrated(data, est, monkeypatch):
    """As if format 2 had renamed a parameter: files of format 1 are read, and saved as 2."""

    def renamed(manifest):
        (parts,) = manifest["model"]["object"].values()
        parts["n_components"] = parts.pop("width")
        return manifest | {"format": 2}

    raw = mutations.members_of(data)["manifest.json"]
    old = mutations.with_manifest(data, raw.replace(b"n_components", b"width"))
    monkeypatch.setattr(_archive, "FORMAT", 2)
    monkeypatch.setitem(MIGRATIONS, 1, renamed)
    assert "of format 1 without" in refusal(data)
    loaded = skmtl.load(io.BytesIO(old))
    assert loaded.n_components == est.n_components == 3
    assert_same(loaded.predict(np.eye(4)), est.predict(np.eye(4)))
    file = io.BytesIO()
    skmtl.save(loaded, file)
    assert json.loads(mutations.members_of(file.getvalue())["manifest.json"])["format"] == 2


def test_parameters_of_later_versions_have_their_defaults(data):
    def without(parts, arrays):
        del parts["sparse_output"], parts["_objective"]["object"]["Objective"]["terms"]

    est = skmtl.load(io.BytesIO(with_model(data, without)))
    assert est.sparse_output is False
    assert est._objective.terms == []


def test_there_is_a_way_from_each_format():
    assert set(MIGRATIONS) == set(range(1, _archive.FORMAT))


def test_unfitted_parts_are_not_half_a_fit():
    """Attributes of a fit, but none of a fitted estimator."""
    est = SparseAutoencoderTransformer()
    est._params = {}
    with pytest.raises(ValueError, match="as a fit leaves it"):
        skmtl.save(est, io.BytesIO())


LISTS = {
    "entries left over": lambda shapes, which, flat: shapes.__setitem__(0, 1),
    "more entries than there are": lambda shapes, which, flat: shapes.__setitem__(0, 9),
    "a shape below zero": lambda shapes, which, flat: shapes.__setitem__(0, -2),
    "a shape beyond all bounds": lambda shapes, which, flat: shapes.__setitem__(0, 2**62),
    "an array that is not there": lambda shapes, which, flat: which.__setitem__(0, 1),
    "one before the first": lambda shapes, which, flat: which.__setitem__(0, -1),
}


@pytest.mark.parametrize("what", LISTS)
def test_lists_of_arrays(what, data):
    def change(parts, arrays):
        *own, flat = parts["task_intercept_"]["arrays"]
        own.append(flat["array"])
        for i in own:
            arrays[i] = arrays[i].copy()
        LISTS[what](*(arrays[i] for i in own))

    assert "where save never writes it" in refusal(with_model(data, change))


@pytest.mark.parametrize(
    "node",
    [
        *(3, [], [0, 1], {"a": 1}, [0, 10**6, {"array": 0}]),
        *([0, 1, node] for node in ("2", 2, {"array": 10**6}, {"array": -1}, {"float": "nan"})),
    ],
    ids=repr,
)
def test_lists_of_arrays_that_are_none(node, data):
    def change(parts, arrays):
        parts["classes_"] = {"arrays": node}

    assert "where save never writes it" in refusal(with_model(data, change))


def test_lists_of_too_many_arrays(data):
    def change(parts, arrays):
        arrays += [np.ones((9000, 1), np.int64), np.zeros(9000, np.int64), np.zeros(9000)]
        i = len(arrays) - 3
        parts["classes_"] = {"arrays": [i, i + 1, {"array": i + 2}]}

    assert "more values than a file of its length" in refusal(with_model(data, change))


SHAPE = {
    "objects": [[0, *[2**31 - 1] * 3], []],
    "arrays": lambda arrays: [
        *(arrays.append(a) or len(arrays) - 1 for a in (BEYOND, np.zeros(1, np.int64))),
        {"array": arrays.append(np.empty(0)) or len(arrays) - 1},
    ],
}
BEYOND = np.array([[0, *[2**31 - 1] * 3]])


@pytest.mark.parametrize("kind", SHAPE)
def test_empty_arrays_of_shapes_beyond_numpy(kind, data):
    def change(parts, arrays):
        node = SHAPE[kind](arrays) if callable(SHAPE[kind]) else SHAPE[kind]
        parts["note_"] = {kind: node}

    assert "with an array of no shape" in refusal(with_model(data, change))


FLOATS = np.full(9, "0.5", "S32")


@pytest.mark.parametrize("kind, array", [("scalar", np.array("x" * 9)), ("floats", FLOATS)])
def test_entries_that_are_copied_are_looked_up_once(kind, array, data):
    def change(parts, arrays):
        arrays.append(array)
        parts["loss_curve_"] = [{kind: len(arrays) - 1}] * 2

    assert "where save never writes it" in refusal(with_model(data, change))
