"""Exponential and logarithm without a branch, which a compiler can vectorise.

exp(x)   = 2^n exp(r),  n the integer nearest to x / log 2,  |r| <= log(2) / 2: Taylor's series
log1p(x) = 2 atanh(t),  t = x / (2 + x) <= 1/3 for x <= 1:   its series in t^2

Each has as many terms as its precision can tell.
"""

import numpy as np

from skmtl._numba import by_precision

f4, i4 = np.float32, np.int32


def _exp_single(x):
    x = f4(-87.0) if x < f4(-87.0) else x  # 2^n stays a normal number
    n = np.floor(x * f4(1.4426950408889634) + f4(0.5))
    r = x - n * f4(0.693359375)  # log 2 in two parts: the first product is exact
    r = r + n * f4(2.12194440e-4)
    p = f4(1 / 5040)
    p = p * r + f4(1 / 720)
    p = p * r + f4(1 / 120)
    p = p * r + f4(1 / 24)
    p = p * r + f4(1 / 6)
    p = p * r + f4(0.5)
    p = p * r + f4(1.0)
    p = p * r + f4(1.0)
    return p * i4((i4(n) + i4(127)) << i4(23)).view(np.float32)  # 2^n by its exponent's bits


def _exp_double(x):
    x = -708.0 if x < -708.0 else x
    n = np.floor(x * 1.4426950408889634 + 0.5)
    r = x - n * 0.693145751953125
    r = r - n * 1.42860682030941723212e-6
    p = 1 / 479001600
    p = p * r + 1 / 39916800
    p = p * r + 1 / 3628800
    p = p * r + 1 / 362880
    p = p * r + 1 / 40320
    p = p * r + 1 / 5040
    p = p * r + 1 / 720
    p = p * r + 1 / 120
    p = p * r + 1 / 24
    p = p * r + 1 / 6
    p = p * r + 0.5
    p = p * r + 1.0
    p = p * r + 1.0
    return p * np.int64((np.int64(n) + 1023) << 52).view(np.float64)


@by_precision(_exp_single, _exp_double)
def exp_negative(x):
    """``exp(x)`` for x <= 0; not smaller than the least normal number; NaN is kept."""
    return np.exp(x)


def _log1p_single(x):
    t = x / (f4(2) + x)
    u = t * t
    p = f4(2 / 13)
    p = p * u + f4(2 / 11)
    p = p * u + f4(2 / 9)
    p = p * u + f4(2 / 7)
    p = p * u + f4(2 / 5)
    p = p * u + f4(2 / 3)
    p = p * u + f4(2)
    return p * t


def _log1p_double(x):
    t = x / (2.0 + x)
    u = t * t
    p = 2 / 33
    p = p * u + 2 / 31
    p = p * u + 2 / 29
    p = p * u + 2 / 27
    p = p * u + 2 / 25
    p = p * u + 2 / 23
    p = p * u + 2 / 21
    p = p * u + 2 / 19
    p = p * u + 2 / 17
    p = p * u + 2 / 15
    p = p * u + 2 / 13
    p = p * u + 2 / 11
    p = p * u + 2 / 9
    p = p * u + 2 / 7
    p = p * u + 2 / 5
    p = p * u + 2 / 3
    p = p * u + 2.0
    return p * t


@by_precision(_log1p_single, _log1p_double)
def log1p_unit(x):
    """``log(1 + x)`` for x in [0, 1]."""
    return np.log1p(x)
