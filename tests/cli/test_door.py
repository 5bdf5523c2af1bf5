"""Who is let in and who has to leave, without sockets."""

from __future__ import annotations

from modelwatch.cli.door import HARD_FACTOR, Door

MOST = 3


class Guest:
    def __init__(self, door: Door) -> None:
        self._door = door
        self.is_in = True
        door.come(self)

    def turn_away(self) -> None:
        self.is_in = False
        self._door.leave(self)


def test_silent_connections_leave_in_the_order_in_which_they_came() -> None:
    door = Door(MOST)
    guests = [Guest(door) for _ in range(HARD_FACTOR * MOST)]
    assert all(guest.is_in for guest in guests)
    door.ask(guests[0])
    more = [Guest(door) for _ in range(2)]
    assert [guest.is_in for guest in [*guests, *more]] == [True, False, False, *[True] * (HARD_FACTOR * MOST - 1)]


def test_nobody_who_has_asked_leaves_for_one_that_has_not() -> None:
    door = Door(MOST)
    guests = [Guest(door) for _ in range(HARD_FACTOR * MOST)]
    for guest in guests:
        door.ask(guest)
    assert not Guest(door).is_in
    door.leave(guests[0])
    assert Guest(door).is_in


def test_it_is_crowded_when_more_have_asked_than_are_served() -> None:
    door = Door(MOST)
    guests = [Guest(door) for _ in range(MOST + 1)]
    for guest in guests[:-1]:
        door.ask(guest)
    assert not door.is_crowded
    door.ask(guests[-1])
    assert door.is_crowded
    # A second request of the same connection is no other connection.
    door.leave(guests[0])
    door.ask(guests[-1])
    assert not door.is_crowded
