"""Text for people and JSON for programs."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Any

import typer

if TYPE_CHECKING:
    from rich.console import Console


def say(text: str = "") -> None:
    """A line for people, on stdout."""
    typer.echo(text)


def tell(text: str) -> None:
    """A line beside the result, on stderr."""
    typer.echo(text, err=True)


def give_json(value: Any) -> None:
    """A result for programs, on stdout."""
    typer.echo(json.dumps(value, indent=2, ensure_ascii=False))


def screen() -> Console:
    """Where tables go: stdout. Without a terminal the width is such that no line is broken."""
    from rich.console import Console

    return Console(width=None if sys.stdout.isatty() else 200, highlight=False, soft_wrap=not sys.stdout.isatty())
