"""Lists of arrays <-> one after the other in few arrays: a kind of model files.

{"arrays": [3, 4, {"array": 5}]}: the shapes are in the fourth array of the file, in the fifth
which of those that follow holds each, and in the sixth their entries. Hundreds of tasks have a few
numbers or strings each, and as an array of the file each would take hundreds of bytes.
"""

import math

import numpy as np

from skmtl._archive import shaped
from skmtl._values import is_array, is_strings, need, need_array, whole

OF_ARRAY = 200  # bytes, however few its entries are,
OF_PLACE = 8  # and in each list of it


def _fits(value):
    if type(value) is not list or len(value) < 2:
        return False
    if not all(is_array(a) or is_strings(a) for a in value):
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
        node = [writer.array(shapes), writer.array(which)]
        node += [writer.put(np.concatenate(parts)) for parts in flat.values()]
        writer.spend(OF_ARRAY * len(value))
        writer.memo[ids] = node, list(value)  # the arrays, to keep their ids from being given away
    writer.spend(OF_PLACE * len(value))
    return writer.memo[ids][0]


def _read(node, reader):
    need(node, isinstance(node, list) and len(node) > 2)
    key = repr(node)
    if key not in reader.memo:
        shapes, which = map(reader.array, node[:2])
        need_array(shapes, shapes.ndim == 2)
        reader.spend(OF_ARRAY * len(shapes))
        reader.memo[key] = _cut_up(shapes, which, *map(reader.get, node[2:]))
    reader.spend(OF_PLACE * len(reader.memo[key]))
    return list(reader.memo[key])


def _cut_up(shapes, which, *flat):
    """Arrays of these shapes, each from the one of ``flat`` that ``which`` says."""
    need_array(shapes, shapes.dtype == np.int64 and 0 < shapes.shape[1] <= 4)
    need_array(which, which.dtype == np.int64 and which.shape == shapes.shape[:1])
    for array in flat:
        need_array(need(array, isinstance(array, np.ndarray)), array.ndim == 1)
    starts, out = [0] * len(flat), []
    for row, i in zip(shapes, which.tolist(), strict=True):
        shape = row.tolist()
        start = starts[whole(i, len(flat))]
        size = math.prod(whole(n, 2**31) for n in shape)
        need(shape, start + size <= len(flat[i]))
        out.append(shaped(flat[i][start : start + size], shape))
        starts[i] += size
    need(starts, starts == [len(array) for array in flat])
    return out


KIND = {"arrays": (_fits, _write, _read)}
