"""Query parameters that a route does not have are refused: the answer would be one to another question.

`DELETE …/predictions/x?dya=2026-01-31` would erase more than was meant. Names that begin with `_` are let through: no
parameter of ours does, and caches are passed by so.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator
from difflib import get_close_matches
from urllib.parse import parse_qsl

from fastapi import Request
from fastapi.dependencies.models import Dependant
from fastapi.routing import APIRoute

from modelwatch.api.decoding.values import pointer_to
from modelwatch.errors import FieldError, InvalidInput, excerpt

LET_THROUGH = "_"


async def refuse_unknown_parameters(request: Request) -> None:
    """Check the query before a route of the API. Raises InvalidInput that names each parameter it does not have."""
    query: bytes = request.scope["query_string"]
    if query:
        check_parameters(query, parameters_of(request.scope["route"]))


def parameters_of(route: APIRoute) -> frozenset[str]:
    """The query parameters of a route: those in its signature, and those that it reads by itself."""
    read = (route.openapi_extra or {}).get("parameters", ())
    declared = [each for part in _with_dependencies(route.dependant) for each in part.query_params]
    return frozenset([each.alias for each in declared] + [each["name"] for each in read if each["in"] == "query"])


def _with_dependencies(dependant: Dependant) -> Iterator[Dependant]:
    yield dependant
    for each in dependant.dependencies:
        yield from _with_dependencies(each)


def check_parameters(query: bytes, known: Collection[str]) -> None:
    """Raises InvalidInput that names what is in a query string twice, or is not known, with the nearest that is."""
    given = Counter(name for name, _ in parse_qsl(query.decode("latin-1"), keep_blank_values=True))
    problems = tuple(
        FieldError(pointer_to(excerpt(name)), "Expected once" if name in known else _nearest(name, known))
        for name, times in given.items()
        if (times > 1 if name in known else not name.startswith(LET_THROUGH))
    )
    if problems:
        raise InvalidInput("The request has invalid query parameters.", problems)


def _nearest(name: str, known: Collection[str]) -> str:
    nearest = get_close_matches(name[:100].lower(), sorted(known), n=1, cutoff=0.6)
    if nearest:
        return f"Unknown parameter; did you mean {nearest[0]!r}?"
    return f"Unknown parameter; known here: {', '.join(sorted(known)) or 'none'}."
