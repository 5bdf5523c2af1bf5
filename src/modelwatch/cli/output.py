"""Output of commands: tables and notes that fit the terminal, and JUnit XML, as CI systems show it.

A terminal has 80 columns where there is none, or as many as COLUMNS says.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Collection, Iterable, Sequence
from typing import TYPE_CHECKING, NamedTuple
from xml.sax.saxutils import quoteattr

from modelwatch.cli.base import FAILING, JUDGED

if TYPE_CHECKING:
    from rich.console import Console
    from rich.text import Text


USUAL_WIDTH = 80
COLOURS = {
    "alert": "bold red",
    "warning": "yellow",
    "shifted": "cyan",
    "stable": "green",
    "failed": "bold red",
    "ok": "green",
    "skipped": "dim",
}


def screen() -> Console:
    """The console for tables: stdout, in the width of the terminal."""
    from rich.console import Console

    if sys.stdout.isatty():
        return Console(highlight=False)
    width = os.environ.get("COLUMNS", "")
    return Console(width=int(width) if width.isdigit() and int(width) else USUAL_WIDTH, highlight=False)


def coloured(severity: str) -> Text:
    """A severity in words and in its colour."""
    from rich.text import Text

    return Text(severity.replace("_", " "), COLOURS.get(severity, ""))


def print_table(
    titles: Sequence[str], rows: Iterable[Sequence[str | Text]], *, numbers: Collection[str] = (), texts: int = 1
) -> None:
    """A table without lines.

    numbers: titles of the columns that are flush right. texts: so many columns, from the left, are broken into lines
    where the table is too wide: anywhere, since a name may have no spaces. The others stay on one line.
    """
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, header_style="bold", pad_edge=False, padding=(0, 2, 0, 0))
    for place, title in enumerate(titles):
        is_text = place < texts
        table.add_column(
            title,
            justify="right" if title in numbers else "left",
            overflow="fold",
            no_wrap=not is_text,
            min_width=min(10, USUAL_WIDTH // 8) if is_text else None,
        )
    for row in rows:
        table.add_row(*(cell if isinstance(cell, Text) else Text(cell) for cell in row))
    screen().print(table)


def print_text(text: str) -> None:
    """Sentences, broken between words. What follows of an indented line is indented more."""
    from rich.text import Text

    for line in text.splitlines():
        indent = len(line) - len(line.lstrip(" "))
        _print_wrapped(Text(line.strip()), indent, indent + 2 if indent else 0)


def print_notes(notes: Iterable[tuple[str, str]]) -> None:
    """Lines `name: text`, each as long as it needs; what follows the first line is indented."""
    from rich.text import Text

    for name, text in notes:
        _print_wrapped(Text.assemble((name, "bold"), ": ", text), 0, 2)


def _print_wrapped(text: Text, first: int, further: int) -> None:
    """A paragraph. first, further: by how many columns its first line and the others are indented."""
    console = screen()
    for place, line in enumerate(text.wrap(console, max(console.width - further, 20), overflow="fold")):
        line.rstrip()
        console.print(" " * (further if place else first), line, sep="", soft_wrap=True)


FAILED = FAILING["warning"]
# What no XML document may hold, not even escaped.
_NOT_IN_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


class Case(NamedTuple):
    """A test case. found: what a failure says; reason: why there is no verdict."""

    kind: str
    name: str
    severity: str
    found: str
    reason: str | None


def junit_xml(cases: Iterable[Case]) -> str:
    """The document: a failure for each warning and alert, skipped what has no verdict."""
    every = list(cases)
    failures = sum(case.severity in FAILED for case in every)
    skipped = sum(case.severity not in JUDGED for case in every)
    head = f'<testsuite name="modelwatch" tests="{len(every)}" failures="{failures}" skipped="{skipped}">'
    return "\n".join(['<?xml version="1.0" encoding="UTF-8"?>', head, *map(_case, every), "</testsuite>", ""])


def _case(case: Case) -> str:
    inside = ""
    if case.severity in FAILED:
        inside = f"<failure type={_quoted(case.severity)} message={_quoted(case.found)}/>"
    elif case.severity not in JUDGED:
        inside = f"<skipped message={_quoted(case.reason or case.severity)}/>"
    return f'<testcase classname="{case.kind}" name={_quoted(case.name)}>{inside}</testcase>'


def _quoted(text: str) -> str:
    """The text as an attribute; characters that XML does not have are spelled, so that names stay apart."""
    return quoteattr(_NOT_IN_XML.sub(lambda found: found[0].encode("unicode_escape").decode("ascii"), text))
