"""Compiling where nothing can be cached."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import skmtl

pytestmark = pytest.mark.compiled


def test_works_without_a_cache_folder(tmp_path):
    """A read-only install with no home: kernels compile in memory, with one warning.

    Files stand where the cache folders would be, since permissions do not bind an administrator.
    """
    package = tmp_path / "skmtl"
    shutil.copytree(
        Path(skmtl.__file__).parent, package, ignore=shutil.ignore_patterns("__pycache__")
    )
    for folder in (package, *(path.parent for path in package.rglob("__init__.py"))):
        (folder / "__pycache__").touch()
    home = tmp_path / "home"
    home.touch()
    blocked = ("NUMBA_CACHE_DIR", "IPYTHONDIR", "PYTHONPYCACHEPREFIX")
    environment = {k: v for k, v in os.environ.items() if k not in blocked}
    environment |= {
        "HOME": str(home),
        "XDG_CACHE_HOME": str(home),
        "PYTHONPATH": str(tmp_path),
        "PYTHONDONTWRITEBYTECODE": "1",
    }
    code = (
        "import warnings; warnings.simplefilter('always'); import numpy as np, skmtl; "
        f"assert skmtl.__file__.startswith({str(tmp_path)!r}); "
        "X = np.random.default_rng(0).random((30, 4)); "
        "skmtl.SparseAutoencoderTransformer(4, max_iter=1, tol=None).fit(X)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env=environment, cwd=tmp_path
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr.count("skmtl compiles its kernels anew in each process") == 1
    assert "NUMBA_CACHE_DIR" in done.stderr


def test_processes_do_not_share_the_names_of_compiled_files():
    """Two that compile different signatures at once would overwrite each other's code."""
    from skmtl._linalg import _moments

    names = {_moments._cache._cache_file._data_name(1) for _ in range(3)}
    assert len(names) == 3
