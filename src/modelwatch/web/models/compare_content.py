"""Two sides of one model beside each other: two versions, two stretches of time, or two segments."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import quote, urlencode

from markupsafe import Markup

from modelwatch.charts.bars import Stack, bar_chart
from modelwatch.charts.drawing.numbers import number, percent
from modelwatch.charts.small import histogram_pair
from modelwatch.measures import chance, metric_change, metric_interval, metric_name, metric_value, psi_text
from modelwatch.times import MICROS_PER_SECOND, SECONDS_PER_DAY, iso_of_seconds
from modelwatch.views.models.comparison import (
    ComparisonSide,
    MetricComparison,
    ModelComparison,
    SubjectDifference,
)
from modelwatch.views.quality.volume import VolumeSeries
from modelwatch.views.stretches.labelled_stretch import StretchQuery
from modelwatch.web.frame.model_frame import ModelFrame
from modelwatch.web.frame.page_frame import Entry
from modelwatch.web.frame.rendering import dated, drawn, microseconds, name, when
from modelwatch.web.frame.site import segment_of
from modelwatch.web.frame.verdict import Verdict, joined, strong, strong_name
from modelwatch.web.quality.charts import even_bars

MOST_SUBJECTS, MOST_VERSIONS = 200, 5
BEYOND = "beyond chance"


@dataclass(frozen=True, slots=True)
class SideFields:
    """One side in the form: what its fields hold."""

    version: str
    environment: str
    start: str
    end: str
    segment: str


@dataclass(frozen=True)
class ComparePage:
    """Page on two sides of a model. sides: the baseline and the current one; None before the first prediction. began:
    the first predictions, in seconds, where the halves of the range are compared since nothing came before it."""

    of_model: ModelFrame
    comparison: ModelComparison
    sides: tuple[StretchQuery, StretchQuery] | None
    volumes: tuple[VolumeSeries, VolumeSeries] | None
    segments: tuple[str, ...]
    began: int | None = None

    @property
    def halved(self) -> str:
        """Sentence on why the halves of the range are compared; empty where they are not."""
        if self.began is None:
            return ""
        first = dated(when(iso_of_seconds(self.began), self.of_model.now))
        return joined(
            ["There are no predictions before ", first, ": the second half of the range is compared with the first."],
            "",
        )

    @property
    def without(self) -> list[tuple[str, str]]:
        """The sides without predictions: which one, and its description."""
        named = (("baseline", self.comparison.baseline), ("current", self.comparison.current))
        return [(word, self.words(side)) for word, side in named if side is not None and not side.predictions]

    @property
    def verdict(self) -> Verdict:
        """Sentence on the largest difference."""
        found = self.comparison
        if found.reason is not None:
            return Verdict("no_data", found.reason)
        if self.without:
            nothing = [joined([f"No predictions on the {word} side: ", what, "."], "") for word, what in self.without]
            return Verdict("no_data", joined(nothing, " "))
        said: list[str] = []
        main = next((each for each in found.metrics if each.change.value is not None), None)
        if main is not None:
            said.append(self._metric_said(main))
        moved = [each for each in found.subjects if each.moved]
        compared = sum(each.psi is not None for each in found.subjects)
        if moved:
            first = moved[0]
            said.append(
                joined(
                    [
                        f"{len(moved)} of {compared} subjects differ{'s' if len(moved) == 1 else ''}, ",
                        strong_name(first.feature_name),
                        f" most (PSI {psi_text(first.psi)}).",
                    ],
                    "",
                )
            )
        elif compared:
            said.append(f"None of {compared} subjects differs by more than chance and by a PSI that matters.")
        return Verdict("unknown", joined(said or ["There is nothing to compare on these two sides."], " "))

    def _metric_said(self, metric: MetricComparison) -> Markup:
        before = None if metric.baseline is None else metric.baseline.value
        now = None if metric.current is None else metric.current.value
        change = metric_change(metric.name, metric.change.value)
        interval = self.change_interval(metric)
        tail = "" if metric.change.certain else ", which may be chance"
        return joined(
            [
                f"{metric_name(metric.name)} is ",
                strong(metric_value(metric.name, now)),
                f" (baseline: {metric_value(metric.name, before)}), ",
                strong(change),
                f" ({interval})" if interval else "",
                f"{tail}.",
            ],
            "",
        )

    def change_interval(self, metric: MetricComparison) -> str:
        """The interval of a difference."""
        low, high = metric.change.low, metric.change.high
        if low is None or high is None:
            return ""
        return f"{metric_change(metric.name, low, unit=False)} to {metric_change(metric.name, high, unit=False)}"

    @property
    def metrics(self) -> list[tuple[str, str, str, str, str, str, str, str]]:
        """Name, value and interval of both sides, difference, its interval, how certain it is; none
        where neither side has labels."""
        values = [side.value for each in self.comparison.metrics for side in (each.baseline, each.current) if side]
        if all(value is None for value in values):
            return []
        return [
            (
                metric_name(each.name),
                metric_value(each.name, None if each.baseline is None else each.baseline.value),
                "" if each.baseline is None else metric_interval(each.name, each.baseline),
                metric_value(each.name, None if each.current is None else each.current.value),
                "" if each.current is None else metric_interval(each.name, each.current),
                metric_change(each.name, each.change.value, unit=False),
                self.change_interval(each),
                _certainty(each),
            )
            for each in self.comparison.metrics
        ]

    @property
    def subjects(self) -> list[SubjectDifference]:
        """The subjects, those that differ first."""
        return self.comparison.subjects[:MOST_SUBJECTS]

    def pair(self, of: SubjectDifference) -> Markup:
        """Both distributions in small."""
        if not of.baseline_cells or not of.current_cells:
            return Markup("")
        title = f"{of.feature_name}: baseline in grey, current in colour"
        return drawn(histogram_pair(title, of.baseline_cells, of.current_cells, moved=of.moved))

    def psi(self, value: float | None) -> str:
        """A PSI."""
        return psi_text(value)

    def chance(self, value: float | None) -> str:
        """A p-value."""
        return chance(value)

    def share(self, value: float | None) -> str:
        """A share, or a dash."""
        return percent(math.nan if value is None else value)

    def subject_name(self, of: SubjectDifference) -> str:
        """A subject's name; what is no feature says so."""
        return of.feature_name if of.kind == "feature" else f"({of.kind})"

    def subject_address(self, of: SubjectDifference) -> str:
        """Way from the service's root to the page of a subject."""
        return self.of_model.subject_address(of.kind, of.feature_name)

    def words(self, side: ComparisonSide | None) -> str:
        """A side in words."""
        if side is None:
            return ""
        span = joined([dated(when(each, self.of_model.now)) for each in (side.start, side.end)], " to ")
        only = "" if side.segment is None else f", only {side.segment.replace('=', ' = ', 1)}"
        return joined([f"version {name(side.model_version)} in {name(side.environment)}, ", span, only], "")

    @property
    def drawn_volumes(self) -> list[tuple[str, Markup, str]]:
        """Each side with its predictions over time, and how many an hour."""
        if self.volumes is None or self.comparison.baseline is None or self.comparison.current is None:
            return []
        sides = (self.comparison.baseline, self.comparison.current)
        found = []
        for word, side, volume in zip(("Baseline", "Current"), sides, self.volumes, strict=True):
            starts, predictions = even_bars(volume)
            chart = bar_chart(
                f"Predictions, {word.lower()}",
                (_seconds(side.start), _seconds(side.end)),
                starts,
                [Stack("predictions", predictions)],
                volume.step_seconds,
                height=96.0,
            )
            found.append((word, drawn(chart), f"{side.predictions:,}, {number(side.predictions_an_hour)} an hour"))
        return found

    @property
    def fields(self) -> tuple[SideFields, SideFields] | None:
        """Values of the form: the baseline, and the current side."""
        if self.sides is None:
            return None
        return _fields(self.sides[0]), _fields(self.sides[1])

    @property
    def twin(self) -> str:
        """Way from the root to the same as JSON: with both sides as they are compared, however they were chosen."""
        if self.sides is None:
            return self.of_model.api_address("compare")
        of_baseline, of_current = (
            {
                "version": side.stream.version,
                "environment": side.stream.environment,
                "start": iso_of_seconds(side.start or 0),
                "end": iso_of_seconds(side.end or 0),
                "segment": side.segment,
            }
            for side in self.sides
        )
        # Of the side here, no segment is all predictions; of the other one, only an empty one is.
        fields = {name: value for name, value in of_current.items() if value}
        fields |= {f"with_{name}": value for name, value in of_baseline.items()}
        return f"api/v1/models/{segment_of(self.of_model.model)}/compare?{urlencode(fields, quote_via=quote)}"

    @property
    def versions(self) -> list[str]:
        """The versions that may be chosen."""
        return sorted({each.version for each in self.of_model.streams})

    @property
    def environments(self) -> list[str]:
        """The environments that may be chosen."""
        return sorted({each.environment for each in self.of_model.streams})

    @property
    def presets(self) -> list[Entry]:
        """Usual comparisons; addresses are queries."""
        if self.sides is None:
            return []
        _, here = self.sides
        start, end = here.start or 0, here.end or 0
        length = end - start
        others = {
            "the preceding range": length,
            "a day earlier": SECONDS_PER_DAY,
            "a week earlier": 7 * SECONDS_PER_DAY,
        }
        found = []
        for word, back in others.items():
            if back > length or word == "the preceding range":
                fields = {"with_from": iso_of_seconds(start - back), "with_to": iso_of_seconds(end - back)}
                found.append(Entry(word[0].upper() + word[1:], self._query(here, fields), self._is(fields, here)))
        others_of = [each for each in self.of_model.streams if each != here.stream]
        for stream in others_of[:MOST_VERSIONS]:
            fields = {"with_version": stream.version, "with_environment": stream.environment}
            words = f"Version {name(stream.version)}"
            if stream.environment != here.stream.environment:
                words += f" in {name(stream.environment)}"
            is_current = self.sides[0].stream == stream
            found.append(Entry(words, self._query(here, fields), is_current))
        return found

    def _is(self, fields: Mapping[str, str], here: StretchQuery) -> bool:
        there = self.sides[0] if self.sides else here
        same = (there.stream, there.segment) == (here.stream, here.segment)
        return (
            same
            and fields["with_from"] == iso_of_seconds(there.start or 0)
            and fields["with_to"] == iso_of_seconds(there.end or 0)
        )

    def _query(self, here: StretchQuery, fields: Mapping[str, str]) -> str:
        kept = {
            "version": here.stream.version,
            "environment": here.stream.environment,
            "from": iso_of_seconds(here.start or 0),
            "to": iso_of_seconds(here.end or 0),
            **({"segment": here.segment} if here.segment else {}),
        }
        return f"?{urlencode({**kept, **fields}, quote_via=quote)}"


def _certainty(metric: MetricComparison) -> str:
    if metric.change.value is None:
        return ""
    return BEYOND if metric.change.certain else "may be chance" if metric.change.low is not None else "no interval"


def _fields(side: StretchQuery) -> SideFields:
    # As a browser's field for a time has it, in UTC.
    start, end = (iso_of_seconds(each or 0)[:16] for each in (side.start, side.end))
    return SideFields(side.stream.version, side.stream.environment, start, end, side.segment)


def _seconds(iso: str) -> int:
    return microseconds(iso) // MICROS_PER_SECOND
