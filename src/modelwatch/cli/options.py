"""Options that several commands have."""

from __future__ import annotations

from typing import Annotated

import typer

Url = Annotated[str, typer.Option("--url", help="Address of the service.", envvar="MODELWATCH_URL")]
AsJson = Annotated[bool, typer.Option("--json", help="Print the result as JSON.")]
