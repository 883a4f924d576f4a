"""Values <-> what JSON can say, and arrays: a closed set of kinds, and nothing else.

None, True, 3, 0.5, "text" and [...] stand for themselves. The others are written as an object
with one key, the kind: {"tuple": [...]}, {"array": 3}, the fourth array. Arrays that were one
object are one again, as under pickle.

To add a kind: a pair of functions and a line in `KINDS`. Model files have one kind more, of
objects of our own classes: see `_files._objects`.
"""

import math
import reprlib

import numpy as np

from skmtl._archive import Refused, can_store

LARGEST = 2**128  # the state of a PCG64 has as many bits


class Writer:
    """From a value to its node; collects the arrays. ``name`` is what the value is called."""

    def __init__(self, name, kinds=None):
        self.kinds = KINDS if kinds is None else kinds
        self.arrays, self._index, self.path = [], {}, [name]
        self.memo: dict = {}  # what kinds remember

    def put(self, value, step=""):
        """The node of a value; ``step`` is how to get there from the one around it."""
        self.path.append(step)
        node = self._node(value)
        self.path.pop()
        return node

    def _node(self, value):
        own = type(value)
        if value is None or own in (bool, str) or (own is float and math.isfinite(value)):
            return value
        if own is int and abs(value) < LARGEST:
            return value
        for kind, (fits, write, _) in self.kinds.items():
            if fits(value):
                return {kind: write(value, self)}
        if own is list:
            return [self.put(item, f"[{i}]") for i, item in enumerate(value)]
        raise self.refusal(value)

    def array(self, array):
        """Position of an array in the file."""
        if id(array) not in self._index:
            self._index[id(array)] = len(self.arrays)
            self.arrays.append(array)  # and keeps its id from being given away
        return self._index[id(array)]

    def refusal(self, value):
        return TypeError(
            f"{self.path[0]} must be made of skmtl's own classes, plain values and arrays of "
            f"numbers, labels or strings to be saved; got {type(value).__module__}."
            f"{type(value).__qualname__} at {''.join(self.path)}. Take it out, or use pickle, "
            "joblib or skops, which keep objects of other classes."
        )


class Reader:
    """From a node to its value. Raises `Refused` for all that `Writer` does not write."""

    def __init__(self, arrays, kinds=None):
        self.kinds = KINDS if kinds is None else kinds
        self.arrays, self.unused = arrays, set(range(len(arrays)))
        self.memo: dict = {}

    def get(self, node):
        if node is None or isinstance(node, bool | str | float):
            return node
        if isinstance(node, int):
            return need(node, abs(node) < LARGEST)
        if isinstance(node, list):
            return [self.get(item) for item in node]
        ((kind, payload),) = need(node, len(node) == 1).items()
        need(kind, kind in self.kinds)
        return self.kinds[kind][2](payload, self)

    def array(self, index):
        self.unused.discard(whole(index, len(self.arrays)))
        return self.arrays[index]

    def array_of_its_own(self, index):
        """One that is looked up once, because its entries are copied."""
        need(index, whole(index, len(self.arrays)) in self.unused)
        return self.array(index)


def need(node, holds):
    """The node, if what must hold of it does."""
    if not holds:
        raise Refused(f"with {reprlib.repr(node)} where save never writes it")
    return node


def _list(node, length=None):
    return need(node, isinstance(node, list) and length in (None, len(node)))


def whole(node, stop):
    return need(node, type(node) is int and 0 <= node < stop)


# --- plain values ------------------------------------------------------------------------------


def _write_float(value, writer):
    return repr(value)


def _read_float(node, reader):
    return float(need(node, node in ("nan", "inf", "-inf")))


def _write_tuple(value, writer):
    return [writer.put(item, f"[{i}]") for i, item in enumerate(value)]


def _read_tuple(node, reader):
    return tuple(reader.get(item) for item in _list(node))


def _write_dict(value, writer):
    return [[writer.put(k, " key "), writer.put(v, f"[{k!r}]")] for k, v in value.items()]


def _read_dict(node, reader):
    try:
        out = {reader.get(k): reader.get(v) for k, v in (_list(pair, 2) for pair in _list(node))}
    except TypeError:  # a key that cannot be one
        out = {}
    need(node, len(out) == len(node))
    return out


def _floats(value):
    return type(value) is list and len(value) > 0 and all(type(x) is float for x in value)


def _write_floats(value, writer):
    return writer.array(np.array(value))


def _read_floats(node, reader):
    array = reader.array_of_its_own(node)
    return need_array(array, array.ndim == 1 and array.dtype == np.float64).tolist()


# --- arrays -----------------------------------------------------------------------------------


def need_array(array, holds):
    need(f"an array of shape {array.shape} and dtype {array.dtype}", holds)
    return array


def is_array(value):
    return type(value) in (np.ndarray, np.memmap) and can_store(value.dtype)


def _write_array(value, writer):
    return writer.array(value)


def _read_array(node, reader):
    return reader.array(node)


def _is_scalar(value):
    return isinstance(value, np.generic) and can_store(value.dtype)


def _write_scalar(value, writer):
    return writer.array(np.array(value))


def _read_scalar(node, reader):
    array = reader.array_of_its_own(node)
    return need_array(array, array.ndim == 0)[()]


def _is_objects(value):
    return type(value) is np.ndarray and value.dtype == object


def _write_objects(value, writer):
    return [list(value.shape), [writer.put(x, f".flat[{i}]") for i, x in enumerate(value.flat)]]


def _read_objects(node, reader):
    shape, items = _list(node, 2)
    shape = [whole(n, 2**31) for n in _list(shape)]
    need(shape, len(shape) <= 32 and math.prod(shape) == len(_list(items)))
    array = np.empty(shape, dtype=object)
    for i, item in enumerate(items):
        array.flat[i] = reader.get(item)
    return array


# --- generators -------------------------------------------------------------------------------


def _is_generator(value):
    own = type(value) is np.random.Generator
    return own and type(value.bit_generator) is np.random.PCG64


def _write_generator(value, writer):
    state = value.bit_generator.state
    return [*state["state"].values(), state["has_uint32"], state["uinteger"]]


def _read_generator(node, reader):
    numbers = zip(_list(node, 4), (2**128, 2**128, 2, 2**32), strict=True)
    state, inc, has_uint32, uinteger = (whole(n, stop) for n, stop in numbers)
    bits = np.random.PCG64(0)
    bits.state = {
        "bit_generator": "PCG64",
        "state": {"state": state, "inc": inc},
        "has_uint32": has_uint32,
        "uinteger": uinteger,
    }
    return np.random.Generator(bits)


def _is_random_state(value):
    return type(value) is np.random.RandomState and _state_of(value)["bit_generator"] == "MT19937"


def _state_of(random_state) -> dict:
    return random_state.get_state(legacy=False)


def _write_random_state(value, writer):
    state = _state_of(value)
    parts = (*state["state"].values(), state["has_gauss"], state["gauss"])
    return [writer.put(part) for part in parts]


def _read_random_state(node, reader):
    key, position, has_gauss, gauss = map(reader.get, _list(node, 4))
    well_formed = isinstance(key, np.ndarray) and key.dtype == np.uint32 and key.shape == (624,)
    need(node, well_formed and type(gauss) is float)
    random_state = np.random.RandomState(0)
    position, has_gauss = whole(position, 625), whole(has_gauss, 2)
    random_state.set_state(("MT19937", key, position, has_gauss, gauss))
    return random_state


#: By kind: what it fits, how to write it and how to read it.
KINDS: dict = {
    "float": (lambda value: type(value) is float, _write_float, _read_float),
    "floats": (_floats, _write_floats, _read_floats),
    "tuple": (lambda value: type(value) is tuple, _write_tuple, _read_tuple),
    "dict": (lambda value: type(value) is dict, _write_dict, _read_dict),
    "array": (is_array, _write_array, _read_array),
    "scalar": (_is_scalar, _write_scalar, _read_scalar),
    "objects": (_is_objects, _write_objects, _read_objects),
    "generator": (_is_generator, _write_generator, _read_generator),
    "random_state": (_is_random_state, _write_random_state, _read_random_state),
}
