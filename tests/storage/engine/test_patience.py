"""Reads of a store that hang: they are given up, one at a time, and what they raise is raised."""

from __future__ import annotations

import threading
from concurrent.futures import Future, ThreadPoolExecutor
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


def test_all_who_come_while_a_read_runs_get_what_the_next_one_reads() -> None:
    let_go, began, times = threading.Event(), threading.Event(), []

    def read() -> int:
        times.append(len(times))
        began.set()
        let_go.wait(30)
        return times[-1]

    reads = Patience[int]()
    with ThreadPoolExecutor(1) as pool:
        first = pool.submit(reads.within, 30.0, read)
        assert began.wait(30)
        for _ in range(5):
            with pytest.raises(StoreUnavailable):
                reads.within(0.01, read)
        soon = threading.Timer(0.05, let_go.set)
        soon.start()
        assert reads.within(30.0, read) == 1
        assert first.result(30) == 0
    assert times == [0, 1]


def test_a_read_that_ends_as_its_time_does_has_its_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    class Late(Future[int]):
        def result(self, timeout: float | None = None) -> int:
            found = super().result(30)
            if timeout is not None:
                raise TimeoutError
            return found

    monkeypatch.setattr("modelwatch.storage.engine.patience.Future", Late)
    assert Patience[int]().within(5.0, lambda: 4) == 4


def test_a_read_that_no_thread_could_be_started_for_is_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    reads = Patience[int]()

    def refuse(_thread: threading.Thread) -> NoReturn:
        raise RuntimeError("can't start new thread")

    with monkeypatch.context() as full:
        full.setattr(threading.Thread, "start", refuse)
        with pytest.raises(RuntimeError, match="can't start new thread"):
            reads.within(5.0, lambda: 1)
    assert reads.within(5.0, lambda: 2) == 2
