"""Encryption: what was encrypted for a place comes back there, with the right key, and nowhere else."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelwatch.config.encryption_keys import new_encryption_key
from modelwatch.errors import ProtectionUnavailable, TamperedValue
from modelwatch.privacy import Hasher, Keyring
from modelwatch.privacy.keyring import key_of
from tests.support.stores.privacy import key

PLACE = ("m", "20000", "id-1", "iban")
names = st.text(max_size=8)
places = st.tuples(names, names, names, names)


@given(st.binary(max_size=200), st.binary(min_size=32, max_size=32), names, places)
def test_what_was_encrypted_comes_back(plain: bytes, raw: bytes, scope: str, place: tuple[str, ...]) -> None:
    ring = Keyring([new_encryption_key(lambda _: raw)])
    assert ring.decrypt(ring.encrypt(plain, scope, *place), scope, *place) == plain


@given(st.binary(max_size=50), places, places)
def test_a_ciphertext_belongs_to_one_place(plain: bytes, place: tuple[str, ...], other: tuple[str, ...]) -> None:
    ring = Keyring([key(1)])
    sealed = ring.encrypt(plain, "s", *place)
    if place == other:
        assert ring.decrypt(sealed, "s", *other) == plain
    else:
        with pytest.raises(TamperedValue):
            ring.decrypt(sealed, "s", *other)


def test_names_that_run_together_are_different_places() -> None:
    ring = Keyring([key(1)])
    with pytest.raises(TamperedValue):
        ring.decrypt(ring.encrypt(b"x", "s", "ab", "c"), "s", "a", "bc")


@given(st.integers(0, 60), st.integers(1, 255))
def test_a_changed_ciphertext_is_refused(position: int, change: int) -> None:
    ring = Keyring([key(1)])
    sealed = bytearray(ring.encrypt(b"DE02 1203 0000", "s", *PLACE))
    sealed[position % len(sealed)] ^= change
    with pytest.raises((TamperedValue, ProtectionUnavailable)):
        ring.decrypt(bytes(sealed), "s", *PLACE)


def test_what_is_cut_short_is_refused() -> None:
    ring = Keyring([key(1)])
    sealed = ring.encrypt(b"value", "s", *PLACE)
    for length in range(len(sealed)):
        with pytest.raises((TamperedValue, ProtectionUnavailable)):
            ring.decrypt(sealed[:length], "s", *PLACE)


def test_the_first_key_writes_and_all_read() -> None:
    old, both = Keyring([key(1)]), Keyring([key(2), key(1)])
    assert both.decrypt(old.encrypt(b"x", "s", *PLACE), "s", *PLACE) == b"x"
    sealed = both.encrypt(b"x", "s", *PLACE)
    assert key_of(sealed) == both.writing_id == Keyring([key(2)]).writing_id
    with pytest.raises(ProtectionUnavailable, match=both.writing_id):
        old.decrypt(sealed, "s", *PLACE)


def test_equal_values_have_different_ciphertexts() -> None:
    ring = Keyring([key(1)])
    assert len({ring.encrypt(b"same", "s", *PLACE) for _ in range(100)}) == 100


def test_without_a_key_nothing_is_encrypted() -> None:
    with pytest.raises(ProtectionUnavailable, match="ENCRYPTION_KEY is not set"):
        Keyring().encrypt(b"x", "s", *PLACE)


def test_a_hash_is_of_one_value_in_one_feature_of_one_model() -> None:
    one, other = Hasher(bytes(32)), Hasher(b"x" * 32)
    said = {
        one.hash("m", "a", "v"),
        one.hash("m", "a", "w"),
        one.hash("m", "b", "v"),
        one.hash("n", "a", "v"),
        other.hash("m", "a", "v"),
    }
    assert len(said) == 5
    assert one.hash("m", "a", True) == one.hash("m", "a", "true") != one.hash("m", "a", 1)
    assert one.hash_all("m", "a", [None, float("inf")]) == [None, float("inf")]
