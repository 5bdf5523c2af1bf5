"""A deadline ends an exchange whenever its socket comes to be."""

from __future__ import annotations

import socket

from modelwatch.alerting.channels.channel import Deadline
from tests.support.servers.doubles import eventually


def test_a_socket_that_is_open_is_shut_in_time() -> None:
    here, there = socket.socketpair()
    with here, there, Deadline(0.05) as deadline:
        deadline.watch(here)
        there.settimeout(10)
        assert there.recv(1) == b""
        assert deadline.expired


def test_a_socket_that_comes_too_late_is_shut_at_once() -> None:
    here, there = socket.socketpair()
    with here, there, Deadline(0.0) as deadline:
        eventually(lambda: deadline.expired)
        deadline.watch(here)
        there.settimeout(10)
        assert there.recv(1) == b""


def test_after_its_block_nothing_is_shut_any_more() -> None:
    here, there = socket.socketpair()
    with here, there:
        with Deadline(60.0) as deadline:
            deadline.watch(here)
        here.sendall(b"x")
        assert there.recv(1) == b"x"
        assert not deadline.expired


def test_a_socket_that_is_closed_already_does_no_harm() -> None:
    here, there = socket.socketpair()
    there.close()
    here.close()
    with Deadline(0.0) as deadline:
        deadline.watch(here)
        eventually(lambda: deadline.expired)
