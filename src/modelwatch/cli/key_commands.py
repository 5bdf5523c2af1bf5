"""The commands below `modelwatch encryption-key`, and their options."""

from __future__ import annotations

import typer

from modelwatch.cli.options import AsJson

encryption_key = typer.Typer(help="The keys that features are encrypted and hashed with.", no_args_is_help=True)


@encryption_key.command()
def new(as_json: AsJson = False) -> None:
    """Make a key for ENCRYPTION_KEY."""
    from modelwatch.cli import encryption

    raise typer.Exit(encryption.new(as_json))
