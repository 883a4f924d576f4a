"""Objects of our own classes <-> what JSON can say: a kind that model files have besides.

{"object": {"TopK": {"k": 8}}}: the class by its name in `CLASSES`, and its parameters or fields. A
class of ours needs a line in `_classes` alone.
"""

from dataclasses import fields, is_dataclass
from functools import cache
from inspect import signature

from skmtl._archive import Refused
from skmtl._files import _lists
from skmtl._files._classes import CLASSES, ESTIMATORS, name_of
from skmtl._values import KINDS as PLAIN
from skmtl._values import need

#: Bytes, at most, of an object of which the file says nothing but the class.
OF_OBJECT = 2000


def _is_ours(value):
    return name_of(value) is not None


def _write_object(value, writer):
    writer.spend(OF_OBJECT)
    return {name_of(value): {k: writer.put(v, f".{k}") for k, v in _parts_of(value).items()}}


def _parts_of(value):
    """What there is to keep of an object: hyperparameters or fields; all of an estimator."""
    if is_dataclass(value):
        return {field.name: getattr(value, field.name) for field in fields(value)}
    if type(value) in ESTIMATORS:  # where its fits write to is not for a file to say
        return vars(value) | {"checkpoint": None}
    return value.get_params(deep=False)


def _read_object(node, reader):
    ((name, parts),) = need(node, isinstance(node, dict) and len(node) == 1).items()
    cls = CLASSES.get(name)
    if cls is None:
        raise Refused(
            f"with an object of the class {name!r}, which is not one of skmtl's",
            "Files with classes of others are for pickle, joblib or skops.",
        )
    reader.spend(OF_OBJECT)
    parts = {k: reader.get(v) for k, v in need(parts, isinstance(parts, dict)).items()}
    hyper = _parameters(cls)
    own = {k: v for k, v in parts.items() if k in hyper}
    more = parts.keys() - hyper
    if cls in ESTIMATORS:  # whose fitted attributes must not hide a method
        more = {k for k in more if not k.isidentifier() or hasattr(cls, k)}
        need(parts.get("checkpoint"), parts.get("checkpoint") is None)
    need(sorted(more), not more)
    try:
        value = cls(**own)  # what a later version added has its default
    except (AttributeError, IndexError, TypeError, ValueError) as error:
        raise Refused(f"with a {name} that cannot be made: {error}") from None
    if cls in ESTIMATORS:
        vars(value).update(parts)
    return value


@cache
def _parameters(cls):
    return signature(cls).parameters.keys()


KINDS = {**PLAIN, **_lists.KIND, "object": (_is_ours, _write_object, _read_object)}
