"""Who is connected to a process, and who is turned away when there are too many."""

from __future__ import annotations

from typing import Protocol

# Connections beyond the limit are answered; this many times the limit, one is closed for each that comes.
HARD_FACTOR = 2


class Visitor(Protocol):
    """A connection, or one that is still being secured."""

    def turn_away(self) -> None:
        """Closes it at once."""


class Door:
    """The connections of one process. Those that have asked nothing yet are told from those that have.

    most: how many that have asked are served. Whoever only connects, and is silent or never ends its handshake, takes
    nobody's place: with HARD_FACTOR times as many connected, the one that has been silent for longest has to leave.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        # In the order in which they came.
        self._silent: dict[Visitor, None] = {}
        self._asking: set[Visitor] = set()

    @property
    def is_crowded(self) -> bool:
        """Whether more have asked than are served."""
        return len(self._asking) > self._most

    def come(self, visitor: Visitor) -> None:
        """Takes note of a new connection, and turns one away when there are too many: it, if all others have asked."""
        self._silent[visitor] = None
        if len(self._silent) + len(self._asking) > HARD_FACTOR * self._most:
            oldest = next(iter(self._silent))
            del self._silent[oldest]
            oldest.turn_away()

    def ask(self, visitor: Visitor) -> None:
        """A connection has sent the head of a request."""
        if visitor in self._silent:
            del self._silent[visitor]
            self._asking.add(visitor)

    def leave(self, visitor: Visitor) -> None:
        """A connection has ended."""
        self._silent.pop(visitor, None)
        self._asking.discard(visitor)
