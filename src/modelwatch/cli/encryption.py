"""`modelwatch encryption-key …`: keys for ENCRYPTION_KEY."""

from __future__ import annotations

import os

from modelwatch.cli.ending import FOUND, OK, UNREACHABLE, Stop
from modelwatch.cli.output import give_json, say, tell


def new(as_json: bool) -> int:
    """Prints a fresh key, and nothing else, so that it can be put into a secret store as it is."""
    from modelwatch.config.encryption_keys import new_encryption_key
    from modelwatch.privacy import Keyring

    key = new_encryption_key(os.urandom)
    if as_json:
        give_json({"key": key, "id": Keyring([key]).writing_id})
    else:
        say(key)
    return OK


def rotate(database_url: str | None, as_json: bool) -> int:
    """Rewrites what older keys have encrypted and says which of them can go. Raises Stop when it can't be done."""
    from modelwatch.cli.serving import migrated, settings_with
    from modelwatch.errors import ProtectionUnavailable, SettingsError, StoreUnavailable, TamperedValue
    from modelwatch.service import protect
    from modelwatch.storage.engine.store import Store
    from modelwatch.storage.secrets.keys import keys_in_use
    from modelwatch.storage.secrets.rotation import rotate

    settings = settings_with({"database_url": database_url})
    migrated(settings)
    store = Store(settings.database_url)
    try:
        protect(store, settings)
        done = rotate(store)
        writing = store.protection.keyring.writing_id
        with store.read() as connection:
            kept = sorted(keys_in_use(connection) - {writing})
    except StoreUnavailable as error:
        raise Stop(f"The store {settings.safe_database_url} can't be used. {error.detail}", UNREACHABLE) from error
    except (SettingsError, TamperedValue) as error:
        raise Stop(str(error)) from error
    except ProtectionUnavailable as error:
        raise Stop(error.detail) from error
    finally:
        store.close()
    if as_json:
        give_json(
            {
                "rows": done.rows,
                "unreadable": done.unreadable,
                "writing": writing,
                "retired": list(done.retired),
                "in_use": kept,
            }
        )
    else:
        say(f"{done.rows:,} rows are encrypted anew, with the key {writing}")
        for identity in done.retired:
            say(f"  nothing needs the key {identity} any more: take it out of ENCRYPTION_KEY")
    if done.unreadable:
        tell(f"{done.unreadable:,} values did not decrypt, because they were changed, and are dropped.")
    for identity in kept:
        tell(
            f"The key {identity} still encrypts: a process has it first in ENCRYPTION_KEY. Rotate again once none has."
        )
    return FOUND if kept else OK
