"""Selection: what of a model a page shows, as its address says it, so that a link is the view."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, TypeVar
from urllib.parse import quote, urlencode

from modelwatch.errors import FieldError, InvalidInput, excerpt
from modelwatch.events import EARLIEST_TIME, LATEST_TIME
from modelwatch.times import (
    MICROS_PER_SECOND,
    SECONDS_PER_DAY,
    SECONDS_PER_HOUR,
    iso_of_seconds,
    micros_of,
    minute_of_micros,
)

RANGES = {
    "6h": 6 * SECONDS_PER_HOUR,
    "24h": 24 * SECONDS_PER_HOUR,
    "48h": 48 * SECONDS_PER_HOUR,
    "7d": 7 * SECONDS_PER_DAY,
    "30d": 30 * SECONDS_PER_DAY,
}
DEFAULT_RANGE = "48h"
ALL_ROWS = "all"
LONGEST_NAME = 512
SHORTEST_STRETCH = 300
NOTHING_SELECTED = "The address selects nothing."
Choice = TypeVar("Choice")


@dataclass(frozen=True, slots=True)
class Selection:
    """Selection in an address. None: not given.

    start, end: seconds, of event time. range: a name of RANGES, in place of these. segment: a feature and the text of
    its segment. sort: as the page has it. rows: "all" for those, too, that a page does not show at first.
    """

    version: str | None = None
    environment: str | None = None
    start: int | None = None
    end: int | None = None
    range: str | None = None
    segment: tuple[str, str] | None = None
    sort: str | None = None
    rows: str | None = None

    @property
    def segment_text(self) -> str:
        """The segment as an address has it, `feature=text`; empty for all predictions."""
        return "" if self.segment is None else "=".join(self.segment)

    @property
    def is_newest(self) -> bool:
        """True for all predictions up to the newest data."""
        return self.start is None and self.end is None and self.segment is None

    def stretch(self, newest: int) -> tuple[int, int]:
        """Start and end in seconds. newest: the end of the data, where the stretch ends unless the address says."""
        seconds = RANGES[self.range or DEFAULT_RANGE]
        if self.start is not None:
            end = self.end if self.end is not None else max(newest, self.start + SHORTEST_STRETCH)
            return self.start, end
        end = newest if self.end is None else self.end
        return end - seconds, end

    def query(self, **changes: Any) -> str:
        """The query of the address that selects the same but for these: `?…`, or nothing.

        >>> Selection(version="2 b", range="7d").query(range="24h")
        '?version=2%20b&range=24h'
        """
        wanted = {each: getattr(self, each) for each in self.__slots__} | changes
        fields = {
            "version": wanted["version"],
            "environment": wanted["environment"],
            "from": iso_of_seconds(wanted["start"]),
            "to": iso_of_seconds(wanted["end"]),
            "range": wanted["range"],
            "segment": None if wanted["segment"] is None else "=".join(wanted["segment"]),
            "sort": wanted["sort"],
            "rows": wanted["rows"],
        }
        given = {name: value for name, value in fields.items() if value is not None}
        return f"?{urlencode(given, quote_via=quote)}" if given else ""

    def elsewhere(self, **changes: Any) -> str:
        """The same for another page, which is ordered in its own way."""
        return self.query(sort=None, rows=None, **changes)


def selection_of(query: Mapping[str, str]) -> Selection:
    """Selection of an address's query; what is empty is not said. Raises InvalidInput naming the parameter."""
    start, end = moment_of(query, "from"), moment_of(query, "to")
    if start is not None and end is not None and end - start < SHORTEST_STRETCH:
        raise _invalid("to", f"Expected a time at least {SHORTEST_STRETCH // 60} minutes after `from`", query["to"])
    chosen, rows = text_of(query, "range"), text_of(query, "rows")
    segment = text_of(query, "segment")
    if segment is not None and "=" not in segment:
        raise _invalid("segment", "Expected a feature, = and the text of its segment", segment)
    feature, _, text = (segment or "").partition("=")
    return Selection(
        version=text_of(query, "version"),
        environment=text_of(query, "environment"),
        start=start,
        end=end,
        range=None if chosen is None else choice_of(chosen, list(RANGES), "range", NOTHING_SELECTED),
        segment=None if segment is None else (feature, text),
        sort=text_of(query, "sort"),
        rows=None if rows is None else choice_of(rows, [ALL_ROWS], "rows", NOTHING_SELECTED),
    )


def text_of(query: Mapping[str, str], name: str) -> str | None:
    """Text of a field of an address; None for none or an empty one. Raises InvalidInput for one that is too long."""
    text = query.get(name) or None
    if text is not None and (len(text) > LONGEST_NAME or "\0" in text):
        raise _invalid(name, f"Expected at most {LONGEST_NAME} characters, none of them NUL", text)
    return text


def moment_of(query: Mapping[str, str], name: str) -> int | None:
    """Time of a field of an address in seconds, in UTC without a zone; None for none. Raises InvalidInput otherwise."""
    text = text_of(query, name)
    return None if text is None else moment_of_text(text, name, NOTHING_SELECTED)


def moment_of_text(text: str, field: str, detail: str) -> int:
    """Time of a text in seconds, in UTC without a zone. Raises InvalidInput with this detail, naming the field, for
    what is none and for what no prediction can have."""
    message = "Expected a time such as 2026-11-28T20:45:00Z"
    try:
        found = micros_of(datetime.fromisoformat(text))
        if EARLIEST_TIME <= found <= LATEST_TIME:
            return found // MICROS_PER_SECOND
        message = f"Expected a time from {minute_of_micros(EARLIEST_TIME)} to {minute_of_micros(LATEST_TIME)}"
    except (ValueError, OverflowError):
        pass
    raise InvalidInput(detail, (FieldError(f"/{field}", message, excerpt(text)),))


def choice_of(text: str, known: Sequence[Choice], field: str, detail: str) -> Choice:
    """The one of these that the text is. Raises InvalidInput with this detail, naming the field."""
    for each in known:
        if each == text:
            return each
    problem = FieldError(f"/{field}", f"Expected one of {', '.join(map(str, known))}", excerpt(text))
    raise InvalidInput(detail, (problem,))


def _invalid(name: str, message: str, given: str) -> InvalidInput:
    return InvalidInput(NOTHING_SELECTED, (FieldError(f"/{name}", message, excerpt(given)),))
