"""`modelwatch encryption-key …`: keys for ENCRYPTION_KEY."""

from __future__ import annotations

import os

from modelwatch.cli.base import (
    EXIT_FOUND,
    EXIT_OK,
    CliError,
    print_err,
    print_json,
    print_out,
    settings_with,
)


def new(as_json: bool) -> int:
    """Prints a fresh key, and nothing else, so that it can be put into a secret store as it is."""
    from modelwatch.config.encryption_keys import new_encryption_key
    from modelwatch.privacy import Keyring

    key = new_encryption_key(os.urandom)
    if as_json:
        print_json({"key": key, "id": Keyring([key]).writing_id})
    else:
        print_out(key)
    return EXIT_OK


def rotate(database_url: str | None, as_json: bool) -> int:
    """Rewrites what older keys have encrypted and says which of them can go. Raises CliError when it can't be done."""
    from modelwatch.errors import ProtectionUnavailable, TamperedValue
    from modelwatch.server.startup import migrate_store, opened_store, protect
    from modelwatch.storage.secrets.keys import keys_in_use
    from modelwatch.storage.secrets.rotation import rotate

    settings = settings_with({"database_url": database_url})
    migrate_store(settings)
    try:
        with opened_store(settings) as store:
            protect(store, settings)
            done = rotate(store)
            writing = store.protection.keyring.writing_id
            with store.read() as connection:
                kept = sorted(keys_in_use(connection) - {writing})
    except TamperedValue as error:
        raise CliError(str(error)) from error
    except ProtectionUnavailable as error:
        raise CliError(error.detail) from error
    if as_json:
        print_json(
            {
                "rows": done.rows,
                "unreadable": done.unreadable,
                "writing": writing,
                "retired": list(done.retired),
                "in_use": kept,
            }
        )
    else:
        print_out(f"{done.rows:,} rows are encrypted anew, with the key {writing}")
        for identity in done.retired:
            print_out(f"  nothing needs the key {identity} any more: take it out of ENCRYPTION_KEY")
    if done.unreadable:
        print_err(f"{done.unreadable:,} values did not decrypt, because they were changed, and are dropped.")
    for identity in kept:
        print_err(
            f"The key {identity} still encrypts: a process has it first in ENCRYPTION_KEY. Rotate again once none has."
        )
    return EXIT_FOUND if kept else EXIT_OK
