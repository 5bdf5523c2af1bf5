"""Keys: what is known of them, for how long, and what can be none."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from sqlalchemy import Connection, update

from modelwatch.access import KnownKeys, parse_token
from modelwatch.access.known_keys import FRESH_SECONDS, NOTED_EVERY, RETRY_SECONDS, STALE_SECONDS
from modelwatch.errors import StoreUnavailable
from modelwatch.storage.engine import tables
from modelwatch.storage.engine.store import Store
from modelwatch.storage.secrets.api_keys import all_keys, all_sessions, revoke_key
from tests.support.background import new_id
from tests.support.data.streams import SECOND
from tests.support.events import NOON, Clock
from tests.support.keys import make_key


@pytest.fixture
def clock() -> Clock:
    return Clock(NOON)


@pytest.fixture
def known(store: Store, clock: Clock) -> KnownKeys:
    return KnownKeys(store, clock)


def test_a_key_is_known_by_its_text_and_by_nothing_like_it(store: Store, known: KnownKeys) -> None:
    key_id, text = make_key(store, "read")
    known.refresh()
    grant = known.grant_of(text)
    assert grant is not None
    assert (grant.key_id, grant.may("read"), grant.may("ingest")) == (key_id, True, False)
    last = "0" if text[-1] != "0" else "1"
    for wrong in ("", "mw_", text[:-1], text + "0", text[:-1] + last, text.upper(), f" {text}", text.split("_")[2]):
        assert known.grant_of(wrong) is None, wrong


def test_of_a_revoked_key_nothing_is_remembered(store: Store, known: KnownKeys, clock: Clock) -> None:
    key_id, text = make_key(store, "read")
    known.refresh()
    assert known.grant_of(text) is not None
    assert list(known._uses) == [key_id]
    assert revoke_key(store, key_id, now=NOON, actor="test", new_id=new_id) is True
    clock.now += FRESH_SECONDS * SECOND
    known.refresh()
    assert known.grant_of(text) is None
    assert list(known._uses) == []


def test_the_secret_is_nowhere_in_the_store(store: Store, known: KnownKeys) -> None:
    _, text = make_key(store, "read")
    token = parse_token(text)
    assert token is not None
    with store.read() as connection:
        [key] = all_keys(connection)
    assert token.secret not in repr(key)
    assert token.secret.encode() not in Path(str(store.url.database)).read_bytes()


def test_a_key_that_is_revoked_is_refused_within_seconds(store: Store, known: KnownKeys, clock: Clock) -> None:
    key_id, text = make_key(store, "read")
    known.refresh()
    assert revoke_key(store, key_id, now=NOON, actor="test", new_id=new_id) is True
    assert known.grant_of(text) is not None
    clock.now += FRESH_SECONDS * SECOND
    assert known.is_fresh is False
    known.refresh()
    assert known.grant_of(text) is None
    assert revoke_key(store, key_id, now=NOON, actor="test", new_id=new_id) is False


def test_a_key_counts_until_it_expires(store: Store, known: KnownKeys, clock: Clock) -> None:
    _, text = make_key(store, "read", expires_at=NOON + SECOND)
    known.refresh()
    assert known.grant_of(text) is not None
    clock.now += SECOND
    assert known.grant_of(text) is None


def test_only_who_has_the_secret_of_an_expired_key_is_told_that_it_expired(
    store: Store, known: KnownKeys, clock: Clock
) -> None:
    _, text = make_key(store, "read", expires_at=NOON + SECOND)
    known.refresh()
    clock.now += SECOND
    assert known.refusal_of(text) == "This API key expired at 2025-06-15 15:05 UTC."
    last = "0" if text[-1] != "0" else "1"
    for wrong in ("", "mw_", text[:-1] + last):
        assert known.refusal_of(wrong) == "This API key is unknown or revoked."


def test_a_session_ends_with_its_time_with_its_key_and_when_it_is_left(
    store: Store, known: KnownKeys, clock: Clock
) -> None:
    key_id, text = make_key(store, "read")
    known.refresh()
    grant = known.grant_of(text)
    assert grant is not None

    def session(seconds: int) -> str:
        cookie = known.begin_session(grant, seconds, os.urandom(32))
        clock.now += SECOND
        return cookie

    cookie, left, longer = session(60), session(60), session(600)
    assert [known.grant_of_session(each) for each in (cookie, left, longer)] == [grant] * 3
    known.end_session(left)
    clock.now += SECOND
    assert KnownKeys(store, clock).grant_of_session(left) is None
    for wrong in ("", "nonsense", "0" * 64, cookie[:-1], cookie.upper()):
        assert known.grant_of_session(wrong) is None
    clock.now += 60 * SECOND
    assert known.grant_of_session(cookie) is None
    assert known.grant_of_session(longer) == grant
    revoke_key(store, key_id, now=NOON, actor="test", new_id=new_id)
    clock.now += FRESH_SECONDS * SECOND
    known.refresh()
    assert known.grant_of_session(longer) is None


def test_another_process_takes_the_same_session_at_once(store: Store, known: KnownKeys, clock: Clock) -> None:
    _, text = make_key(store, "read")
    known.refresh()
    grant = known.grant_of(text)
    assert grant is not None
    other = KnownKeys(store, clock)
    other.refresh()
    clock.now += SECOND
    assert other.grant_of_session(known.begin_session(grant, 60, os.urandom(32))) == grant


def test_nothing_in_the_store_makes_a_cookie(store: Store, known: KnownKeys, clock: Clock) -> None:
    _, text = make_key(store, "read")
    known.refresh()
    grant = known.grant_of(text)
    assert grant is not None
    cookie = known.begin_session(grant, 60, os.urandom(32))
    clock.now += SECOND
    with store.read() as connection:
        [hashed] = all_sessions(connection)
        [key] = all_keys(connection)
    assert cookie != hashed
    for stored in (hashed, key.hashed, f"{key.id}.{10**12}.{key.hashed}"):
        assert known.grant_of_session(stored) is None


def test_what_was_known_counts_for_a_while_when_the_store_is_away(
    store: Store, known: KnownKeys, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, text = make_key(store, "read")
    known.refresh()

    @contextmanager
    def away() -> Iterator[Connection]:
        raise StoreUnavailable("away")
        yield

    monkeypatch.setattr(store, "read", away)
    clock.now += (STALE_SECONDS - 1) * SECOND
    known.refresh()
    assert known.grant_of(text) is not None
    clock.now += SECOND
    with pytest.raises(StoreUnavailable):
        known.refresh()
    with pytest.raises(StoreUnavailable):
        KnownKeys(store, clock).refresh()


def test_a_store_that_takes_its_time_to_be_away_holds_up_one_and_not_all(
    store: Store, known: KnownKeys, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Otherwise each request would wait for its own time-out, one after another."""
    _, text = make_key(store, "read")
    known.refresh()
    asked, answer = threading.Event(), threading.Event()
    tries = 0

    @contextmanager
    def hanging() -> Iterator[Connection]:
        nonlocal tries
        tries += 1
        asked.set()
        answer.wait(60)
        raise StoreUnavailable("away")
        yield

    monkeypatch.setattr(store, "read", hanging)
    clock.now += FRESH_SECONDS * SECOND
    first = threading.Thread(target=known.refresh)
    first.start()
    assert asked.wait(60)
    # The lock is held by the first one; these come back at once.
    for _ in range(20):
        known.refresh()
    assert known.grant_of(text) is not None
    answer.set()
    first.join(60)
    # It has just been tried: nobody tries again for a while, and what is not known is not looked for.
    assert known.is_fresh
    known.refresh()
    assert known.grant_of_session("0" * 64) is None
    assert tries == 1
    clock.now += RETRY_SECONDS * SECOND
    assert not known.is_fresh
    known.refresh()
    assert tries == 2


def test_a_clock_that_is_set_back_makes_nothing_fresh(store: Store, known: KnownKeys, clock: Clock) -> None:
    key_id, text = make_key(store, "read")
    known.refresh()
    clock.now -= 3_600 * SECOND
    revoke_key(store, key_id, now=NOON, actor="test", new_id=new_id)
    assert not known.is_fresh
    known.refresh()
    assert known.grant_of(text) is None


def test_the_last_use_is_noted_once_an_hour(store: Store, known: KnownKeys, clock: Clock) -> None:
    _, text = make_key(store, "read")

    def used_at() -> int | None:
        clock.now += FRESH_SECONDS * SECOND
        known.refresh()
        with store.read() as connection:
            return all_keys(connection)[0].last_used_at

    known.refresh()
    assert used_at() is None
    known.grant_of(text)
    first = used_at()
    assert first is not None
    known.grant_of(text)
    assert used_at() == first
    clock.now += NOTED_EVERY
    known.refresh()
    known.grant_of(text)
    assert used_at() != first


def test_a_key_whose_models_can_not_be_read_gives_no_access_and_keeps_no_other(
    store: Store, known: KnownKeys, caplog: pytest.LogCaptureFixture
) -> None:
    bad, text = make_key(store, "read")
    _, other = make_key(store, "read")
    for models in ("[", '{"fraud": 1}', "7", "[1]"):
        with store.write() as connection:
            connection.execute(update(tables.api_key).where(tables.api_key.c.id == bad).values(models=models))
        known = KnownKeys(store, Clock(NOON))
        known.refresh()
        assert known.grant_of(text) is None, models
        assert known.grant_of(other) is not None
    assert f"The stored key {bad} can't be read: " in caplog.text
    assert "It gives no access." in caplog.text
