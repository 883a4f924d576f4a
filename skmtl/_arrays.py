"""Checks of arrays that everything else relies on: no mask to lose, no index out of range."""

import numpy as np


def refuse_masked(array, name):
    """Masked arrays lose their mask on the way to a kernel; none gets that far."""
    if isinstance(array, np.ma.MaskedArray):
        raise ValueError(
            f"{name} must be a plain array; got a numpy masked array, whose mask would be lost. "
            f"Choose values for the masked entries and pass {name}.filled(value)."
        )


def check_sparse_format(X, name):
    """Out-of-range indices would read foreign memory; SciPy does not check them by itself."""
    try:
        if X.format in ("csr", "csc", "bsr"):
            X.check_format(full_check=True)
        elif X.format == "coo":
            for axis, (index, size) in enumerate(zip(X.coords, X.shape, strict=True)):
                if len(index) and not (index.min() >= 0 and index.max() < size):
                    raise ValueError(f"index out of range on axis {axis}")
    except ValueError as error:
        raise ValueError(
            f"{name} must be a valid sparse array; got one whose indices are broken ({error}). "
            "Rebuild it from its data."
        ) from error
