"""Problems of a monitor document in plain words: the place, what was expected, what was given."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from types import UnionType
from typing import Annotated, Any, Union, get_args, get_origin

from pydantic import BaseModel, ValidationError

from modelwatch.config.monitors.values import IN_WORDS
from modelwatch.errors import FieldError, excerpt

_OBJECT = "Expected an object of names and values"
_TEXT = "Expected text"
_EXPECTED = {
    "missing": "Required",
    "model_type": _OBJECT,
    "dict_type": _OBJECT,
    "tuple_type": "Expected a list",
    "string_type": _TEXT,
    "invalid_key": _TEXT,
    "string_unicode": "Expected text in Unicode",
    "string_too_short": "Expected text that is not empty",
    "string_too_long": "Expected at most {max_length} characters",
    "too_short": "Expected at least {min_length} in the list",
    "too_long": "Expected at most {max_length}",
    "literal_error": "Expected {expected}",
    "int_type": "Expected a whole number",
    "float_type": "Expected a number",
    "finite_number": "Expected a finite number",
    "greater_than": "Expected more than {gt:g}",
    "greater_than_equal": "Expected at least {ge}",
    "less_than_equal": "Expected at most {le}",
}


def problems_of(error: ValidationError, root: type[BaseModel], at: str = "") -> tuple[FieldError, ...]:
    """Every problem of the document, which is described by `root` and stands at the pointer `at`.

    A list whose items are wrong is not said to be too short as well.
    """
    entries = error.errors(include_url=False)
    places = [tuple(map(str, entry["loc"])) for entry in entries]
    return tuple(
        _problem(entry, root, at)
        for entry, place in zip(entries, places, strict=True)
        if entry["type"] != "too_short" or not any(len(other) > len(place) == _shared(other, place) for other in places)
    )


def _shared(one: tuple[str, ...], other: tuple[str, ...]) -> int:
    return next(
        (index for index, (a, b) in enumerate(zip(one, other, strict=False)) if a != b), min(len(one), len(other))
    )


def _problem(entry: Any, root: type[BaseModel], at: str) -> FieldError:
    steps = [str(step) for step in entry["loc"]]
    if len(steps) > 1 and steps[-1] == "[key]":
        # pydantic's word for: it is the key that is wrong, not what it leads to.
        del steps[-1]
    pointer = at + "".join("/" + step.replace("~", "~0").replace("/", "~1") for step in steps)
    if entry["type"] == "extra_forbidden":
        known = sorted(_names_at(root, steps[:-1]))
        nearest = difflib.get_close_matches(steps[-1], known, n=1, cutoff=0.6)
        hint = f"did you mean {nearest[0]}?" if nearest else f"known here: {', '.join(known)}"
        return FieldError(pointer, f"Unknown key; {hint}", None)
    given = entry.get("input")
    shown = None if isinstance(given, Mapping) or given is None else excerpt(given)
    return FieldError(pointer, _message(entry, given), shown)


def _message(entry: Any, given: object) -> str:
    limits = entry.get("ctx", {})
    if limits.get("pattern") in IN_WORDS:
        return IN_WORDS[limits["pattern"]]
    expected = _EXPECTED.get(entry["type"])
    if expected is None:
        message = str(entry["msg"]).removeprefix("Value error, ")
        return message[0].upper() + message[1:]
    in_quotes = expected == _TEXT and isinstance(given, bool | int | float)
    return expected.format(**limits) + ("; put it in quotes" if in_quotes else "")


def _names_at(part: type[BaseModel], steps: list[str]) -> set[str]:
    if not steps:
        return {field.alias or name for name, field in part.model_fields.items()}
    for name, field in part.model_fields.items():
        if (field.alias or name) == steps[0]:
            inner, consumed = _part_of(field.annotation)
            if inner is not None:
                return _names_at(inner, steps[1 + consumed :])
    return set()


def _part_of(annotation: Any, depth: int = 0) -> tuple[type[BaseModel] | None, int]:
    """The part that a field holds, and how many steps (a key or a position) lie between."""
    origin = get_origin(annotation)
    if origin is None:
        is_part = isinstance(annotation, type) and issubclass(annotation, BaseModel)
        return (annotation if is_part else None), depth
    for argument in get_args(annotation):
        deeper = depth if origin in (Union, UnionType, Annotated) else depth + 1
        found, consumed = _part_of(argument, deeper)
        if found is not None:
            return found, consumed
    return None, depth
