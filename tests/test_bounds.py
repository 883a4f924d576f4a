"""Kernels with every index checked: ``make test-bounds``, which also runs the properties so."""

import numba
import numpy as np
import pytest

import skmtl
from skmtl._numba import kernel

pytestmark = [
    pytest.mark.compiled,
    pytest.mark.skipif(not numba.config.BOUNDSCHECK, reason="needs NUMBA_BOUNDSCHECK=1"),
]


@kernel
def entry(x, at):
    return x[at]


def test_the_check_is_on():
    with pytest.raises(IndexError, match="out of bounds"):
        entry(np.zeros(3), 3)


def test_every_kernel_stays_within_its_arrays():
    skmtl.warmup()
