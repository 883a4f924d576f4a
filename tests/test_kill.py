"""kill -9 at any moment: no unreadable file, no other result."""

import os
import subprocess
import sys

import pytest

from skmtl import Checkpoint
from tests.killed import data, digest, estimator

pytestmark = [
    pytest.mark.compiled,
    pytest.mark.skipif(not hasattr(os, "fork"), reason="killed processes are forked"),
]


def run(what, n_kills, path):
    return subprocess.run(
        [sys.executable, "-m", "tests.killed", what, str(n_kills), str(path)],
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    ).stdout.strip()


@pytest.mark.parametrize("n_kills", [6, pytest.param(200, marks=pytest.mark.long)])
def test_fits(n_kills, tmp_path):
    expected = run("fits", n_kills, tmp_path / "fit")
    resumed = estimator(Checkpoint(tmp_path / "fit", resume=True)).fit(*data())
    assert digest(resumed) == expected
    assert {file.name for file in tmp_path.iterdir()} == {"fit", "fit.previous"}


@pytest.mark.parametrize("n_kills", [6, pytest.param(200, marks=pytest.mark.long)])
def test_saves(n_kills, tmp_path):
    assert run("saves", n_kills, tmp_path / "model") == str(n_kills)
