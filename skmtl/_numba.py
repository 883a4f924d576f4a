"""How every kernel is compiled, and what Numba says about threads."""

import sys
import warnings
from typing import Any
from uuid import uuid4

from numba import config, get_num_threads, njit, types
from numba.extending import overload

# Reassociation and fused multiply-add are allowed; NaN and infinity keep their meaning.
_OPTIONS: dict[str, Any] = {
    "nogil": True,
    "error_model": "numpy",
    "fastmath": {"nsz", "arcp", "contract", "afn", "reassoc"},
}
_JIT: Any = _OPTIONS
_warned = False


def kernel(function):
    """Compile ``function`` at its first call, once per machine where a cache folder is writable.

    A kernel takes arrays and scalars, writes into an argument, starts no threads and lets go of
    the interpreter lock. Kernels that call each other stay in one file: Numba's cache does not
    see edits of a callee elsewhere.
    """
    global _warned
    try:
        return _with_names_of_its_own(njit(cache=True, **_OPTIONS)(function))
    except RuntimeError as error:  # no folder to cache in: read-only install without a home
        if not _warned:
            _warned = True
            warnings.warn(
                f"skmtl compiles its kernels anew in each process, because {error}. "
                "Set NUMBA_CACHE_DIR to a private, writable folder to keep them.",
                RuntimeWarning,
                stacklevel=2,
            )
        return njit(**_OPTIONS)(function)


def _with_names_of_its_own(dispatcher):
    """Let no two processes write compiled code under one name.

    Numba numbers the files of a kernel's signatures. Two processes that compile different ones at
    once take the same number, and what is later loaded under it may be of the other signature.
    With unique names the worst is that one of them is compiled once more.
    """
    cache_file: Any = getattr(getattr(dispatcher, "_cache", None), "_cache_file", None)
    if hasattr(cache_file, "_data_name"):  # absent without a compiler
        numbered = cache_file._data_name
        cache_file._data_name = lambda number: numbered(uuid4().int)
    return dispatcher


def by_precision(single, double):
    """Let kernels use ``single(x)`` or ``double(x)``, by the type of x, for the decorated function.

    The decorated function itself says what is meant, and is what runs without a compiler.
    """

    def decorate(function):
        @overload(function, jit_options=_JIT)
        def implementation(x):
            return single if x == types.float32 else double

        return function

    return decorate


def thread_limit():
    """What ``numba.get_num_threads()`` says, without starting Numba's own threads to ask."""
    parallel = sys.modules.get("numba.np.ufunc.parallel")
    if getattr(parallel, "_is_initialized", False):
        return get_num_threads()
    return vars(config)["NUMBA_NUM_THREADS"]
