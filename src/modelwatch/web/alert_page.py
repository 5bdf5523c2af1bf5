"""Page of one alert: the report that the API sends, with what the template needs beside it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from modelwatch.alerting.text import lookback, span
from modelwatch.alerting.views import AlertReport, DeliveryLine, MemberReport, SilenceLine, StepLine
from modelwatch.alerting.wording import doubt_text
from modelwatch.api.ingest.acceptance import WITHOUT_REFERENCE
from modelwatch.times import MICROS_PER_SECOND, iso_of_micros
from modelwatch.web.cells import Cell, Cells
from modelwatch.web.rendering import When, count, measure, microseconds, name, when

MEMBERS_SHOWN = 100
OWN_LABELS = frozenset({"model", "environment", "kind", "severity"})


@dataclass(frozen=True, slots=True)
class AlertPage:
    """Page of an alert. silences: those that cover it. cells: by verdict. now: microseconds."""

    report: AlertReport
    silences: Sequence[SilenceLine]
    cells: Cells
    now: int

    @property
    def is_open(self) -> bool:
        return self.report.alert.state != "resolved"

    @property
    def can_be_resolved(self) -> bool:
        return self.is_open or self.report.alert.flapping

    @property
    def can_be_accepted(self) -> bool:
        return self.is_open and self.report.alert.kind not in WITHOUT_REFERENCE

    @property
    def findings(self) -> tuple[MemberReport, ...]:
        """The members, or of a resolved alert what is still found."""
        return self.report.members if self.is_open else self.report.still_found

    @property
    def members(self) -> tuple[MemberReport, ...]:
        """The findings that are shown, worst first."""
        return self.findings[:MEMBERS_SHOWN]

    @property
    def steps(self) -> list[tuple[StepLine, list[DeliveryLine]]]:
        """Each step with its deliveries, newest first."""
        return [
            (step, [each for each in self.report.deliveries if each.sequence == step.sequence])
            for step in reversed(self.report.events)
        ]

    @property
    def facts(self) -> list[tuple[str, str]]:
        """Name and text of each fact about the alert, with the monitor's own labels."""
        alert = self.report.alert
        if alert.kind == "freshness":
            facts = [("No predictions since", self.aged(alert.started_at))]
        else:
            facts = [
                ("Bad data", f"{self.when(alert.bad_from).text} to {self.when(alert.bad_until).text}"),
                ("Detected at", self.aged(alert.detected_at)),
                ("Data evaluated up to", self.aged(alert.judged_until)),
            ]
        if alert.uncertain_since is not None:
            facts.append(("No longer certain since", self.aged(alert.uncertain_since)))
        if alert.silent_since is not None:
            facts.append(("No predictions since", self.aged(alert.silent_since)))
        facts.append(("Opened", self.aged(alert.opened_at)))
        if alert.acknowledgement is not None:
            taken = alert.acknowledgement
            facts.append(("Acknowledged", f"by {name(taken.actor)}, {self.when(taken.at).text}"))
        if alert.resolved_at is not None:
            by = "" if alert.resolved_by is None else f"by {name(alert.resolved_by)}, "
            facts.append(("Resolved", by + self.aged(alert.resolved_at)))
        if alert.reopenings:
            facts.append(("Reopened", f"{count(alert.reopenings)} ×" + (", flapping" if alert.flapping else "")))
        own = self.report.labels.items()
        return facts + [(name(key), name(value)) for key, value in own if key not in OWN_LABELS]

    @property
    def as_of(self) -> str:
        """Time of the page."""
        return self.when(iso_of_micros(self.now)).text

    def when(self, at: str) -> When:
        """Moment of an RFC 3339 text."""
        return when(at, self.now)

    def aged(self, at: str) -> str:
        """Moment of an RFC 3339 text, with how long ago it was."""
        then = self.when(at)
        return f"{then.text} ({then.ago})" if then.ago else then.text

    def thresholds(self, member: MemberReport) -> str:
        """Thresholds of a warning and of an alert; else the one that there is."""
        known = [measure(each) for each in (member.warning_threshold, member.alert_threshold) if each is not None]
        return " / ".join(known) if known else measure(member.threshold) if member.threshold else ""

    def lookback(self, member: MemberReport) -> str:
        """Look-back of a member, or the length of its window."""
        if member.lookback is not None:
            return lookback(member.lookback)
        return span((microseconds(member.window_end) - microseconds(member.window_start)) // MICROS_PER_SECOND)

    def doubt(self, member: MemberReport) -> str:
        """Sentence on what is no longer certain of a member; empty when all is."""
        since = None if member.uncertain_since is None else microseconds(member.uncertain_since)
        return doubt_text(since, member.doubt, is_holding=member.holding)

    def verdict(self, member: MemberReport) -> str:
        """Path of a member's verdict from the service's root; empty where the clock decides, without a verdict."""
        return "" if self.report.alert.kind == "freshness" else member.verdict.removeprefix("/")

    def moved(self, member: MemberReport) -> tuple[Cell, ...]:
        """The cells that moved most of a member."""
        return self.cells.get((member.verdict_id, self.report.alert.kind, member.subject), ())

    def progress(self, delivery: DeliveryLine) -> str:
        """Times, attempts and last error of a delivery."""
        parts = (
            "" if delivery.finished_at is None else self.when(delivery.finished_at).text,
            f"not before {self.when(delivery.not_before).text}" if delivery.state == "pending" else "",
            "" if delivery.attempts < 2 else f"{count(delivery.attempts)} attempts",
            "" if delivery.last_error is None else name(delivery.last_error),
        )
        return ", ".join(part for part in parts if part)
