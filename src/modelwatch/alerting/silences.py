"""Silences: for a while, alerts whose labels match send no notifications.

Regular expressions of matchers are RE2's, as in Prometheus and Alertmanager: they come from people, and `re`
backtracks, so that a pattern such as `(a+)+b` keeps it busy for years. RE2 matches in linear time, and so has no back
references and no look-around.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Protocol, cast

import msgspec
import re2

from modelwatch.alerting.alert import Alert
from modelwatch.errors import FieldError, InvalidInput, excerpt
from modelwatch.storage.alerts.silences import SilenceState, StoredSilence
from modelwatch.storage.engine.damage import decoded
from modelwatch.text import clean
from modelwatch.times import MICROSECOND, micros_of

log = logging.getLogger(__name__)

MOST_MATCHERS = 20
LONGEST_PATTERN = 256
LONGEST_VALUE = 512
# Bytes of one compiled pattern and its tables.
MAX_MEMORY = 1024 * 1024
LONGEST_NAME = 128
LONGEST_COMMENT = 2_000
LONGEST_SILENCE = timedelta(days=366)

LAST_MOMENT = micros_of(datetime(9999, 1, 1, tzinfo=UTC))


class PatternError(ValueError):
    """The pattern can't be read; the message says why, in words for the person who wrote it."""


class Pattern(Protocol):
    """A compiled pattern."""

    def fullmatch(self, text: str) -> object | None:
        """Match of the whole text; None where the pattern does not match it."""


@lru_cache(maxsize=4_096)
def matches(pattern: str, text: str) -> bool:
    """True when the whole text matches; of a longer text, only its first 512 characters are matched.

    A pattern that can't be read matches nothing, which is logged: what an earlier release took must not stop the
    evaluation of alerts.

    >>> matches("fraud_.*|risk", "fraud_v2"), matches("raud", "fraud"), matches("[[:alpha:]]+", "abc")
    (True, False, True)
    """
    try:
        return compile_pattern(pattern).fullmatch(text[:LONGEST_VALUE]) is not None
    except PatternError as error:
        log.warning("The pattern %r of a silence matches nothing, since it is not valid: %s", pattern, error)
        return False


@lru_cache(maxsize=512)
def compile_pattern(text: str) -> Pattern:
    """The pattern of a text in RE2's syntax. Raises PatternError when RE2 can't read it, or it is too large."""
    if len(text) > LONGEST_PATTERN:
        raise PatternError(f"Expected at most {LONGEST_PATTERN} characters, got {len(text)}")
    options = re2.Options()
    options.log_errors = False
    options.max_mem = MAX_MEMORY
    try:
        return cast(Pattern, re2.compile(text, options))
    except re2.error as error:
        [reason] = error.args
        raise PatternError(reason.decode() if isinstance(reason, bytes) else str(reason)) from None


class Matcher(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Condition on a label, as Alertmanager has them; a label that is absent is empty.

    Of `version` and `subject` an alert has as many values as it has members: with `is_equal` any of them must fit,
    without it none of them may.
    """

    name: str
    value: str
    is_regex: bool = False
    is_equal: bool = True

    def fits(self, values: Iterable[str]) -> bool:
        """True when a label with these values fits. Raises PatternError."""
        found = any(matches(self.value, value) if self.is_regex else self.value == value for value in values)
        return found is self.is_equal


class SilenceRequest(msgspec.Struct, frozen=True):
    """Request for a silence. Times in microseconds; without `starts_at` it begins at once."""

    matchers: tuple[Matcher, ...]
    ends_at: int
    comment: str
    starts_at: int | None = None


class Silence(msgspec.Struct, frozen=True):
    """Silence, in force at starts_at <= t < ends_at, microseconds. All matchers must fit."""

    id: str
    matchers: tuple[Matcher, ...]
    starts_at: int
    ends_at: int
    created_at: int
    created_by: str
    comment: str

    def fits(self, labels: Mapping[str, tuple[str, ...]]) -> bool:
        """True when an alert with these labels is silenced by it."""
        return all(matcher.fits(labels.get(matcher.name) or ("",)) for matcher in self.matchers)

    def state(self, now: int) -> SilenceState:
        """State at a time in microseconds."""
        if self.ends_at <= now:
            return "expired"
        return "active" if self.starts_at <= now else "pending"


_decode_matchers = msgspec.json.Decoder(tuple[Matcher, ...]).decode


def matchable_labels(alert: Alert, labels: Mapping[str, str]) -> dict[str, tuple[str, ...]]:
    """Labels that matchers compare: the alert's own, and the monitor's under names that are not taken."""
    return {
        **{name: (value,) for name, value in labels.items()},
        "model": (alert.model,),
        "environment": (alert.environment,),
        "kind": (alert.kind,),
        "severity": (alert.severity,),
        "version": tuple(sorted({member.version for member in alert.members})),
        "subject": tuple(sorted({member.finding.subject for member in alert.members})),
    }


def matching_silences(alert: Alert, labels: Mapping[str, str], silences: Iterable[Silence]) -> tuple[str, ...]:
    """Ids of the silences that match the alert. labels: the monitor's own."""
    values = matchable_labels(alert, labels)
    return tuple(silence.id for silence in silences if silence.fits(values))


def silence_from_request(request: SilenceRequest, *, identity: str, actor: str, now: int) -> Silence:
    """The requested silence. now: microseconds. Raises InvalidInput that names every wrong field."""
    begins = now if request.starts_at is None else max(request.starts_at, now)
    comment = clean(request.comment)
    problems = list(_wrong_matchers(request.matchers))
    if not 0 <= request.ends_at <= LAST_MOMENT or request.ends_at <= begins:
        problems.append(FieldError("/ends_at", "Expected a time in the future and after starts_at"))
    elif (request.ends_at - begins) * MICROSECOND > LONGEST_SILENCE:
        problems.append(FieldError("/ends_at", f"Expected at most {LONGEST_SILENCE.days} days after starts_at"))
    if not comment:
        problems.append(FieldError("/comment", "Expected the reason for the silence"))
    elif len(comment) > LONGEST_COMMENT:
        problems.append(FieldError("/comment", f"Expected at most {LONGEST_COMMENT} characters"))
    if problems:
        raise InvalidInput("The silence is not valid.", tuple(problems))
    return Silence(identity, request.matchers, begins, request.ends_at, now, actor, comment)


def silence_row(silence: Silence) -> StoredSilence:
    """Row of a silence."""
    matchers = msgspec.json.encode(silence.matchers).decode()
    return StoredSilence(
        id=silence.id,
        matchers=matchers,
        starts_at=silence.starts_at,
        ends_at=silence.ends_at,
        created_at=silence.created_at,
        created_by=silence.created_by,
        comment=silence.comment,
    )


def silence_from_row(row: StoredSilence) -> Silence:
    """Silence of a row. Raises DamagedData when its matchers can't be read."""
    return Silence(
        row.id,
        decoded(f"The stored silence {row.id}", _decode_matchers, row.matchers),
        row.starts_at,
        row.ends_at,
        row.created_at,
        row.created_by,
        row.comment,
    )


def _wrong_matchers(matchers: tuple[Matcher, ...]) -> Iterable[FieldError]:
    if not 1 <= len(matchers) <= MOST_MATCHERS:
        yield FieldError("/matchers", f"Expected 1 to {MOST_MATCHERS} matchers, got {len(matchers)}")
        return
    sound = True
    for index, matcher in enumerate(matchers):
        if not 1 <= len(matcher.name) <= LONGEST_NAME or not matcher.name.isprintable():
            sound = False
            expected = f"Expected 1 to {LONGEST_NAME} characters, none of them a control character"
            yield FieldError(f"/matchers/{index}/name", expected, excerpt(matcher.name))
        problem = _wrong_value(matcher)
        if problem is not None:
            sound = False
            yield FieldError(f"/matchers/{index}/value", problem, excerpt(matcher.value))
    if sound and all(matcher.fits(("",)) for matcher in matchers):
        yield FieldError(
            "/matchers",
            "Expected at least one matcher that does not match an empty value: these would silence every alert",
        )


def _wrong_value(matcher: Matcher) -> str | None:
    if not matcher.value.isprintable():
        return "Expected text without control characters"
    if not matcher.is_regex:
        fits = len(matcher.value) <= LONGEST_VALUE
        return None if fits else f"Expected at most {LONGEST_VALUE} characters, got {len(matcher.value)}"
    try:
        compile_pattern(matcher.value)
    except PatternError as error:
        return f"Not a supported regular expression: {error}"
    return None
