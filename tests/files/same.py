"""Whether two estimators are the same, to the bit."""

from dataclasses import fields, is_dataclass

import numpy as np
import scipy.sparse as sp


def assert_same(a, b, where="est"):
    """Same types, same values, arrays of the same dtype, layout and bits; estimators inside out."""
    assert type(a) is type(b), where
    if isinstance(a, np.ndarray):
        assert (a.dtype, a.shape) == (b.dtype, b.shape), where
        assert a.flags.f_contiguous == b.flags.f_contiguous, where
        if a.dtype == object:
            assert_same(a.tolist(), b.tolist(), where)
        else:
            assert a.tobytes() == b.tobytes(), where
    elif sp.issparse(a):
        for name in ("shape", "indptr", "indices", "data"):
            assert_same(getattr(a, name), getattr(b, name), f"{where}.{name}")
    elif isinstance(a, list | tuple):
        assert len(a) == len(b), where
        for i, (x, y) in enumerate(zip(a, b, strict=True)):
            assert_same(x, y, f"{where}[{i}]")
    elif isinstance(a, dict):
        assert_same(list(a), list(b), f"keys of {where}")
        for key in a:
            assert_same(a[key], b[key], f"{where}[{key!r}]")
    elif isinstance(a, np.random.Generator):
        assert a.bit_generator.state == b.bit_generator.state, where
    elif isinstance(a, np.random.RandomState):
        assert_same(a.get_state(), b.get_state(), where)
    elif isinstance(a, float | np.generic):
        assert np.array(a).tobytes() == np.array(b).tobytes(), where
    elif is_dataclass(a):
        for field in fields(a):
            assert_same(getattr(a, field.name), getattr(b, field.name), f"{where}.{field.name}")
    elif hasattr(a, "get_params"):
        assert_same(vars(a), vars(b), where)
    else:
        assert a == b, where


def results(est, X):
    """All that an estimator says of some rows."""
    names = ("transform", "predict", "predict_proba", "predict_log_proba", "score_samples")
    return {name: getattr(est, name)(X) for name in names if hasattr(est, name)}
