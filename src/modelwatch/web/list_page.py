"""What the list of alerts shows, ready for its template."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal, get_args
from urllib.parse import quote, urlencode

from modelwatch.alerting.alerts import rank
from modelwatch.alerting.views import AlertLine
from modelwatch.alerting.wording import KINDS
from modelwatch.errors import FieldError, InvalidInput, excerpt
from modelwatch.storage.engine.models import Part, StreamKey
from modelwatch.storage.verdicts.evaluations import EvaluationFailure
from modelwatch.storage.verdicts.standing import Standing
from modelwatch.times import iso_of_seconds
from modelwatch.web.words import MICROSECONDS, When, count, name, when

Tab = Literal["open", "firing", "acknowledged", "silenced", "resolved"]
FAILURES_SHOWN = 5
# Of what a list can offer to delete, so much is offered; the API and the command take everything.
PARTS_SHOWN = 500
TABS: tuple[Tab, ...] = get_args(Tab)


@dataclass(frozen=True, slots=True)
class TabLink:
    """One tab. number: how many alerts it has; empty where that is not counted."""

    label: str
    address: str
    number: str
    chosen: bool


@dataclass(frozen=True, slots=True)
class Row:
    """One alert in the list. path: its id in an address."""

    path: str
    title: str
    kind: str
    model: str
    environment: str
    severity: str
    state: str
    members: str
    flapping: bool
    acknowledged_by: str
    opened: When
    ended: When | None


# What the newest verdict says of streams, where that is no alert.
NOT_FOUND: dict[str | None, str] = {
    "stable": "without drift",
    "insufficient_data": "with too little data for a verdict",
    "no_data": "without usable values",
    "no_reference": "without a reference to compare with",
    None: "not evaluated yet",
}


@dataclass(frozen=True, slots=True)
class Scope:
    """What the list is about: how far its models are, the newest verdicts of its streams, and how many are due; of one
    model also its streams, and what of it is being deleted."""

    standing: Standing
    severities: Counter[str | None]
    waiting: int
    streams: Sequence[StreamKey] = ()
    deleting: Sequence[Part] = ()


@dataclass(frozen=True, slots=True)
class Failing:
    """A check that ends with an error: of what, which, since when, and what kind of error."""

    model: str
    version: str
    environment: str
    check: str
    since: When
    error: str


@dataclass(frozen=True, slots=True)
class PartChoice:
    """A part of a model that can be deleted: what the form sends for it, and its name for people."""

    value: str
    label: str


@dataclass(frozen=True, slots=True)
class Deletable:
    """What the form that deletes offers for a model, and what of it is being deleted. path: its name in an address."""

    path: str
    parts: tuple[PartChoice, ...]
    more: int
    under_way: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ListView:
    """The list. older: the address of the next page, if there is one. failing: checks that can't be made, some of them;
    more_failing: how many others. data_until, evaluated_until: how far the page goes. why_empty: what an empty list
    means. deletable: of one model."""

    tab: Tab
    tabs: tuple[TabLink, ...]
    rows: tuple[Row, ...]
    model: str
    older: str
    failing: tuple[Failing, ...] = ()
    more_failing: int = 0
    data_until: When | None = None
    evaluated_until: When | None = None
    why_empty: tuple[str, ...] = ()
    deletable: Deletable | None = None


def chosen_tab(state: str) -> Tab:
    """The tab of a `state` in an address. Raises InvalidInput."""
    for tab in TABS:
        if tab == state:
            return tab
    problem = FieldError("/state", f"Expected one of {', '.join(TABS)}", excerpt(state))
    raise InvalidInput("There is no such list of alerts.", (problem,))


def place_of(text: str) -> tuple[int, str]:
    """Where a page of resolved alerts begins, from its address. Raises InvalidInput."""
    at, _, identity = text.partition(".")
    if not at.isascii() or not at.isdigit() or len(at) > 18 or not identity.isprintable():
        problem = FieldError("/before", "Expected what the page before has in its link", excerpt(text))
        raise InvalidInput("The list can't be continued from there.", (problem,))
    return int(at), identity


def list_view(
    tab: Tab,
    model: str | None,
    open_alerts: Sequence[AlertLine],
    resolved: Iterable[AlertLine],
    following: tuple[int, str] | None,
    failures: Sequence[EvaluationFailure],
    scope: Scope,
    now: int,
) -> ListView:
    """open_alerts: all of them, oldest first; resolved: those of one page. now: microseconds."""
    wanted = [alert for alert in reversed(open_alerts) if tab in ("open", alert.state)]
    shown = list(resolved) if tab == "resolved" else sorted(wanted, key=_badness)
    counts = {each: sum(alert.state == each or each == "open" for alert in open_alerts) for each in TABS}
    older = None if following is None else {"before": f"{following[0]}.{following[1]}"}
    return ListView(
        tab=tab,
        tabs=tuple(
            TabLink(
                each.capitalize(), _address(each, model), "" if each == "resolved" else count(counts[each]), each == tab
            )
            for each in TABS
        ),
        rows=tuple(_row(alert, now) for alert in shown),
        model="" if model is None else name(model),
        older="" if older is None else _address(tab, model, **older),
        failing=tuple(_failing(each, now) for each in failures[:FAILURES_SHOWN]),
        more_failing=max(0, len(failures) - FAILURES_SHOWN),
        data_until=_moment(scope.standing.data_until, now),
        evaluated_until=_moment(scope.standing.evaluated_until, now),
        why_empty=tuple(_why_empty(scope)),
        deletable=None if model is None else _deletable(model, scope),
    )


def chosen_part(value: str) -> Part:
    """The part of a model that a form names: the `value` of a choice, or nothing for the whole. Raises InvalidInput."""
    kind, _, chosen = value.partition(":")
    if kind == "version" and chosen:
        return Part(version=chosen)
    if kind == "environment" and chosen:
        return Part(environment=chosen)
    if not value:
        return Part()
    problem = FieldError("/part", "Expected a version or an environment of the model, or nothing", excerpt(value))
    raise InvalidInput("Nothing is deleted.", (problem,))


def _deletable(model: str, scope: Scope) -> Deletable:
    versions = sorted({stream.version for stream in scope.streams})
    environments = sorted({stream.environment for stream in scope.streams})
    choices = [PartChoice(f"environment:{each}", f"environment {name(each)}") for each in environments]
    choices += [PartChoice(f"version:{each}", f"version {name(each)}") for each in versions]
    return Deletable(
        quote(model, safe=""),
        tuple(choices[:PARTS_SHOWN]),
        max(0, len(choices) - PARTS_SHOWN),
        tuple(_in_words(part) for part in scope.deleting),
    )


def _in_words(part: Part) -> str:
    if part.version is not None:
        return f"Version {name(part.version)}"
    return "The model" if part.environment is None else f"Environment {name(part.environment)}"


def _moment(seconds: int | None, now: int) -> When | None:
    return None if seconds is None else when(iso_of_seconds(seconds), now)


def _why_empty(scope: Scope) -> Iterator[str]:
    """What is known of the streams when no alert is open."""
    if scope.standing.data_until is None:
        yield "No predictions have been received yet."
        return
    for severity, text in NOT_FOUND.items():
        number = scope.severities[severity]
        if number:
            yield f"{count(number)} {'stream' if number == 1 else 'streams'} {text}."
    if scope.waiting:
        yield f"{count(scope.waiting)} {'stream is' if scope.waiting == 1 else 'streams are'} being evaluated now."


def _failing(failure: EvaluationFailure, now: int) -> Failing:
    return Failing(
        name(failure.stream.model),
        name(failure.stream.version),
        name(failure.stream.environment),
        failure.check,
        when(iso_of_seconds(failure.since // MICROSECONDS), now),
        failure.error,
    )


def _badness(alert: AlertLine) -> int:
    return -rank(alert.severity)


def _address(tab: Tab, model: str | None, **more: str) -> str:
    given = {"state": tab, **({} if model is None else {"model": model}), **more}
    return "?" + urlencode(given)


def _row(alert: AlertLine, now: int) -> Row:
    taken = alert.acknowledgement
    return Row(
        path=quote(alert.alert_id, safe=""),
        title=alert.title,
        kind=KINDS[alert.kind],
        model=name(alert.model_name),
        environment=name(alert.environment),
        severity=alert.severity,
        state=alert.state,
        members=count(alert.members),
        flapping=alert.flapping,
        acknowledged_by="" if taken is None else name(taken.actor),
        opened=when(alert.opened_at, now),
        ended=None if alert.resolved_at is None else when(alert.resolved_at, now),
    )
