"""Names, numbers and times as the pages show them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from modelwatch.alerting.text import clipped, moment, number, span

MICROSECONDS = 1_000_000
LONGEST_NAME = 120
LONGEST_TEXT = 2_000
SMALL_CHANCE = 1e-3
LEAST_CHANCE = 1e-300
_RAISED = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

STEPS = {
    "firing": "Fired",
    "updated": "Changed",
    "escalated": "Escalated",
    "acknowledged": "Acknowledged",
    "resolved": "Resolved",
    "accepted": "Accepted as new normal",
    "reminder": "Reminder",
    "silenced": "Silenced",
    "unsilenced": "No longer silenced",
    "calmed": "Calmed down",
}
DELIVERIES = {"pending": "waiting", "delivered": "delivered", "dead": "given up", "withheld": "taken back"}


@dataclass(frozen=True, slots=True)
class When:
    """A moment: for people, for machines, and how long ago it was; ago is empty for what is to come."""

    text: str
    iso: str
    ago: str


def when(iso: str, now: int) -> When:
    """The moment of an RFC 3339 text. now: microseconds."""
    at = (datetime.fromisoformat(iso) - _EPOCH) // timedelta(microseconds=1)
    return When(moment(at), iso, f"{span((now - at) // MICROSECONDS)} ago" if at <= now else "")


def name(text: str) -> str:
    """A name that anybody may have chosen, on one line."""
    return clipped(text, LONGEST_NAME)


def count(value: int) -> str:
    """A number of things.

    >>> count(1200)
    '1,200'
    """
    return f"{value:,}"


def measure(value: float | None) -> str:
    """A number with three digits that count, or a dash.

    >>> measure(0.3125), measure(None), measure(1e-9)
    ('0.312', '–', '1e-09')
    """
    return "–" if value is None else number(value)


def chance(value: float | None) -> str:
    """A probability; small ones as a power of ten.

    >>> chance(0.0123), chance(1.84e-102), chance(0.0), chance(None)
    ('0.0123', '1.8 × 10⁻¹⁰²', '< 10⁻³⁰⁰', '–')
    """
    if value is None or value >= SMALL_CHANCE:
        return measure(value)
    if value < LEAST_CHANCE:
        return "< 10⁻³⁰⁰"
    digits, _, exponent = f"{value:.1e}".partition("e")
    return f"{digits} × 10{str(int(exponent)).translate(_RAISED)}"


def percent(share: float) -> str:
    """A share.

    >>> percent(0.281), percent(0.0004)
    ('28.1 %', '0.04 %')
    """
    return f"{share * 100:.1f} %" if share >= 0.001 or share == 0 else f"{share * 100:.2g} %"
