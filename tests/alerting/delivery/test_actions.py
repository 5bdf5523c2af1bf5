"""What people do to deliveries: test notifications, dead letters. Over HTTP: tests/api/routes/alerts."""

from __future__ import annotations

import threading

import pytest

from modelwatch.alerting.channels import DELIVERED, Outcome
from modelwatch.alerting.delivery.actions import DeliveryActions
from modelwatch.alerting.queries import list_audit
from modelwatch.errors import Conflict, InvalidInput, UnknownResource
from modelwatch.storage.engine.store import Store
from tests.support.events import Clock, numbered


class Sender:
    """Sends nothing; waits, when it is told to, in the middle of it."""

    def __init__(self) -> None:
        self.sent: list[str] = []
        self.begun = threading.Event()
        self.go_on = threading.Event()
        self.go_on.set()

    def send_test(self, name: str) -> Outcome:
        self.sent.append(name)
        self.begun.set()
        assert self.go_on.wait(20)
        return DELIVERED


def dispatch(store: Store, sender: Sender) -> DeliveryActions:
    ticks = iter(range(100))
    return DeliveryActions(
        store, sender, ("chat", "mail"), clock=Clock(), timer=lambda: float(next(ticks)), new_id=numbered("audit")
    )


def test_a_trial_says_how_long_it_took(store: Store) -> None:
    trial = dispatch(store, Sender()).send_test("chat", actor="ann")
    assert (trial.channel, trial.outcome, trial.detail, trial.seconds) == ("chat", "delivered", "", 1.0)


def test_one_trial_at_a_time(store: Store) -> None:
    sender = Sender()
    desk = dispatch(store, sender)
    sender.go_on.clear()
    first = threading.Thread(target=desk.send_test, args=("chat",), kwargs={"actor": "ann"})
    first.start()
    assert sender.begun.wait(20)
    with pytest.raises(Conflict, match="being sent"):
        desk.send_test("mail", actor="bob")
    sender.go_on.set()
    first.join(20)
    assert desk.send_test("mail", actor="bob").outcome == "delivered"
    assert sender.sent == ["chat", "mail"]


def test_an_error_of_the_sender_does_not_keep_the_next_trial(store: Store) -> None:
    class Broken(Sender):
        def send_test(self, name: str) -> Outcome:
            raise RuntimeError("gone")

    broken = dispatch(store, Broken())
    for _ in range(2):
        with pytest.raises(RuntimeError, match="gone"):
            broken.send_test("chat", actor="ann")


def test_nothing_is_sent_for_somebody_without_a_name_or_to_nowhere(store: Store) -> None:
    sender = Sender()
    for actor in ("", "\x00", "x" * 201):
        with pytest.raises(InvalidInput):
            dispatch(store, sender).send_test("chat", actor=actor)
        with pytest.raises(InvalidInput):
            dispatch(store, sender).retry("key", actor=actor)
    with pytest.raises(UnknownResource, match="channels: chat, mail"):
        dispatch(store, sender).send_test("cat", actor="ann")
    assert sender.sent == []
    with store.read() as connection:
        assert list_audit(connection).lines == ()
