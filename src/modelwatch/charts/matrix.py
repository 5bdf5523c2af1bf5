"""Confusion matrix: a row a true class, a column a predicted one, now and in the reference."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from modelwatch.charts.drawing.labels import Spot
from modelwatch.charts.drawing.numbers import number, percent
from modelwatch.charts.drawing.plot import Area, Plot, gutter
from modelwatch.charts.drawing.scales import floats
from modelwatch.charts.drawing.tables import table
from modelwatch.charts.drawing.text import isolated, shortened_apart

ROW, LOW_ROW = 44.0, 24.0
MOST_CLASSES = 24
# Share of a row from which on a cell is drawn darker.
STEPS = (0.02, 0.1, 0.25, 0.5, 0.75)
RIGHT = ("h0", "h0", "h1", "h1", "h2", "h2")
# Above the names of the rows, where cells are too narrow for more than a number.
CORNER = "% predicted"
WRONG = ("f-paper", "c1w0", "c1w1", "c1w2", "c1w3", "c1w4")


def confusion_matrix(
    title: str,
    classes: Sequence[str],
    counts: Sequence[Sequence[float]],
    *,
    reference: Sequence[Sequence[float]] | None = None,
) -> str:
    """Confusion matrix as shares of all: rows are what was true, columns what was predicted.

    counts, reference: shape (k, k). The ground says which share of its row a cell is: grey on the diagonal, brown
    beside it. At most 24 classes are drawn; the table has all of them. Raises ValueError when the shape does not
    fit.

    >>> markup = confusion_matrix("Fraud", ["fraud", "legitimate"], [[6, 8], [6, 80]])
    >>> "80.0" in markup and "actual fraud" in markup
    True
    """
    k = len(classes)
    now = _square(counts, k, "counts")
    before = None if reference is None else _square(reference, k, "reference")
    shown = min(k, MOST_CLASSES)
    now, total = now[:shown, :shown], float(now.sum())
    row = ROW if shown <= 6 and before is not None else LOW_ROW + (8 if shown <= 6 else 0)
    names = [isolated(each) for each in classes[:shown]]
    plot = Plot(row * max(shown, 1), gutter([CORNER, *(f"actual {name}" for name in names)], most=112))
    plot.need(above=22)
    rows = now.sum(axis=1)
    slots = [(column / shown, (column + 1) / shown) for column in range(shown)]
    room = 640 / max(shown, 1) - 8
    heads = [f"predicted {name}" if shown <= 3 else name for name in classes[:shown]]
    plot.labels.group(shortened_apart(heads, room), [Spot((a + b) / 2, -7, "middle") for a, b in slots], whole=heads)
    if shown > 3:
        plot.aside(CORNER, -7)
    readings: list[tuple[str, Spot]] = []
    beneath: list[tuple[str, Spot]] = []
    beside = shortened_apart([f"actual {name}" for name in classes[:shown]], plot.room())
    for true, name in enumerate(names):
        top = row * true
        plot.aside(isolated(f"actual {name}"), top + row / 2 + 4, style="t-ink", short=beside[true])
        for called, (start, end) in enumerate(slots):
            count = float(now[true, called])
            share = count / float(rows[true]) if rows[true] > 0 else 0.0
            step = sum(share >= bound for bound in STEPS)
            style = (RIGHT if true == called else WRONG)[step]
            tooltip = f"actual {name}, predicted {names[called]}: {number(count)}, {percent(share)} of its row"
            plot.rect(Area(top + 1, top + row - 1), start, end, f"{style} edge", title=tooltip)
            middle = (start + end) / 2
            whole = _share(count, total, bare=shown > 3)
            readings.append(
                (whole, Spot(middle, top + (row / 2 if before is not None and row == ROW else row / 2 + 4), "middle"))
            )
            if before is not None and row == ROW and before.sum() > 0:
                beneath.append(
                    (
                        percent(float(before[true, called] / before.sum())),
                        Spot(middle, top + row / 2 + LOW_ROW / 2 + 3, "middle"),
                    )
                )
    plot.labels.group([text for text, _ in readings], [spot for _, spot in readings], style="t-ink", bold=True)
    plot.labels.group([text for text, _ in beneath], [spot for _, spot in beneath], style="t-ink")
    for line in range(shown + 1):
        plot.horizontal(row * line, "hair")
    if not shown:
        plot.label("no classes", Spot(0.5, row / 2 + 4, "middle"))
    right = float(np.trace(now)) / total if total > 0 else float("nan")
    return plot.svg(
        title, f"{k} classes, {number(total)} predictions with labels, {percent(right)} right.", kind="matrix"
    )


def confusion_table(title: str, classes: Sequence[str], counts: Sequence[Sequence[float]]) -> str:
    """Table twin: counts, rows are what was true.

    >>> "predicted b" in confusion_table("Classes", ["a", "b"], [[1, 2], [3, 4]])
    True
    """
    now = _square(counts, len(classes), "counts")
    rows = [
        [f"actual {isolated(name)}", *(number(float(each)) for each in now[index])]
        for index, name in enumerate(classes)
    ]
    return table(title, ["", *(f"predicted {isolated(name)}" for name in classes)], rows)


def _share(count: float, total: float, *, bare: bool) -> str:
    if total <= 0:
        return "–"
    # The finest is in the tooltip: a longer text in one cell would hide the texts of all.
    return f"{100 * count / total:.1f}" if bare else percent(count / total)


def _square(counts: Sequence[Sequence[float]], k: int, name: str) -> np.ndarray[tuple[int, int], np.dtype[np.float64]]:
    rows = [np.nan_to_num(floats(row), nan=0.0) for row in counts]
    if len(rows) != k or any(len(row) != k for row in rows):
        raise ValueError(f"{name} must have {k} rows of {k} numbers")
    return np.array(rows, dtype=np.float64).reshape(k, k)
