"""Tasks on codes of a known dictionary: some atoms are shared, each task has some of its own.

X      = codes @ dictionary + noise * N(0, 1)
w_t    = sqrt(relatedness) w + sqrt(1 - relatedness) v_t     on shared atoms, and v_t on its own
y_t    = argmax_c (codes - mean) . w_t[c]

w and v_t are standard normal, one row for each class; classes of a task are about equally
frequent. The atoms of other tasks do not enter a task's labels.
"""

from numbers import Integral
from typing import Any

import numpy as np
from sklearn.utils import Bunch, check_random_state

from skmtl.datasets._sparse_codes import _real, _require


def make_multitask_classification(
    n_samples: int = 1000,
    n_features: int = 40,
    n_tasks: int = 4,
    *,
    n_classes: int = 2,
    n_shared: int = 8,
    n_private: int = 2,
    n_active: int = 4,
    relatedness: float = 0.0,
    missing: float = 0.0,
    own_samples: bool = False,
    label_noise: float = 0.0,
    noise: float = 0.0,
    random_state: Any = None,
) -> tuple[np.ndarray, np.ndarray, Bunch]:
    """Generate tasks whose shared and private latents are known.

    Rows are sums of few atoms with random positive amplitudes. The labels of a task are linear in
    the amplitudes of the shared atoms and of the task's own.

    Parameters
    ----------
    n_samples : int, default=1000
        Number of rows.
    n_features : int, default=40
        Number of features of X.
    n_tasks : int, default=4
        Number of tasks.
    n_classes : int, default=2
        Number of classes of each task, at least 2.
    n_shared : int, default=8
        Number of atoms that all tasks read.
    n_private : int, default=2
        Number of atoms that one task alone reads, for each task.
    n_active : int, default=4
        Number of atoms in each row, at most as many as can be there.
    relatedness : float, default=0.0
        Squared correlation of the tasks' weights on the shared atoms, in [0, 1]: 0 makes them
        independent, 1 equal.
    missing : float, default=0.0
        Share of the labels that are missing, at random, in [0, 1).
    own_samples : bool, default=False
        Each row belongs to one task: it has a label of that task alone and none of the others'
        private atoms.
    label_noise : float, default=0.0
        Share of the labels that are replaced by a class drawn at random, in [0, 1].
    noise : float, default=0.0
        Standard deviation of normal noise, added to each feature of X.
    random_state : int, RandomState instance or None, default=None
        An int gives the same data in every call.

    Returns
    -------
    X : ndarray of shape (n_samples, n_features)
        Rows.
    Y : ndarray of shape (n_samples, n_tasks)
        Classes 0, 1, ... as floats; NaN where missing.
    truth : `~sklearn.utils.Bunch`
        ``codes`` (n_samples, n_atoms), ``dictionary`` (n_atoms, n_features) of unit norm, the
        shared atoms first, then those of each task; ``task_map`` (n_atoms, n_tasks), True where a
        task reads an atom.

    Raises
    ------
    ValueError
        If a parameter is out of its range.

    See Also
    --------
    make_sparse_codes : Rows of the same kind without labels.

    Examples
    --------
    >>> from skmtl.datasets import make_multitask_classification
    >>> X, Y, truth = make_multitask_classification(200, 16, 3, missing=0.3, random_state=0)
    >>> X.shape, Y.shape, truth.dictionary.shape
    ((200, 16), (200, 3), (14, 16))
    >>> truth.task_map[8:].sum(axis=1)  # private atoms are read by one task
    array([1, 1, 1, 1, 1, 1])
    """
    sizes = {"n_samples": n_samples, "n_features": n_features, "n_tasks": n_tasks}
    for name, size in (sizes | {"n_active": n_active}).items():
        _require(isinstance(size, Integral) and size >= 1, name, "an integer of at least 1", size)
    for name, size in {"n_shared": n_shared, "n_private": n_private}.items():
        _require(isinstance(size, Integral) and size >= 0, name, "an integer of at least 0", size)
    _require(n_shared + n_private > 0, "n_shared", "at least 1 without private atoms", n_shared)
    _require(
        isinstance(n_classes, Integral) and n_classes >= 2, "n_classes", "at least 2", n_classes
    )
    for name, share in {"relatedness": relatedness, "label_noise": label_noise}.items():
        _require(_real(share) and 0 <= share <= 1, name, "in [0, 1]", share)
    _require(_real(missing) and 0 <= missing < 1, "missing", "in [0, 1)", missing)
    _require(_real(noise) and noise >= 0, "noise", "a number of at least 0", noise)
    n_atoms = n_shared + n_tasks * n_private
    most = n_shared + n_private if own_samples else n_atoms
    _require(n_active <= most, "n_active", f"at most the {most} atoms a row can have", n_active)

    rng = np.random.default_rng(check_random_state(random_state).randint(2**31))
    dictionary = rng.standard_normal((n_atoms, n_features))
    dictionary /= np.linalg.norm(dictionary, axis=1, keepdims=True)
    owner = np.repeat([-1, *range(n_tasks)], [n_shared, *[n_private] * n_tasks])
    task_map = (owner[:, None] == -1) | (owner[:, None] == np.arange(n_tasks))

    of_row = rng.integers(0, n_tasks, n_samples)
    order = rng.random((n_samples, n_atoms))
    if own_samples:
        order[~task_map.T[of_row]] = np.inf  # atoms of other tasks come last
    chosen = np.argsort(order, axis=1)[:, :n_active]
    codes = np.zeros((n_samples, n_atoms))
    amplitudes = rng.uniform(0.5, 1.5, chosen.shape)
    np.put_along_axis(codes, chosen, amplitudes, axis=1)
    X = codes @ dictionary
    X += noise * rng.standard_normal(X.shape)

    common = rng.standard_normal((n_classes, n_atoms))
    Y = np.empty((n_samples, n_tasks))
    for t in range(n_tasks):
        weights = rng.standard_normal((n_classes, n_atoms))
        related = np.sqrt(relatedness) * common + np.sqrt(1 - relatedness) * weights
        weights = np.where(owner == -1, related, weights) * task_map[:, t]
        rows = of_row == t if own_samples else np.ones(n_samples, bool)
        center = codes[rows].mean(axis=0) if rows.any() else 0
        Y[:, t] = np.argmax((codes - center) @ weights.T, axis=1)
        drawn = rng.random(n_samples) < label_noise
        Y[drawn, t] = rng.integers(0, n_classes, drawn.sum())
        if own_samples:
            Y[~rows, t] = np.nan
    Y[rng.random(Y.shape) < missing] = np.nan
    return X, Y, Bunch(codes=codes, dictionary=dictionary, task_map=task_map)
