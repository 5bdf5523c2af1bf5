"""What the list of alerts shows, ready for its template."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal, get_args
from urllib.parse import quote, urlencode

from modelwatch.alerting.alerts import rank
from modelwatch.alerting.views import AlertLine
from modelwatch.alerting.wording import KINDS
from modelwatch.errors import FieldError, InvalidInput, excerpt
from modelwatch.monitoring import iso
from modelwatch.storage import EvaluationFailure
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
    more_failing: how many others."""

    tab: Tab
    tabs: tuple[TabLink, ...]
    rows: tuple[Row, ...]
    model: str
    older: str
    failing: tuple[Failing, ...] = ()
    more_failing: int = 0


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
    )


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
