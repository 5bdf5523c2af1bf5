"""The newest verdicts, as far as they are exposed. A verdict never changes, so each is read and decoded once."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Generic, TypeVar

from sqlalchemy import Connection

from modelwatch.errors import DamagedData
from modelwatch.storage.engine.damage import decoded, log_damage
from modelwatch.storage.verdicts.verdicts import StoredVerdict, latest_verdict_ids, verdict_by_id

T = TypeVar("T")


@dataclass(frozen=True, slots=True, eq=False)
class NewestVerdict(Generic[T]):
    """The newest verdict of a stream. window_end: seconds; evaluated_at: microseconds.

    exposed: what is exposed of its report; None of a version that is not exposed, and then left_out is the number of
    series that it would have.
    """

    model: str
    version: str
    environment: str
    window_end: int
    evaluated_at: int
    exposed: T | None
    left_out: int = 0

    @property
    def labels(self) -> tuple[str, str, str]:
        return (self.model, self.version, self.environment)


class NewestVerdicts(Generic[T]):
    """Reads what is new at each call, and remembers the rest for as long as it is the newest of its stream.

    check: of which verdicts. streams_a_model: of how many streams of a model the content is kept, those with the
    newest data; every version that was ever deployed is a stream. decode: what is exposed of a verdict; raises
    msgspec.DecodeError where another release wrote its report in another form. series_of: how many series that has,
    where those that are left out are counted.
    """

    def __init__(
        self,
        check: str,
        streams_a_model: int,
        decode: Callable[[StoredVerdict], T],
        series_of: Callable[[T], int] = lambda _: 0,
    ) -> None:
        self._known: dict[str, NewestVerdict[T]] = {}
        self._check = check
        self._streams_a_model = streams_a_model
        self._decode = decode
        self._series_of = series_of

    def read(self, connection: Connection) -> list[NewestVerdict[T]]:
        """Newest verdict of every evaluated stream, sorted; without those in another form of another release."""
        known, found = self._known, dict[str, NewestVerdict[T]]()
        by_model: dict[str, list[str]] = {}
        for identity in latest_verdict_ids(connection, self._check):
            verdict = known.get(identity) or self._read(connection, identity)
            if verdict is not None:
                found[identity] = verdict
                by_model.setdefault(verdict.model, []).append(identity)
        for identities in by_model.values():
            identities.sort(key=lambda identity: by_age(found[identity]))
            for identity in identities[: self._streams_a_model]:
                if found[identity].exposed is None and (verdict := self._read(connection, identity)):
                    found[identity] = verdict
            for identity in identities[self._streams_a_model :]:
                if (exposed := found[identity].exposed) is not None:
                    found[identity] = replace(found[identity], exposed=None, left_out=self._series_of(exposed))
        # Scrapes may overlap; whichever ends last leaves what it found, and none sees half of it.
        self._known = found
        return sorted(found.values(), key=lambda verdict: verdict.labels)

    def _read(self, connection: Connection, identity: str) -> NewestVerdict[T] | None:
        try:
            verdict = verdict_by_id(connection, identity)
            if verdict is None:  # removed since its id was read
                return None
            what = "The {} verdict {} on {!r} version {!r} in {!r}".format(self._check, identity, *verdict.stream)
            exposed = decoded(what, self._decode, verdict)
        except DamagedData as error:
            log_damage(error, f"Its stream has no {self._check} gauges until the next one.")
            return None
        return NewestVerdict(*verdict.stream, verdict.window_end, verdict.evaluated_at, exposed)


def by_age(verdict: NewestVerdict[T]) -> tuple[int, tuple[str, str, str]]:
    """Sorts streams of a model, those with the newest data first."""
    return (-verdict.window_end, verdict.labels)
