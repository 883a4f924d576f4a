"""Lists of arrays <-> one after the other in few arrays: a kind of model files.

{"arrays": [3, 4, 5]}: the shapes are in the fourth array of the file, in the fifth which of those
that follow holds each, and in the sixth their entries. Hundreds of tasks have a few numbers each,
and as an array of the file each would take hundreds of bytes.
"""

import math

import numpy as np

from skmtl._values import is_array, need, need_array, whole

#: In a file. Each takes some 200 bytes of memory, however little it takes of the file.
MOST = 5000


def _fits(value):
    if type(value) is not list or len(value) < 2 or not all(map(is_array, value)):
        return False
    return all(a.ndim == value[0].ndim in range(1, 5) and a.flags.c_contiguous for a in value)


def _write(value, writer):
    """The same for another list of the same arrays."""
    ids = tuple(map(id, value))
    if ids not in writer.memo:
        flat: dict = {}
        for array in value:
            flat.setdefault(array.dtype, []).append(array.ravel())
        of_dtype = {dtype: i for i, dtype in enumerate(flat)}
        shapes = np.array([a.shape for a in value], np.int64)
        which = np.array([of_dtype[a.dtype] for a in value], np.int64)
        arrays = shapes, which, *map(np.concatenate, flat.values())
        node = [writer.array(array) for array in arrays]
        writer.memo[ids] = node, list(value)  # the arrays, to keep their ids from being given away
    if sum(map(len, writer.memo)) > MOST:
        raise ValueError(
            f"est must hold at most {MOST} arrays in lists, such as those of its tasks; got more. "
            "Use joblib or pickle."
        )
    return writer.memo[ids][0]


def _read(node, reader):
    need(node, isinstance(node, list) and len(node) > 2)
    arrays = [reader.array(whole(index, len(reader.arrays))) for index in node]
    key = tuple(node)
    if key not in reader.memo:
        n_before = sum(map(len, reader.memo.values()))
        need_array(arrays[0], arrays[0].ndim == 2 and n_before + len(arrays[0]) <= MOST)
        reader.memo[key] = _cut_up(*arrays)
    return list(reader.memo[key])


def _cut_up(shapes, which, *flat):
    """Arrays of these shapes, each from the one of ``flat`` that ``which`` says."""
    need_array(shapes, shapes.dtype == np.int64 and 0 < shapes.shape[1] <= 4)
    need_array(which, which.dtype == np.int64 and which.shape == shapes.shape[:1])
    for array in flat:
        need_array(array, array.ndim == 1)
    starts, out = [0] * len(flat), []
    for shape, i in zip(shapes.tolist(), which.tolist(), strict=True):
        start = starts[whole(i, len(flat))]
        size = math.prod(whole(n, 2**31) for n in shape)
        need(shape, start + size <= len(flat[i]))
        out.append(flat[i][start : start + size].reshape(shape))
        starts[i] += size
    need(starts, starts == [len(array) for array in flat])
    return out


KIND = {"arrays": (_fits, _write, _read)}
