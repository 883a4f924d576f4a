"""What a case is, and how what happened is judged.

A case is an input, what must hold, and the calls it is given to. A call returns nothing: it raises
`Wrong` where it worked and its result is not what it must be. What happened is one of

worked, clear error                            the two that pass
UNCLEAR ERROR, SILENT WRONG, CRASH, HANG       the four that do not
"""

import re
import warnings
from collections.abc import Callable
from typing import NamedTuple

import numpy as np


class Wrong(AssertionError):
    """The call worked, and what it gave is wrong."""


class Call(NamedTuple):
    """Something to do with an argument; what it is called where it goes in."""

    do: Callable[[], object]
    argument: str = ""


class Case(NamedTuple):
    """One line of the table.

    ``error`` is a regular expression that the message of the ValueError or TypeError must match;
    {name} in it stands for the argument. None: the calls must work. ``apart`` cases could take the
    interpreter down and run in another process.
    """

    input: str
    must: str
    calls: Callable[[], dict[str, Call]]
    error: str | None = None
    apart: bool = False


class Happened(NamedTuple):
    what: str
    detail: str = ""

    @property
    def passes(self):
        return self.what in ("worked", "clear error")


def run(case):
    """What happened in each call of a case, by name of the call."""
    return {
        name: judge(call.do, case.error and case.error.replace("{name}", call.argument))
        for name, call in case.calls().items()
    }


def judge(call, error=None):
    """Do it with RuntimeWarnings as errors, and say what happened."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            warnings.simplefilter("error", RuntimeWarning)
            call()
    except Wrong as wrong:
        return Happened("SILENT WRONG", str(wrong))
    except Exception as raised:  # whatever a user would meet is judged
        message = f"{type(raised).__name__}: {raised}"
        clear = isinstance(raised, ValueError | TypeError) and error is not None
        if clear and re.search(error, str(raised)):
            return Happened("clear error", message)
        return Happened("UNCLEAR ERROR", message)
    return Happened("worked") if error is None else Happened("SILENT WRONG", "no error")


def same(got, expected, rtol=1e-9):
    """Arrays, or lists or dicts of them, that hold the same."""
    if isinstance(expected, dict):
        return same(list(got.values()), list(expected.values()), rtol)
    if isinstance(expected, list):
        for one, other in zip(got, expected, strict=True):
            same(one, other, rtol)
        return None
    got, expected = np.asarray(got), np.asarray(expected)
    if got.dtype.kind in "OUSbM" or expected.dtype.kind in "OUSbM":
        equal = got.shape == expected.shape and (got == expected).all()
    else:
        equal = got.shape == expected.shape and np.allclose(
            got, expected, rtol, rtol, equal_nan=True
        )
    if not equal:
        raise Wrong(f"{_short(got)} instead of {_short(expected)}")
    return None


def _short(array):
    return f"{array.dtype}{array.shape} {str(array.ravel()[:4])[:60]}"


def holds(condition, what):
    if not condition:
        raise Wrong(what)


def warned(call, message):
    """The result of a call that must warn so."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        result = call()
    holds(any(re.search(message, str(w.message)) for w in caught), f"no warning: {message}")
    for w in caught:
        holds(not issubclass(w.category, RuntimeWarning), f"RuntimeWarning: {w.message}")
    return result


def copy_of(value):
    """The bytes of an argument, to see afterwards that nobody wrote to it."""
    import scipy.sparse as sp

    if sp.issparse(value):
        parts = [
            vars(value).get(name) for name in ("data", "indices", "indptr", "coords", "offsets")
        ]
        return [np.copy(part) for part in parts if part is not None]
    return [np.copy(value)] if isinstance(value, np.ndarray) else []


def untouched(value, before):
    """The argument is, bit by bit, what it was."""
    for now, then in zip(copy_of(value), before, strict=True):
        holds(now.tobytes() == then.tobytes() or now.dtype == object, "the argument was changed")
