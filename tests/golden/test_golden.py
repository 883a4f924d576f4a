"""Files that earlier versions wrote: read, and as good as they were."""

import numpy as np
import pytest

import skmtl
from tests.golden.make import FOLDER, outputs

FILES = sorted(FOLDER.glob("*/*.skmtl"))


def test_there_are_some_of_this_version():
    """If not: ``python -m tests.golden.make``."""
    assert any(path.parent.name == skmtl.__version__ for path in FILES)


@pytest.mark.parametrize("path", FILES, ids=lambda path: f"{path.parent.name} {path.stem}")
def test_golden(path):
    expected = np.load(path.parent / "expected.npz")
    est = skmtl.load(path)
    X = expected["X"]
    for i, found in enumerate(outputs(est, X)):
        wanted = expected[f"{path.stem}.{i}"]
        assert found.dtype == wanted.dtype
        if wanted.dtype.kind == "f":
            np.testing.assert_allclose(found, wanted, rtol=1e-5, atol=1e-6)
        else:
            assert found.tolist() == wanted.tolist()
    y = np.arange(len(X)) % 3
    if path.stem in ("transformer", "mixture", "one_task"):
        est.partial_fit(X, y)
