"""From what a user asked for to how the tasks are balanced: fixed weights, batches, Gramian."""

import numpy as np

from skmtl._arrays import as_floats
from skmtl._gramian import AveragedGramian
from skmtl._warn import warn

# Labels of a task in a batch, on average, below which what a batch says of it is mostly noise.
FEW_LABELS = 8


def check_task_weights(task_weights, targets):
    """``task_weights`` as an array (n_tasks,), or None."""
    if task_weights is None:
        return None
    n_tasks = targets.n_tasks
    if hasattr(task_weights, "items"):  # a dict, or a Series that says which is whose
        names = list(range(n_tasks) if targets.names is None else targets.names)
        task_weights = dict(task_weights.items())
        unknown = [name for name in task_weights if name not in names]
        if unknown:
            raise ValueError(
                f"The keys of task_weights must be names of tasks, {names[:10]}; got "
                f"{unknown[:5]}. Tasks that are left out have weight 1."
            )
        task_weights = [task_weights.get(name, 1.0) for name in names]
    weights = as_floats(task_weights, "task_weights")
    if weights.shape != (n_tasks,):
        raise ValueError(
            f"task_weights must have one entry per task ({n_tasks}); got shape {weights.shape}."
        )
    if not np.isfinite(weights).all() or (weights < 0).any() or not weights.any():
        raise ValueError(
            "task_weights must be finite, not negative, and above zero for some task; got "
            f"{weights.tolist()[:10]}. Set the weight of a task that the shared code is not to "
            "learn from to 0."
        )
    return weights


def average_for(balancer, compute_affinity):
    """The average of the Gramian that a fit keeps; None where nobody asks."""
    if getattr(balancer, "needs_gramian", False):
        return AveragedGramian(balancer.every, balancer.momentum)
    return AveragedGramian() if compute_affinity else None


def label_groups(labels):
    """Number of the group of each row, (n,): the rows with labels of the same tasks.

    Groups with the task of fewest labels come first and stand together, within them those of the
    next, and so on: whoever deals out the rows in this order deals out every rare task evenly.
    """
    present = labels >= 0
    rarest_first = np.argsort(present.sum(axis=0), kind="stable")
    patterns = np.packbits(~present[:, rarest_first], axis=1)
    return np.unique(patterns, axis=0, return_inverse=True)[1].reshape(-1)


def warn_of_few_labels(balancer, labels, batch_size):
    """One warning where batches are too small for a balancer that looks at single ones."""
    n_rows = len(labels)
    if n_rows <= batch_size or not getattr(balancer, "per_batch", False):
        return
    per_batch = (labels >= 0).sum(axis=0) / -(-n_rows // batch_size)
    few = (per_batch > 0) & (per_batch < FEW_LABELS)
    if few.any():
        warn(
            f"{few.sum()} of {len(few)} tasks have fewer than {FEW_LABELS} labels a batch on "
            f"average, of which {type(balancer).__name__} can tell little. Use "
            "batching='task_balanced', a larger batch_size, or balancer='equal'."
        )
