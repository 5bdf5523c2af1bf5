"""ENCRYPTION_KEY: what is a key, and that no key is ever shown."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from modelwatch.config import load_settings
from modelwatch.config.encryption_keys import new_encryption_key
from modelwatch.errors import SettingsError
from tests.support.stores.privacy import key


def test_several_keys_are_read_in_their_order() -> None:
    settings = load_settings({"ENCRYPTION_KEY": f"{key(1)}, {key(2)}"}, dotenv=None)
    assert settings.encryption_key == (key(1), key(2))
    assert key(1) not in repr(settings)


def test_every_new_key_is_taken() -> None:
    for _ in range(50):
        made = new_encryption_key(os.urandom)
        assert load_settings({"ENCRYPTION_KEY": made}, dotenv=None).encryption_key == (made,)


@pytest.mark.parametrize(
    ("value", "says"),
    [
        ("canary", "expected 32 bytes in URL-safe base64"),
        (key(1)[:-2] + "==", "expected 32 bytes"),
        (key(1).rstrip("="), "expected 32 bytes"),
        (f"{key(1)},canary", "key 2 of 2: expected 32 bytes"),
        (f"{key(1)},,{key(2)}", "key 2 of 3: expected 32 bytes"),
        (f"{key(1)},{key(1)}", "key 2 of 2 is given twice"),
        (",".join(key(number) for number in range(21)), "expected at most 20 keys"),
    ],
)
def test_what_is_no_key_is_refused_without_being_shown(value: str, says: str, tmp_path: Path) -> None:
    with pytest.raises(SettingsError) as caught:
        load_settings({"ENCRYPTION_KEY": value}, dotenv=None)
    assert f"ENCRYPTION_KEY in the environment: {says}" in str(caught.value)
    assert "canary" not in str(caught.value)
    assert key(1)[:20] not in str(caught.value)
