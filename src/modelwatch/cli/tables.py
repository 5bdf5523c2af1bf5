"""Tables and notes that fit the terminal: 80 columns where there is none, or as many as COLUMNS says."""

from __future__ import annotations

import os
import sys
from collections.abc import Collection, Iterable, Sequence
from typing import TYPE_CHECKING

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
