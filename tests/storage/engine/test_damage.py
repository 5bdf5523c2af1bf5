"""Rows that can't be read: named, left out of what many are read for, and logged once an hour."""

from __future__ import annotations

import json
import time

import msgspec
import pytest

from modelwatch.errors import DamagedData
from modelwatch.stats.counting.encoded_counts import decode_counts
from modelwatch.storage.engine.damage import decoded, log_damage, readable


def number(text: str) -> int:
    return decoded(f"The number {text}", int, text)


@pytest.mark.parametrize(
    ("decode", "raw"),
    [
        (json.loads, "{"),
        (msgspec.json.Decoder(dict[str, int]).decode, b'{"a'),
        (msgspec.json.Decoder(dict[str, int]).decode, b'{"a": "b"}'),
        (msgspec.json.Decoder(str).decode, b'"\xff"'),
        (decode_counts, b"\x63"),
    ],
)
def test_what_can_not_be_read_is_named_whatever_reads_it(decode: object, raw: object) -> None:
    with pytest.raises(DamagedData, match=r"^The thing t-1 can't be read: .+\.$"):
        decoded("The thing t-1", decode, raw)  # type: ignore[arg-type]


def test_a_row_that_can_not_be_read_is_left_out_and_named_in_the_log(caplog: pytest.LogCaptureFixture) -> None:
    assert list(readable(["1", "x", "3"], number)) == [1, 3]
    [message] = caplog.messages
    assert message.startswith("The number x can't be read: invalid literal")
    assert message.endswith("It is left out of lists.")


def test_the_log_names_it_once_an_hour(caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch) -> None:
    now = 50.0
    monkeypatch.setattr(time, "monotonic", lambda: now)
    for _ in range(3):
        list(readable(["x", "y"], number))
    assert len(caplog.messages) == 2
    now += 3_600
    list(readable(["x"], number))
    assert len(caplog.messages) == 3


def test_what_follows_from_it_elsewhere_is_said_as_well(caplog: pytest.LogCaptureFixture) -> None:
    error = DamagedData("The monitor of 'm' can't be read.")
    for consequence in ("It is left out.", "It is replaced.", "It is left out."):
        log_damage(error, consequence)
    assert caplog.messages == [f"{error} It is left out.", f"{error} It is replaced."]
