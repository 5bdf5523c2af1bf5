"""Page of one alert: the report that the API sends, with what the template needs beside it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup

from modelwatch.alerting.views.alerts import AlertLine, AlertReport, MemberReport, RecoveredLine, StepLine
from modelwatch.alerting.views.operations import DeliveryLine, SilenceLine
from modelwatch.alerting.wording import KINDS, METRIC_KINDS, doubt_text, held_words
from modelwatch.api.ingest.acceptance import WITHOUT_REFERENCE
from modelwatch.charts.drawing.marks import State
from modelwatch.charts.rows import categories, categories_table, most_frequent
from modelwatch.measures import metric_name, quality_title
from modelwatch.text import listed, lookback, span
from modelwatch.times import MICROS_PER_SECOND, iso_of_micros
from modelwatch.web.alerts.alert_cells import Cells
from modelwatch.web.alerts.alert_chart import AlertChart
from modelwatch.web.alerts.alert_verdict import alert_verdict, began_at
from modelwatch.web.frame.model_frame import TAB_OF_KIND
from modelwatch.web.frame.rendering import When, aged, count, drawn, limit, microseconds, name, near, size, when
from modelwatch.web.frame.site import segment_of
from modelwatch.web.frame.verdict import Verdict, joined, page_steps

MEMBERS_SHOWN = 100
# Cards beside each other; the others are in the table of the numbers.
CARDS_SHOWN = 6
CELLS_SHOWN = 40
# Subjects in the heading.
NAMED = 2
SUBJECT_PAGES = {"prediction": "prediction", "score": "score", "latency": "latency"}
OWN_LABELS = frozenset({"model", "environment", "kind", "severity"})


@dataclass(frozen=True, slots=True)
class Card:
    """Card of a finding: its state, the way to its page (empty without one), the chart of its cells with their table,
    and how many cells are not drawn."""

    member: MemberReport
    state: State
    way: str
    chart: Markup | None
    table: Markup
    hidden: int
    below: str


@dataclass(frozen=True, slots=True)
class AlertPage:
    """Page of an alert. silences: those that cover it. cells: by verdict. now: microseconds. chart: over time. others:
    alerts of the same model and environment that are open. paths: of all pages. grafana: address of a dashboard."""

    report: AlertReport
    silences: Sequence[SilenceLine]
    cells: Cells
    now: int
    chart: AlertChart | None = None
    others: Sequence[AlertLine] = ()
    paths: frozenset[str] = frozenset()
    grafana: str = ""

    @property
    def state(self) -> State:
        """State by which the alert is marked."""
        return self.report.alert.severity if self.is_open else "stable"

    @property
    def heading(self) -> str:
        """What is wrong, and with what; the model and its environment stand above it."""
        alert = self.report.alert
        subjects = list(dict.fromkeys(self.subject(member) for member in self.report.members))
        kind = KINDS[alert.kind]
        if alert.kind == "freshness" or not subjects:
            return kind
        return f"{kind}: {listed(subjects[:NAMED], len(subjects))}"

    @property
    def verdict(self) -> Verdict:
        return alert_verdict(self.report, self.now)

    @property
    def model_way(self) -> str:
        """Way from the service's root to the page of the model."""
        return f"ui/models/{segment_of(self.report.alert.model_name)}"

    @property
    def tab_way(self) -> str:
        """Way to the model's page on this kind of finding; empty while there is none."""
        tab = TAB_OF_KIND[self.report.alert.kind]
        return f"{self.model_way}/{tab}" if f"/models/{{model_name:segment}}/{tab}" in self.paths else ""

    @property
    def runbook(self) -> list[str]:
        """Steps of the runbook, without the one that leads to this page."""
        return page_steps(self.report.runbook.steps)

    @property
    def further(self) -> list[tuple[str, str]]:
        """Names and ways of the pages of the model on which more is to be seen."""
        tabs = (("Drift", "drift"), ("Performance", "performance"), ("Quality", "quality"), ("Segments", "segments"))
        return [
            (text, f"{self.model_way}/{tab}")
            for text, tab in tabs
            if f"/models/{{model_name:segment}}/{tab}" in self.paths
        ]

    @property
    def cards(self) -> list[Card]:
        """Cards of the worst findings."""
        return [self._card(member) for member in self.findings[:CARDS_SHOWN]]

    def subject(self, member: MemberReport | RecoveredLine) -> str:
        """Name of a member's subject as a heading."""
        kind, subject = self.report.alert.kind, member.subject
        if kind in METRIC_KINDS:
            return metric_name(subject)
        return name(quality_title(subject) if kind == "data_quality" else subject)

    def _card(self, member: MemberReport) -> Card:
        shares = self.cells.get((member.verdict_id, self.report.alert.kind, member.subject))
        of_finding = (member.window_start, member.window_end)
        # A finding that is no longer found keeps its look-back; the verdict then shows another.
        is_same = shares is not None and (shares.window_start, shares.window_end) == of_finding
        rows, named = (shares.rows, shares.named) if shares is not None and is_same else ((), ())
        title = f"{name(member.subject)}: shares of the reference and now"
        facts = [
            joined([self.lookback(member), near(self.when(member.window_end))], " to "),
            f"n\u00a0{count(member.sample_size)}",
            f"N\u00a0{count(member.reference_size)}" if member.reference_size else "",
        ]
        return Card(
            member,
            member.severity if self.is_open else "stable",
            self._subject_way(member),
            drawn(categories(title, most_frequent(rows, CELLS_SHOWN, named))) if rows else None,
            drawn(categories_table(title, rows)) if rows else Markup(),
            max(len(rows) - CELLS_SHOWN, 0),
            joined([fact for fact in facts if fact], " · "),
        )

    def _subject_way(self, member: MemberReport) -> str:
        kind, feature = self.report.alert.kind, member.subject
        if kind == "data_quality":
            feature = member.subject.rpartition(": ")[0]
        if kind in ("feature_drift", "data_quality"):
            has_page, last = any("/features/" in path for path in self.paths), f"features/{segment_of(feature)}"
        else:
            last = SUBJECT_PAGES.get(member.subject, "")
            has_page = f"/models/{{model_name:segment}}/{last}" in self.paths
        return f"{self.model_way}/{last}" if has_page and feature and last else self.tab_way

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
            facts = [("No predictions since", self.aged(began_at(self.report)))]
        else:
            facts = [
                ("Bad data", joined([near(self.when(alert.bad_from)), near(self.when(alert.bad_until))], " to ")),
                ("Detected at", self.aged(alert.detected_at)),
                ("Evaluated up to", self.aged(alert.judged_until)),
            ]
        if alert.uncertain_since is not None:
            facts.append(("No longer certain since", self.aged(alert.uncertain_since)))
        if alert.silent_since is not None:
            facts.append(("No predictions since", self.aged(alert.silent_since)))
        facts.append(("Opened", self.aged(alert.opened_at)))
        if alert.acknowledgement is not None:
            taken = alert.acknowledgement
            facts.append(("Acknowledged", joined([f"by {name(taken.actor)}", near(self.when(taken.at))])))
        if alert.resolved_at is not None:
            by = [] if alert.resolved_by is None else [f"by {name(alert.resolved_by)}"]
            facts.append(("Resolved", joined([*by, self.aged(alert.resolved_at)])))
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
        return aged(self.when(at))

    def thresholds(self, member: MemberReport) -> str:
        """Thresholds of a warning and of an alert; else the one that there is."""
        levels = (member.warning_threshold, member.alert_threshold)
        known = [limit(member.score_name, each) for each in levels if each is not None]
        return " / ".join(known) if known else limit(member.score_name, member.threshold) if member.threshold else ""

    def held(self, member: MemberReport) -> str:
        """Down to where a member keeps a severity that its score alone would not give."""
        return held_words(member)

    def size(self, member: MemberReport, value: float) -> str:
        """Value of a member's score."""
        return size(member.score_name, value)

    def lookback(self, member: MemberReport) -> str:
        """Look-back of a member, or the length of its window."""
        if member.lookback is not None:
            return lookback(member.lookback)
        return span((microseconds(member.window_end) - microseconds(member.window_start)) // MICROS_PER_SECOND)

    def doubt(self, member: MemberReport) -> str:
        """Sentence on what is no longer certain of a member; empty when all is."""
        since = None if member.uncertain_since is None else microseconds(member.uncertain_since)
        return doubt_text(since, member.doubt, is_holding=member.holding)

    def mark_of(self, step: StepLine) -> State:
        """State that a step is marked with: what it led to, or the ring of an end, or what people did."""
        if step.event in ("resolved", "accepted", "calmed"):
            return "stable"
        return "unknown" if step.actor is not None else step.severity

    def verdict_way(self, member: MemberReport) -> str:
        """Path of a member's verdict from the service's root; empty where the clock decides, without a verdict."""
        return "" if self.report.alert.kind == "freshness" else member.verdict.removeprefix("/")

    def progress(self, delivery: DeliveryLine) -> str:
        """Times, attempts and last error of a delivery."""
        parts = (
            "" if delivery.finished_at is None else near(self.when(delivery.finished_at)),
            joined(["not before", near(self.when(delivery.not_before))], " ") if delivery.state == "pending" else "",
            "" if delivery.attempts < 2 else f"{count(delivery.attempts)} attempts",
            "" if delivery.last_error is None else name(delivery.last_error),
        )
        return joined([part for part in parts if part])
