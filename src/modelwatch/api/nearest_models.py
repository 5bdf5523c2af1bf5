"""Names of models that nothing is known of, and the known model that may be meant."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches

from sqlalchemy import Connection

from modelwatch.access import Grant
from modelwatch.errors import UnknownModel
from modelwatch.storage.engine.models import known_models, require_model
from modelwatch.storage.engine.store import Store

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
