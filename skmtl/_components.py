"""From what a user wrote (a name or an instance) to the component that a fit uses."""

import numpy as np
from sklearn.base import clone


def resolve(value, table):
    """Return a validated clone of ``value``, or of the default instance a name stands for.

    Parameters
    ----------
    value : str or component
        A key of ``table``, or an instance. The instance need not come from skmtl: having the
        methods is enough, which the estimators' parameter constraints check.
    table : dict of str to class
        The variants by name.

    Returns
    -------
    component
        The user's own object is never touched.
    """
    if isinstance(value, type):
        raise TypeError(
            f"A component must be an instance or a name of {sorted(table)}; got the class "
            f"{value.__name__}. Call it: {value.__name__}()."
        )
    component = table[value]() if isinstance(value, str) else clone(value, safe=False)
    if hasattr(component, "validate"):
        component.validate()
    if hasattr(component, "set_params"):  # a NumPy float64 would turn float32 arrays into float64
        constants = component.get_params(deep=False).items()
        component.set_params(**{k: v.item() for k, v in constants if isinstance(v, np.generic)})
    return component
