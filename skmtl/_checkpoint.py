"""Checkpoints: a fit is kept on disk while it runs, and goes on from there bit for bit.

A fit is a sequence of entries, always the same one: results that are drawn or chosen (a seed, the
heads that the guard chose), and loops (pretraining, training, each fold, each member), of which
``params``, ``state`` and progress are kept. A snapshot holds the entries so far; the last may
be a loop under way. To resume is to run the same fit with the entries at hand: a result is not
computed again, a loop is put back to where it was. What lies between entries is computed anew from
them, to the same bits.
"""

import hashlib
import json
import math
import os
import re
from collections import deque
from copy import deepcopy
from numbers import Integral
from time import monotonic
from typing import Any

import numpy as np
import scipy.sparse as sp

from skmtl import _archive
from skmtl._archive import Refused
from skmtl._atomic import remove_leftovers, replacing
from skmtl._sklearn import Component, Interval
from skmtl._training import Journal
from skmtl._values import Reader, Writer
from skmtl._version import __version__
from skmtl._warn import warn

# Parameters on which no result depends.
FREE = ("checkpoint", "n_jobs", "verbose")
SECONDS = re.compile(r"([0-9]+(\.[0-9]*)?)s")
BEGAN = "model that warm_start goes on from"


class Checkpoint(Component):
    """Snapshots of a fit, from which it can go on after an interruption.

    A fit that is killed, at any moment, and run again with ``resume=True`` on the same data ends
    with the same bits as one that was never interrupted. Snapshots are whole or not there: each is
    written beside the last, flushed to disk and put in its place, and the last one is kept as
    ``path + ".previous"``.

    Parameters
    ----------
    path : str or path-like
        Where to. A file there is replaced. Fits that run at the same time need paths of their own,
        those of a parallel search too.
    every : int or str, default="60s"
        From one snapshot to the next: epochs, or seconds as in ``"60s"`` or ``"0.5s"``. Epochs are
        counted within pretraining, within training, and so on. One snapshot is written before the
        first step, so that a folder that cannot be written to is found at once, and one when such a
        part of the fit ends.
    resume : bool, default=False
        Go on from the snapshot at ``path``. Where there is none, the fit begins anew; with a
        warning where, under ``warm_start``, it is of a fit that went on from another model, such as
        the fit before this one.

    Raises
    ------
    ValueError
        By ``fit``: if the snapshot is of a fit to other data or with other parameters (``n_jobs``,
        ``verbose`` and ``checkpoint`` may differ, ``max_iter`` may not; a RandomState must be in
        the state it began in), by another version of skmtl, or if neither it nor the previous one
        can be read.
    OSError
        By ``fit``: if a snapshot cannot be written. The last one stays.

    Notes
    -----
    A snapshot is about three times as large as the parameters, once for each model that the fit has
    trained so far (members of an ensemble, folds of the guard), and holds what
    `skmtl.save` would: no pickle, each array with its SHA-256. Resume from your own: it is
    protected against damage, not against being made up. The last one stays when the fit has ended;
    resumed, it gives the same model at once.

    ``partial_fit`` and ``add_task`` write none: save the estimator between their calls. Nor does
    `skmtl.save` keep ``checkpoint``, so that a file from elsewhere cannot name a path to write to.

    Examples
    --------
    >>> import os, tempfile
    >>> import numpy as np
    >>> from skmtl import Checkpoint, SparseAutoencoderTransformer
    >>> X = np.random.default_rng(0).random((50, 4))
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     checkpoint = Checkpoint(os.path.join(folder, "fit"), every=5, resume=True)
    ...     sae = SparseAutoencoderTransformer(8, max_iter=20, tol=None, checkpoint=checkpoint)
    ...     again = sae.fit(X).transform(X)
    ...     bool((sae.fit(X).transform(X) == again).all())
    True
    """

    _parameter_constraints = {
        "path": [str, os.PathLike],
        "every": [Interval(Integral, 1, None, closed="left"), str],
        "resume": ["boolean"],
    }

    def __init__(self, path: Any, every: int | str = "60s", resume: bool = False) -> None:
        self.path = path
        self.every = every
        self.resume = resume

    def validate(self):
        super().validate()
        is_seconds = isinstance(self.every, str) and SECONDS.fullmatch(self.every)
        if isinstance(self.every, str | bool) and not is_seconds:
            raise ValueError(
                "The 'every' parameter of Checkpoint must be a number of epochs, or seconds as in "
                f"'60s'; got {self.every!r}."
            )
        return self


def journal_of(estimator, table, validation, *, goes_on, streamed):
    """What keeps a fit to some `WeightedRows`: nothing, where no checkpoint is asked for.

    ``partial_fit`` is ``streamed``; ``warm_start`` goes on from a fitted model.
    """
    checkpoint = estimator.checkpoint
    if checkpoint is None or streamed:
        return Journal()
    if not isinstance(checkpoint, Checkpoint):
        checkpoint = Checkpoint(checkpoint)
    return FileJournal(checkpoint.validate(), identity(estimator, table, validation, goes_on))


class FileJournal(Journal):
    """Keeps the entries of a fit in a file, and begins with those that are there already."""

    def __init__(self, checkpoint, fit):
        self.path = _file(checkpoint.path)
        self.every, self.seconds, self.fit = checkpoint.every, None, fit
        if isinstance(self.every, str):
            self.seconds = float(self.every[:-1])
        self.behind: list = []  # [name, value] of the entries so far,
        self.ahead = deque(self._resumed() if checkpoint.resume else ())  # and of those to come
        self.live: Any = None  # the ``params`` of the last loop
        self.moved = False  # whether that did a step

    def once(self, name, compute):
        if self.ahead and self.ahead[0][0] == name:
            self.behind.append(self.ahead.popleft())
            return self.behind[-1][1]
        n = len(self.behind)
        value = compute()
        took_loops = len(self.behind) > n
        self.behind[n:] = [[name, value]]  # they have served
        if took_loops:
            self._write()
        return value

    def begin(self, params, state, progress):
        if self.behind and self.live is params:  # this loop goes on from the last one
            self.behind[-1][1].update(params=None, state=None)
        loop = {"params": params, "state": state, "progress": vars(progress)}
        if self.ahead:
            _put_back(loop, *self.ahead.popleft())
        self.behind.append(["loop", loop])
        self.live, self.moved, self.began = params, False, monotonic()
        if len(self.ahead) == 0 and progress.epoch == progress.batch == 0:
            self._write()

    def step(self, progress, n_batches):
        self.moved = True
        if self.seconds is not None:
            is_due = monotonic() - self.began >= self.seconds
        else:
            is_due = progress.batch == n_batches and (progress.epoch + 1) % self.every == 0
        if is_due:
            self._write()

    def end(self):
        if self.moved:
            self._write()
        self.behind[-1] = deepcopy(self.behind[-1])  # from here on others change the arrays

    def _write(self):
        writer = Writer("checkpoint")
        snapshot = writer.put({"fit": self.fit, "entries": self.behind})
        with replacing(self.path, previous=previous(self.path)) as file:
            _archive.write(file, snapshot, writer.arrays, spent=-math.inf)
        self.began = monotonic()

    def _resumed(self):
        """The entries in the file; none if there is no file."""
        remove_leftovers(self.path)
        snapshot = read(self.path)
        if snapshot is None:
            return []
        if _is_same(self.path, snapshot["fit"], self.fit):
            return snapshot["entries"]
        warn(
            f"checkpoint goes on from a snapshot of this very fit; got {self.path!r}, of one that "
            "went on from another model. This fit, under warm_start=True, begins anew."
        )
        return []


def _file(path):
    """The absolute path, which must not be that of a folder: snapshots move what is there away."""
    path = os.fspath(path)
    if not isinstance(path, str) or "\0" in path or os.path.isdir(os.path.realpath(path)):
        raise ValueError(
            f"checkpoint must be the path of a file; got {path!r}, which is a folder or no path. "
            "Name a file in a folder."
        )
    return os.path.realpath(path)


def _put_back(loop, name, kept):
    """Bring a loop that begins to where it was, in place: others hold its dicts and generator."""
    if name != "loop":
        raise ValueError(f"checkpoint must hold a loop where this fit has one; got {name!r}.")
    loop["progress"].update(kept["progress"])
    if kept["params"] is None:
        return
    for key in ("params", "state"):
        if not loop[key].keys() <= kept[key].keys():
            raise ValueError(f"checkpoint must hold {list(loop[key])}; got {list(kept[key])}.")
    rng = loop["state"]["rng"]
    rng.bit_generator.state = kept["state"]["rng"].bit_generator.state
    for key in ("params", "state"):
        loop[key].clear()
        loop[key].update(kept[key])
    loop["state"]["rng"] = rng


# --- the file ---------------------------------------------------------------------------------


def previous(path):
    return path + ".previous"


def read(path):
    """The newest snapshot that can be read; None if there is none."""
    damaged = None
    for candidate in (path, previous(path)):
        try:
            snapshot = _read_one(candidate)
        except FileNotFoundError:  # the newest, if it was to be put in its place just then
            continue
        except Refused as error:
            damaged = damaged or error
            continue
        if damaged is not None:
            warn(
                f"{path!r} must be a snapshot of a fit; got one {damaged}. Resuming from the one "
                f"before it, {candidate!r}."
            )
        return snapshot
    if damaged is not None:
        raise ValueError(
            f"checkpoint must be a snapshot of a fit to resume from it; got {path!r}, a file "
            f"{damaged}. Remove it, or set resume=False, to begin anew."
        )
    return None


def _read_one(path):
    with open(path, "rb") as file:
        try:
            size = os.fstat(file.fileno()).st_size
            manifest, arrays, _ = _archive.read(file, size, limited=False)
            snapshot = Reader(arrays).get(manifest["model"])
        except RecursionError:
            raise Refused("nested too deeply") from None
    if not isinstance(snapshot, dict) or set(snapshot) != {"fit", "entries"}:
        raise Refused("that holds no snapshot")
    return snapshot


# --- which fit it is of ---------------------------------------------------------------------------


def identity(estimator, table, validation, goes_on):
    """All that the result of a fit depends on, by name, as strings."""
    parameters = estimator.get_params(deep=False)
    began = None
    if goes_on:
        began = [vars(estimator).get(name) for name in ("_params", "_state", "_members")]
    return {
        "skmtl": __version__,
        "estimator": type(estimator).__name__,
        **{name: described(value) for name, value in parameters.items() if name not in FREE},
        "X": digest(table.X),
        "y": digest((table.codes, table.values)),
        "sample_weight": digest((table.weight, table.label_weight)),
        "X_val": digest(None if validation is None else tuple(validation)),
        BEGAN: digest(began),
    }


def described(value):
    """A parameter in words that are the same in every process."""
    if hasattr(value, "get_params"):
        parameters = value.get_params(deep=False).items()
        own = ", ".join(f"{name}={described(item)}" for name, item in parameters)
        return f"{type(value).__name__}({own})"
    if isinstance(value, np.ndarray | np.generic):
        return described(value.tolist())
    if isinstance(value, dict):
        pairs = (f"{described(key)}: {described(item)}" for key, item in value.items())
        return f"{{{', '.join(pairs)}}}"
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(described, value))}]"
    if value is None or isinstance(value, bool | int | float | str):
        return repr(value)
    if isinstance(value, np.random.RandomState):
        state = described(value.get_state(legacy=False)).encode()
        return f"RandomState in state {hashlib.sha256(state).hexdigest()[:16]}"
    return type(value).__name__


def digest(value):
    """SHA-256 of arrays and plain values."""
    writer = Writer("value")
    node = writer.put(_as_plain(value))
    sha = hashlib.sha256(json.dumps(node).encode())
    for array in writer.arrays:
        *layout, data = _archive.laid_out(array)
        sha.update(repr(layout).encode())
        sha.update(data)
    return sha.hexdigest()


def _as_plain(value):
    if sp.issparse(value):  # of the smallest integers that will do, as others may be given
        kind = sp.get_index_dtype((value.indices, value.indptr), check_contents=True)
        indices = (part.astype(kind, copy=False) for part in (value.indices, value.indptr))
        return value.shape, value.data, *indices
    return tuple(map(_as_plain, value)) if type(value) is tuple else value


def _is_same(path, theirs, ours):
    """Whether a snapshot is of this fit; False if only the model differs that it went on from."""
    other = [name for name in ours if theirs.get(name) != ours[name]]
    if other in ([], [BEGAN]):
        return not other
    differences = []
    for name in other:
        was, now = (str(of.get(name))[:500] for of in (theirs, ours))
        is_digest = re.fullmatch("[0-9a-f]{64}", now)
        differences.append(f"another {name}" if is_digest else f"{name}={was}, here {now}")
    raise ValueError(
        f"checkpoint must be of this very fit to resume from it; got {path!r}, of one with "
        f"{'; '.join(differences)}. Fit as it was begun, or set resume=False to begin anew."
    )
