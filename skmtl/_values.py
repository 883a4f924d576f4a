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

from skmtl._archive import TOO_MUCH, Refused, can_store, shaped

LARGEST = 2**128  # the state of a PCG64 has as many bits
OF_RANDOM_STATE = 3000  # bytes


class Writer:
    """From a value to its node; collects the arrays. ``name`` is what the value is called."""

    def __init__(self, name, kinds=None):
        self.kinds = KINDS if kinds is None else kinds
        self.spent = 0  # bytes that `Reader.spend` will be asked for
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

    def spend(self, n_bytes):
        """What `Reader` spends, too."""
        self.spent += n_bytes

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
    """From a node to its value. Raises `Refused` for all that `Writer` does not write.

    ``room`` is the memory that values may take beside their text and the arrays.
    """

    def __init__(self, arrays, kinds=None, room=math.inf):
        self.kinds = KINDS if kinds is None else kinds
        self.room = room
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

    def spend(self, n_bytes):
        """For values much larger than their text, before they are made."""
        self.room -= n_bytes
        if self.room < 0:
            raise Refused(TOO_MUCH)

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
    """As text as wide as they are in memory, so that the list is no larger than the array."""
    texts = np.array([repr(x) for x in value], "S32")
    writer.spend(texts.nbytes)
    return writer.array(texts)


def _read_floats(node, reader):
    texts = reader.array_of_its_own(node)
    need_array(texts, texts.ndim == 1 and texts.dtype == "S32")
    reader.spend(texts.nbytes)
    out = [0.0] * len(texts)  # no longer than it needs to be
    for i, text in enumerate(texts):
        try:
            out[i] = float(text)
        except ValueError:
            raise Refused(f"with {text!r} for a number") from None
    return out


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
    array = np.empty(len(items), dtype=object)
    for i, item in enumerate(items):
        array[i] = reader.get(item)
    return shaped(array, shape)


def is_strings(value):
    return _is_objects(value) and all(type(x) is str for x in value.flat)


def _write_strings(value, writer):
    """One after the other, as UTF-8, and the length of each in an array of the same shape."""
    strings = value.ravel().tolist()
    lengths = np.array([len(x) for x in strings], np.int64).reshape(value.shape)
    text = "".join(strings).encode("utf-8", "surrogatepass")
    writer.spend(_of_strings(len(strings), len(text)))
    return [writer.array(lengths), writer.array(np.frombuffer(text, np.uint8))]


def _read_strings(node, reader):
    lengths, text = map(reader.array_of_its_own, _list(node, 2))
    need_array(lengths, lengths.dtype == np.int64)
    need_array(text, text.dtype == np.uint8 and text.ndim == 1)
    reader.spend(_of_strings(lengths.size, text.size))
    try:
        text = text.tobytes().decode("utf-8", "surrogatepass")
    except ValueError as error:
        raise Refused(f"with text that is none: {error}") from None
    array, stop = np.empty(lengths.size, dtype=object), 0
    for i, length in enumerate(lengths.flat):
        start, stop = stop, stop + whole(int(length), len(text) + 1)
        array[i] = text[start:stop]
    need(stop, stop == len(text))
    return shaped(array, lengths.shape)


def _of_strings(n_strings, n_bytes):
    """Memory: the text and its parts, each up to four bytes a character."""
    return 100 * n_strings + 9 * n_bytes


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
    writer.spend(OF_RANDOM_STATE)
    return [writer.put(part) for part in parts]


def _read_random_state(node, reader):
    key, position, has_gauss, gauss = map(reader.get, _list(node, 4))
    well_formed = isinstance(key, np.ndarray) and key.dtype == np.uint32 and key.shape == (624,)
    need(node, well_formed and type(gauss) is float)
    reader.spend(OF_RANDOM_STATE)
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
    "strings": (is_strings, _write_strings, _read_strings),
    "objects": (_is_objects, _write_objects, _read_objects),
    "generator": (_is_generator, _write_generator, _read_generator),
    "random_state": (_is_random_state, _write_random_state, _read_random_state),
}
