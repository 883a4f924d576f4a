"""The judge himself: each thing that can happen is told from the others."""

import os
import time
import warnings

import numpy as np
import pytest

from tests.hostile.apart import Apart
from tests.hostile.case import Call, Case, holds, judge, run, same
from tests.hostile.doors import like, refused


def fails(error):
    def call():
        raise error

    return call


@pytest.mark.parametrize(
    "call, error, what",
    [
        (lambda: None, None, "worked"),
        (fails(ValueError("X must")), "X must", "clear error"),
        (fails(TypeError("X must")), "X must", "clear error"),
        (lambda: None, "X must", "SILENT WRONG"),
        (lambda: same(np.ones(3), np.zeros(3)), None, "SILENT WRONG"),
        (lambda: same(np.ones(3), np.ones(2)), None, "SILENT WRONG"),
        (lambda: same([1.0, np.nan], [1.0, 2.0]), None, "SILENT WRONG"),
        (lambda: same(["a"], ["b"]), None, "SILENT WRONG"),
        (lambda: holds(False, "not so"), None, "SILENT WRONG"),
        (fails(ValueError("y must")), "X must", "UNCLEAR ERROR"),
        (fails(KeyError("X must")), "X must", "UNCLEAR ERROR"),
        (fails(ValueError("X must")), None, "UNCLEAR ERROR"),
        (lambda: warnings.warn("overflow", RuntimeWarning, stacklevel=1), None, "UNCLEAR ERROR"),
    ],
)
def test_what_happened(call, error, what):
    happened = judge(call, error)
    assert happened.what == what
    assert happened.passes == (what in ("worked", "clear error"))


def zeros():
    return np.zeros(3)


def scribbles(array):
    array[0] = 7


def test_writing_to_an_argument_is_noticed():
    door = {"door": ("X", scribbles)}
    for case in (like("", zeros, None, door), refused("", zeros, "", door)):
        assert run(case)["door"].what == "SILENT WRONG"


def find(key):
    do = {"crash": os.abort, "hang": lambda: time.sleep(600), "fine": lambda: None}[key]
    return Case(key, "", lambda: {"call": Call(do)})


def test_crashes_and_hangs_are_told_apart_and_survived():
    apart = Apart(find, seconds=2)
    for key, what in [("fine", "worked"), ("crash", "CRASH"), ("fine", "worked"), ("hang", "HANG")]:
        assert [h.what for h in apart.run(key).values()] == [what]
    apart.close()
