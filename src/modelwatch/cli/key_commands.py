"""The commands below `modelwatch encryption-key`, and their options."""

from __future__ import annotations

from typing import Annotated

import typer

from modelwatch.cli.options import AsJson

encryption_key = typer.Typer(help="The keys that features are encrypted and hashed with.", no_args_is_help=True)


@encryption_key.command()
def new(as_json: AsJson = False) -> None:
    """Make a key for ENCRYPTION_KEY."""
    from modelwatch.cli import encryption

    raise typer.Exit(encryption.new(as_json))


@encryption_key.command()
def rotate(
    database_url: Annotated[str | None, typer.Option(help="The store.  [DATABASE_URL]")] = None,
    as_json: AsJson = False,
) -> None:
    """Encrypt with the first key of ENCRYPTION_KEY what the others have encrypted, so that they can be removed.

    Services may go on meanwhile, once all of them have the new key first. It may be killed and started again.
    Exit code 1 when another key still encrypts.
    """
    from modelwatch.cli import encryption

    raise typer.Exit(encryption.rotate(database_url, as_json))
