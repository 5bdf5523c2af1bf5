"""Alertmanager, by its API v2: it is told of every open alert again and again, and ends what it is not told of.

To Alertmanager another label set is another alert, so labels hold what the alert is and never a number. Severity and
the monitor's own labels are among them, because routes and inhibitions are written on them: when they change while the
alert is open, the push that says so also ends the alert under the labels before. If that was missed, it lapses.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import msgspec

from modelwatch.alerting.channels.posting import MICROSECONDS, Poster, judge
from modelwatch.alerting.channels.presentation import alert_name, cut, iso_time, times_of
from modelwatch.alerting.channels.protocol import DELIVERED, Outcome
from modelwatch.alerting.notices import Notice
from modelwatch.findings import SEVERITIES

PATH = "/api/v2/alerts"
REFRESH_SECONDS = 60.0
# An alert outlives two refreshes that failed.
LIVES_REFRESHES = 3
ALERTS_A_PUSH = 500
TEXT = 4096
# An end that Alertmanager's clock has not reached yet would not count: the later end of the push before wins.
CLOCKS_DIFFER = 60 * MICROSECONDS


class AlertmanagerChannel:
    """Pushes to every replica of one Alertmanager cluster, which shares silences and what was sent, but not alerts.

    A push is delivered when at least one replica took it: with the next refresh the others get it, too, and what they
    were not told has ended, lapses. So one replica that is down delays nothing and repeats nothing.
    """

    kind = "alertmanager"

    def __init__(
        self,
        name: str,
        urls: Sequence[str],
        *,
        clock: Callable[[], int],
        refresh_seconds: float = REFRESH_SECONDS,
    ) -> None:
        self.name = name
        self.refresh_seconds = refresh_seconds
        self._urls = [url.rstrip("/") + PATH for url in urls]
        self._clock = clock
        self._poster = Poster(clock)
        # The labels under which Alertmanager knows each alert, as far as this process has told it.
        self._known: dict[str, dict[str, str]] = {}

    def __repr__(self) -> str:
        return f"AlertmanagerChannel({self.name!r})"

    def send(self, notice: Notice, key: str) -> Outcome:
        now = self._clock()
        labels = labels_of(notice)
        over = [other for other in self._others(notice, labels) if other != labels]
        outcome = self._push([self._alert(notice, now), *(alert_of(notice, other, now, ended=True) for other in over)])
        if outcome.status == "delivered":
            self._known[notice.alert_id] = labels
        if notice.event in {"resolved", "test"}:
            self._known.pop(notice.alert_id, None)
        return outcome

    def refresh(self, notices: Sequence[Notice]) -> Outcome:
        now = self._clock()
        active = [notice for notice in notices if notice.event != "resolved"]
        # What has ended may have been told by another process: it is not to be remembered here for ever.
        self._known = {notice.alert_id: labels_of(notice) for notice in active}
        alerts = [self._alert(notice, now) for notice in active]
        pushes = [self._push(alerts[start : start + ALERTS_A_PUSH]) for start in range(0, len(alerts), ALERTS_A_PUSH)]
        return max(pushes, key=_rank, default=DELIVERED)

    def _others(self, notice: Notice, labels: dict[str, str]) -> list[dict[str, str]]:
        """Under which other labels it may be known: as it was told last, or if that is not known, any severity."""
        if notice.alert_id in self._known:
            return [self._known[notice.alert_id]]
        if notice.event in {"firing", "test"}:
            return []
        return [{**labels, "severity": severity} for severity in SEVERITIES]

    def _alert(self, notice: Notice, now: int) -> dict[str, Any]:
        life = int(self.refresh_seconds * LIVES_REFRESHES * MICROSECONDS)
        return alert_of(notice, labels_of(notice), now, ended=notice.event == "resolved", life=life)

    def _push(self, alerts: list[dict[str, Any]]) -> Outcome:
        body = msgspec.json.encode(alerts)
        return best(judge(self._poster.post(url, body, {})) for url in self._urls)


def best(outcomes: Iterable[Outcome]) -> Outcome:
    """Of the replicas' outcomes the one that counts: any that took it, else any that may take it later."""
    return min(list(outcomes), key=_rank)


def _rank(outcome: Outcome) -> int:
    return ("delivered", "retry", "permanent").index(outcome.status)


def labels_of(notice: Notice) -> dict[str, str]:
    """What the alert is to Alertmanager: the same for as long as nothing but its numbers and its state change."""
    own = {_label_name(name): value for name, value in notice.labels.items() if name not in {"", "model"} and value}
    return {
        **own,
        "alertname": alert_name(notice),
        "model_name": notice.model,
        "environment": notice.environment,
        "kind": notice.kind,
        "severity": notice.severity,
    }


def alert_of(notice: Notice, labels: dict[str, str], now: int, *, ended: bool = False, life: int = 0) -> dict[str, Any]:
    """The alert under these labels, over or alive until now + life. Microseconds."""
    over = now - CLOCKS_DIFFER
    annotations = {
        "summary": notice.title,
        "description": cut(notice.summary, TEXT),
        "state": notice.state,
        "page_url": notice.page_url,
        "evidence_url": notice.evidence_url,
        **{name.lower().replace(" ", "_"): text for name, text in times_of(notice).items()},
    }
    return {
        "labels": labels,
        "annotations": {name: text for name, text in annotations.items() if text},
        "startsAt": iso_time(min(notice.started_at, over)),
        "endsAt": iso_time(over if ended else now + life),
        "generatorURL": notice.page_url,
    }


def _label_name(name: str) -> str:
    """A name that Alertmanager takes as a label.

    >>> _label_name("cost-centre"), _label_name("2nd")
    ('cost_centre', '_2nd')
    """
    safe = re.sub(r"[^a-zA-Z0-9_]", "_", name)
    return f"_{safe}" if safe[:1].isdigit() else safe
