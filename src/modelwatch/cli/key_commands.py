"""The commands below `modelwatch keys` and `modelwatch encryption-key`, and their options."""

from __future__ import annotations

from typing import Annotated

import typer

from modelwatch.cli.base import AsJson

Database = Annotated[str | None, typer.Option("--database-url", help="The store.  [DATABASE_URL]")]

keys = typer.Typer(help="API keys: who may send, read and change.", no_args_is_help=True)
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


@keys.command()
def create(
    name: Annotated[str, typer.Argument(help="What the key is for; the audit trail names it.")],
    scope: Annotated[
        list[str], typer.Option("--scope", help="ingest, read, or admin, which may do everything. Repeat it.")
    ],
    model: Annotated[
        list[str] | None, typer.Option("--model", help="The only model that it is for. Repeat it.")
    ] = None,
    expires: Annotated[str | None, typer.Option(help="How long it counts, such as 90d; else for ever.")] = None,
    requests_per_second: Annotated[
        float | None, typer.Option(min=0.01, help="Its own limit, instead of RATE_LIMIT_PER_SECOND.")
    ] = None,
    max_body_bytes: Annotated[
        int | None, typer.Option(min=1_024, help="Its own limit, where smaller than MAX_BODY_BYTES.")
    ] = None,
    database_url: Database = None,
    as_json: AsJson = False,
) -> None:
    """Make a key. It is printed once; only a hash of it is stored."""
    from modelwatch.cli.commands import keys as api_keys

    raise typer.Exit(
        api_keys.create(name, scope, model or [], expires, requests_per_second, max_body_bytes, database_url, as_json)
    )


@keys.command("list")
def list_keys(database_url: Database = None, as_json: AsJson = False) -> None:
    """Every key that there ever was: who it is for, what it may do, when it was used last."""
    from modelwatch.cli.commands import keys as api_keys

    raise typer.Exit(api_keys.show(database_url, as_json))


@keys.command()
def revoke(
    key_id: Annotated[str, typer.Argument(help="The id of the key, as `modelwatch keys list` shows it.")],
    database_url: Database = None,
    as_json: AsJson = False,
) -> None:
    """Refuse a key from now on, for good."""
    from modelwatch.cli.commands import keys as api_keys

    raise typer.Exit(api_keys.revoke(key_id, database_url, as_json))
