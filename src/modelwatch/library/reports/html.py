"""The report of a comparison as one HTML file: it opens from a disk, without scripts, and prints."""

from __future__ import annotations

import re
from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING

import numpy as np
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from modelwatch.charts.drawing.marks import State, definitions, mark
from modelwatch.charts.drawing.numbers import number, percent
from modelwatch.charts.drawing.plot import stylesheet
from modelwatch.charts.histogram import histogram
from modelwatch.charts.rows import Category, categories, left_out, most_frequent
from modelwatch.charts.small import histogram_pair
from modelwatch.library.drift import SubjectComparison, in_words, moved_most
from modelwatch.library.performance import coverage_in_words, labels_in_words
from modelwatch.library.quality import quality_in_words
from modelwatch.library.reports.performance_charts import performance_charts
from modelwatch.library.reports.title import drift_title, other_findings
from modelwatch.library.segments import SHOWN, moved_in
from modelwatch.measures import chance, metric_change, metric_interval, metric_name, metric_value, psi_text
from modelwatch.monitoring.checks.drift.tolerance import DRIFTED
from modelwatch.stats.drift.scores import psi_contributions
from modelwatch.views.performance.outcomes import MetricValue

if TYPE_CHECKING:
    from modelwatch.library.reports.report import Report

STATES: dict[str, State] = {"alert": "alert", "warning": "warning", "shifted": "shifted", "stable": "stable"}
WORDS = {"insufficient_data": "not enough data", "no_data": "no data", "no_reference": "no reference"}
# So many columns have a large chart; those that have drifted always.
MOST_CHARTS = 25
MOST_CATEGORIES = 15


def render(report: Report) -> str:
    """The report as an HTML document. About 2 to 5 kB a column."""
    found = report.performance
    return (
        _environment()
        .get_template("report.html")
        .render(
            report=report,
            document=report.document,
            found="; ".join([drift_title(report.subjects), *other_findings(report.quality, found, report.segments)]),
            charts=[] if found is None else performance_charts(found),
            shown={
                (each.kind, each.name)
                for place, each in enumerate(report.subjects)
                if place < MOST_CHARTS or each.severity in DRIFTED
            },
            style=Markup(_style()),
            definitions=Markup(definitions()),
        )
    )


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("modelwatch.library.reports"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "number": lambda value: "–" if value is None else number(value),
        "psi": psi_text,
        "quality_in_words": quality_in_words,
        "percent": percent,
        "share": lambda value: "–" if value is None else percent(value),
        "chance": chance,
        "mark": lambda severity: Markup(mark(STATES.get(severity, "unknown"))),
        "word": lambda severity: WORDS.get(severity, severity),
        "in_words": in_words,
        "rate": _rate,
        "title": metric_name,
        "value_of": _value,
        "interval_of": _interval,
        "change_of": lambda change, name: metric_change(name, change),
        "labels_in_words": labels_in_words,
        "coverage_in_words": coverage_in_words,
        "moved_in": moved_in,
    }
    environment.globals |= {"most_segments": SHOWN, "pair": _pair, "chart": _chart}
    return environment


@cache
def _style() -> str:
    """Style sheets of the charts and of the report, without what is not needed to read them."""
    own = files("modelwatch.library.reports").joinpath("templates/report.css").read_text("utf-8")
    return re.sub(r"\n\s*", "\n", stylesheet() + own)


def _pair(compared: SubjectComparison) -> Markup:
    """The small histogram of a column; nothing without values."""
    if not compared.reference_size or not compared.sample_size:
        return Markup()
    before, now = _shares(compared)
    moved = compared.severity in DRIFTED
    return Markup(histogram_pair(compared.name, before, now, moved=moved))


def _chart(compared: SubjectComparison) -> Markup:
    """The histogram of numbers, or the shares of categories: the most frequent, and the one that the findings name."""
    if not compared.reference_size or not compared.sample_size:
        return Markup()
    before, now = _shares(compared)
    edges = np.array(compared.edges)
    if len(edges) and len(set(compared.edges)) == len(edges):
        moved = compared.severity in DRIFTED
        counts = (np.array(compared.reference_counts), np.array(compared.current_counts))
        return Markup(histogram(compared.name, edges, before, now, parts=psi_contributions(*counts) if moved else None))
    shares = zip(compared.cells, before.tolist(), now.tolist(), strict=True)
    rows = [Category(*each) for each in shares if each[1] or each[2]]
    named = moved_most(compared) if compared.severity in DRIFTED else None
    shown = most_frequent(rows, MOST_CATEGORIES, () if named is None else named[:1])
    note = left_out(len(rows), len(shown))
    return Markup(categories(compared.name, shown) + (f'<p class="quiet">{note}</p>' if note else ""))


def _shares(compared: SubjectComparison) -> tuple[np.ndarray, np.ndarray]:
    return (
        np.array(compared.reference_counts) / compared.reference_size,
        np.array(compared.current_counts) / compared.sample_size,
    )


def _rate(counts: tuple[int, int], compared: SubjectComparison) -> str:
    """Shares of values, of the reference and now: of all values, missing ones too."""
    sizes = (
        compared.reference_size + compared.missing[0] + compared.invalid[0],
        compared.sample_size + compared.missing[1] + compared.invalid[1],
    )
    before, now = (count / size if size else 0.0 for count, size in zip(counts, sizes, strict=True))
    return f"{percent(before)} → {percent(now)}"


def _value(side: MetricValue | None, name: str) -> str:
    """The value of a metric on one side, or a dash."""
    return metric_value(name, None if side is None else side.value)


def _interval(side: MetricValue | None, name: str) -> str:
    """The 95 % interval of a metric; empty without one."""
    return "" if side is None else metric_interval(name, side)
