"""Heads added to a fitted model: arrays longer by the rows of a task's classes."""

from dataclasses import replace
from typing import Literal

import numpy as np

from skmtl import _heads

OF_CLASSES = (*_heads.WEIGHTS, "W_head_own", "b_head")


def with_head(params, W, W_skip, b):
    """``params`` with one more head; nothing of the old ones is moved.

    A head added later reads the shared code, and X where the others do; it has no private latents.
    """
    rows = {"W_head": W, "W_skip": W_skip, "b_head": b}
    out = dict(params)
    for name in OF_CLASSES:
        if name in params:
            array = params[name]
            new = rows.get(name)
            if new is None:
                new = np.zeros((len(b), *array.shape[1:]))
            out[name] = _longer(array, np.asarray(new, array.dtype))
    return out


def with_moments(state, n_classes):
    """State of the optimizer that knows the new rows."""
    moments = {
        name: tuple(_longer(m, np.zeros((n_classes, *m.shape[1:]), m.dtype)) for m in of_array)
        if name in OF_CLASSES
        else of_array
        for name, of_array in state["optimizer"]["moments"].items()
    }
    return state["optimizer"] | {"moments": moments}


def with_task(objective, offsets):
    """The objective of one more task, whose scores are a product of their own."""
    tasks = objective.tasks
    later = (*tasks.later, int(tasks.offsets[-1]))
    return replace(objective, tasks=replace(tasks, offsets=offsets, later=later))


def _longer(array, rows):
    """``rows`` after those of an array, which keeps its order in memory."""
    order: Literal["C", "F"] = "C" if array.flags.c_contiguous else "F"
    out = np.empty((len(array) + len(rows), *array.shape[1:]), array.dtype, order)
    out[: len(array)], out[len(array) :] = array, rows
    return out
