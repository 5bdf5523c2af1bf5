"""Page with the list of alerts: their lines as the API sends them, with what the template needs beside them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, get_args
from urllib.parse import urlencode

from modelwatch.alerting.alert import rank
from modelwatch.alerting.queries import Position
from modelwatch.alerting.views.alerts import AlertLine
from modelwatch.alerting.wording import KINDS
from modelwatch.errors import FieldError, InvalidInput, excerpt
from modelwatch.findings import FindingSeverity, Kind
from modelwatch.storage.engine.models import Part, StreamKey
from modelwatch.storage.verdicts.evaluations import EvaluationFailure
from modelwatch.storage.verdicts.standing import Standing
from modelwatch.times import MICROS_PER_SECOND, iso_of_micros
from modelwatch.web.frame.rendering import When, count, when
from modelwatch.web.frame.selection import choice_of
from modelwatch.web.models.deletion import PartsToDelete, part_name

Tab = Literal["open", "firing", "acknowledged", "silenced", "resolved"]
FAILURES_SHOWN = 5
NO_SUCH_LIST = "There is no such list of alerts."
OPEN_SHOWN = 50
TABS: tuple[Tab, ...] = get_args(Tab)
# Streams by the severity of their newest verdict, where that is no alert.
WITHOUT_ALERT: dict[str | None, str] = {
    "shifted": "with small shifts only",
    "stable": "without drift",
    "insufficient_data": "with too little data for a verdict",
    "no_data": "without usable values",
    "no_reference": "without a reference to compare with",
    None: "not evaluated yet",
}


@dataclass(frozen=True, slots=True)
class ListPage(PartsToDelete):
    """List of alerts of a tab.

    model, kind, severity: of the only alerts that are listed. models: those that can be chosen. open_alerts: all of
    these, oldest first. resolved: those of one page; following: where the next one begins. standing, severities,
    waiting: how far the data and evaluations are, the newest verdicts of the streams, and how many streams are due.
    streams, deleting: of the model, and the parts of it that are being deleted. is_whole: whether all open alerts are
    shown, or only so many. now: microseconds.
    """

    tab: Tab
    model: str | None
    open_alerts: Sequence[AlertLine]
    resolved: Sequence[AlertLine]
    following: Position | None
    failures: Sequence[EvaluationFailure]
    standing: Standing
    severities: Counter[str | None]
    waiting: int
    now: int
    streams: Sequence[StreamKey] = ()
    deleting: Sequence[Part] = ()
    kind: Kind | None = None
    severity: FindingSeverity | None = None
    models: Sequence[str] = ()
    is_whole: bool = False

    @property
    def alerts(self) -> list[AlertLine]:
        """The alerts of the tab: open ones the worst first and of those the newest, resolved ones the newest first."""
        if self.tab == "resolved":
            return list(self.resolved)
        newest_first = self._of_tab[::-1]
        ordered = sorted(newest_first, key=lambda alert: -rank(alert.severity))
        return ordered if self.is_whole else ordered[:OPEN_SHOWN]

    @property
    def _of_tab(self) -> list[AlertLine]:
        return [alert for alert in self.open_alerts if self.tab in ("open", alert.state)]

    @property
    def number(self) -> int:
        """Number of open alerts of the tab, also of those that are not shown."""
        return len(self._of_tab)

    @property
    def beyond(self) -> int:
        """Number of open alerts of the tab that are not shown."""
        return 0 if self.tab == "resolved" else self.number - len(self.alerts)

    @property
    def everything(self) -> str:
        """Address of the list with all open alerts."""
        return self._address(self.tab, show="all")

    @property
    def tabs(self) -> list[tuple[Tab, str, str]]:
        """Each tab with its address and its number of alerts, empty where that is not counted."""
        numbers = {each: sum(alert.state == each or each == "open" for alert in self.open_alerts) for each in TABS}
        return [(each, self._address(each), "" if each == "resolved" else count(numbers[each])) for each in TABS]

    @property
    def kinds(self) -> list[tuple[str, str]]:
        """Kinds that can be chosen, with their names."""
        return [(kind, KINDS[kind]) for kind in get_args(Kind)]

    @property
    def is_narrowed(self) -> bool:
        return (self.model, self.kind, self.severity) != (None, None, None)

    @property
    def older(self) -> str:
        """Address of the next page; empty when there is none."""
        if self.following is None:
            return ""
        at, identity = self.following
        return self._address(self.tab, before=f"{at}.{identity}")

    @property
    def failing(self) -> Sequence[EvaluationFailure]:
        """The failing checks that are shown."""
        return self.failures[:FAILURES_SHOWN]

    @property
    def data_until(self) -> When | None:
        return self._moment(self.standing.data_until)

    @property
    def evaluated_until(self) -> When | None:
        return self._moment(self.standing.evaluated_until)

    @property
    def why_empty(self) -> list[str]:
        """Sentences on the streams when no alert is open."""
        if self.standing.data_until is None:
            return ["No predictions have been received yet."]
        found = [
            f"{count(number)} {'stream' if number == 1 else 'streams'} {text}."
            for severity, text in WITHOUT_ALERT.items()
            if (number := self.severities[severity])
        ]
        if self.waiting:
            found.append(
                f"{count(self.waiting)} {'stream is' if self.waiting == 1 else 'streams are'} being evaluated now."
            )
        return found

    @property
    def under_way(self) -> list[str]:
        """Names of the parts of the model that are being deleted."""
        return [part_name(part) for part in self.deleting]

    def when(self, at: str | int) -> When:
        """Moment of an RFC 3339 text, or of microseconds to the second."""
        return when(at if isinstance(at, str) else iso_of_micros(at - at % MICROS_PER_SECOND), self.now)

    def _moment(self, seconds: int | None) -> When | None:
        return None if seconds is None else self.when(seconds * MICROS_PER_SECOND)

    def _address(self, tab: Tab, **more: str) -> str:
        chosen = {"model": self.model, "kind": self.kind, "severity": self.severity}
        return "?" + urlencode(
            {"state": tab, **{key: each for key, each in chosen.items() if each is not None}, **more}
        )


def chosen_tab(state: str) -> Tab:
    """Tab of a `state` in an address. Raises InvalidInput."""
    return choice_of(state, TABS, "state", NO_SUCH_LIST)


def chosen_kind(text: str) -> Kind | None:
    """Kind of an address; None for all. Raises InvalidInput."""
    kinds: tuple[Kind, ...] = get_args(Kind)
    return choice_of(text, kinds, "kind", NO_SUCH_LIST) if text else None


def chosen_severity(text: str) -> FindingSeverity | None:
    """Severity of an address; None for all. Raises InvalidInput."""
    severities: tuple[FindingSeverity, ...] = get_args(FindingSeverity)
    return choice_of(text, severities, "severity", NO_SUCH_LIST) if text else None


def position_of(text: str) -> Position:
    """Position at which a page of resolved alerts begins, from its address. Raises InvalidInput."""
    at, _, identity = text.partition(".")
    if not at.isascii() or not at.isdigit() or len(at) > 18 or not identity.isprintable():
        problem = FieldError("/before", "Expected the value in the link of the page before", excerpt(text))
        raise InvalidInput("The cursor is not valid.", (problem,))
    return int(at), identity
