import numpy as np
import pytest

from skmtl._math import exp_negative, log1p_unit
from skmtl._numba import kernel


@kernel
def each(x, e, log):
    for a in range(len(x)):
        e[a] = exp_negative(x[a])
        log[a] = log1p_unit(exp_negative(x[a]))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_equal_numpy_to_the_last_digits(dtype):
    """Over the whole range, where Horner's rule and the exponent's bits might go wrong."""
    ends = [0.0, 1e6, np.inf]
    x = -np.concatenate([np.linspace(0, 90, 9001), np.logspace(-12, 1.9, 5000), ends])
    x = x.astype(dtype)
    e, log = np.empty_like(x), np.empty_like(x)
    each(x, e, log)
    exact = np.exp(x.astype(np.float64))
    # What is left of x after the multiples of log 2 is as exact as x.
    error = (8 + np.minimum(-x, 100)) * np.finfo(dtype).eps * exact
    assert (abs(e - exact) <= error + 2 * np.finfo(dtype).tiny).all() and (e >= 0).all()
    assert (abs(log - np.log1p(exact)) <= error + 2 * np.finfo(dtype).tiny).all()


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_nan_is_kept(dtype):
    x = np.array([np.nan], dtype)
    e, log = np.empty_like(x), np.empty_like(x)
    each(x, e, log)
    assert np.isnan(e[0]) and np.isnan(log[0])
