"""Base windows of a rolled-up window: damaged bytes are an error that says so."""

from __future__ import annotations

import zlib

import pytest

from modelwatch.stats.errors import MalformedProfile
from modelwatch.storage.ledger.slots import BaseWindow, decode_pace, encode_pace

PACE = encode_pace([BaseWindow(300, 1, 1, 3, 3), BaseWindow(600, 2, 0, 5, 7)])


@pytest.mark.parametrize(
    "raw",
    [b"", b"pace", PACE[:-3], zlib.compress(b"1234567"), zlib.compress(bytes(8 * 7))],
    ids=["nothing", "no compressed bytes", "cut off", "no whole numbers", "no whole windows"],
)
def test_damaged_base_windows_are_a_malformed_profile(raw: bytes) -> None:
    with pytest.raises(MalformedProfile, match="base windows of a rolled-up window can't be read"):
        decode_pace(raw)
