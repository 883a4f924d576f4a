"""Three tasks over scikit-learn's digits, each with rows of its own."""

from typing import Any

import numpy as np
from sklearn.datasets import load_digits
from sklearn.utils import Bunch

from skmtl.model_selection import multitask_train_test_split

TASKS = {
    "digit": lambda digit: digit,
    "odd": lambda digit: digit % 2,
    "at_least_5": lambda digit: (digit >= 5).astype(int),
}


def load_multitask_digits(*, n_train: int = 1200, random_state: Any = None) -> Bunch:
    """Three related tasks over scikit-learn's digits, each with its own training rows.

    The tasks are the digit, whether it is odd, and whether it is at least five. The training rows
    are cut into thirds and each third is labelled for one task; the test rows for all.

    Parameters
    ----------
    n_train : int, default=1200
        Training rows of all tasks together, at least 30 and fewer than 1797.
    random_state : int, RandomState instance or None, default=None
        Choice of the rows; the digits keep their proportions in every part.

    Returns
    -------
    bunch : Bunch
        ``tasks``, a dict from name to (X, y) of the task's own training rows; ``X_test``
        (n_test, 64) and ``Y_test`` (n_test, 3); ``task_names``. Pixels lie in [0, 1].

    Examples
    --------
    >>> from skmtl.datasets import load_multitask_digits
    >>> digits = load_multitask_digits(random_state=0)
    >>> {name: X.shape for name, (X, y) in digits.tasks.items()}
    {'digit': (400, 64), 'odd': (400, 64), 'at_least_5': (400, 64)}
    >>> digits.Y_test.shape
    (597, 3)
    """
    X, digit = load_digits(return_X_y=True)
    X = X / 16
    if not 30 <= n_train < len(X):
        raise ValueError(f"n_train must lie in [30, {len(X)}); got {n_train!r}.")
    X_train, X_test, train, test = multitask_train_test_split(
        X, digit, test_size=len(X) - n_train, random_state=random_state
    )
    # Already stratified and shuffled: sorted by digit, every third row is a stratified third.
    order = np.argsort(train, kind="stable")
    tasks = {
        name: (X_train[order[t :: len(TASKS)]], label(train[order[t :: len(TASKS)]]))
        for t, (name, label) in enumerate(TASKS.items())
    }
    return Bunch(
        tasks=tasks,
        X_test=X_test,
        Y_test=np.column_stack([label(test) for label in TASKS.values()]),
        task_names=list(TASKS),
    )
