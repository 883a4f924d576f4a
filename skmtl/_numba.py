"""How every kernel is compiled, and what Numba says about threads."""

import functools
import os
import signal
import sys
import threading
import warnings
from typing import Any

from numba import config, get_num_threads, njit, types
from numba.core.compiler_lock import global_compiler_lock
from numba.extending import overload

from skmtl._compiled import CompiledFiles, Unusable

# Reassociation and fused multiply-add are allowed; NaN and infinity keep their meaning.
_OPTIONS: dict[str, Any] = {
    "nogil": True,
    "error_model": "numpy",
    "fastmath": {"nsz", "arcp", "contract", "afn", "reassoc"},
}
_JIT: Any = _OPTIONS
_warned = False

if hasattr(os, "register_at_fork"):  # no child waits for a thread that compiles in its parent
    lock = global_compiler_lock
    os.register_at_fork(
        before=lock.acquire, after_in_parent=lock.release, after_in_child=lock.release
    )


def kernel(function):
    """Compile ``function`` at its first call, once per machine where a cache folder is writable.

    A kernel takes arrays and scalars, writes into an argument, starts no threads and lets go of
    the interpreter lock.
    """
    compiled = njit(**_OPTIONS)(function)
    if compiled is function:  # without a compiler
        return function
    try:
        compiled._cache = CompiledFiles(function, __file__, _warn_once)
    except Unusable as error:
        _warn_once(error)
    compiled.compile = _before_interrupts(compiled.compile)
    return compiled


def _before_interrupts(compile):
    """Ctrl-C during a compilation is heard at its end: in the middle Numba may swallow it."""

    @functools.wraps(compile)
    def wrapper(signature):
        handler = signal.getsignal(signal.SIGINT)
        if threading.current_thread() is not threading.main_thread() or not callable(handler):
            return compile(signature)
        heard: list = []
        signal.signal(signal.SIGINT, lambda *signal_and_frame: heard.append(signal_and_frame))
        try:
            return compile(signature)
        finally:
            signal.signal(signal.SIGINT, handler)
            if heard:
                handler(*heard[0])

    return wrapper


def _warn_once(error):
    """Say why compiled code is not kept."""
    global _warned
    if not _warned:
        _warned = True
        warnings.warn(
            f"skmtl compiles kernels that might lie ready on disk: {error}. If this stays so, set "
            "NUMBA_CACHE_DIR to a private, writable folder.",
            stacklevel=3,
        )


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
