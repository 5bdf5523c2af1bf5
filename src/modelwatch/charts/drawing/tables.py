"""Tables: the numbers of a chart for who does not see it, or wants them as they are."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from datetime import timedelta

from modelwatch.charts.drawing.markup import element, written
from modelwatch.charts.drawing.numbers import moment

# Heads the times of rows, as `iso` writes them.
TIME = "time (UTC)"
Cell = str | float | None
# Begins of a cell that a spreadsheet would run as a formula.
_FORMULA = ("=", "+", "-", "@", "\t", "\r")


def table(caption: str, columns: Sequence[str], rows: Sequence[Sequence[str]], *, opened: str = "The numbers") -> str:
    """Table twin of a chart, folded under `opened`. Cells are the texts of `numbers`; the first one heads its row.

    >>> print(table("PSI", ["time", "PSI"], [["00:00", "0.68"]]))  # doctest: +ELLIPSIS
    <details class="chart-table"><summary>The numbers</summary>...<th scope="row">00:00</th><td>0.68</td></tr>...
    """
    heads = ['time (<span data-zone="">UTC</span>)' if each == TIME else _cell(each) for each in columns]
    head = element("tr", "".join(element("th", each, scope="col") for each in heads))
    of_times = columns[0] == TIME
    body = "".join(
        element(
            "tr",
            "".join(
                element("td", _cell(each))
                if index
                else element("th", _time(each) if of_times else _cell(each), scope="row")
                for index, each in enumerate(row)
            ),
        )
        for row in rows
    )
    whole = element(
        "table", element("caption", written(caption)) + element("thead", head) + element("tbody", body or " ")
    )
    scrolled = element("div", whole, class_="scroll", tabindex=0, role="group", aria_label=caption)
    return element("details", element("summary", written(opened)) + scrolled, class_="chart-table")


def _cell(text: str) -> str:
    # An element without content would be written as closed, which HTML does not know.
    return written(text) or "\u200b"


def _time(text: str) -> str:
    return element("time", written(text), datetime=text)


def csv_text(columns: Sequence[str], rows: Sequence[Sequence[Cell]]) -> str:
    """Numbers as CSV (RFC 4180), unrounded; what is not known is empty. A formula of a spreadsheet is quoted by `'`.

    >>> csv_text(["at", "psi"], [["=1+1", 0.5], ["b", float("nan")]])
    "at,psi\\r\\n'=1+1,0.5\\r\\nb,\\r\\n"
    """
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\r\n")
    writer.writerow([_plain(each) for each in columns])
    writer.writerows([_plain(each) for each in row] for row in rows)
    return out.getvalue()


def _plain(cell: Cell) -> str:
    if isinstance(cell, str):
        return f"'{cell}" if cell.startswith(_FORMULA) else cell
    return "" if cell is None or cell != cell else repr(cell)


def iso(seconds: float) -> str:
    """Time of a row, RFC 3339 in UTC, to the second.

    >>> iso(1_795_900_500)
    '2026-11-28T21:15:00Z'
    """
    at = moment(seconds)
    return (at - timedelta(microseconds=at.microsecond)).isoformat().replace("+00:00", "Z")
