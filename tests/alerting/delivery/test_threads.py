"""Delivery: in order, at least once, with patience, and each channel by itself."""

from __future__ import annotations

import logging
import threading
import time

import pytest
from sqlalchemy import update

from modelwatch.alerting.channels import DELIVERED, Outcome
from modelwatch.alerting.delivery.worker import Counts, Pacing
from modelwatch.errors import StoreUnavailable, UnknownResource
from modelwatch.storage.alerts.outbox import retry_dead
from modelwatch.storage.engine import tables
from modelwatch.storage.engine.leases import acquire, release
from modelwatch.storage.engine.store import Store
from tests.support.alerts.delivering import Hanging, Observed, RecordingChannel, Refreshed, delivery
from tests.support.alerts.notifications import open_alerts, outbox, put, row, states
from tests.support.events import Clock
from tests.support.servers.doubles import eventually

pytestmark = pytest.mark.both_engines

LATER = Outcome("retry", "HTTP 500")
NEVER = Outcome("permanent", "HTTP 404")
DAY = 86_400


@pytest.fixture
def clock() -> Clock:
    return Clock()


class TestOrder:
    def test_an_alert_is_sent_in_order_whatever_the_order_of_the_rows(self, store: Store, clock: Clock) -> None:
        put(store, *(row("x", sequence=sequence) for sequence in (3, 1, 2)), row("x", alert="a2"))
        channel = RecordingChannel("x")
        assert delivery(store, clock, channel).once() == Counts(delivered=4)
        assert [key for key in channel.keys if key.startswith("a1")] == ["a1:1:x", "a1:2:x", "a1:3:x"]
        assert set(states(store).values()) == {"delivered"}

    def test_a_failure_holds_back_its_own_alert_only(self, store: Store, clock: Clock) -> None:
        put(store, row("x", sequence=1), row("x", sequence=2), row("x", alert="a2", sequence=1))
        channel = RecordingChannel("x", LATER)
        sender = delivery(store, clock, channel)
        assert sender.once() == Counts(delivered=1, retried=1)
        assert channel.keys == ["a1:1:x", "a2:1:x"]
        clock.advance(2)
        assert sender.once() == Counts(delivered=2)
        assert channel.keys[2:] == ["a1:1:x", "a1:2:x"]

    def test_what_is_dead_does_not_hold_back_what_follows(self, store: Store, clock: Clock) -> None:
        put(store, row("x", sequence=1), row("x", sequence=2))
        channel = RecordingChannel("x", NEVER)
        assert delivery(store, clock, channel).once() == Counts(delivered=1, dead=1)
        assert states(store) == {"a1:1:x": "dead", "a1:2:x": "delivered"}

    def test_what_is_deferred_waits(self, store: Store, clock: Clock) -> None:
        put(store, row("x", not_before=clock() + 5_000_000))
        channel = RecordingChannel("x")
        sender = delivery(store, clock, channel)
        sender.once()
        assert channel.keys == []
        clock.advance(5)
        sender.once()
        assert channel.keys == ["a1:1:x"]

    def test_a_notification_arrives_as_it_was_written(self, store: Store, clock: Clock) -> None:
        put(store, row("x", note="on it", actor="ann"))
        channel = RecordingChannel("x")
        delivery(store, clock, channel).once()
        assert (channel.notifications[0].note, channel.notifications[0].actor) == ("on it", "ann")


class TestRetries:
    def test_the_pauses_double_up_to_a_quarter_of_an_hour(self, store: Store, clock: Clock) -> None:
        put(store, row("x"))
        sender = delivery(store, clock, RecordingChannel("x", *[LATER] * 12))
        pauses = []
        for _ in range(12):
            sender.once()
            waits = outbox(store)["a1:1:x"].not_before - clock()
            pauses.append(waits // 1_000_000)
            clock.advance(waits / 1_000_000)
        assert pauses == [2, 4, 8, 16, 32, 64, 128, 256, 512, 900, 900, 900]
        assert outbox(store)["a1:1:x"].last_error == "HTTP 500"
        assert sender.once() == Counts(delivered=1)

    def test_a_receiver_that_asks_for_time_gets_it_from_every_alert(self, store: Store, clock: Clock) -> None:
        put(store, row("x"), row("x", alert="a2"), row("y"))
        asking, other = RecordingChannel("x", Outcome("retry", "HTTP 429", 30.0)), RecordingChannel("y")
        sender = delivery(store, clock, asking, other)
        sender.once()
        clock.advance(29)
        sender.once()
        assert (asking.keys, other.keys) == (["a1:1:x"], ["a1:1:y"])
        clock.advance(1)
        assert sender.once() == Counts(delivered=2)

    def test_a_receiver_can_not_ask_for_more_than_an_hour(self, store: Store, clock: Clock) -> None:
        put(store, row("x"))
        sender = delivery(store, clock, RecordingChannel("x", Outcome("retry", "HTTP 429", 1e9)))
        sender.once()
        assert outbox(store)["a1:1:x"].not_before - clock() == 3_600_000_000
        clock.advance(3_600)
        assert sender.once() == Counts(delivered=1)

    def test_after_three_days_a_notification_is_given_up(
        self, store: Store, clock: Clock, caplog: pytest.LogCaptureFixture
    ) -> None:
        put(store, row("x"))
        observer = Observed()
        sender = delivery(store, clock, RecordingChannel("x", *[LATER] * 10_000), observer=observer)
        began = clock()
        while states(store)["a1:1:x"] == "pending":
            sender.once()
            clock.advance(3_600)
        assert 3 * DAY < (clock() - began) / 1_000_000 <= 3 * DAY + 3_600
        assert observer.events[-2:] == [("dead", "x"), ("failed", "x", False)]
        assert [text for text in caplog.messages if "Given up" in text] == [
            f"Given up after attempt {outbox(store)['a1:1:x'].attempts}: a1:1:x (HTTP 500)"
        ]

    def test_what_was_deferred_for_days_still_gets_its_attempts(self, store: Store, clock: Clock) -> None:
        put(store, row("x", not_before=clock() + 4 * DAY * 1_000_000))
        clock.advance(4 * DAY)
        sender = delivery(store, clock, RecordingChannel("x", *[LATER] * 30))
        for _ in range(19):
            assert sender.once() == Counts(retried=1)
            clock.advance(900)
        assert sender.once() == Counts(dead=1)

    def test_a_permanent_failure_is_dead_at_once_and_logged_once(
        self, store: Store, clock: Clock, caplog: pytest.LogCaptureFixture
    ) -> None:
        put(store, row("x"))
        observer = Observed()
        sender = delivery(store, clock, RecordingChannel("x", NEVER), observer=observer)
        assert sender.once() == Counts(dead=1)
        assert sender.once() == Counts()
        assert observer.events == [("dead", "x"), ("failed", "x", True)]
        dead = outbox(store)["a1:1:x"]
        assert (dead.state, dead.attempts, dead.last_error, dead.finished_at) == ("dead", 1, "HTTP 404", clock())
        assert caplog.messages.count("Given up after attempt 1: a1:1:x (HTTP 404)") == 1

    def test_a_dead_letter_can_be_tried_again(self, store: Store, clock: Clock) -> None:
        put(store, row("x"))
        sender = delivery(store, clock, RecordingChannel("x", NEVER))
        sender.once()
        with store.write() as connection:
            assert retry_dead(connection, "a1:1:x", now=clock())
        assert sender.once() == Counts(delivered=1)

    def test_a_failing_channel_is_logged_when_it_begins_and_when_it_ends(
        self, store: Store, clock: Clock, caplog: pytest.LogCaptureFixture
    ) -> None:
        caplog.set_level(logging.INFO)
        put(store, *(row("x", alert=f"a{index}") for index in range(5)))
        sender = delivery(store, clock, RecordingChannel("x", *[LATER] * 5))
        sender.once()
        assert caplog.messages == ["Channel x fails: HTTP 500"]
        clock.advance(10)
        sender.once()
        assert caplog.messages == ["Channel x fails: HTTP 500", "Channel x works again"]

    def test_a_bug_in_a_channel_is_a_failure_of_that_attempt(
        self, store: Store, clock: Clock, caplog: pytest.LogCaptureFixture
    ) -> None:
        put(store, row("x"), row("x", alert="a2"))
        sender = delivery(store, clock, RecordingChannel("x", ValueError("canary")))
        assert sender.once() == Counts(delivered=1, retried=1)
        assert outbox(store)["a1:1:x"].last_error == "a bug in the channel (ValueError)"
        assert "Channel x has a bug: ValueError" in caplog.text
        assert "in send" in caplog.text
        assert "canary" not in caplog.text

    def test_a_notification_that_can_not_be_read_is_given_up(self, store: Store, clock: Clock) -> None:
        put(store, row("x"))
        with store.write() as connection:
            connection.execute(update(tables.outbox).values(notice=b'{"alert_id":1}'))
        assert delivery(store, clock, RecordingChannel("x")).once() == Counts(dead=1)
        assert outbox(store)["a1:1:x"].last_error == "the notification can't be read"

    def test_success_and_duration_are_observed(self, store: Store, clock: Clock) -> None:
        put(store, row("x"))
        observer = Observed()
        delivery(store, clock, RecordingChannel("x"), observer=observer).once()
        assert observer.events == [("delivered", "x")]


class TestChannels:
    def test_what_waits_for_a_channel_that_is_not_configured_is_dead(
        self, store: Store, clock: Clock, caplog: pytest.LogCaptureFixture
    ) -> None:
        put(store, row("gone"), row("gone", alert="a2"), row("x"))
        observer = Observed()
        assert delivery(store, clock, RecordingChannel("x"), observer=observer).once() == Counts(delivered=1, dead=2)
        assert outbox(store)["a1:1:gone"].last_error == "no channel named gone"
        assert observer.events == [("dead", "gone"), ("dead", "gone"), ("delivered", "x")]
        assert caplog.messages == ["Given up: 2 notifications, because no channel is named gone"]

    def test_a_test_is_sent_once_and_leaves_no_row(self, store: Store, clock: Clock) -> None:
        channel = RecordingChannel("x", LATER)
        sender = delivery(store, clock, channel)
        assert sender.send_test("x") == LATER
        assert (channel.notifications[0].event, states(store)) == ("test", {})
        assert set(sender.channels) == {"x"}

    def test_a_test_of_an_unknown_channel_names_the_known_ones(self, store: Store, clock: Clock) -> None:
        with pytest.raises(UnknownResource, match=r"no channel named 'z' \(channels: x, y\)"):
            delivery(store, clock, RecordingChannel("y"), RecordingChannel("x")).send_test("z")
        with pytest.raises(UnknownResource, match="none is configured"):
            delivery(store, clock).send_test("z")

    def test_a_test_survives_a_bug_in_the_channel(self, store: Store, clock: Clock) -> None:
        assert delivery(store, clock, RecordingChannel("x", ValueError("canary"))).send_test("x").status == "retry"


class TestLease:
    def test_only_the_holder_delivers(self, store: Store, clock: Clock) -> None:
        put(store, row("x"))
        assert acquire(store, "delivery", "another", now=clock(), ttl=10_000_000) is not None
        sender = delivery(store, clock, RecordingChannel("x"))
        assert sender.once() == Counts()
        clock.advance(10)
        assert sender.once() == Counts(delivered=1)

    def test_a_holder_that_was_paused_sends_nothing_that_the_new_one_has_claimed(
        self, store: Store, clock: Clock
    ) -> None:
        put(store, row("x"), row("x", alert="a2"))
        old, new = RecordingChannel("x"), RecordingChannel("x")
        paused = delivery(store, clock, old, holder="old")
        successor = delivery(store, clock, new, holder="new")

        def pause() -> None:
            old.meanwhile = lambda: None
            clock.advance(70)
            assert successor.once() == Counts(delivered=2)

        # While the old one is sending its first row, it stands still for longer than claim and lease last.
        old.meanwhile = pause
        assert paused.once() == Counts(delivered=0)
        assert (old.keys, new.keys) == (["a1:1:x"], ["a2:1:x", "a1:1:x"])
        assert set(states(store).values()) == {"delivered"}

    def test_a_holder_that_was_paused_gives_up_nothing_that_the_new_one_has_delivered(
        self, store: Store, clock: Clock, caplog: pytest.LogCaptureFixture
    ) -> None:
        put(store, row("x"))
        old = RecordingChannel("x", NEVER)
        paused = delivery(store, clock, old, holder="old")
        successor = delivery(store, clock, RecordingChannel("x"), holder="new")

        def pause() -> None:
            clock.advance(70)
            successor.once()

        old.meanwhile = pause
        assert paused.once() == Counts()
        assert states(store) == {"a1:1:x": "delivered"}
        assert not [text for text in caplog.messages if "Given up" in text]

    def test_what_was_withheld_a_moment_ago_is_not_sent(self, store: Store, clock: Clock) -> None:
        put(store, row("x"), row("x", alert="a2"))
        channel = RecordingChannel("x")

        def withhold_the_other() -> None:
            with store.write() as connection:
                other = tables.outbox.c.alert_id == "a2"
                connection.execute(update(tables.outbox).where(other).values(state="withheld"))

        channel.meanwhile = withhold_the_other
        assert delivery(store, clock, channel).once() == Counts(delivered=1)
        assert channel.keys == ["a1:1:x"]

    @pytest.mark.parametrize("tick", [0.07, 0.11, 0.13, 0.19, 0.23, 0.29, 0.31, 0.6])
    def test_nothing_is_sent_after_the_lease_has_ended(self, store: Store, tick: float) -> None:
        class Ticking(Clock):
            """Goes on with every look at it, so that a lease may end between any two steps."""

            def __call__(self) -> int:
                self.advance(tick)
                return self.now

        put(store, *(row("x", alert=f"a{index}") for index in range(20)))
        clock = Ticking()
        lease_ends = clock.now + int((tick + 1) * 1_000_000)
        channel = RecordingChannel("x")
        sent_at: list[int] = []
        channel.meanwhile = lambda: sent_at.append(clock.now)
        delivery(store, clock, channel, lease_seconds=1.0).once()
        assert all(at < lease_ends + 3 * tick * 1_000_000 for at in sent_at)
        assert len(sent_at) < 20

    def test_a_claim_that_lapsed_before_it_was_used_is_left_alone(self, store: Store) -> None:
        class Leaping(Clock):
            """Stands still until a claim is made, and then is a minute later."""

            leap = False

            def __call__(self) -> int:
                if self.leap and outbox(store)["a1:1:x"].attempts:
                    self.leap = False
                    self.advance(61)
                return self.now

        clock = Leaping()
        put(store, row("x"))
        channel = RecordingChannel("x")
        sender = delivery(store, clock, channel, lease_seconds=600)
        clock.leap = True
        assert sender.once() == Counts(delivered=1)
        assert channel.keys == ["a1:1:x"]
        assert outbox(store)["a1:1:x"].attempts == 2

    def test_a_lease_that_was_lost_behind_its_back_stops_it(self, store: Store) -> None:
        put(store, row("x"))
        channel = RecordingChannel("x")
        sender = delivery(store, real_clock(), channel, timer=time.monotonic, lease_seconds=1.5)
        sender.once()
        release(store, "delivery", "me")
        acquire(store, "delivery", "another", now=int(time.time() * 1e6), ttl=700_000)
        put(store, row("x", alert="a2"))
        sender.start()
        eventually(lambda: states(store)["a2:1:x"] == "delivered", "the lease coming back")
        sender.close()
        assert channel.keys == ["a1:1:x", "a2:1:x"]

    def test_a_lease_that_is_thought_to_be_held_is_looked_at_before_each_claim(self, store: Store) -> None:
        clock = real_clock()
        channel = RecordingChannel("x")
        sender = delivery(store, clock, channel, timer=time.monotonic, lease_seconds=6, pacing=Pacing(poll=0.01))
        sender.start()
        eventually(lambda: acquire(store, "delivery", "another", now=clock(), ttl=1) is None, "the lease being taken")
        release(store, "delivery", "me")
        assert acquire(store, "delivery", "another", now=clock(), ttl=1_000_000) is not None
        put(store, row("x", at=clock()))
        held_until = time.monotonic() + 0.7
        while time.monotonic() < held_until:
            assert channel.keys == []
            time.sleep(0.05)
        eventually(lambda: channel.keys == ["a1:1:x"], "the lease coming back")
        sender.close()


class TestRefresh:
    def test_open_alerts_are_sent_again_on_time(self, store: Store, clock: Clock) -> None:
        open_alerts(store, ["a1", "a2"])
        put(store, row("am", sequence=1), row("am", sequence=2), row("am", alert="a2"))
        channel = Refreshed("am")
        sender = delivery(store, clock, channel)
        sender.once()
        clock.advance(59)
        sender.once()
        assert channel.refreshed == [[]]
        clock.advance(1)
        sender.once()
        assert channel.refreshed == [[], ["a1:2", "a2:1"]]
        with store.write() as connection:
            connection.execute(update(tables.alert).where(tables.alert.c.id == "a1").values(state="resolved"))
        clock.advance(60)
        sender.once()
        assert channel.refreshed[2:] == [["a2:1"]]

    def test_a_refresh_that_failed_comes_again_sooner(
        self, store: Store, clock: Clock, caplog: pytest.LogCaptureFixture
    ) -> None:
        channel = Refreshed("am", LATER, ValueError("canary"))
        observer = Observed()
        sender = delivery(store, clock, channel, observer=observer)
        for _ in range(3):
            sender.once()
            clock.advance(15)
        assert len(channel.refreshed) == 3
        assert observer.events == [("refresh failed", "am")] * 2
        assert "Channel am fails: HTTP 500" in caplog.messages
        assert "canary" not in caplog.text

    def test_each_outage_is_logged_and_its_end(
        self, store: Store, clock: Clock, caplog: pytest.LogCaptureFixture
    ) -> None:
        channel = Refreshed("am", LATER, LATER, DELIVERED, LATER)
        sender = delivery(store, clock, channel)
        caplog.set_level(logging.INFO)
        for _ in range(5):
            sender.once()
            clock.advance(60)
        failed, works = "Channel am fails: HTTP 500", "Channel am works again"
        assert [text for text in caplog.messages if text.startswith("Channel")] == [failed, works, failed, works]

    @pytest.mark.parametrize("notice", [b'{"', b'{"x": 1}', b'{"x": "\xff"}'])
    def test_a_notification_that_can_not_be_read_keeps_no_other(
        self, store: Store, clock: Clock, notice: bytes, caplog: pytest.LogCaptureFixture
    ) -> None:
        open_alerts(store, ["a1", "a2"])
        put(store, row("am"), row("am", alert="a2"))
        channel = Refreshed("am")
        sender = delivery(store, clock, channel)
        sender.once()
        with store.write() as connection:
            connection.execute(update(tables.outbox).where(tables.outbox.c.key == "a1:1:am").values(notice=notice))
        put(store, row("am", alert="a3", at=clock()), row("am", alert="a4", at=clock()))
        with store.write() as connection:
            connection.execute(update(tables.outbox).where(tables.outbox.c.key == "a3:1:am").values(notice=notice))
        for _ in range(2):
            clock.advance(60)
            sender.once()
        assert channel.refreshed == [[], ["a2:1"], ["a2:1"]]
        assert channel.keys == ["a1:1:am", "a2:1:am", "a4:1:am"]
        assert (states(store)["a3:1:am"], outbox(store)["a3:1:am"].last_error) == (
            "dead",
            "the notification can't be read",
        )
        [named] = [text for text in caplog.messages if "is not refreshed" in text]
        assert named.startswith("The notification a1:1:am can't be read: ")

    def test_who_does_not_hold_the_lease_refreshes_nothing(self, store: Store, clock: Clock) -> None:
        acquire(store, "delivery", "another", now=clock(), ttl=10_000_000)
        channel = Refreshed("am")
        delivery(store, clock, channel).once()
        assert channel.refreshed == []


def real_clock() -> Clock:
    """The wall clock."""

    class Real(Clock):
        def __call__(self) -> int:
            return time.time_ns() // 1_000

    return Real()


class TestThreads:
    def test_one_channel_that_hangs_delays_no_other(self, store: Store) -> None:
        clock = real_clock()
        hanging, quick = Hanging("slow"), RecordingChannel("quick")
        sender = delivery(store, clock, hanging, quick, timer=time.monotonic)
        sender.start()
        put(store, row("slow", at=clock()), row("quick", at=clock()))
        began = time.monotonic()
        eventually(lambda: hanging.keys and quick.keys, "both being tried")
        assert time.monotonic() - began < 5
        put(store, row("quick", alert="a2", at=clock()))
        eventually(lambda: len(quick.keys) == 2, "the quick one going on")
        assert states(store)["a1:1:slow"] == "pending"
        hanging.let_go.set()
        sender.close()
        assert set(states(store).values()) == {"delivered"}

    def test_a_notification_is_on_its_way_within_a_second(self, store: Store) -> None:
        clock = real_clock()
        channel = RecordingChannel("x")
        sender = delivery(store, clock, channel, timer=time.monotonic)
        sender.start()
        eventually(lambda: acquire(store, "delivery", "another", now=clock(), ttl=1) is None, "the lease being taken")
        began = time.monotonic()
        put(store, row("x", at=clock()))
        eventually(lambda: channel.keys)
        # The poll takes half a second; a busy machine is not a failure.
        assert time.monotonic() - began < 5
        sender.close()

    def test_the_end_does_not_wait_for_a_send_that_hangs(
        self, store: Store, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
    ) -> None:
        monkeypatch.setattr("modelwatch.alerting.delivery.threads.CLOSE_SECONDS", 0.3)
        clock = real_clock()
        hanging = Hanging("slow")
        sender = delivery(store, clock, hanging, timer=time.monotonic)
        put(store, row("slow", at=clock()))
        sender.start()
        eventually(lambda: hanging.keys)
        began = time.monotonic()
        sender.close()
        assert time.monotonic() - began < 5
        assert "Still sending at shutdown: modelwatch-delivery-slow" in caplog.text
        assert acquire(store, "delivery", "another", now=clock(), ttl=1) is not None
        hanging.let_go.set()
        eventually(lambda: states(store)["a1:1:slow"] == "delivered", "the late success being kept")
        for thread in threading.enumerate():
            if thread.name.startswith("modelwatch-delivery"):
                thread.join(10)

    def test_closing_what_never_began_is_fine(self, store: Store, clock: Clock) -> None:
        delivery(store, clock, RecordingChannel("x")).close()

    def test_nothing_is_lost_while_the_store_is_away(
        self, store: Store, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
    ) -> None:
        clock = real_clock()
        away = threading.Event()
        read, refused = store.read, []

        def reading():  # type: ignore[no-untyped-def]
            if away.is_set():
                refused.append(1)
                raise StoreUnavailable("gone for a moment")
            return read()

        channel = RecordingChannel("x")
        sender = delivery(store, clock, channel, timer=time.monotonic, pacing=Pacing(poll=0.01))
        put(store, row("x", at=clock()))
        monkeypatch.setattr(store, "read", reading)
        away.set()
        sender.start()
        eventually(lambda: len(refused) >= 6, "a few attempts")
        away.clear()
        eventually(lambda: channel.keys == ["a1:1:x"])
        sender.close()
        assert caplog.messages.count("Delivery (x) is waiting for the store: gone for a moment") == 1

    def test_what_became_of_a_delivery_is_written_down_once_the_store_is_back(
        self, store: Store, clock: Clock, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("modelwatch.alerting.delivery.worker.SETTLE_PAUSES", (0.0, 0.0))
        put(store, row("x"))
        channel = RecordingChannel("x")
        sender = delivery(store, clock, channel)
        write, refusals = store.write, [1, 1]

        def writing():  # type: ignore[no-untyped-def]
            if channel.keys and refusals:
                refusals.pop()
                raise StoreUnavailable("away")
            return write()

        monkeypatch.setattr(store, "write", writing)
        assert sender.once() == Counts(delivered=1)
        put(store, row("x", alert="a2"))
        channel.keys.clear()
        refusals.extend([1, 1, 1])
        with pytest.raises(StoreUnavailable):
            sender.once()
        assert states(store)["a2:1:x"] == "pending"
        clock.advance(61)
        assert sender.once() == Counts(delivered=1)

    def test_the_end_does_not_wait_for_the_store(
        self, store: Store, clock: Clock, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        put(store, row("x"))
        channel = RecordingChannel("x")
        sender = delivery(store, clock, channel)
        write = store.write

        def writing():  # type: ignore[no-untyped-def]
            if channel.keys:
                raise StoreUnavailable("away")
            return write()

        monkeypatch.setattr(store, "write", writing)
        channel.meanwhile = sender.close
        began = time.monotonic()
        with pytest.raises(StoreUnavailable):
            sender.once()
        assert time.monotonic() - began < 10

    def test_a_bug_ends_no_thread_and_shows_no_value(
        self, store: Store, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
    ) -> None:
        clock = real_clock()
        channel = RecordingChannel("x")
        sender = delivery(store, clock, channel, timer=time.monotonic, pacing=Pacing(poll=0.01))
        secret, read, bugs = "canary", store.read, [1, 1, 1]

        def reading():  # type: ignore[no-untyped-def]
            if bugs and threading.current_thread().name == "modelwatch-delivery-x":
                bugs.pop()
                raise KeyError(secret)
            return read()

        monkeypatch.setattr(store, "read", reading)
        put(store, row("x", at=clock()))
        sender.start()
        eventually(lambda: channel.keys)
        sender.close()
        assert [text.splitlines()[0] for text in caplog.messages] == ["Delivery (x) failed: KeyError"]
        assert "canary" not in caplog.text

    def test_a_lease_that_can_not_be_given_back_ends_by_itself(
        self, store: Store, clock: Clock, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
    ) -> None:
        sender = delivery(store, clock, RecordingChannel("x"))
        sender.once()

        def writing() -> None:
            raise StoreUnavailable("away")

        monkeypatch.setattr(store, "write", writing)
        sender.close()
        assert caplog.messages == ["The lease could not be released, it ends by itself: away"]
