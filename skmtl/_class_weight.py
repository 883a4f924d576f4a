"""``class_weight`` for several tasks."""

import numpy as np


def class_weights(class_weight, labels, codes, label_weight):
    """Weight of each label's class, (n_rows, n_tasks).

    ``class_weight`` is None, "balanced" (on each task's observed labels, as they are weighted), a
    dict from label to weight for all tasks, or one of these per task: a list, or a dict by name.
    """
    per_task = _per_task(class_weight, labels)
    _check_keys(per_task, labels)
    out = np.ones(codes.shape)
    for t, chosen in enumerate(per_task):
        present, n_classes = codes[:, t] >= 0, len(labels.classes[t])
        if chosen is None or not present.any():
            continue
        if isinstance(chosen, dict):
            weight = np.array([chosen.get(c, 1.0) for c in labels.classes[t].tolist()], dtype=float)
        else:  # total / (number of classes * total of the class), of the classes with weight
            total = np.bincount(
                codes[present, t], weights=label_weight[present, t], minlength=n_classes
            )
            seen = max(1, np.count_nonzero(total))
            weight = total.sum() / (seen * np.where(total > 0, total, 1))
        out[present, t] = weight[codes[present, t]]
    return out


def _per_task(class_weight, labels):
    """One entry per task: None, "balanced" or a dict from label to weight."""
    n_tasks = labels.n_tasks
    if isinstance(class_weight, list | tuple):
        if len(class_weight) != n_tasks:
            raise ValueError(
                f"class_weight must have one entry per task ({n_tasks}); got {len(class_weight)}."
            )
        per_task = list(class_weight)
    elif isinstance(class_weight, dict) and labels.names and set(class_weight) <= {*labels.names}:
        per_task = [class_weight.get(name) for name in labels.names]
    else:
        per_task = [class_weight] * n_tasks
    for entry in per_task:
        if not (entry is None or isinstance(entry, dict) or entry == "balanced"):
            raise ValueError(
                "class_weight must be None, 'balanced', a dict from label to weight, or a list of "
                f"these with one per task; got {entry!r}."
            )
        for label, weight in (entry or {}).items() if isinstance(entry, dict) else ():
            number = isinstance(weight, int | float | np.number) and np.isfinite(weight)
            if not number or weight < 0:
                raise ValueError(
                    "The weights of class_weight must be finite numbers, not negative; got "
                    f"{weight!r} for label {label!r}."
                )
    return per_task


def _check_keys(per_task, labels):
    """A key that is no label is a slip, unless all classes have their weight anyway."""
    known = {c for classes in labels.classes for c in classes.tolist()}
    for entry, classes in zip(per_task, labels.classes, strict=True):
        if isinstance(entry, dict) and set(classes.tolist()) - set(entry):
            unknown = [label for label in entry if label not in known]
            if unknown:
                raise ValueError(
                    "The keys of class_weight must be labels of y; got "
                    f"{unknown[:5]}, which are none of the classes {sorted(known, key=str)[:10]}."
                )
