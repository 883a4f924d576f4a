"""``save`` and ``load``: an estimator as JSON and arrays, no pickle anywhere.

What is kept is all of ``vars(estimator)``, so a loaded one predicts, and trains on, to the bit.
"""

import io
import os
import reprlib
from contextlib import contextmanager, nullcontext
from typing import Any

from skmtl import _archive
from skmtl._archive import Refused
from skmtl._atomic import replacing
from skmtl._files._checks import check
from skmtl._files._classes import ESTIMATORS, SKOPS_TRUSTED
from skmtl._files._objects import KINDS
from skmtl._values import Reader, Writer

__all__ = ["SKOPS_TRUSTED", "load", "save"]

#: From a format to the function that makes a manifest of it one of the next format.
MIGRATIONS: dict = {}


def save(est: Any, path: Any) -> None:
    """Write an estimator to a file that can be loaded without trust.

    The file is an uncompressed zip of a JSON manifest and ``.npy`` arrays, each with its SHA-256.
    It holds all there is to know of the estimator: parameters, what it learnt, and the state of its
    training, so that `load` gives one that predicts, and goes on under ``partial_fit`` or
    ``warm_start``, with the same bits. The same model gives the same bytes.

    Parameters
    ----------
    est : estimator
        An estimator of skmtl, fitted or not. Its components are skmtl's own too.
    path : str, path-like or binary file object
        Where to. A file there is replaced once the new one is whole, and kept if anything fails.

    Raises
    ------
    TypeError
        If ``est``, or something that it holds, is not of skmtl's own classes, a plain value or an
        array: name and place are in the message. pickle, joblib and skops keep such objects.
    OSError
        If the file cannot be written, or its folder does not exist.

    See Also
    --------
    load : Read such a file.
    skmtl.SKOPS_TRUSTED : For files of skops, which keeps classes of your own as well.

    Examples
    --------
    >>> import io
    >>> import numpy as np
    >>> import skmtl
    >>> X = np.random.default_rng(0).random((50, 4))
    >>> sae = skmtl.SparseAutoencoderTransformer(8, max_iter=5, tol=None, random_state=0).fit(X)
    >>> file = io.BytesIO()
    >>> skmtl.save(sae, file)
    >>> _ = file.seek(0)
    >>> bool((skmtl.load(file).transform(X) == sae.transform(X)).all())
    True
    """
    if type(est) not in ESTIMATORS:
        names = ", ".join(cls.__name__ for cls in ESTIMATORS)
        raise TypeError(
            f"est must be an estimator of skmtl ({names}) itself; got {type(est).__name__}. Save "
            "the one inside (best_estimator_, a step of a pipeline), or use pickle, joblib or "
            "skops."
        )
    try:
        check(est)
        writer = Writer("est", KINDS)
        model = writer.put(est)
    except Refused as error:
        raise ValueError(f"est must be as a fit leaves it to be saved; got one {error}.") from None
    except RecursionError:
        raise ValueError("est must not hold anything that holds itself; got such a list.") from None
    with _to_write(path) as file:
        _archive.write(file, model, writer.arrays, writer.spent)


def load(path: Any) -> Any:
    """Read an estimator that `save` wrote.

    No code in the file is run, whoever made it: only skmtl's own classes are made, from numbers,
    strings and arrays, all of them checked. A file that differs from what `save` wrote in a single
    byte is refused. At most twice the file's length and a megabyte are allocated.

    Parameters
    ----------
    path : str, path-like or binary file object
        Where from. A file object is read from where it is, to its end.

    Returns
    -------
    est : estimator
        As it was saved, to the bit. Parameters that came with a later version have their defaults.

    Raises
    ------
    ValueError
        If it is not such a file, or is damaged, or was written by a version whose format is newer.
    OSError
        If the file cannot be read.

    See Also
    --------
    save : Write such a file.
    """
    try:
        with _opened(path) as file:
            start = file.tell()
            size = file.seek(0, io.SEEK_END) - start
            file.seek(start)
            manifest, arrays, room = _archive.read(file, size)
        manifest = _migrated(manifest)
        reader = Reader(arrays, KINDS, room)
        est = reader.get(manifest["model"])
        if type(est) not in ESTIMATORS:
            raise Refused("that holds no estimator")
        if reader.unused:
            raise Refused(f"with {len(reader.unused)} arrays that belong to nothing")
        check(est)
    except RecursionError:
        raise ValueError(_message(path, Refused("nested too deeply"))) from None
    except Refused as error:
        raise ValueError(_message(path, error)) from None
    return est


def _migrated(manifest):
    """A manifest of an older format as one of this format."""
    version = manifest["format"]
    try:
        for older in range(version, _archive.FORMAT):
            manifest = MIGRATIONS[older](manifest)
    except (AttributeError, LookupError, TypeError, ValueError) as error:
        raise Refused(f"of format {version} without what that has: {error!r}") from None
    return manifest


def _message(path, error):
    name = repr(os.fspath(path)) if isinstance(path, str | os.PathLike) else "path"
    return f"{name} must be a model file as skmtl.save writes it; got one {error}. {error.remedy}"


def _to_write(path):
    if not hasattr(path, "write"):
        return replacing(_checked(path))
    try:
        path.write(b"")
    except TypeError:
        raise _no_file(path) from None
    return nullcontext(path)


@contextmanager
def _opened(path):
    if not hasattr(path, "read"):
        with open(_checked(path), "rb") as file:
            yield file
    elif path.read(0) != b"" or not path.seekable():
        raise _no_file(path)
    else:
        yield path


def _checked(path):
    """A path as a string; numbers are no files that others have open."""
    name = os.fspath(path) if isinstance(path, str | os.PathLike) else None
    if not isinstance(name, str) or "\0" in name:
        raise _no_file(path)
    return name


def _no_file(path):
    return TypeError(
        "path must be a path (a str or path-like) or a file open in binary mode, for load one that "
        f"can seek; got {reprlib.repr(path)}. Bytes, and what cannot seek, are read by way of "
        "io.BytesIO; os.fsdecode makes a str of a path in bytes."
    )
