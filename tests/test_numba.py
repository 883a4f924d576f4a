"""Compiled code on disk: wherever it may lie, and whatever is wrong with it, fits go on."""

import os
import shutil
import signal
import stat
from pathlib import Path

import numpy as np
import pytest

import skmtl
from skmtl import _compiled
from skmtl._linalg import _moments
from skmtl._numba import kernel
from skmtl._softmax_heads import softmax
from tests.fresh import run

#: A few kernels run, what they give, and what they and Numba's caches tell.
SCRIPT = """
import sys, warnings
import numpy as np
with warnings.catch_warnings(record=True) as told:
    warnings.simplefilter("always")
    import skmtl._linalg, skmtl._softmax_heads
    {before}
    X, out = np.arange(20.0).reshape(4, 5), np.zeros((4, 5))
    sums, count = np.zeros((2, 5)), np.zeros(5, np.int64)
    skmtl._linalg._moments(X, X[:, 0], *sums)
    skmtl._linalg._add_row(X, sums[0], out)
    skmtl._linalg._relu(X.ravel(), X.ravel())
    skmtl._softmax_heads.softmax(X[0], 1.0, 1, out[0])
    {after}
told = [str(w.message) for w in told if "skmtl" in str(w.message)]
kernels = {{
    id(k): k for name, m in list(sys.modules.items()) if name.startswith("skmtl")
    for k in vars(m).values() if hasattr(k, "signatures")
}}
loaded = sum(sum(k.stats.cache_hits.values()) for k in kernels.values())
compiled = sum(len(k.signatures) for k in kernels.values()) - loaded
print(loaded, compiled, len(told), out.tobytes().hex(), *told, sep="|")
"""
A_FIT = "skmtl.SparseAutoencoderTransformer(4, max_iter=1, tol=None).fit(X)"

pytestmark = pytest.mark.compiled


def use(folder, before="pass", after="pass", **environment):
    """How many kernels were loaded and compiled, what was warned of, and the result."""
    script = SCRIPT.format(before=before, after=after)
    out = run(script, NUMBA_CACHE_DIR=folder and str(folder), **environment)
    loaded, compiled, n_told, result, *told = out.strip().split("|")
    assert int(n_told) == len(told) <= 1
    assert all("NUMBA_CACHE_DIR" in message for message in told)
    return int(loaded), int(compiled), told, result


@pytest.fixture(scope="module")
def filled(tmp_path_factory):
    """A cache folder that kernels have filled, and their result."""
    folder = tmp_path_factory.mktemp("compiled")
    loaded, compiled, told, result = use(folder)
    assert loaded == 0 and compiled >= 4 and not told
    return folder, result


@pytest.fixture
def cached(filled, tmp_path):
    """A copy of it to be harmed."""
    folder = tmp_path / "compiled"
    shutil.copytree(filled[0], folder)
    return folder, sorted(folder.rglob("*.nbc")), filled[1]


def test_code_is_kept(cached):
    """One file a kernel and signature; the next process compiles nothing."""
    folder, files, result = cached
    loaded, compiled, told, again = use(folder)
    assert (loaded, compiled, told, again) == (4, 0, [], result)
    assert sorted(folder.rglob("*.*")) == files


HARMS = {
    "cut to nothing": lambda content: b"",
    "cut in the hash": lambda content: content[:20],
    "cut after it": lambda content: content[:32],
    "cut early": lambda content: content[:200],
    "cut in half": lambda content: content[: len(content) // 2],
    "cut by a byte": lambda content: content[:-1],
    "longer": lambda content: content + b"x",
    "garbage": lambda content: os.urandom(len(content)),
    "one bit of code flipped": lambda content: (
        content[: len(content) // 2]
        + bytes([content[len(content) // 2] ^ 1])
        + content[len(content) // 2 + 1 :]
    ),
}


def test_damaged_files_are_written_again(cached):
    """Each harmed in another way: nothing of them is run, and the next process loads them all."""
    folder, files, result = cached
    harms = list(HARMS.values())
    for i, path in enumerate(files):
        path.write_bytes(harms[i % len(harms)](path.read_bytes()))
    loaded, compiled, told, again = use(folder)
    assert loaded == 0 and again == result
    assert "damaged" in told[0]
    loaded, compiled, told, again = use(folder)
    assert (loaded, compiled, told, again) == (4, 0, [], result)


@pytest.mark.long
@pytest.mark.parametrize("harm", HARMS)
def test_every_file_damaged_in_one_way(cached, harm):
    folder, files, result = cached
    for path in files:
        path.write_bytes(HARMS[harm](path.read_bytes()))
    loaded, _, told, again = use(folder)
    assert loaded == 0 and len(told) == 1 and again == result
    assert use(folder)[0] >= 4


def test_what_cannot_be_read_or_understood(cached):
    """A folder in a file's place, whole files of no pickle, and of another pickle."""
    folder, files, result = cached
    for i, path in enumerate(files):
        path.unlink()
        if i % 3 == 0:
            path.mkdir()
        else:
            content = [b"no pickle", b"I1\n."][i % 2]
            path.write_bytes(_compiled.sha256(content).digest() + content)
    loaded, _, told, again = use(folder)
    assert loaded == 0 and len(told) == 1 and again == result


def test_files_of_older_sources_are_not_read(cached):
    """Nor those of other versions of Numba, or for another processor: they have other names."""
    folder, files, result = cached
    for path in files:
        path.rename(path.with_name(path.name.replace(path.name[-20:-10], "0" * 10)))
    loaded, _, told, again = use(folder)
    assert loaded == 0 and not told and again == result


FULL = """
import errno, pathlib
write = pathlib.Path.write_bytes
def full(path, content):
    write(path, content[:100])
    raise OSError(errno.ENOSPC, "No space left on device")
pathlib.Path.write_bytes = full
"""


def test_a_full_disk(filled, tmp_path):
    """Half a file is not left behind."""
    _, compiled, told, result = use(tmp_path, FULL.strip().replace("\n", "\n    "))
    assert compiled >= 4 and "No space left on device" in told[0] and result == filled[1]
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]


def test_a_folder_that_goes(filled, tmp_path):
    """A file takes its place after the import."""
    before = "; ".join(
        [
            "import shutil, pathlib",
            "folder = pathlib.Path(skmtl._linalg._moments.stats.cache_path)",
            "shutil.rmtree(folder)",
            "folder.touch()",
        ]
    )
    _, compiled, told, result = use(tmp_path, before)
    assert compiled >= 4 and len(told) == 1 and result == filled[1]


def test_works_without_a_cache_folder(filled, tmp_path):
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
    _, compiled, told, result = use(
        None,
        f"assert skmtl.__file__.startswith({str(tmp_path)!r})",
        A_FIT,
        cwd=tmp_path,
        HOME=str(home),
        XDG_CACHE_HOME=str(home),
        PYTHONPATH=str(tmp_path),
        PYTHONDONTWRITEBYTECODE="1",
        PYTHONPYCACHEPREFIX=None,
        IPYTHONDIR=None,
    )
    assert compiled >= 4 and "no locator available" in told[0] and result == filled[1]


# --- where it lies -------------------------------------------------------------------------------


def test_the_default_folder_is_nobody_elses():
    """Beside the package, or in the user's own folder."""
    ask = "from skmtl._linalg import _moments; print(_moments.stats.cache_path)"
    default = Path(run(ask, NUMBA_CACHE_DIR=None).strip())
    beside = Path(skmtl.__file__).parent / "__pycache__"
    assert default == beside or default.is_relative_to(Path.home())
    assert not _compiled.others_can_write(default, skmtl.__file__)


@pytest.mark.skipif(not hasattr(os, "getuid"), reason="permissions of another kind")
def test_a_folder_that_others_can_write_to_is_not_used(cached, tmp_path):
    folder, files, result = cached
    for path in {file.parent for file in files}:
        path.chmod(0o777)
    loaded, _, told, again = use(folder)
    assert loaded == 0 and "others than its user can write" in told[0] and again == result
    mine = tmp_path / "mine"
    mine.mkdir(mode=0o755)
    assert not _compiled.others_can_write(mine, skmtl.__file__)
    mine.chmod(stat.S_IRWXU | stat.S_IWOTH)
    assert _compiled.others_can_write(mine, skmtl.__file__)


@pytest.mark.skipif(not hasattr(os, "getuid"), reason="permissions of another kind")
def test_a_folder_of_another_user_is_not_used(tmp_path, monkeypatch):
    monkeypatch.setattr(os, "getuid", lambda: 12345)
    own = os.stat(tmp_path).st_uid
    assert _compiled.others_can_write(tmp_path, tmp_path) is False  # whose package it is, too
    if own != 0:
        assert _compiled.others_can_write(tmp_path, "/")


# --- names ---------------------------------------------------------------------------------------


def test_names_follow_what_is_called_elsewhere(monkeypatch):
    """An edit of a callee in another file gives other names."""
    hashes = {
        path: _compiled._hash_of(path)
        for path in (softmax.py_func.__code__.co_filename, skmtl._math.__file__)
    }
    assert _compiled.sources_of(softmax.py_func) == sorted(hashes.values())
    assert len(_compiled.sources_of(_moments.py_func)) == 1
    files = softmax._cache._cache_file
    before = files.path_of("key")
    monkeypatch.setattr(files, "sources", [*files.sources[:-1], "edited"])
    assert files.path_of("key") != before


def test_files_can_be_flushed(tmp_path):
    files = _compiled.HashedFiles(tmp_path, "kernel", ["source"])
    assert files.load("key") is None
    files.save("key", (1, "two"))
    assert files.load("key") == (1, "two") and files.load("other") is None
    files.flush()
    assert files.load("key") is None and not list(tmp_path.iterdir())


def test_ctrl_c_is_heard_when_a_kernel_is_compiled(monkeypatch):
    @kernel
    def twice(values):
        for i in range(len(values)):
            values[i] *= 2

    def interrupted(*args):
        os.kill(os.getpid(), signal.SIGINT)

    monkeypatch.setattr(twice._cache, "load_overload", interrupted)
    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # shells may ignore it
    try:
        with pytest.raises(KeyboardInterrupt):
            twice(np.ones(3))
        assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    finally:
        signal.signal(signal.SIGINT, before)
    assert len(twice.signatures) == 1
