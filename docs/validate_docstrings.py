"""Validate every public docstring by numpydoc's rules; exit with 1 if one breaks them.

Public are the names in ``__all__`` of the package and its public subpackages, and the public
methods of estimators and splitters.
"""

import inspect
import sys
from importlib import import_module

from numpydoc.validate import validate
from sklearn.base import BaseEstimator
from sklearn.model_selection import BaseCrossValidator

from skmtl._sklearn import Component

PACKAGES = ["skmtl"] + [
    f"skmtl.{name}"
    for name in (
        "balancers",
        "datasets",
        "head_penalties",
        "losses",
        "metrics",
        "model_selection",
        "optimizers",
        "sparsifiers",
    )
]
# GL01, GL02: where the text starts. ES, SA, EX: sections that not every function needs.
# PR06: "bool" and "int" are our words. PR08, PR09: capital and period of each description.
# RT02, RT04, RT05: form of the Returns section. SS05: takes plural nouns for verbs.
IGNORED = {
    "GL01",
    "ES01",
    "SA01",
    "SA04",
    "EX01",
    "PR06",
    "PR08",
    "PR09",
    "RT02",
    "RT04",
    "RT05",
    "SS05",
}


def public_objects():
    """Dotted names of everything whose docstring users read."""
    for package in PACKAGES:
        module = import_module(package)
        for name in module.__all__:
            item = getattr(module, name)
            if not (inspect.isclass(item) or inspect.isfunction(item)):
                continue
            yield f"{package}.{name}"
            if not inspect.isclass(item) or issubclass(item, Component):
                continue
            if issubclass(item, BaseEstimator | BaseCrossValidator):
                for method, member in inspect.getmembers(item):
                    ours = str(getattr(member, "__module__", "")).startswith("skmtl")
                    if ours and not method.startswith("_") and callable(member):
                        yield f"{package}.{name}.{method}"


def main():
    """Print every broken rule; return their number."""
    broken = checked = 0
    for name in public_objects():
        checked += 1
        for code, message in validate(name)["errors"]:
            if code not in IGNORED:
                broken += 1
                print(f"{name}: {code} {message}")
    print(f"{checked} public docstrings, {broken} errors")
    return broken


if __name__ == "__main__":
    sys.exit(main() > 0)
