"""Options that several commands have."""

from __future__ import annotations

from typing import Annotated

import typer

from modelwatch.cli.address import URL_VARIABLE

Url = Annotated[
    str,
    typer.Option(
        "--url",
        help="Address of the service.",
        envvar=URL_VARIABLE,
        show_default="by HOST and PORT, else http://localhost:8000",
    ),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print the result as JSON.")]
