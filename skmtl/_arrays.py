"""The gate for arrays: what users pass is checked and converted here, before any kernel sees it.

What comes out is in C order, in native numbers, with its mask, dates and indices looked at, and
nobody has written to what came in.
"""

import re
from contextlib import contextmanager
from functools import partial
from numbers import Integral

import numpy as np
import scipy.sparse as sp
from sklearn.utils import check_array

from skmtl._sklearn import num_samples

DATES = ("Date", "Time", "Duration")  # polars' names of such types


@contextmanager
def naming(name):
    """What NumPy and scikit-learn refuse within is refused by the argument's name.

    Numbers too large for a double become infinite in silence: the checks then refuse infinity.
    """
    try:
        with np.errstate(over="ignore", invalid="ignore"):
            yield
    except MemoryError:
        raise
    except Exception as error:  # whatever the conversion of a user's own object raises
        kind = TypeError if isinstance(error, TypeError) else ValueError
        if type(error) is kind and re.search(
            rf"\b{re.escape(name)}\b", str(error).partition("\n")[0]
        ):
            raise
        said = error if isinstance(error, ValueError | TypeError) else repr(error)
        raise kind(f"{name} is not valid: {said}") from error


def refuse_masked(array, name):
    """Masked arrays, also as rows of a list, lose their mask on the way to a kernel.

    Frames of other kinds than pandas' and polars' do not get there either: their columns are read
    in other ways.
    """
    if hasattr(array, "columns") and not hasattr(array, "dtypes"):
        raise TypeError(
            f"{name} must be an array, a list, or a frame of pandas or polars; got "
            f"{type(array).__module__}.{type(array).__qualname__}. Convert it, such as by "
            f"{name}.to_pandas()."
        )
    rows = array if isinstance(array, list | tuple) else ()
    if any(isinstance(part, np.ma.MaskedArray) for part in (array, *rows)):
        raise ValueError(
            f"{name} must be a plain array; got a numpy masked array, whose mask would be lost. "
            f"Choose values for the masked entries and pass {name}.filled(value)."
        )


def as_array(values, name):
    """A list, or what has ``__array__`` and is no frame, as a plain array; all else as it is."""
    refuse_masked(values, name)
    listed = isinstance(values, list | tuple)
    if not (listed or hasattr(values, "__array__")) or hasattr(values, "columns"):
        return values
    with naming(name):
        array = np.asanyarray(values)
    refuse_masked(array, name)
    return array


def date_type(array):
    """The type of dates or durations in an array or frame; None without any."""
    dtypes = array.dtypes if hasattr(array, "columns") else [getattr(array, "dtype", None)]
    for dtype in dtypes:
        if getattr(dtype, "kind", None) in ("m", "M") or str(dtype).startswith(DATES):
            return dtype
    if any(getattr(dtype, "kind", None) == "O" for dtype in dtypes):
        for own in set(map(type, np.asarray(array, dtype=object).flat)):
            if issubclass(own, np.datetime64 | np.timedelta64):
                return own.__name__
    return None


def refuse_dates(array, name):
    """Dates and durations would count as numbers of nanoseconds."""
    found = date_type(array)
    if found is not None:
        raise ValueError(
            f"{name} must be numbers; got {found}. Convert dates to numbers in a unit of your "
            "choice."
        )


def as_numbers(values, name):
    """What is passed, as `as_array` gives it, without masks and dates."""
    values = as_array(values, name)
    refuse_dates(values, name)
    return values


def as_floats(values, name) -> np.ndarray:
    """Numbers as a float64 array of any shape, finite or not."""
    values = as_numbers(values, name)
    try:
        if sp.issparse(values):
            raise ValueError("a sparse array; pass what toarray() gives")
        array = np.asarray(values)
        if array.dtype.kind == "c":
            raise ValueError("complex numbers")
        with np.errstate(over="ignore"):
            return array.astype(np.float64, copy=False)
    except (TypeError, ValueError, OverflowError) as error:
        raise ValueError(f"{name} must be numbers; got others: {error}.") from error


def check_same_rows(X, y, name="y", of="X"):
    """Refuse a ``y`` with more or fewer rows than X."""
    n_rows = [num_samples(array) for array in (X, y)]
    if n_rows[0] != n_rows[1]:
        raise ValueError(
            f"{name} must have a row for each of {of}; got inconsistent numbers of samples: "
            f"{n_rows[0]} of {of} and {n_rows[1]} of {name}."
        )


def check_matrix(X, name, check=None, **options):
    """Rows as an array in C order, or as CSR with sorted columns, one entry a place, none zero.

    The options are those of scikit-learn's ``check_array``, or of ``check`` in its place.
    """
    X = as_numbers(X, name)
    if sp.issparse(X):
        X = check_sparse_format(X, name)
    with naming(name):
        check = check or partial(check_array, input_name=name)
        X = check(X, **{"order": "C", **options})
    if sp.issparse(X):
        X = sp.csr_array(X)
        if not (X.has_canonical_format and X.data.all()):
            X = X.copy()  # never reorder the user's own
            X.sum_duplicates()
            X.eliminate_zeros()
    return X


def _check_lil(X):
    """SciPy copies as many values as the columns say there are."""
    for columns, values in zip(X.rows, X.data, strict=True):
        if len(columns) != len(values):
            raise ValueError(f"{len(columns)} columns and {len(values)} values in a row")
        if not all(isinstance(j, Integral) for j in columns):
            raise ValueError("a column that is no integer")


def check_sparse_format(X, name):
    """The sparse array with its indices in range: others would read foreign memory.

    SciPy does not check them by itself, believes what an array says of its order, and shortens and
    converts what it looks at: so it is given an object of our own around the same parts.
    """
    refuse_masked(getattr(X, "data", None), name)
    try:
        if X.format in ("csr", "csc", "bsr"):
            for part in (X.indices, X.indptr):
                if part.dtype.kind not in "iu":
                    raise ValueError(f"indices of type {part.dtype}")
            X = type(X)((X.data, X.indices, X.indptr), shape=X.shape)
            X.check_format(full_check=True)
        elif X.format == "coo":
            for index in X.coords:
                if index.dtype.kind not in "iu":
                    raise ValueError(f"indices of type {index.dtype}")
            X = type(X)((X.data, X.coords), shape=X.shape)
            for axis, (index, size) in enumerate(zip(X.coords, X.shape, strict=True)):
                if len(index) and not (index.min() >= 0 and index.max() < size):
                    raise ValueError(f"index out of range on axis {axis}")
        else:
            if X.format == "dia":
                X = type(X)((X.data, X.offsets), shape=X.shape)
            elif X.format == "lil":
                _check_lil(X)
            X = X.tocsr()
            X.check_format(full_check=True)
    except (ValueError, TypeError, IndexError, OverflowError) as error:
        raise ValueError(
            f"{name} must be a valid sparse array; got one whose indices or shape are broken "
            f"({error}). "
            "Rebuild it from its data."
        ) from error
    return X
