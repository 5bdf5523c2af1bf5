"""Page with the drift of one model: all subjects over time, the table of now, and what matters most."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

from markupsafe import Markup
from sqlalchemy import Connection
from starlette.requests import Request
from starlette.responses import Response

from modelwatch.api.state import ServiceState
from modelwatch.charts.annotations import Event
from modelwatch.charts.curves import Driver, quadrant
from modelwatch.charts.drawing.marks import State, key
from modelwatch.charts.drawing.numbers import percent
from modelwatch.charts.drawing.plot import gutter
from modelwatch.charts.heatmap import HeatRow, heat_class, heatmap
from modelwatch.config import BASE_WINDOW_SECONDS
from modelwatch.findings import NOT_SHOWN
from modelwatch.measures import chance
from modelwatch.monitoring.checks.drift.check import check_drift
from modelwatch.monitoring.checks.drift.evidence import DriftQuery
from modelwatch.monitoring.checks.drift.report import DriftReport
from modelwatch.monitoring.checks.rules import rules_for
from modelwatch.storage.references.monitors import monitor_of
from modelwatch.storage.references.references import overview
from modelwatch.text import sentence
from modelwatch.times import MICROS_PER_SECOND
from modelwatch.views.drift.series import DriftSeries, drift_series
from modelwatch.views.models.unwatched import Unwatched, not_compared
from modelwatch.views.newest_verdicts import OpenFinding, open_findings
from modelwatch.views.stretches.stretch import SeriesQuery, usual_step, window_for
from modelwatch.web.drift.rows import FOUND, RANKS, SORTS, DriftRow, drift_rows
from modelwatch.web.drift.subject_lanes import STATES
from modelwatch.web.drift.verdict import EvaluatedDrift, drift_verdict, evaluated_drift, standing_words
from modelwatch.web.frame.model_frame import ModelFrame, steps_words
from modelwatch.web.frame.rendering import drawn, microseconds, moments, near
from modelwatch.web.frame.selection import ALL_ROWS, choice_of
from modelwatch.web.frame.site import page, root_of, site_of
from modelwatch.web.frame.verdict import Verdict, joined

# Of many subjects, so many are shown at first: over time what drifts before the others, in the table in its order.
FIRST_ROWS, NOT_MANY = 60, 80
MOST_ROWS = 500
MANY = 60
MOST_UNJUDGED = 20
MOST_NAMES_WIDTH, READINGS_WIDTH = 160, 72


@dataclass(frozen=True)
class DriftPage:
    """Drift of a stream. left_out: what no verdict is about, beside what the check says itself. evaluated: the
    newest verdict; None before the first."""

    of_model: ModelFrame
    report: DriftReport
    series: DriftSeries
    findings: Sequence[OpenFinding]
    left_out: Sequence[Unwatched]
    importance: dict[str, float]
    root: str
    evaluated: EvaluatedDrift | None

    @cached_property
    def rows(self) -> list[DriftRow]:
        """All subjects: what drifts first, then what is not judged, then the others; the largest PSI first."""
        return drift_rows(self.of_model, self.report, self.series, self.findings, self.importance)

    @property
    def moved(self) -> list[DriftRow]:
        """Drifting subjects."""
        return [row for row in self.rows if row.state in FOUND]

    @property
    def unjudged(self) -> list[DriftRow]:
        """Subjects that the check does not judge."""
        return [row for row in self.rows if RANKS[row.state] == RANKS["unknown"]]

    @cached_property
    def not_judged(self) -> list[tuple[str, str]]:
        """Names and reasons of what is not judged: by the check, and since nothing is compared."""
        named = {row.name for row in self.rows}
        found = [(row.name, row.why_not) for row in self.unjudged]
        found += [(each.subject, each.reason) for each in self.left_out if each.subject not in named]
        return found

    @property
    def state(self) -> State:
        """The worst that is known."""
        if self.moved:
            return self.moved[0].state
        known: tuple[State, ...] = ("shifted", "stable")
        return next((each for each in known if any(row.state == each for row in self.rows)), "unknown")

    @property
    def verdict(self) -> Verdict:
        """The block at the top."""
        rows, reason = len(self.rows), self._small or self._reason
        found = self.findings
        return drift_verdict(
            self.of_model,
            self.state,
            self.moved,
            rows,
            found,
            reason,
            self.root,
            self.provisional,
            unjudged=len(self.unjudged),
            standing=standing_words(self.of_model, self.moved, found, self.evaluated),
        )

    @property
    def shifted(self) -> list[DriftRow]:
        """Subjects with a real shift that is not shown to matter."""
        return [row for row in self.rows if row.state == "shifted"]

    @property
    def _small(self) -> str:
        """Sentence on these where nothing drifts."""
        if self.moved or not self.shifted:
            return ""
        some, of_all = len(self.shifted), len(self.rows)
        have = "has" if some == 1 else "have"
        said = f"No drift. {some:,} of {of_all:,} {have} shifted: real, but {NOT_SHOWN}."
        return f"{said} {self.provisional}".strip()

    @property
    def _reason(self) -> str:
        reason = self.report.summary.reason
        return reason or next((why for _, why in self.not_judged if why), "Nothing is compared yet.")

    @cached_property
    def heatmap(self) -> Markup:
        """All subjects over time."""
        rows, steps, left = list[HeatRow](), self.series.steps, self._most
        groups = (
            (self.moved, f"{len(self.moved):,} drift{'s' if len(self.moved) == 1 else ''} now"),
            (self.unjudged, f"{len(self.unjudged):,} not judged"),
            (self.shifted, f"{len(self.shifted):,} shifted, no finding"),
            ([row for row in self.rows if row.state == "stable"], "as in the reference"),
        )
        for some, heading in groups:
            for place, row in enumerate(some[:left]):
                title = heading if place == 0 else ""
                if place == 0 and heading.startswith("as "):
                    title = f"{len(some):,} as in the reference"
                psi, n = ((), ()) if row.line is None else (_known(row.line.psi), row.line.n)
                rows.append(HeatRow(row.name, self._classes(row), self._reading(row), row.state, title, psi, n))
            left -= min(left, len(some))
        if not rows or not steps:
            return Markup("")
        began = min((row.began for row in self.moved if row.began is not None), key=lambda each: each.iso, default=None)
        events = []
        if began is not None:
            at = microseconds(began.iso) // MICROS_PER_SECOND
            events = [Event(at, f"began {began.short}", "since", moments(began))]
        step = self.series.step_seconds
        return drawn(
            heatmap(
                "Drift of all features over time",
                (self.of_model.start, self.of_model.end),
                rows,
                start=microseconds(steps[0].end) // MICROS_PER_SECOND - step,
                step=step,
                events=events,
                names=gutter([row.name for row in rows], most=MOST_NAMES_WIDTH),
                readings=READINGS_WIDTH,
            )
        )

    def _classes(self, row: DriftRow) -> list[str | None]:
        if row.line is None:
            return ["hu"] * len(self.series.steps)
        return [
            None
            if severity == "no_data"
            else heat_class(math.nan if psi is None else psi, STATES.get(severity, "unknown"))
            for psi, severity in zip(row.line.psi, row.line.severity, strict=True)
        ]

    @staticmethod
    def _reading(row: DriftRow) -> str:
        return "not judged" if math.isnan(row.psi) else row.psi_text

    @property
    def steps_words(self) -> str:
        """Text on the steps of the heat map."""
        return sentence(steps_words(self.series))

    @property
    def provisional(self) -> str:
        """Sentence on references that are not set; empty without."""
        named, compared = self.report.summary.provisional_subjects, len(self.rows)
        if not named:
            return ""
        some = f"{len(named):,} reference{' is' if len(named) == 1 else 's are'}"
        some = "The reference is" if len(named) == compared else some
        return f"{some} provisional: the model's own first predictions."

    @property
    def notes(self) -> Sequence[str]:
        """Sentences on what the references don't tell."""
        return self.report.summary.notes

    @property
    def key(self) -> Markup:
        """Key to the colours of the heat map."""
        return drawn(
            key(
                [
                    ("h0 h1 h2 h3", "no finding"),
                    ("hs", "shifted"),
                    ("hw", "warning"),
                    ("ha hb hc", "alert"),
                    ("f-unknown", "not judged"),
                ]
            )
        )

    @cached_property
    def quadrant(self) -> Markup:
        """Importance over drift; empty where the monitor names no importance."""
        drivers = [
            Driver(row.name, row.importance, row.psi, row.state)
            for row in self.rows
            if row.importance is not None and not math.isnan(row.psi)
        ]
        return drawn(quadrant("Importance and drift", drivers)) if drivers else Markup("")

    @property
    def sort(self) -> str:
        """Order of the table."""
        return self.of_model.selection.sort or "psi"

    @property
    def order_words(self) -> str:
        """The same in words."""
        title, _ = SORTS[self.sort]
        return f" by {title if title.isupper() or title == 'p' else title.lower()}"

    @cached_property
    def table(self) -> list[DriftRow]:
        """The rows of the table."""
        return sorted(self.rows, key=SORTS[self.sort][1])[: self._most]

    @property
    def all_rows(self) -> str:
        """Query of the address with all subjects; empty where they are shown."""
        is_all = len(self.rows) <= self._most or self.of_model.selection.rows == ALL_ROWS
        return "" if is_all else self.of_model.selection.query(rows=ALL_ROWS)

    @property
    def _most(self) -> int:
        """Number of rows that are shown at most."""
        if self.of_model.selection.rows == ALL_ROWS:
            return MOST_ROWS
        return NOT_MANY if len(self.rows) <= NOT_MANY else FIRST_ROWS

    @property
    def columns(self) -> list[tuple[str, str, bool]]:
        """Head of the table: name, query of the address that sorts by it, whether it is sorted so."""
        shown = [each for each in SORTS if each != "importance" or self.importance]
        return [(SORTS[each][0], self.of_model.selection.query(sort=each), each == self.sort) for each in shown]

    @property
    def now_words(self) -> str:
        """Caption of the table."""
        return joined(["to ", near(self.of_model.when(self.of_model.end)), "; each in its deciding look-back"], "")

    def share(self, row: DriftRow) -> str:
        """Importance of a row."""
        return "–" if row.importance is None else percent(row.importance)

    def chance(self, row: DriftRow) -> str:
        """Probability of chance of a row."""
        return chance(row.p_value)

    @property
    def csv(self) -> str:
        """Way from the root to the series as CSV."""
        return self.of_model.series_address("drift/series.csv", self.series)

    @property
    def twin(self) -> str:
        """Way from the root to the series as JSON."""
        return self.of_model.series_address("drift/series", self.series)


def _known(values: Sequence[float | None]) -> list[float]:
    return [math.nan if each is None else each for each in values]


def read_drift(state: ServiceState, connection: Connection, of_model: ModelFrame, root: str) -> DriftPage | None:
    """Content of the page; None where the model has sent nothing yet. Raises InvalidInput for an unknown order of the
    table."""
    sort, stream = of_model.selection.sort, of_model.stream
    if sort is not None:
        choice_of(sort, list(SORTS), "sort", "The table can't be sorted like this.")
    if stream is None or of_model.newest is None:
        return None
    now = state.clock()
    compared = len(overview(connection, stream.model).get(stream.model, ()))
    # Many rows are looked at as a whole, and half as many columns say it as well.
    step = usual_step((of_model.end - of_model.start) * (2 if compared > MANY else 1))
    series_query = SeriesQuery(stream.model, stream.environment, stream.version, of_model.start, of_model.end, step)
    series = drift_series(state.store, state.rules, series_query, now)
    window = window_for([each.predictions for each in series.steps], series.step_seconds, state.rules.min_samples)
    if window > series.step_seconds:
        series_query = replace(series_query, step=series.step_seconds, window=window)
        series = drift_series(state.store, state.rules, series_query, now)
    query = DriftQuery(stream.model, stream.environment, stream.version)
    monitor = monitor_of(connection, stream.model)
    config = None if monitor is None else monitor.config
    newest_end = of_model.newest.window_start + BASE_WINDOW_SECONDS
    return DriftPage(
        of_model,
        check_drift(state.store, state.rules, query, now, end=of_model.end),
        series,
        open_findings(connection, stream),
        list(not_compared(connection, stream, rules_for(state.rules, config), newest_end)),
        dict((config.importance or {}) if config is not None else {}),
        root,
        evaluated_drift(connection, stream),
    )


async def drift(request: Request) -> Response:
    """Page with the drift of a model."""
    site = site_of(request)

    def make(connection: Connection, of_model: ModelFrame) -> DriftPage | None:
        return read_drift(site.state, connection, of_model, root_of(request))

    return await site.show_model(request, "drift/drift.html", "drift", make)


ROUTES = (page("/models/{model_name:segment}/drift", drift),)
