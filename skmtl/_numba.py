"""How every kernel is compiled."""

import warnings
from typing import Any

from numba import njit

# Reassociation and fused multiply-add are allowed; NaN and infinity keep their meaning.
_OPTIONS: dict[str, Any] = {
    "nogil": True,
    "error_model": "numpy",
    "fastmath": {"nsz", "arcp", "contract", "afn", "reassoc"},
}
_warned = False


def kernel(function):
    """Compile ``function`` at its first call, once per machine where a cache folder is writable.

    A kernel takes arrays and scalars, writes into an argument, starts no threads and lets go of
    the interpreter lock. Kernels that call each other stay in one file: Numba's cache does not
    see edits of a callee elsewhere.
    """
    global _warned
    try:
        return njit(cache=True, **_OPTIONS)(function)
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
