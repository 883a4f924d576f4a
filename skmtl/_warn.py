"""Warnings that point at the user's own line, however deep they arise."""

import sys
import warnings

INSIDE = ("skmtl", "sklearn")  # which wraps our methods


def warn(message, category=UserWarning):
    """Warn of the last line that is neither ours nor scikit-learn's."""
    frame, level = sys._getframe(1), 2
    while frame.f_back is not None and frame.f_globals["__name__"].split(".")[0] in INSIDE:
        frame, level = frame.f_back, level + 1
    warnings.warn(message, category, stacklevel=level)
