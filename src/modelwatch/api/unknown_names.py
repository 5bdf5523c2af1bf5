"""Names in a request that nothing is known of, and the known one that may be meant: of query parameters, and of models.

Query parameters that a route does not have are refused: the answer would be one to another question.
`DELETE …/predictions/x?dya=2026-01-31` would erase more than was meant. Names that begin with `_` are let through: no
parameter of ours does, and caches are passed by so.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Iterator
from difflib import get_close_matches
from urllib.parse import parse_qsl

from fastapi import Request
from fastapi.dependencies.models import Dependant
from fastapi.routing import APIRoute
from sqlalchemy import Connection

from modelwatch.access import Grant
from modelwatch.api.decoding.values import pointer_to
from modelwatch.errors import FieldError, InvalidInput, UnknownModel, excerpt
from modelwatch.storage.engine.models import known_models, require_model
from modelwatch.storage.engine.store import Store

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


# An unknown name is compared with so many others, up to this length.
MOST_COMPARED = 1_000
MOST_LETTERS_APART = 3
LONGEST_HINT = 64
# Of the names in one request so many get a hint.
MOST_HINTS = 10
# Labels of a misspelt name come in numbers.
REMEMBERED = 1_000
REMEMBERED_MICROSECONDS = 10_000_000


class NearestModels:
    """The known model that each of some names may mean; what was found is remembered for ten seconds."""

    def __init__(self) -> None:
        self._found: dict[tuple[str, frozenset[str] | None], str | None] = {}
        self._since = 0

    def nearest(self, connection: Connection, model: str, grant: Grant | None, now: int) -> str | None:
        """The model that is most like `model`, among those that the grant is for. now: microseconds."""
        if len(self._found) >= REMEMBERED or not self._since <= now < self._since + REMEMBERED_MICROSECONDS:
            self._found, self._since = {}, now
        key = (model[:LONGEST_HINT], None if grant is None else grant.models)
        if key not in self._found:
            visible = (name for name in known_models(connection) if grant is None or grant.is_for(name))
            like = [name for name in visible if abs(len(name) - len(key[0])) <= MOST_LETTERS_APART]
            close = get_close_matches(key[0], like[:MOST_COMPARED], n=1)
            self._found[key] = close[0] if close else None
        return self._found[key]

    def among(self, store: Store, models: Iterable[str], grant: Grant | None, now: int) -> dict[str, str | None]:
        """Models of which only labels are known, with the nearest model of the first ten of them."""
        found: dict[str, str | None] = {}
        with store.read() as connection:
            for model in dict.fromkeys(models):
                try:
                    require_model(connection, model)
                except UnknownModel:
                    found[model] = self.nearest(connection, model, grant, now) if len(found) < MOST_HINTS else None
        return found


def with_nearest(error: UnknownModel, nearest: str | None) -> str:
    """The message for an unknown model, with the one that may be meant."""
    return error.detail if nearest is None else f"{error.detail} Did you mean {nearest!r}?"
