"""Ways to damage a model file, or to make one up. Each takes a generator and the file's bytes."""

import io
import json
import re
import struct
import warnings
import zipfile

import numpy as np

from skmtl._files import _archive

JUNK = [
    *(None, True, False, 0, 1, -1, 2**31, 2**63, 2**64 - 1, 2**200, 0.5, -1e308, 1e300, "", "x"),
    *("W_dec", "nan", "../../etc/passwd", "skmtl.os.system", "\0", "𝄞" * 9, [], {}, [[]], [None]),
    *({"array": 0}, {"array": 1}, {"array": 10**6}, {"array": -1}, {"array": True}, {"tuple": []}),
    *({"float": "nan"}, {"float": "1"}, {"floats": 0}, {"scalar": 1}, {"dict": [[[], 1]]}),
    *({"dict": [["a", 1], ["a", 2]]}, {"objects": [[2], ["a"]]}, {"objects": [[0, 2**40], []]}),
    *({"generator": [1, 2, 3, 4]}, {"generator": [2**128, 1, 0, 0]}, {"random_state": [0, 1]}),
    *({"object": {"Equal": {}}}, {"object": {"TopK": {"k": -1}}}, {"object": {"os.system": {}}}),
    *(
        {"object": {"TopK": {"forward": 1}}},
        {"object": {"Tasks": {}}},
        {"object": {"Objective": 1}},
    ),
    *({"object": {"SparseAutoencoderTransformer": {"transform": 1}}}, {"pickle": "gASVAA=="}),
]


# --- blind -----------------------------------------------------------------------------------


def flip_bits(rng, data):
    out = np.frombuffer(data, np.uint8).copy()
    for at in rng.integers(0, len(out), rng.integers(1, 4)):
        out[at] ^= 1 << rng.integers(8)
    return out.tobytes()


def truncate(rng, data):
    return data[: rng.integers(0, len(data))]


def append(rng, data):
    return data + rng.bytes(rng.integers(1, 100))


def prepend(rng, data):
    return rng.bytes(rng.integers(1, 100)) + data


def cut_out(rng, data):
    start, stop = np.sort(rng.integers(0, len(data), 2))
    return data[:start] + data[stop + 1 :]


def write_over(rng, data):
    at = rng.integers(0, len(data))
    junk = [b"\0" * 8, b"\xff" * 8, rng.bytes(8), b"PK\x03\x04", b"PK\x05\x06"][rng.integers(5)]
    return data[:at] + junk + data[at + 8 :]


def swap_parts(rng, data):
    a, b, c = np.sort(rng.integers(0, len(data), 3))
    return data[:a] + data[b:c] + data[a:b] + data[c:]


# --- as a zip ---------------------------------------------------------------------------------


def members_of(data):
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def zipped(members, compress=zipfile.ZIP_STORED):
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", compress) as archive, warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # of names twice
        for name, content in members:
            archive.writestr(name, content)
    return file.getvalue()


def other_zip(rng, data):
    """Members renamed, doubled, left out, added, swapped, compressed; or a bomb."""
    members = list(members_of(data).items())
    i, j = rng.integers(0, len(members), 2)
    name, content = members[i]
    kind = rng.integers(8)
    if kind == 0:
        names = (
            "../" + name,
            "/" + name,
            "C:\\" + name,
            name.upper(),
            "arrays/../" + name,
            "x" * 99,
        )
        members[i] = (names[rng.integers(len(names))], content)
    elif kind == 1:
        members.insert(j, members[i])
    elif kind == 2:
        del members[i]
    elif kind == 3:
        members.append(("arrays/999.npy", content))
    elif kind == 4:
        members[i], members[j] = (name, members[j][1]), (members[j][0], content)
    elif kind == 5:
        return zipped(members, zipfile.ZIP_DEFLATED)
    elif kind == 6:
        members[i] = (name, bytes(10_000_000))
        return zipped(members, zipfile.ZIP_DEFLATED)
    return zipped(members)


def header_fields(rng, data):
    """Flags (encrypted), method, sizes, offsets and counts, in any of the headers."""
    signatures = (b"PK\x03\x04", b"PK\x01\x02", b"PK\x06\x06", b"PK\x06\x07", b"PK\x05\x06")
    signature = signatures[rng.integers(len(signatures))]
    starts = [match.start() for match in re.finditer(re.escape(signature), data)]
    at = starts[rng.integers(len(starts))] + rng.integers(4, 56)
    numbers = (struct.pack("<H", n) for n in (1, 8, 9, 0xFFFF))
    junk = [*numbers, struct.pack("<Q", 2**63), struct.pack("<Q", 10**12), bytes(8)]
    junk = junk[rng.integers(len(junk))]
    return data[:at] + junk + data[at + len(junk) :]


# --- as one who knows the format ----------------------------------------------------------------


def parts_of(data):
    return _archive.read(io.BytesIO(data), len(data))[:2]


def places(node, path=()):
    """Paths of all nodes of a tree."""
    yield path
    if isinstance(node, dict | list):
        for key in node if isinstance(node, dict) else range(len(node)):
            yield from places(node[key], (*path, key))


def edited(rng, tree):
    """One value of the tree replaced, left out, doubled or renamed."""
    every = [path for path in places(tree) if path]
    *path, last = every[rng.integers(len(every))]
    node = tree
    for key in path:
        node = node[key]
    kind = rng.integers(6)
    if kind == 0:
        del node[last]
    elif kind == 1 and isinstance(node, dict):
        node[("x", "transform", "W_dec", "__class__")[rng.integers(4)]] = node.pop(last)
    elif kind == 1:
        node.append(node[last])
    elif kind == 2 and type(node[last]) in (int, float):
        node[last] = node[last] * int(rng.integers(-2, 3)) + int(rng.integers(-1, 2))
    else:
        node[last] = JUNK[rng.integers(len(JUNK))]
    return tree


def manifest_wrong_hash(rng, data):
    """Edited where it is, in place where the length allows."""
    raw = members_of(data)["manifest.json"]
    return data.replace(raw, json.dumps(edited(rng, json.loads(raw))).encode())


def manifest_right_hash(rng, data):
    """The whole manifest edited, all hashes and lengths computed anew."""
    raw = members_of(data)["manifest.json"]
    manifest = edited(rng, json.loads(raw))
    new = json.dumps(manifest).encode()
    return with_manifest(data, new)


def with_manifest(data, new):
    """The file with another manifest, right in all but what the manifest says of the arrays."""
    members = members_of(data)
    members["manifest.json"] = new
    members["manifest.json.sha256"] = _archive._checksum(new)
    out, directory = b"", b""
    for name, content in members.items():
        size, crc = len(content), zipfile.crc32(content)
        directory += _archive._central(name, size, crc, len(out))
        out += _archive._local(name, size, crc) + content
    return out + directory + _archive._end(len(members), len(directory), len(out))


def model_right_hash(rng, data):
    """Only what is said of the estimator edited."""
    manifest, arrays = parts_of(data)
    file = io.BytesIO()
    _archive.write(file, edited(rng, {"": manifest["model"]}).get("", 0), arrays)
    return file.getvalue()


def arrays_right_hash(rng, data):
    """An array replaced by another: of other shape, dtype, layout, values, or one of the others."""
    manifest, arrays = parts_of(data)
    i, j = rng.integers(0, len(arrays), 2)
    array = arrays[i]
    others = [
        lambda: arrays[j],
        lambda: array.reshape(-1)[:-1],
        lambda: array.T,
        lambda: array[..., None],
        lambda: np.zeros((0, *array.shape), array.dtype),
        lambda: array.astype(np.float32 if array.dtype == np.float64 else np.float64),
        lambda: array.astype(np.int64),
        lambda: array.astype("U20"),
        lambda: np.asfortranarray(array),
        lambda: np.full_like(array, np.nan) if array.dtype.kind == "f" else -array,
        lambda: array * 0 + (2 if array.dtype.kind in "iu" else 1e30),
    ]
    try:
        with np.errstate(all="ignore"):
            arrays[i] = others[rng.integers(len(others))]()
    except (TypeError, ValueError, OverflowError):  # not of such an array
        del arrays[i]
    file = io.BytesIO()
    _archive.write(file, manifest["model"], arrays)
    return file.getvalue()


def shapes_right_hash(rng, data):
    """An array described as of giant, negative or no shape."""
    manifest = json.loads(members_of(data)["manifest.json"])
    entry = manifest["arrays"][rng.integers(len(manifest["arrays"]))]
    shapes = ([10**12], [2**62, 4], [0, 2**47], [-1, -1], [1.0], ["1"], [], [1] * 99, None, [[1]])
    dtypes = ("|O", "<f16", "V8", "<U999999999", "<c16", ">f8", "<M8[xx]", "<f8,<f8", "f8", 8)
    if rng.random() < 0.6:
        entry["shape"] = shapes[rng.integers(len(shapes))]
    else:
        entry["dtype"] = dtypes[rng.integers(len(dtypes))]
    return with_manifest(data, json.dumps(manifest).encode())


def swollen(rng, data):
    """A manifest of far more values than the file has bytes to spare, or nested without end."""
    raw = members_of(data)["manifest.json"]
    n = len(data)
    deep = 10 ** int(rng.integers(3, 6))
    fat = [
        b"[" + b"{}," * n + b"0]",
        b"[" * deep + b"]" * deep,
        b'"' + b"a" * n + b'\\ud834\\udd1e"',
    ]
    return with_manifest(data, raw.replace(b"null", fat[rng.integers(len(fat))], 1))


#: Whoever damages a file without computing hashes anew is always found out.
BLIND = [flip_bits, truncate, append, prepend, cut_out, write_over, swap_parts]
BLIND += [other_zip, header_fields, manifest_wrong_hash]
MADE_UP = [manifest_right_hash, model_right_hash, arrays_right_hash, shapes_right_hash, swollen]
