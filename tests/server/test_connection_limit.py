"""Which connections of a process are kept and which are rejected, without sockets."""

from __future__ import annotations

from modelwatch.server.connections import ConnectionLimit
from modelwatch.server.limits import HARD_FACTOR

MOST = 3


class FakeConnection:
    def __init__(self, limit: ConnectionLimit) -> None:
        self._limit = limit
        self.is_open = True
        limit.opened(self)

    def reject(self) -> None:
        self.is_open = False
        self._limit.closed(self)


def test_silent_connections_are_rejected_in_the_order_in_which_they_came() -> None:
    limit = ConnectionLimit(MOST)
    first = [FakeConnection(limit) for _ in range(HARD_FACTOR * MOST)]
    assert all(each.is_open for each in first)
    limit.request_started(first[0])
    more = [FakeConnection(limit) for _ in range(2)]
    assert [each.is_open for each in [*first, *more]] == [True, False, False, *[True] * (HARD_FACTOR * MOST - 1)]


def test_no_connection_with_a_request_is_rejected_for_one_without() -> None:
    limit = ConnectionLimit(MOST)
    connections = [FakeConnection(limit) for _ in range(HARD_FACTOR * MOST)]
    for each in connections:
        limit.request_started(each)
    assert not FakeConnection(limit).is_open
    limit.closed(connections[0])
    assert FakeConnection(limit).is_open


def test_it_is_exceeded_when_more_have_sent_a_request_than_are_served() -> None:
    limit = ConnectionLimit(MOST)
    connections = [FakeConnection(limit) for _ in range(MOST + 1)]
    for each in connections[:-1]:
        limit.request_started(each)
    assert not limit.is_exceeded
    limit.request_started(connections[-1])
    assert limit.is_exceeded
    # A second request of the same connection is no other connection.
    limit.closed(connections[0])
    limit.request_started(connections[-1])
    assert not limit.is_exceeded
