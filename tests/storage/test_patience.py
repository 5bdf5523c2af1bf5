"""Reads of a store that hang: they are given up, one at a time, and what they raise is raised."""

from __future__ import annotations

import threading
from typing import NoReturn

import pytest

from modelwatch.errors import StoreUnavailable
from modelwatch.storage.engine.patience import Patience


def test_what_is_done_in_time_is_returned_and_what_fails_is_raised() -> None:
    def fail() -> NoReturn:
        raise TimeoutError("of the work itself")

    reads = Patience[int]()
    assert reads.within(5.0, lambda: 1) == 1
    with pytest.raises(TimeoutError, match="of the work itself"):
        reads.within(5.0, fail)
    assert reads.within(5.0, lambda: 2) == 2


def test_what_hangs_is_given_up_and_nothing_is_begun_beside_it_until_it_ends() -> None:
    let_go, began = threading.Event(), []

    def hang() -> int:
        began.append(threading.current_thread())
        let_go.wait(30)
        return 0

    reads = Patience[int]()
    for _ in range(3):
        with pytest.raises(StoreUnavailable, match=r"did not answer within 0\.05 s"):
            reads.within(0.05, hang)
    assert len(began) == 1
    let_go.set()
    began[0].join(30)
    assert reads.within(5.0, lambda: 3) == 3
