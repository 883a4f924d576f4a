"""Kills fits, and saves, at random moments: ``python -m tests.killed {fits,saves} N_KILLS PATH``.

Each in a process of its own, forked from this one, which has compiled kernels already.
"""

import hashlib
import io
import os
import signal
import sys
import time
import warnings
from contextlib import suppress

import numpy as np

import skmtl
from skmtl import Checkpoint, MultiTaskSAEClassifier, _checkpoint
from skmtl.sparsifiers import TopK


def data():
    rng = np.random.default_rng(0)
    X, Y = rng.random((300, 20)), rng.integers(0, 3, (300, 3)).astype(float)
    Y[rng.random(Y.shape) < 0.3] = np.nan
    return X, Y


def estimator(checkpoint=None, n_components=200):
    """Of many phases: held-out rows, pretraining, training, a second member."""
    return MultiTaskSAEClassifier(
        n_components,
        sparsifier=TopK(4, search_every=2),
        batch_size=50,
        max_iter=3,
        early_stopping=True,
        pretrain_iter=1,
        n_members=2,
        tol=None,
        random_state=0,
        checkpoint=checkpoint,
    )


def digest(est):
    """Of all that there is to know of an estimator; the same model gives the same bytes."""
    file = io.BytesIO()
    skmtl.save(est, file)
    return hashlib.sha256(file.getvalue()).hexdigest()


def killed(function, after):
    """What a function returns in a process that is killed after some seconds; "" if nothing."""
    read, write = os.pipe()
    process = os.fork()
    if process == 0:
        try:
            os.write(write, function().encode())
        except BaseException as error:
            os.write(write, repr(error).encode())
        os._exit(0)
    time.sleep(after)
    os.kill(process, signal.SIGKILL)
    os.waitpid(process, 0)
    os.close(write)
    with open(read) as pipe:
        return pipe.read()


def fits(n_kills, path):
    """Resume, kill, resume, ... ; the moments go over a whole fit."""
    rng, n_left = np.random.default_rng(0), n_kills
    expected = digest(estimator().fit(*data()))

    def fit():
        return digest(estimator(Checkpoint(path, "0s", resume=True)).fit(*data()))

    while n_left:
        result = killed(fit, after=rng.uniform(0, 0.3))
        assert result in ("", expected), "another result"
        with warnings.catch_warnings():
            warnings.simplefilter("error")  # the newest can be read, or is not there
            _checkpoint.read(path)
        if result:  # it was faster: from the beginning again
            for each in (path, path + ".previous"):
                with suppress(FileNotFoundError):  # killed between two renames, and done since
                    os.unlink(each)
        n_left -= not result
    print(expected)


def saves(n_kills, path):
    """Two models take turns at one path."""
    rng = np.random.default_rng(0)
    models = [estimator(n_components=n).fit(*data()) for n in (100, 200)]
    digests = [digest(est) for est in models]

    def save():
        while True:
            for est in models:
                skmtl.save(est, path)

    for _ in range(n_kills):
        killed(save, after=rng.uniform(0.05, 0.2))
        assert digest(skmtl.load(path)) in digests, "another model"
    print(n_kills)


if __name__ == "__main__":
    what, n_kills, path = sys.argv[1:]
    {"fits": fits, "saves": saves}[what](int(n_kills), path)
