"""What a channel is: it puts a notice in its receiver's form, sends it once, and says how that went."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, Protocol, runtime_checkable

from modelwatch.alerting.notices import Notice


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one attempt.

    status: `delivered`; `retry` when a later attempt may succeed; `permanent` when none will. reason: why it was not
    delivered, fit for logs and pages: never a URL, a key, or what the receiver wrote. retry_after: seconds that the
    receiver asks to be left alone, if it said so.
    """

    status: Literal["delivered", "retry", "permanent"]
    reason: str = ""
    retry_after: float | None = None


DELIVERED = Outcome("delivered")


class Channel(Protocol):
    """One way to people. `name` is what monitors call it, `kind` what it is."""

    @property
    def name(self) -> str: ...

    @property
    def kind(self) -> str: ...

    def send(self, notice: Notice, key: str) -> Outcome:
        """One attempt. `key` is the same for every attempt at this notice, so that the receiver can know a repeat.

        Never raises for what the receiver or the network does.
        """
        ...


@runtime_checkable
class RefreshingChannel(Channel, Protocol):
    """A channel whose receiver forgets an alert that it is not told of again and again."""

    @property
    def refresh_seconds(self) -> float: ...

    def refresh(self, notices: Sequence[Notice]) -> Outcome:
        """Tells of every open alert again, each as its newest delivered notice has it."""
        ...
