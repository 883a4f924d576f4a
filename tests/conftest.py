import numba
import numpy as np
import pytest
from hypothesis import settings
from sklearn.datasets import load_digits

settings.register_profile("ci", max_examples=100, derandomize=True, database=None, deadline=None)
settings.register_profile("long", max_examples=2000, database=None, deadline=None)
settings.load_profile("ci")

# Without a compiler a row costs hundreds of times as much; tests that need all are `compiled`.
N_DIGITS = 300 if numba.config.DISABLE_JIT else 1797


@pytest.fixture
def rng():
    return np.random.default_rng(0)


@pytest.fixture(scope="session")
def digits():
    """Pixels in [0, 1] and stacked labels (digit, odd, at least 5) with 30% gaps."""
    X, digit = (array[:N_DIGITS] for array in load_digits(return_X_y=True))
    Y = np.column_stack([digit, digit % 2, digit >= 5]).astype(float)
    Y[np.random.default_rng(0).random(Y.shape) < 0.3] = np.nan
    X = X / 16
    for array in (X, Y):  # shared by all tests: none may change it for the next
        array.flags.writeable = False
    return X, Y
