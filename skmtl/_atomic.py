"""Files that are whole or not there: written beside the old one, then put in its place."""

import os
import re
from contextlib import contextmanager, suppress
from secrets import token_hex


@contextmanager
def replacing(path, previous=None):
    """A binary file to write, which takes the place of ``path`` if the block ends well.

    Whoever opens ``path`` finds the old file or the new one, whole, whenever the process or the
    machine stops. A link stays, and what it points to is replaced. With ``previous``, a path in the
    same folder, the old file is kept there, and may for a moment be there alone.
    """
    path = os.path.realpath(path)
    if os.path.isdir(path):
        raise IsADirectoryError(f"{path!r} must be a file to be replaced; it is a folder.")
    folder, name = os.path.split(path)
    if not os.path.isdir(folder):
        raise FileNotFoundError(
            f"{path!r} must be in a folder that exists; got {folder!r}. Make it, or name another."
        )
    temporary = os.path.join(folder, f".{name}.{token_hex(8)}.tmp")  # a rename is atomic in there
    try:
        with open(temporary, "xb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        if previous is not None:
            with suppress(FileNotFoundError):
                os.replace(path, previous)
        os.replace(temporary, path)
    except BaseException as error:
        if isinstance(error, OSError) and error.filename == temporary:
            error.filename = path  # the name that the user knows
        with suppress(OSError):
            os.unlink(temporary)
        raise
    _sync_folder(folder)


def remove_leftovers(path):
    """Remove what processes that were killed while writing ``path`` left beside it.

    Only for whoever is the only one to write it.
    """
    folder, name = os.path.split(os.path.realpath(path))
    with suppress(OSError):
        for entry in os.listdir(folder):
            if re.fullmatch(rf"\.{re.escape(name)}\.[0-9a-f]{{16}}\.tmp", entry):
                os.unlink(os.path.join(folder, entry))


def _sync_folder(folder):
    """So that the rename survives a power cut. Windows cannot, and does not need to."""
    if hasattr(os, "O_DIRECTORY"):
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
