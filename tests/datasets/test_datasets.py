import numpy as np
import pytest

from skmtl.datasets import load_multitask_digits


def test_multitask_digits():
    digits = load_multitask_digits(random_state=0)
    assert [X.shape for X, _ in digits.tasks.values()] == [(400, 64)] * 3
    assert digits.X_test.shape == (597, 64) and digits.Y_test.shape == (597, 3)
    assert np.array_equal(digits.Y_test[:, 1], digits.Y_test[:, 0] % 2)
    rows = np.concatenate([X for X, _ in digits.tasks.values()] + [digits.X_test])
    assert len(rows) == 1797 and rows.min() == 0 and rows.max() == 1
    counts = np.bincount(digits.tasks["digit"][1])
    assert counts.min() >= 36 and counts.max() <= 44
    again = load_multitask_digits(random_state=0)
    assert np.array_equal(again.X_test, digits.X_test)
    with pytest.raises(ValueError, match="n_train"):
        load_multitask_digits(n_train=1797)
