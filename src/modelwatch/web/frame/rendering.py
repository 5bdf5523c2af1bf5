"""Rendering of pages: templates, their filters for names, numbers and times, and the headers of every page.

Nothing is loaded from elsewhere, one script of ours runs, no other site frames it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from typing import Protocol
from urllib.parse import quote

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup, escape
from starlette.responses import HTMLResponse

from modelwatch.alerting.wording import KINDS, Held, held_words
from modelwatch.charts.drawing.labels import Moments
from modelwatch.charts.drawing.marks import STATES, State, definitions, mark
from modelwatch.charts.drawing.markup import breakable
from modelwatch.charts.drawing.numbers import number, percent, short_time
from modelwatch.findings import NOT_SHOWN
from modelwatch.measures import NAMES as METRICS
from modelwatch.measures import chance, in_sentence, psi_text, score_limit, score_title, score_value
from modelwatch.text import clipped, shortened, span
from modelwatch.times import MICROS_PER_DAY, MICROS_PER_SECOND, micros_of, minute_of_micros

LONGEST_NAME = 120
# Within so many days, a weekday says which day it is.
NEAR_DAYS = 6
# Farther away, a day and a month alone would be taken for those of another year.
DAYS_WITHOUT_YEAR = 300
LONGEST_TEXT = 2_000
# The score of silence, which is a length of time.
SILENCE = "silence in seconds"
_SPAN = re.compile(r"(\d)([hd])$")
_MOMENT = re.compile(r"(\d{4}-\d\d-\d\d) (\d\d:\d\d(?::\d\d)?) UTC\b", re.ASCII)
_BEFORE_UNIT = re.compile(r"(?<=\d) (?=%|points?\b)")

EXPLAINED: dict[State, str] = {
    "alert": "Beyond chance, and above the alert threshold",
    "warning": "Beyond chance, and above the warning threshold",
    "shifted": f"A real shift, {NOT_SHOWN}: no alert is sent for it",
    "stable": "No finding: as in the reference, or within chance",
    "unknown": "No verdict: no reference, or too little data",
    "catching_up": "Received, but not evaluated yet",
    "no_data": "Nothing has been received",
}
STEPS = {
    "firing": "Fired",
    "updated": "Updated",
    "escalated": "Escalated",
    "acknowledged": "Acknowledged",
    "resolved": "Resolved",
    "accepted": "Accepted as new normal",
    "reminder": "Reminder",
    "silenced": "Silenced",
    "unsilenced": "No longer silenced",
    "calmed": "No longer flapping",
}
DELIVERIES = {"pending": "waiting", "delivered": "delivered", "dead": "given up", "withheld": "recalled"}
HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; img-src 'self' data:;"
        " form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    # With `no-referrer`, browsers would not say which page a form was sent from.
    "Referrer-Policy": "same-origin",
    "Cache-Control": "no-store",
}


class Renderer:
    """Renderer of the templates of this package. version: of the service, shown below each page."""

    def __init__(self, version: str) -> None:
        self._version = version

    def page(
        self, template: str, *, root: str, status: int = 200, headers: Mapping[str, str] | None = None, **values: object
    ) -> HTMLResponse:
        """Page of a template. root: the relative way from its address to the service's root, such as `../`."""
        content = templates().get_template(template).render({"root": root, "version": self._version, **values})
        return HTMLResponse(content, status, {**HEADERS, **(headers or {})})


@cache
def templates() -> Environment:
    """Templates of this package, each compiled once in a process."""
    found = Environment(
        loader=PackageLoader("modelwatch.web"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    found.globals |= {"mark": _mark, "definitions": _definitions, "STATES": STATES, "EXPLAINED": EXPLAINED}
    found.filters |= {
        "name": name,
        "breakable": breakable_name,
        "text": text,
        "timed": timed,
        "segment": segment,
        "count": count,
        "measure": measure,
        "psi": psi_text,
        "size_name": size_name,
        "subject": subject,
        "chance": chance,
        "percent": percent,
        "kind": KINDS.__getitem__,
        "step": STEPS.__getitem__,
        "delivery": DELIVERIES.__getitem__,
    }
    return found


@dataclass(frozen=True, slots=True)
class When:
    """Moment for people, for machines, and how long ago it was; ago is empty for what is to come.

    day: with its weekday, to the minute. short: the same without the date, within six days. All are in UTC.
    """

    text: str
    iso: str
    ago: str
    day: str
    short: str


def drawn(markup: str) -> Markup:
    """Markup that one of the charts' functions has drawn, for a template."""
    return Markup(markup)


def _mark(state: State) -> Markup:
    return drawn(mark(state))


def _definitions() -> Markup:
    return drawn(definitions())


def when(iso: str, now: int) -> When:
    """Moment of an RFC 3339 text; with its year where that does not go without saying. now: microseconds.

    >>> when("1997-05-05T00:00:00Z", 1_796_000_000_000_000).day
    'Mon 5 May 1997, 00:00'
    """
    at = microseconds(iso)
    day = short_time(at // MICROS_PER_SECOND, with_year=abs(now - at) > DAYS_WITHOUT_YEAR * MICROS_PER_DAY)
    is_near = abs(now - at) < NEAR_DAYS * MICROS_PER_DAY
    return When(
        minute_of_micros(at),
        iso,
        f"{about(now - at)} ago" if at <= now else "",
        day,
        f"{day[:3]} {day[-5:]}" if is_near else day,
    )


def moment(at: When) -> Markup:
    """The day of a moment in bold, as a time that machines read and the reader's zone is applied to.

    >>> moment(when("2026-11-29T05:30:00Z", 1_796_000_000_000_000))
    Markup('<b><time datetime="2026-11-29T05:30:00Z" title="2026-11-29 05:30 UTC">Sun 29 Nov, 05:30</time></b>')
    """
    return Markup('<b><time datetime="{}" title="{}">{}</time></b>').format(at.iso, at.text, at.day)


def near(at: When) -> Markup:
    """The moment as it stands in a sentence, in the same way."""
    return Markup('<time datetime="{}" title="{}">{}</time>').format(at.iso, at.text, at.short)


def dated(at: When) -> Markup:
    """The same with its date, however near it is."""
    return Markup('<time datetime="{}" title="{}">{}</time>').format(at.iso, at.text, at.day)


def aged(at: When) -> Markup:
    """The same, and how long ago it was."""
    return Markup("{}, {}").format(near(at), at.ago) if at.ago else near(at)


def timed(given: str) -> Markup:
    """Text in which the reader's zone is applied to each moment. Markup stays as it is: it has its own.

    >>> timed("a < b since 2026-11-29 05:30 UTC.")  # doctest: +NORMALIZE_WHITESPACE
    Markup('a &lt; b since <time datetime="2026-11-29T05:30Z">2026-11-29 05:30 UTC</time>.')
    """
    if isinstance(given, Markup):
        return given
    return Markup(_MOMENT.sub(r'<time datetime="\1T\2Z">\g<0></time>', str(escape(unbroken(given)))))


def moments(*times: When) -> Moments:
    """Short texts of moments, for the label of a chart in which they stand in this order."""
    return tuple((each.short, microseconds(each.iso) / MICROS_PER_SECOND) for each in times)


def about(micros: int) -> str:
    """Length of time in its largest unit.

    >>> about(1_378_000_000), about(93_780_000_000)
    ('22\\xa0min', '1\\xa0d')
    """
    return "\u00a0".join(span(micros // MICROS_PER_SECOND).split(" ")[:2])


def microseconds(iso: str) -> int:
    """Microseconds since 1970 of an RFC 3339 text."""
    return micros_of(datetime.fromisoformat(iso))


def name(given: str) -> str:
    """Name that anybody may have chosen, on one line."""
    return shortened(given, LONGEST_NAME)


def breakable_name(given: str) -> Markup:
    """The same as markup, in which a line may break after an underscore."""
    return Markup(breakable(name(given)))


def text(given: str) -> str:
    """Text that anybody may have written, on one line."""
    return unbroken(clipped(given, LONGEST_TEXT))


def unbroken(given: str) -> str:
    """The text, no line of which ends between a number and its per cent or points.

    >>> unbroken("95 % of 2 points")
    '95\xa0% of 2\xa0points'
    """
    return _BEFORE_UNIT.sub("\xa0", given)


def segment(given: str) -> str:
    """Name as one segment of an address."""
    return quote(given, safe="")


def count(value: int) -> str:
    """Number of things.

    >>> count(1200)
    '1,200'
    """
    return f"{value:,}"


def measure(value: float | None) -> str:
    """Number with three significant digits, or a dash.

    >>> measure(0.3125), measure(None), measure(1e-9)
    ('0.312', '–', '1\\xa0×\\xa010⁻⁹')
    """
    return "–" if value is None else number(value)


def size(score: str, value: float) -> str:
    """Value of a finding's score, as what it is.

    >>> size("PSI", 0.3125), size("loss of f1", 0.1207), size("silence in seconds", 7_200)
    ('0.312', '12.1\\xa0points', '2 h')
    """
    return span(int(value)) if score == SILENCE else score_value(score, value)


def limit(score: str, value: float) -> str:
    """Threshold of a finding's score, in the same way.

    >>> limit("PSI", 0.25), limit("silence in seconds", 7_200)
    ('0.25', '2 h')
    """
    return span(int(value)) if score == SILENCE else score_limit(score, value)


class Limited(Held, Protocol):
    """A finding with the limit that decided."""

    @property
    def threshold(self) -> float: ...


def from_limit(found: Limited) -> str:
    """Clause on the score from which it is an alert, or what it is where that was not kept; empty where any score is.
    Where it is less by now, how long it stays what it is.

    >>> from types import SimpleNamespace
    >>> of = {"score_name": "PSI", "severity": "warning", "threshold": 0.1, "score": 0.2, "holding": False}
    >>> of |= {"small": False, "warning_threshold": 0.1}
    >>> from_limit(SimpleNamespace(**of, alert_threshold=0.25)), from_limit(SimpleNamespace(**of, alert_threshold=None))
    (', alert from 0.25', ', warning from 0.1')
    >>> from_limit(SimpleNamespace(**of | {"severity": "alert", "score": 0.22}, alert_threshold=0.25))
    ', alert from 0.25 (an alert until below 0.2)'
    >>> from_limit(SimpleNamespace(**of | {"threshold": 0.0}, alert_threshold=None))
    ''
    """
    has_alert = found.alert_threshold is not None
    least = found.threshold if found.alert_threshold is None else found.alert_threshold
    held = f" ({held_words(found)})" if held_words(found) else ""
    return f", {'alert' if has_alert else found.severity} from {limit(found.score_name, least)}{held}" if least else ""


def size_name(score: str) -> str:
    """Name of a finding's score.

    >>> size_name("loss of roc_auc"), size_name("silence in seconds")
    ('loss of ROC AUC', 'silence')
    """
    return "silence" if score == SILENCE else name(score_title(score))


def subject(given: str) -> str:
    """Name of what a verdict is about, as a check has it, for people.

    >>> subject("ground_truth"), subject("volume of 24h"), subject("log_loss"), subject("amount")
    ('labels', 'volume of 24 h', 'log loss', 'amount')
    """
    if given in METRICS:
        return in_sentence(given)
    return name(_SPAN.sub(r"\1 \2", given) if given.startswith("volume of ") else given)
