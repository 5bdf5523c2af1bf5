"""Cells of a subject as charts: of two sides beside each other, and their tables."""

from __future__ import annotations

from collections.abc import Sequence

from markupsafe import Markup

from modelwatch.charts.histogram import histogram, histogram_table
from modelwatch.charts.rows import Category, categories, categories_table
from modelwatch.views.drift.subject_comparison import SubjectComparison
from modelwatch.web.frame.rendering import drawn

MOST_BARS = 30


def drawn_comparison(title: str, compared: SubjectComparison) -> Markup:
    """Chart of both sides of a comparison, and its table; empty where a side has no values."""
    before, after = compared.before, compared.after
    if before is None or after is None or not after.n:
        return Markup("")
    parts = compared.contributions or None
    return drawn_cells(title, compared.cells, compared.edges, before.shares, after.shares, parts)


def drawn_cells(
    title: str,
    cells: Sequence[str],
    edges: Sequence[float],
    before: Sequence[float],
    after: Sequence[float],
    parts: Sequence[float] | None,
) -> Markup:
    """Shares before and after as a chart, then as a table. parts: of each cell in the PSI."""
    if edges or len(cells) == 1:
        return drawn(histogram(title, edges, before, after, parts=parts) + histogram_table(title, edges, before, after))
    rows = [Category(*each) for each in zip(cells, before, after, strict=True) if each[1] or each[2]]
    largest = sorted(rows, key=lambda each: -max(each.reference, each.current))[:MOST_BARS]
    return drawn(categories(title, largest) + categories_table(title, rows))


def used_cells(compared: SubjectComparison) -> list[int]:
    """The cells that hold anything."""
    sides = [each.counts for each in (compared.before, compared.after) if each is not None]
    return [cell for cell in range(len(compared.cells)) if any(counts[cell] for counts in sides)]
