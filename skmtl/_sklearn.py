"""Every private or experimental scikit-learn name, imported here and nowhere else."""

from numbers import Integral

from sklearn.base import BaseEstimator
from sklearn.base import _fit_context as fit_context
from sklearn.callback import CallbackSupportMixin, with_callbacks
from sklearn.utils import _safe_indexing as safe_indexing
from sklearn.utils._param_validation import (
    HasMethods,
    Options,
    StrOptions,
    make_constraint,
    validate_parameter_constraints,
)
from sklearn.utils._param_validation import Interval as AnyInterval
from sklearn.utils.validation import _check_sample_weight as check_sample_weight
from sklearn.utils.validation import _num_samples as num_samples

__all__ = [
    "CallbackSupportMixin",
    "Component",
    "HasMethods",
    "Interval",
    "Options",
    "StrOptions",
    "check_sample_weight",
    "first_invalid",
    "fit_context",
    "num_samples",
    "safe_indexing",
    "with_callbacks",
]


class Interval(AnyInterval):
    """An interval of numbers that can be computed with."""

    def __contains__(self, val):
        try:
            if self.type is not Integral:
                float(val)  # an integer may be beyond all floats
            return super().__contains__(val)  # NumPy knows nothing of fractions
        except (OverflowError, TypeError):
            return False


def first_invalid(component):
    """Name of its first parameter that is not as it must be, however large a message would be."""
    for name, value in component.get_params(deep=False).items():
        constraints = component._parameter_constraints[name]
        if constraints != "no_validation":
            if not any(make_constraint(c).is_satisfied_by(value) for c in constraints):
                return name
    return None


class Component(BaseEstimator):
    """Hyperparameters and a few methods; arrays live elsewhere.

    Sparsifiers, losses, optimizers and balancers are components. A component can be cloned,
    printed, searched over (``sparsifier__k``) and compared; ``fit`` never changes it.
    """

    _parameter_constraints: dict = {}

    def validate(self):
        """Raise a ValueError that names the first hyperparameter out of its range."""
        validate_parameter_constraints(
            self._parameter_constraints, self.get_params(deep=False), type(self).__name__
        )
        return self
