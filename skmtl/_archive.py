"""A model file: an uncompressed zip, every byte of which follows from its manifest.

manifest.json          what is kept, and dtype, shape, order and SHA-256 of each array
manifest.json.sha256   the SHA-256 of the manifest, as ``sha256sum`` writes it
arrays/0.npy, ...      the arrays, in the manifest's order

Any zip reader, ``numpy.load`` and ``sha256sum -c`` can look into it. `read` does not look for
members: from the manifest follow the names, sizes and headers of all of them, the directory and
the length of the file, and a file that differs in one byte is refused. So there is nothing to be
said about compressed, encrypted, overlapping, duplicate or ``..`` members: no such file is read.

The length is compared before any array is allocated, and what a file asks for beside its arrays
may not be more than its length allows: ``load`` allocates at most twice that length, and a
megabyte.
"""

import hashlib
import json
import math
import re
import reprlib
import struct
import zlib
from typing import NamedTuple

import numpy as np

from skmtl._version import __version__

#: Raised when older code would misread a file; see ``MIGRATIONS`` for the way back.
FORMAT = 1
MANIFEST = "manifest.json"
# Bools, integers, floats, str, bytes and datetimes; nothing that holds objects.
DTYPE = re.compile(
    r"[|]b1|[|][iu]1|<[iu][248]|<f[248]|<U[1-9]\d{0,8}|[|]S[1-9]\d{0,8}|<[mM]8.{0,8}"
)
CHUNK = 1 << 16
TOO_MUCH = "that holds more values than a file of its length can need"


class Refused(Exception):
    """What a file has instead of what it must have, and what to do."""

    def __init__(self, got, remedy=None):
        super().__init__(got if len(got) < 500 else f"{got[:500]} ...")
        self.remedy = remedy or (
            "Take an intact copy, or save the estimator again. (joblib.load reads what joblib or "
            "pickle wrote, and runs code in it: only from those you trust.)"
        )


class Spec(NamedTuple):
    """An array as the manifest describes it."""

    dtype: str
    shape: list
    order: str
    sha256: str

    @property
    def nbytes(self):
        return math.prod(self.shape) * np.dtype(self.dtype).itemsize

    @property
    def header(self):
        """Of its .npy file, version 1.0; NumPy's own has room that depends on NumPy's version."""
        shape = tuple(self.shape)
        text = (
            f"{{'descr': '{self.dtype}', 'fortran_order': {self.order == 'F'}, 'shape': {shape}}}"
        )
        text += " " * (-(len(text) + 11) % 64) + "\n"
        return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(text)) + text.encode("ascii")


def can_store(dtype):
    return DTYPE.fullmatch(dtype.newbyteorder("<").str) is not None


# --- writing ----------------------------------------------------------------------------------


def write(file, model, arrays, spent=0.0):
    """Write a model, made of JSON's types, and the arrays it refers to by position.

    ``spent`` is the memory that reading takes beside manifest and arrays; minus infinity where
    there is no limit to that.
    """
    arrays = [laid_out(array) for array in arrays]
    specs = [Spec(dtype, shape, order, _sha256(data)) for dtype, shape, order, data in arrays]
    manifest = manifest_of(model, specs, spent)
    members = [(MANIFEST, [manifest]), (f"{MANIFEST}.sha256", [_checksum(manifest)])]
    for i, (spec, (*_, data)) in enumerate(zip(specs, arrays, strict=True)):
        members.append((f"arrays/{i}.npy", [spec.header, memoryview(data)]))
    offset, directory = 0, b""
    for name, parts in members:
        size, crc = sum(map(len, parts)), 0
        for part in parts:
            crc = zlib.crc32(part, crc)
        header = _local(name, size, crc)
        for part in (header, *parts):
            _write_all(file, part)
        directory += _central(name, size, crc, offset)
        offset += len(header) + size
    _write_all(file, directory + _end(len(members), len(directory), offset))


def _write_all(file, data):
    """Unbuffered files may write less than they are given, and say so."""
    data = memoryview(data)
    while len(data):
        n_written = file.write(data)
        data = data[len(data) if n_written is None else n_written :]


def manifest_of(model, specs, spent):
    """The manifest as bytes; a ValueError if reading it would take more than is allowed."""
    arrays = [spec._asdict() for spec in specs]
    manifest = _dumps({"format": FORMAT, "skmtl": __version__, "arrays": arrays, "model": model})
    size = _length(len(manifest), specs)
    if _cost(manifest) + spent > _allowed(size):
        raise ValueError(
            "est must hold its data in arrays; got single values and small arrays in lists that "
            f"take {_cost(manifest) + spent} bytes, where those of a file of {size} bytes may take "
            f"{_allowed(size)}. Use joblib or pickle."
        )
    return manifest


def laid_out(array):
    """Dtype, shape and order of an array, and its bytes as an array of bytes."""
    array = array.astype(array.dtype.newbyteorder("<"), copy=False)
    is_fortran = array.flags.f_contiguous and not array.flags.c_contiguous
    order = "F" if is_fortran else "C"
    flat = np.ascontiguousarray(array.T if is_fortran else array).reshape(-1)
    return array.dtype.str, list(array.shape), order, flat.view(np.uint8)


def _sha256(data):
    return hashlib.sha256(data).hexdigest()


def _checksum(manifest):
    return f"{_sha256(manifest)}  {MANIFEST}\n".encode("ascii")


def _dumps(manifest):
    return json.dumps(manifest, allow_nan=False).encode("ascii")


# --- reading ----------------------------------------------------------------------------------


def read(file, size, limited=True):
    """Manifest and arrays of the next ``size`` bytes of a file. Raises `Refused`.

    And the memory that may be taken beside those: no end of it unless ``limited``.
    """
    source = _Source(file, size)
    raw, members = _read_manifest(source)
    room = _allowed(size) - _cost(raw) if limited else math.inf
    if room < 0:
        raise Refused(TOO_MUCH)
    manifest = _parse(raw)
    specs = [_spec(entry) for entry in _entries(manifest)]
    expected = _length(len(raw), specs)
    if size != expected:
        raise Refused(f"of {size} bytes where its manifest asks for {expected}")
    arrays = []
    for i, spec in enumerate(specs):
        array, member = _read_array(source, f"arrays/{i}.npy", spec)
        arrays.append(array)
        members.append(member)
    _expect_directory(source, members)
    return manifest, arrays, room


class _Source:
    """A file of known length, of which no more is ever asked for."""

    def __init__(self, file, size):
        self.file, self.left = file, size

    def chunks(self, size):
        if size > self.left:
            raise Refused("that ends too early")
        self.left -= size
        while size:
            chunk = self.file.read(min(size, CHUNK))
            if not chunk:
                raise Refused("that ends too early")
            size -= len(chunk)
            yield chunk

    def take(self, size):
        return b"".join(self.chunks(size))


def _read_manifest(source):
    """The manifest's bytes, as their header and SHA-256 say; and the members read."""
    head = source.take(len(_local(MANIFEST, 0, 0)))
    (size,) = struct.unpack("<Q", head[-8:])
    if not head.startswith(_local(MANIFEST, 0, 0)[:14]):
        raise Refused("that does not begin as one")
    raw = source.take(size)
    crc = zlib.crc32(raw)
    if head != _local(MANIFEST, size, crc):
        raise Refused("whose manifest is damaged: its CRC-32 or its header differs")
    checksum, name = _checksum(raw), f"{MANIFEST}.sha256"
    header = _local(name, len(checksum), zlib.crc32(checksum))
    if source.take(len(header)) != header or source.take(len(checksum)) != checksum:
        raise Refused("whose manifest is not the one it was saved with: its SHA-256 differs")
    members = [(MANIFEST, size, crc), (name, len(checksum), zlib.crc32(checksum))]
    return raw, members


def _parse(raw):
    try:
        manifest = json.loads(raw)
    except (ValueError, RecursionError) as error:
        raise Refused(f"whose manifest is not JSON: {error}") from None
    version = manifest.get("format") if isinstance(manifest, dict) else None
    if type(version) is not int or version < 1:
        raise Refused(f"of format {version!r}")
    if version > FORMAT:
        raise Refused(
            f"of format {version}, written by a newer skmtl, {manifest.get('skmtl')!r}, where this "
            f"one, {__version__}, reads formats up to {FORMAT}",
            "Load it with that version, or update this one.",
        )
    # Written again it must be the same: no key twice, no NaN, no number beyond its type.
    try:
        same = _dumps(manifest) == raw
    except (ValueError, RecursionError):
        same = False
    if not same or set(manifest) != {"format", "skmtl", "arrays", "model"}:
        raise Refused("whose manifest is not as save writes it")
    return manifest


def _entries(manifest):
    entries = manifest["arrays"]
    if not isinstance(entries, list):
        raise Refused("whose manifest does not list its arrays")
    return entries


def _spec(entry):
    """An entry of the manifest's list of arrays, each of its parts checked."""
    try:
        spec = Spec(**entry)
        well_formed = (
            list(entry) == list(Spec._fields)
            and DTYPE.fullmatch(spec.dtype) is not None
            and np.dtype(spec.dtype).str == spec.dtype
            and isinstance(spec.shape, list)
            and len(spec.shape) <= 32
            and all(type(n) is int and 0 <= n < 2**48 for n in spec.shape)
            and (spec.order == "C" or (spec.order == "F" and len(spec.shape) > 1))
            and re.fullmatch("[0-9a-f]{64}", spec.sha256) is not None
        )
    except (TypeError, ValueError):
        well_formed = False
    if not well_formed:
        raise Refused(f"with an array described as {reprlib.repr(entry)}")
    return spec


def _read_array(source, name, spec):
    header = source.take(len(_local(name, 0, 0)))
    inner = source.take(len(spec.header))
    data, at = np.empty(spec.nbytes, np.uint8), 0
    crc, sha = zlib.crc32(inner), hashlib.sha256()
    for chunk in source.chunks(spec.nbytes):
        data[at : at + len(chunk)] = np.frombuffer(chunk, np.uint8)
        at += len(chunk)
        crc = zlib.crc32(chunk, crc)
        sha.update(chunk)
    size = len(inner) + spec.nbytes
    if inner != spec.header or header != _local(name, size, crc):
        raise Refused(f"in which {name} is damaged: its CRC-32 or a header differs")
    if sha.hexdigest() != spec.sha256:
        raise Refused(f"in which {name} is not the one it was saved with: its SHA-256 differs")
    if spec.dtype == "|b1" and data.max(initial=0) > 1:
        raise Refused(f"in which {name} has bools that are neither 0 nor 1")
    if spec.dtype.startswith("<U") and data.view("<u4").max(initial=0) > 0x10FFFF:
        raise Refused(f"in which {name} has characters that are none")
    return shaped(data.view(spec.dtype), spec.shape, spec.order), (name, size, crc)


def shaped(array, shape, order="C"):
    """The array in another shape, which may be beyond NumPy's if it is empty."""
    try:
        return array.reshape(shape, order=order)
    except ValueError as error:
        raise Refused(f"with an array of no shape, {reprlib.repr(shape)}: {error}") from None


def _expect_directory(source, members):
    offset, length = 0, 0
    for name, size, crc in members:
        entry = _central(name, size, crc, offset)
        if source.take(len(entry)) != entry:
            raise Refused(f"whose directory is damaged at {name}")
        offset += len(_local(name, size, crc)) + size
        length += len(entry)
    end = _end(len(members), length, offset)
    if source.take(len(end)) != end:
        raise Refused("whose end is damaged")


# --- how long, how much -------------------------------------------------------------------------


def _length(manifest_size, specs):
    """Length of the whole file."""
    sizes = [(MANIFEST, manifest_size), (f"{MANIFEST}.sha256", len(_checksum(b"")))]
    sizes += [(f"arrays/{i}.npy", len(s.header) + s.nbytes) for i, s in enumerate(specs)]
    around = [len(_local(name, 0, 0)) + len(_central(name, 0, 0, 0)) for name, _ in sizes]
    return sum(around) + sum(size for _, size in sizes) + len(_end(0, 0, 0))


def _cost(manifest):
    """Bytes that reading a manifest takes: its text some times over, and so much for each value.

    Escaped characters may widen strings to four bytes a character.
    """
    values = sum(map(manifest.count, (b",", b"[", b"{")))
    return (8 if b"\\u" in manifest else 4) * len(manifest) + 200 * values


def _allowed(size):
    return size + (1 << 20)


# --- zip, always with 64-bit sizes ----------------------------------------------------------------

VERSION, MADE_BY, MODE = 45, 3 << 8 | 45, 0o100644 << 16  # zip64; Unix; a plain file
DATE = 1 << 5 | 1  # 1 January 1980, the first there is: the same model gives the same bytes
LARGE, LARGE_16 = 0xFFFFFFFF, 0xFFFF  # look for it in the 64-bit fields


def _local(name, size, crc):
    fields = (b"PK\x03\x04", VERSION, 0, 0, 0, DATE, crc, LARGE, LARGE, len(name), 20)
    extra = struct.pack("<HHQQ", 1, 16, size, size)
    return struct.pack("<4s5H3L2H", *fields) + name.encode("ascii") + extra


def _central(name, size, crc, offset):
    fields = (b"PK\x01\x02", MADE_BY, VERSION, 0, 0, 0, DATE, crc, LARGE, LARGE)
    more = (len(name), 28, 0, 0, 0, MODE, LARGE)
    extra = struct.pack("<HHQQQ", 1, 24, size, size, offset)
    return struct.pack("<4s6H3L", *fields) + struct.pack("<5H2L", *more) + name.encode() + extra


def _end(n_members, length, offset):
    numbers = (0, 0, n_members, n_members, length, offset)
    record = struct.pack("<4sQ2H2L4Q", b"PK\x06\x06", 44, MADE_BY, VERSION, *numbers)
    locator = struct.pack("<4sLQL", b"PK\x06\x07", 0, offset + length, 1)
    large = (LARGE_16, LARGE_16, LARGE, LARGE, 0)
    return record + locator + struct.pack("<4s4H2LH", b"PK\x05\x06", 0, 0, *large)
