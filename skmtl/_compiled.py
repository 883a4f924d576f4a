"""Compiled kernels on disk: a file for each kernel and signature.

A file's name is a hash of all that its code depends on: the sources of the kernel and of what it
calls, the signature, the processor, Numba's version. So a file is never out of date, processes
that write at once write the same, and there is no index to lose. The file starts with the hash of
the rest: one that is damaged is not looked into, and written again.

Compiled code is a pickle, and to read it is to run it. So it lies where only its user, or whoever
installed the package, can write: ``NUMBA_CACHE_DIR``, ``__pycache__`` beside the package, or the
user's own cache folder, the first of these that can be written to.
"""

import os
import pickle
import stat
from contextlib import suppress
from functools import cache
from hashlib import sha256
from pathlib import Path
from secrets import token_hex
from typing import Any

import numba
from numba.core.caching import FunctionCache
from numba.core.serialize import dumps


class Unusable(Exception):
    """Why compiled code cannot be kept."""


class CompiledFiles(FunctionCache):
    """Numba's cache of one kernel, which never raises once it is made.

    Parameters
    ----------
    function : callable
        The kernel as plain Python.
    compiler : str
        File that says how kernels are compiled.
    report : callable
        Is told what went wrong with a file. The kernel is then compiled.

    Raises
    ------
    Unusable
        If no folder can be written to, or others can write to it.
    """

    def __init__(self, function, compiler, report):
        source = function.__code__.co_filename
        try:
            super().__init__(function)
            folder = Path(self.cache_path)
            sources = [_hash_of(compiler), *sources_of(function)]
            shared = others_can_write(folder, source)
        except (RuntimeError, OSError) as error:  # read-only install without a home
            raise Unusable(str(error)) from error
        if shared:
            raise Unusable(f"others than its user can write to the folder {folder}")
        self._report = report
        self._cache_file: Any = HashedFiles(folder, self._impl.filename_base, sources)

    def load_overload(self, sig, target_context):
        return self._tried("read", super().load_overload, sig, target_context)

    def save_overload(self, sig, data):
        self._tried("written", super().save_overload, sig, data)

    def _tried(self, what, method, *args):
        try:
            return method(*args)
        except Exception as error:  # whatever is wrong with a file, compiling helps
            reason = f"{type(error).__name__}: {error}"
            self._report(f"a file could not be {what} in {self.cache_path} ({reason})")


class HashedFiles:
    """What `FunctionCache` keeps its entries in."""

    def __init__(self, folder, name, sources):
        self.folder, self.name, self.sources = folder, name, sources

    def path_of(self, key):
        what = repr((numba.__version__, self.sources, key))
        return self.folder / f"{self.name}.{sha256(what.encode()).hexdigest()[:32]}.nbc"

    def load(self, key):
        path = self.path_of(key)
        if not path.exists():
            return None
        content = path.read_bytes()
        if sha256(content[32:]).digest() != content[:32]:
            raise ValueError(f"{path.name} is damaged")
        return pickle.loads(content[32:])

    def save(self, key, data):
        content = dumps(data)
        temporary = self.folder / f"{self.name}.{token_hex(8)}.tmp"
        try:
            temporary.write_bytes(sha256(content).digest() + content)
            os.replace(temporary, self.path_of(key))
        except BaseException:
            with suppress(OSError):
                temporary.unlink(missing_ok=True)
            raise

    def flush(self):
        for path in self.folder.glob(f"{self.name}.*.nbc"):
            path.unlink(missing_ok=True)


def others_can_write(folder, source):
    """Whether somebody else than this user, root, or the package's owner may put files there."""
    if not hasattr(os, "getuid"):
        return False
    status = os.stat(folder)
    trusted = {0, os.getuid(), os.stat(source).st_uid}
    return bool(status.st_mode & stat.S_IWOTH) or status.st_uid not in trusted


def sources_of(function):
    """Hashes of the files in which a kernel, and all that it calls, is written."""
    found: dict = {}
    _collect(function, found)
    return sorted(_hash_of(path) for path in {f.__code__.co_filename for f in found.values()})


def _collect(function, found):
    found[id(function)] = function
    for name in function.__code__.co_names:
        called = function.__globals__.get(name)
        called = getattr(called, "py_func", called)
        if hasattr(called, "__code__") and id(called) not in found:
            _collect(called, found)


@cache
def _hash_of(path):
    return sha256(Path(path).read_bytes()).hexdigest()
