"""The report of a comparison: in words, as data, as a frame, and as one HTML file."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, get_args

import msgspec

from modelwatch import measures
from modelwatch.findings import NOT_SHOWN
from modelwatch.library.drift import SubjectComparison, by_severity, compared, in_words
from modelwatch.library.performance import (
    MetricComparison,
    PerformanceComparison,
    coverage_in_words,
    labels_in_words,
    performance_in_words,
)
from modelwatch.library.quality import UnsoundValues, quality_in_words
from modelwatch.library.reports.title import drift_title, others
from modelwatch.library.segments import SegmentComparison, SegmentsComparison, segment_in_words
from modelwatch.measures import plain, psi_text
from modelwatch.monitoring.checks.drift.report import SubjectReport
from modelwatch.monitoring.checks.drift.tolerance import DRIFTED, PRECEDENCE, Severity
from modelwatch.monitoring.checks.not_judged import KNOWN_STATES
from modelwatch.stats.counting.profile import Profile
from modelwatch.storage.references.subjects import Subject
from modelwatch.views.performance.outcomes import MetricValue

if TYPE_CHECKING:
    import pandas as pd

SCHEMA = "modelwatch-comparison/1"
Part = Literal["columns", "quality", "performance", "segments"]
NAMES_SHOWN = 10
REASONS_SHOWN = 5
# Why a column of the reference is left out: the other data set does not have it, or it can't be read there.
ABSENT = "the data set to compare does not have it"
UNREADABLE = "in the data set to compare, "
NOTEBOOK_HEIGHT = 640


class Side(msgspec.Struct, frozen=True):
    """One of the two data sets."""

    rows: int


class ServedModel(msgspec.Struct, frozen=True):
    """The model of a service that a report is about. version: null for all; start, end: of the longest window that
    decided. false_alarm_budget: false alarms in 30 days that its checks may have."""

    name: str
    version: str | None
    environment: str
    start: str | None
    end: str | None
    false_alarm_budget: float


class Document(msgspec.Struct, frozen=True):
    """The report as data. severity: the worst; drifted: names with a warning or an alert; left_out: columns that were
    not compared, and why. performance: null without labels. model: null unless it is about one of a service.
    segments: null without `by`."""

    schema: str
    severity: Severity
    drifted: list[str]
    alpha: float
    reference: Side
    current: Side
    subjects: list[SubjectComparison]
    quality: list[UnsoundValues]
    left_out: dict[str, str]
    performance: PerformanceComparison | None = None
    model: ServedModel | None = None
    segments: SegmentsComparison | None = None


@dataclass(frozen=True, repr=False)
class Report:
    """A comparison of two data sets.

    results: as those of a drift check, one for each column. quality: shares of missing, invalid and unusual values that
    have risen, the worst first. profiles: the counts of the reference and of the other data
    set, by subject. reference, current: the two. alpha: chance of a false alarm in the whole report. left_out: columns
    that were not compared, and why. performance: of their labelled rows; None without labels. model: see `Document`.
    segments: None without a column that divides the rows.
    """

    results: list[SubjectReport]
    quality: list[UnsoundValues]
    profiles: Mapping[Subject, tuple[Profile, Profile]]
    reference: Side
    current: Side
    alpha: float
    left_out: Mapping[str, str]
    performance: PerformanceComparison | None = None
    model: ServedModel | None = None
    segments: SegmentsComparison | None = None

    @property
    def severity(self) -> Severity:
        """The worst severity of columns, data quality, performance and segments; no_data without any."""
        found: list[Severity] = [each.severity for each in self.results]
        found += [each.severity for each in self.quality]
        if self.performance is not None and self.performance.severity in (*DRIFTED, "shifted", "stable"):
            found.append(self.performance.severity)
        if self.segments is not None:
            found.append(self.segments.severity)
        return min(found, key=PRECEDENCE.index, default="no_data")

    @property
    def drifted(self) -> list[str]:
        """Names of the columns that have drifted, those with an alert first, then by PSI."""
        return [each.name for each in self.subjects if each.severity in DRIFTED]

    @property
    def absent(self) -> list[str]:
        """Names of the reference's columns that the other data set lacks, or holds as what can't be compared."""
        return [name for name, why in self.left_out.items() if why.startswith((ABSENT, UNREADABLE))]

    @cached_property
    def subjects(self) -> list[SubjectComparison]:
        """The columns, worst first."""
        found = [compared(result, *pair) for result, pair in zip(self.results, self.profiles.values(), strict=True)]
        return sorted(found, key=by_severity)

    @cached_property
    def document(self) -> Document:
        """The report as data."""
        return Document(
            SCHEMA,
            self.severity,
            self.drifted,
            self.alpha,
            self.reference,
            self.current,
            self.subjects,
            self.quality,
            dict(self.left_out),
            self.performance,
            self.model,
            self.segments,
        )

    def summary(self) -> str:
        """The report in a few sentences.

        >>> from modelwatch.library.comparison import compare
        >>> values = [value * 0.5 for value in range(1000)]
        >>> print(compare({"amount": values}, {"amount": values}).summary())
        No drift in 1 column: 1,000 rows compared with 1,000 of the reference.
        """
        rows = "1 row" if self.current.rows == 1 else f"{self.current.rows:,} rows"
        head = f"{rows} compared with {self.reference.rows:,} of the reference"
        lines = [f"{drift_title(self.subjects)}: {head}."]
        lines += [_in_words(each) for each in self.subjects if each.severity in DRIFTED][:NAMES_SHOWN]
        if len(self.drifted) > NAMES_SHOWN:
            lines.append(f"  and {len(self.drifted) - NAMES_SHOWN} more")
        lines += [f"  {each.severity}: {quality_in_words(each)}" for each in self.quality[:NAMES_SHOWN]]
        if self.performance is not None:
            lines += [*_performance_lines(self.performance), *self.performance.warnings]
        lines += [] if self.segments is None else _segment_lines(self.segments)
        shifted = [(each.name, each.reason) for each in self.subjects if each.severity == "shifted"]
        lines += [f"Shifted, but no drift: {names}: {reason}" for names, reason in _by_reason(shifted)]
        unjudged = [(each.name, each.reason) for each in self.subjects if each.severity not in KNOWN_STATES]
        lines += [f"No verdict on {names}: {reason}" for names, reason in _by_reason(unjudged)]
        # What the data set to compare lacks comes first: a feature that is gone may be the worst of all findings.
        left_out = sorted(self.left_out.items(), key=lambda each: each[0] not in self.absent)
        lines += [f"Not compared: {names} ({reason})" for names, reason in _by_reason(left_out)]
        return "\n".join(lines)

    def to_json(self, path: str | os.PathLike[str] | None = None) -> str:
        """The report as JSON, also written to a file when a path is given. Raises OSError.

        Its fields are those of `Document` and `SubjectComparison`.
        """
        text = msgspec.json.format(msgspec.json.encode(self.document), indent=1).decode()
        if path is not None:
            Path(path).write_text(text + "\n", encoding="utf-8")
        return text

    def to_frame(self, of: Part = "columns") -> pd.DataFrame:
        """A frame of pandas with a row for each column, worst first; or for each share of unsound values that has risen
        ("quality"), each metric ("performance"), or each segment ("segments").

        Raises ImportError without pandas, ValueError for another part.
        """
        try:
            import pandas as pd
        except ModuleNotFoundError:
            raise ImportError("to_frame() needs pandas: pip install pandas") from None
        if of not in get_args(Part):
            raise ValueError(f"of is {of!r}: expected one of {', '.join(get_args(Part))}")
        if of == "quality":
            return pd.DataFrame([msgspec.structs.asdict(each) for each in self.quality], columns=_fields(UnsoundValues))
        if of == "performance":
            metrics = [] if self.performance is None else self.performance.metrics
            return pd.DataFrame(list(map(_metric_row, metrics)), columns=None if metrics else METRIC_COLUMNS)
        if of == "segments":
            segments = [] if self.segments is None else self.segments.segments
            return pd.DataFrame(list(map(_segment_row, segments)), columns=None if segments else SEGMENT_COLUMNS)
        hidden = {"cells", "reference_counts", "current_counts"}
        rows: list[dict[str, Any]] = []
        for each in self.subjects:
            row = {name: value for name, value in msgspec.structs.asdict(each).items() if name not in hidden}
            for name in PAIRS:
                row[f"reference_{name}"], row[name] = row[name]
            rows.append(row)
        return pd.DataFrame(rows, columns=None if rows else _column_names(hidden))

    def to_html(self, path: str | os.PathLike[str] | None = None) -> str:
        """The report as one HTML file, without scripts, also written to a file when a path is given. Raises OSError."""
        from modelwatch.library.reports.html import render

        text = render(self)
        if path is not None:
            Path(path).write_text(text, encoding="utf-8")
        return text

    def __repr__(self) -> str:
        return f"<{type(self).__name__}: {self.summary().partition(':')[0]}>"

    def __str__(self) -> str:
        return self.summary()

    def _repr_html_(self) -> str:
        """Output in a notebook: a frame of its own, so that neither style sheet reaches the other."""
        style = f"width:100%;height:{NOTEBOOK_HEIGHT}px;border:0"
        return f'<iframe title="Comparison" style="{style}" srcdoc="{escape(self.to_html(), quote=True)}"></iframe>'


# Counts of both sides, the reference's first.
PAIRS = ("missing", "invalid", "unseen", "below_range", "above_range")
METRIC_COLUMNS = ["name", "severity", "value", "low", "high", "n", "reference", "reference_low", "reference_high"]


def _metric_row(found: MetricComparison) -> dict[str, Any]:
    row = {"name": found.name, "severity": found.severity}
    row |= {name: getattr(found.current, name) for name in ("value", "low", "high", "n")}
    before = found.reference
    row |= {
        f"reference{name}": None if before is None else getattr(before, name.strip("_") or "value")
        for name in ("", "_low", "_high", "_n")
    }
    names = ("change", "loss", "threshold", "p_value", "alpha", "natural", "reason")
    return row | {name: getattr(found, name) for name in names}


SEGMENT_COLUMNS = ["segment", "severity", "reference_rows", "rows", "share_before", "share", "drifted", "psi"]


def _segment_row(found: SegmentComparison) -> dict[str, Any]:
    row = {name: getattr(found, name) for name in SEGMENT_COLUMNS[:6]}
    row["drifted"] = [each.name for each in found.drift if each.severity in DRIFTED]
    row["psi"] = max((each.psi for each in found.drift), default=None)
    if found.metric is not None:
        row |= _metric_row(found.metric) | {"severity": found.severity, "name": found.metric.name}
        row["adjusted_p_value"] = found.adjusted_p_value
        row["contribution"] = None if found.contribution is None else found.contribution.total
    return row


def _segment_lines(found: SegmentsComparison) -> list[str]:
    moved = [each for each in found.segments if each.severity in DRIFTED]
    some = len(found.segments)
    count = f"{some:,} segment{'' if some == 1 else 's'} by {', '.join(found.by)}"
    judged = sum(each.severity in KNOWN_STATES for each in found.segments)
    if not judged:
        return [f"No verdict on {count}: too few rows in each."]
    if not moved:
        unjudged = "" if judged == some else f", no verdict on {others(some - judged)}"
        return [f"No shift in {f'{judged:,} of ' if unjudged else ''}{count}{unjudged}."]
    lines = [f"{len(moved)} of {count} shifted:"]
    return lines + [f"  {each.severity}: {segment_in_words(each)}" for each in moved[:NAMES_SHOWN]]


def _column_names(hidden: Collection[str]) -> list[str]:
    """The columns of the frame of all columns, also where there is none."""
    names = [name for name in _fields(SubjectComparison) if name not in hidden]
    return names + [f"reference_{name}" for name in PAIRS]


def _fields(kind: type[msgspec.Struct]) -> list[str]:
    return [field.name for field in msgspec.structs.fields(kind)]


def _performance_lines(found: PerformanceComparison) -> list[str]:
    """The performance in some lines: what got worse, or the watched metrics."""
    head = "1 label" if found.current.labelled == 1 else f"{found.current.labelled:,} labels"
    came = found.label_coverage
    missing = came is not None and came.severity in DRIFTED
    of_coverage = [f"  {came.severity}: {coverage_in_words(found)}"] if came is not None and missing else []
    if found.reference is None:
        values = ", ".join(map(_now, found.metrics[:4]))
        said = [f"Labels are missing: {head}.", *of_coverage] if missing else []
        return [*said, *([f"Performance on {head}: {values}. {found.reason}"] if found.current.labelled else [])]
    head += f" compared with {found.reference.labelled:,} of the reference"
    worse = [each for each in found.metrics if each.severity in DRIFTED]
    stable = [each for each in found.metrics if each.severity == "stable"]
    lines = [f"  {each.severity}: {performance_in_words(each)}" for each in worse]
    if found.label_drift is not None and found.label_drift.severity in DRIFTED:
        lines.append(f"  {found.label_drift.severity}: {labels_in_words(found)}")
    lines += of_coverage
    by_chance = [
        f"  {each.severity}: {measures.metric_name(each.name)}: {each.reason}"
        for each in stable
        if _loses(each, "large")
    ]
    if lines:
        shifted = len(lines) > len(of_coverage)
        verdict = "Performance is worse" if worse else "The labels have shifted" if shifted else "Labels are missing"
        return [f"{verdict}: {head}.", *lines, *by_chance]
    unjudged = next((each for each in found.metrics if each.severity not in (None, *DRIFTED, "stable")), None)
    if unjudged is not None and found.severity not in KNOWN_STATES:
        return [f"No verdict on performance: {unjudged.reason}"]
    little = [each for each in stable if _loses(each, "little")]
    verdict = "Performance is not worse"
    if by_chance:
        verdict = "Performance is not worse by more than chance explains"
    elif little:
        verdict = "Performance is worse by less than the tolerance"
    values = ", ".join(map(_before_and_now, ((not by_chance and little) or stable)[:3]))
    small = found.label_drift is not None and found.label_drift.severity == "shifted"
    of_labels = [f"Real, but {NOT_SHOWN}: {labels_in_words(found)}."] if small else []
    return [f"{verdict}: {head}. {values}", *by_chance, *of_labels]


def _loses(found: MetricComparison, how: Literal["large", "little"]) -> bool:
    """Whether a stable metric is worse all the same: by as much as matters, which chance explains, or really, but by
    little."""
    if found.loss is None or found.threshold is None or found.p_value is None or found.alpha is None:
        return False
    if how == "large":
        return found.loss >= found.threshold
    return 0.0 < found.loss < found.threshold and found.p_value < found.alpha


def _now(found: MetricComparison) -> str:
    return f"{measures.metric_name(found.name)} {_value(found, found.current)}"


def _before_and_now(found: MetricComparison) -> str:
    return f"{measures.metric_name(found.name)} {_value(found, found.reference)} → {_value(found, found.current)}"


def _value(found: MetricComparison, side: MetricValue | None) -> str:
    return measures.plain(measures.metric_value(found.name, None if side is None else side.value))


def _in_words(compared: SubjectComparison) -> str:
    by_psi = compared.psi is not None and compared.odds_ratio is None
    psi = f", PSI {plain(psi_text(compared.psi))}" if by_psi else ""
    return f"  {compared.severity}: {compared.name}{psi}; {in_words(compared)}"


def _by_reason(found: Iterable[tuple[str, str | None]]) -> Iterator[tuple[str, str]]:
    """The names that share a reason, listed, with the reason; of more than five reasons the rest as one."""
    by_reason: dict[str, list[str]] = {}
    for name, reason in found:
        by_reason.setdefault(reason or "", []).append(name)
    groups = list(by_reason.items())
    # One group too many is no shorter as "others".
    shown = groups if len(groups) <= REASONS_SHOWN + 1 else groups[:REASONS_SHOWN]
    for reason, names in shown:
        yield _listed(names), reason
    rest = [name for _, names in groups[len(shown) :] for name in names]
    if rest:
        yield _listed(rest), "for other reasons, which the report lists"


def _listed(names: list[str]) -> str:
    more = len(names) - NAMES_SHOWN
    return ", ".join(names[:NAMES_SHOWN]) + (f" and {more:,} more" if more > 0 else "")
