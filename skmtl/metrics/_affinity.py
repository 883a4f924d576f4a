"""Groups of tasks, from how their gradients agree."""

import numpy as np
from scipy.cluster.hierarchy import cut_tree, fcluster, linkage
from scipy.spatial.distance import squareform

from skmtl._arrays import as_floats


def task_groups(affinity, n_groups=None):
    """Group the tasks whose gradients point the same way.

    Groups are merged, nearest first, by the mean affinity between their tasks.

    Parameters
    ----------
    affinity : array-like of shape (n_tasks, n_tasks)
        Mean cosine of the tasks' gradients, such as ``affinity_`` of a fitted estimator. NaN, for
        a task that never had a gradient, counts as 0.
    n_groups : int or None, default=None
        Number of groups, at least 1. None merges as long as the mean affinity is above 0.

    Returns
    -------
    groups : ndarray of int, shape (n_tasks,)
        Number of each task's group; groups are numbered by their first tasks.

    Raises
    ------
    ValueError
        If ``affinity`` is not square or ``n_groups`` is not between 1 and the number of tasks.

    References
    ----------
    Standley et al., "Which Tasks Should Be Learned Together in Multi-task Learning?", ICML 2020.
    Fifty et al., "Efficiently Identifying Task Groupings for Multi-Task Learning", NeurIPS 2021.

    Examples
    --------
    >>> from skmtl.metrics import task_groups
    >>> task_groups([[1, 0.6, -0.2], [0.6, 1, 0.1], [-0.2, 0.1, 1]])
    array([0, 0, 1])
    """
    affinity = np.nan_to_num(as_floats(affinity, "affinity"))
    n_tasks = len(affinity) if affinity.ndim else 0
    if affinity.shape != (n_tasks, n_tasks) or n_tasks == 0:
        raise ValueError(
            f"affinity must be square, one row and column a task; got shape {affinity.shape}."
        )
    if n_groups is not None and not 1 <= n_groups <= n_tasks:
        raise ValueError(
            f"n_groups must be from 1 to the number of tasks, {n_tasks}; got {n_groups!r}."
        )
    if n_tasks == 1:
        return np.zeros(1, dtype=np.int64)
    distance = 1 - (affinity + affinity.T) / 2
    np.fill_diagonal(distance, 0)
    tree = linkage(squareform(distance), method="average")
    if n_groups is None:
        below_one = np.nextafter(1.0, 0.0)  # a mean affinity of 0 joins nothing
        groups = fcluster(tree, below_one, criterion="distance")
    else:
        groups = cut_tree(tree, n_groups)[:, 0]
    _, first, inverse = np.unique(groups, return_index=True, return_inverse=True)
    return np.argsort(np.argsort(first))[inverse.reshape(-1)]
