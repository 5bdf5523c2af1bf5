"""Ids that hold their time."""

from __future__ import annotations

import os
import uuid

from hypothesis import given
from hypothesis import strategies as st

from modelwatch.api.decoding.values import time_of_id, uuid7


@given(st.integers(0, 2**48 - 1))
def test_a_uuid7_is_valid_and_gives_its_time_back(now_ms: int) -> None:
    made = uuid7(now_ms, os.urandom)
    parsed = uuid.UUID(made)
    assert (str(parsed), parsed.version, parsed.variant) == (made, 7, uuid.RFC_4122)
    assert time_of_id(made) == time_of_id(made.upper()) == now_ms * 1_000


def test_uuid7s_of_one_millisecond_differ_and_of_later_ones_sort_behind() -> None:
    made = [uuid7(1_767_225_600_000 + index // 100, os.urandom) for index in range(1_000)]
    assert len(set(made)) == 1_000
    assert [identity[:13] for identity in made] == sorted(identity[:13] for identity in made)


def test_all_random_bits_are_used() -> None:
    assert uuid7(0, lambda size: b"\xff" * size) == "00000000-0000-7fff-bfff-ffffffffffff"


@given(
    st.text(max_size=40)
    | st.text("0123456789abcdefABCDEF-", min_size=36, max_size=36)
    | st.text(min_size=26, max_size=26)
)
def test_any_text_has_a_time_or_none(identity: str) -> None:
    found = time_of_id(identity)
    assert found is None or 0 <= found < 2**48 * 1_000


def test_a_uuid_of_another_version_or_variant_has_no_time() -> None:
    assert time_of_id(str(uuid.uuid4())) is None
    assert time_of_id("019b76da-a800-7000-c000-000000000000") is None
    assert time_of_id("019b76daXa800-7000-8000-00000000000") is None
    assert time_of_id("8ZZZZZZZZZ0000000000000000") is None
    assert time_of_id("01KDVDNA00000000000000000U") is None
