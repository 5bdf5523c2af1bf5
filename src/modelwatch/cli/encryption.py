"""`modelwatch encryption-key …`: keys for ENCRYPTION_KEY."""

from __future__ import annotations

import os

from modelwatch.cli.ending import OK
from modelwatch.cli.output import give_json, say


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
