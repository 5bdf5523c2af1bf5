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
from modelwatch.monitoring.checks.windows import iso
from modelwatch.storage.verdicts.evaluations import EvaluationFailure
from modelwatch.storage.verdicts.standing import Standing
from modelwatch.web.words import MICROSECONDS, When, count, name, when

Tab = Literal["open", "firing", "acknowledged", "silenced", "resolved"]
FAILURES_SHOWN = 5
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
    """What the list is about: how far its models are, the newest verdicts of its streams, and how many are due."""

    standing: Standing
    severities: Counter[str | None]
    waiting: int


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
class ListView:
    """The list. older: the address of the next page, if there is one. failing: checks that can't be made, some of them;
    more_failing: how many others. data_until, evaluated_until: how far the page goes. why_empty: what an empty list
    means. model_path: the model's name in an address."""

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
    model_path: str = ""


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
        model_path="" if model is None else quote(model, safe=""),
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
    )


def _moment(seconds: int | None, now: int) -> When | None:
    return None if seconds is None else when(iso(seconds), now)


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
        when(iso(failure.since // MICROSECONDS), now),
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
