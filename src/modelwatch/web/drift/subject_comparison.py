"""Comparison of a subject on its page: the form that names two windows, and the cells of both sides as charts."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from markupsafe import Markup

from modelwatch.charts.histogram import histogram, histogram_table
from modelwatch.charts.rows import Category, categories, categories_table, left_out, most_frequent
from modelwatch.errors import FieldError, InvalidInput, excerpt
from modelwatch.monitoring.checks.windows import Window
from modelwatch.views.drift.subject_comparison import SubjectComparison
from modelwatch.web.frame.rendering import drawn
from modelwatch.web.frame.selection import moment_of_text

NOT_VALID = "The windows can't be compared."
MOST_BARS = 30


def drawn_comparison(title: str, compared: SubjectComparison) -> Markup:
    """Chart of both sides of a comparison, and its table; empty where a side has no values."""
    before, after = compared.before, compared.after
    if before is None or after is None or not after.n:
        return Markup("")
    parts = compared.contributions or None
    named = named_categories(compared)
    return drawn_cells(title, compared.cells, compared.edges, before.shares, after.shares, parts, named)


def named_categories(compared: SubjectComparison) -> list[str]:
    """The categories that the page names: the one whose odds have moved furthest, and those whose shares have."""
    odds = compared.report.odds
    return [*([] if odds is None else [odds.category]), *(each.cell for each in compared.moved)]


def drawn_cells(
    title: str,
    cells: Sequence[str],
    edges: Sequence[float],
    before: Sequence[float],
    after: Sequence[float],
    parts: Sequence[float] | None,
    named: Collection[str] = (),
) -> Markup:
    """Shares before and after as a chart, then as a table. parts: of each cell in the PSI. named: categories that are
    drawn, however rare they are."""
    if edges or len(cells) == 1:
        return drawn(histogram(title, edges, before, after, parts=parts) + histogram_table(title, edges, before, after))
    rows = [Category(*each) for each in zip(cells, before, after, strict=True) if each[1] or each[2]]
    ranked = sorted(rows, key=lambda each: -max(each.reference, each.current))
    shown = most_frequent(ranked, MOST_BARS, named)
    note = left_out(len(rows), len(shown))
    said = f'<p class="small quiet">{note} The table has all.</p>' if note else ""
    return drawn(categories(title, shown) + said + categories_table(title, rows))


def used_cells(compared: SubjectComparison) -> list[int]:
    """The cells that hold anything."""
    sides = [each.counts for each in (compared.before, compared.after) if each is not None]
    return [cell for cell in range(len(compared.cells)) if any(counts[cell] for counts in sides)]


@dataclass(frozen=True, slots=True)
class ComparedWindows:
    """Windows of the form, as entered: the window, and the one to compare it with. Empty: not given."""

    window_from: str = ""
    window_to: str = ""
    baseline_from: str = ""
    baseline_to: str = ""

    @property
    def is_given(self) -> bool:
        """True when anything is asked for."""
        return any((self.window_from, self.window_to, self.baseline_from, self.baseline_to))

    def windows(self) -> tuple[Window, Window]:
        """The window, and what it is compared with. Raises InvalidInput naming each field that is no time."""
        return (
            _window("window_from", self.window_from, "window_to", self.window_to),
            _window("baseline_from", self.baseline_from, "baseline_to", self.baseline_to),
        )


def _window(since: str, first: str, until: str, last: str) -> Window:
    start, end = moment_of_text(first, since, NOT_VALID), moment_of_text(last, until, NOT_VALID)
    if start >= end:
        raise InvalidInput(NOT_VALID, (FieldError(f"/{until}", "Expected a time after its start", excerpt(last)),))
    return Window(start - start % 300, end + -end % 300)
