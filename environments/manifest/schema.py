"""Reads located values as models, and says what is wrong in terms of the file."""

from collections.abc import Sequence
from typing import Any, TypeVar

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from .base import Context, Model
from .documents import Map, Seq, locate
from .problems import MAX_PROBLEMS, Place, Problems, did_you_mean, listed, shown
from .values import describe

_Model = TypeVar("_Model", bound=Model)
_Path = Sequence[str | int]

_MEANT = {
    "model_type": "It must be a mapping of keys to values, not {given}.",
    "dict_type": "It must be a mapping of keys to values, not {given}.",
    "tuple_type": "It must be a list, not {given}.",
    "list_type": "It must be a list, not {given}.",
    "string_type": "It must be text, not {given}.",
    "int_type": "It must be a whole number, not {given}.",
    "bool_type": "It must be true or false, not {given}.",
}


def read(model: type[_Model], data: Any, prefix: _Path, problems: Problems, place: Place) -> _Model | None:
    """The data as the model, or None after adding what is wrong. `prefix` is the path shown before the keys of data."""
    if not isinstance(data, Map):
        problems.add(place, dotted(prefix), f"It must be a mapping of keys to values, not {describe(data)}.")
        return None
    context = Context()
    try:
        return model.model_validate(data, context=context)
    except ValidationError as error:
        for details in error.errors(include_url=False)[:MAX_PROBLEMS]:
            _add(details, data, prefix, context, problems)
        return None
    except RecursionError:
        problems.add(place, dotted(prefix), "It is nested too deeply.")
        return None


def dotted(path: _Path) -> str:
    """`web.locations./.index[0]`"""
    text = ""
    for step in path:
        if isinstance(step, int):
            text += f"[{step}]"
        else:
            text += f".{shown(step)}" if text else shown(step)
    return text


def _add(details: ErrorDetails, data: Map, prefix: _Path, read_as: Context, problems: Problems) -> None:
    path = [step for step in details["loc"] if step != "[key]"]
    kind, context = details["type"], details.get("ctx", {})
    path += context.get("below", ())
    place, value, parent = locate(data, path)
    key = dotted([*prefix, *path])
    if kind == "extra_forbidden":
        allowed = _allowed(read_as.models.get(id(parent)))
        hint = did_you_mean(str(path[-1]), allowed)
        problems.add(place, key, f'There is no key "{shown(path[-1])}" here.{hint}', listed(sorted(allowed)))
    elif kind == "missing":
        problems.add(place, key, f'The key "{shown(path[-1])}" is missing here.')
    elif kind == "wrong":
        problems.add(place, key, str(context["text"]), str(context["allowed"]))
    else:
        message = _MEANT.get(kind, "It cannot be used: " + shown(details["msg"]) + ".")
        problems.add(place, key, message.format(given=describe(value)))


def _allowed(model: type[Model] | None) -> list[str]:
    return list(model.model_fields) if model else []


def entries(data: Any, prefix: _Path, problems: Problems, place: Place) -> list[tuple[str, Any, Place]]:
    """The entries of a mapping with their places; a list counts as wrong."""
    if data is None:
        return []
    if not isinstance(data, Map):
        problems.add(place, dotted(prefix), f"It must be a mapping of keys to values, not {describe(data)}.")
        return []
    return [(key, value, data.places[key]) for key, value in data.items()]


def place_of(data: Any, fallback: Place) -> Place:
    return data.place if isinstance(data, Map | Seq) else fallback
