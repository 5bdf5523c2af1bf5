"""Reads that many ask for at once: one answer for all that wait, made after each of them asked, and never another's."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from starlette.types import Message, Receive, Scope, Send

from modelwatch.access import EVERYTHING, Grant
from modelwatch.api.auth.gate import SESSION
from modelwatch.api.auth.scopes import GRANT
from modelwatch.api.shared_answers import SharedAnswers

READER = Grant("k1", "reader", frozenset({"read"}), frozenset({"fraud"}))
OTHER = Grant("k2", "other", frozenset({"read"}), frozenset({"churn"}))


class Store:
    """An application whose answer is what it holds when it begins, and that goes on until it is let go."""

    def __init__(self) -> None:
        self.holds = "first"
        self.begun: list[Scope] = []
        self.go_on = asyncio.Event()
        self.error: Exception | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.begun.append(scope)
        held = self.holds
        assert (await receive())["type"] == "http.request"
        await self.go_on.wait()
        await send({"type": "http.response.start", "status": 200, "headers": [(b"etag", b"1")]})
        await send({"type": "http.response.body", "body": held.encode()})
        if self.error is not None:
            raise self.error


class Asking:
    """Requests of a service in front of such an application."""

    def __init__(self) -> None:
        self.store = Store()
        self.app = SharedAnswers(self.store)

    async def _get(self, given: dict[str, Any]) -> str:
        scope: Scope = {
            "type": "http",
            "method": "GET",
            "path": "/api/v1/models",
            "query_string": b"",
            "headers": [(b"host", b"localhost")],
            GRANT: EVERYTHING,
            **given,
        }
        sent: list[Message] = []

        async def receive() -> Message:
            return {"type": "http.request", "body": b"", "more_body": False}

        async def send(message: Message) -> None:
            sent.append(message)

        await self.app(scope, receive, send)
        assert [each["type"] for each in sent] == ["http.response.start", "http.response.body"]
        assert sent[0]["headers"] == [(b"etag", b"1")]
        return str(sent[1]["body"].decode())

    def get(self, **given: Any) -> asyncio.Task[str]:
        """An answer's body, once it is there."""
        return asyncio.create_task(self._get(given))


def settled(work: Callable[[Asking], Awaitable[None]]) -> None:
    """Runs the work in a loop of its own; afterwards nothing is remembered."""

    async def run() -> None:
        asking = Asking()
        await work(asking)
        assert asking.app._made == {}

    asyncio.run(asyncio.wait_for(run(), 10))


async def turns() -> None:
    """Lets whatever can go on do so."""
    for _ in range(20):
        await asyncio.sleep(0)


def test_one_alone_gets_its_answer() -> None:
    async def work(asking: Asking) -> None:
        asking.store.go_on.set()
        assert [await asking.get() for _ in range(3)] == ["first"] * 3
        assert len(asking.store.begun) == 3

    settled(work)


def test_all_that_ask_while_one_is_answered_share_the_next_answer() -> None:
    async def work(asking: Asking) -> None:
        one = asking.get()
        await turns()
        others = [asking.get(headers=[(b"host", b"localhost"), (b"user-agent", b"%d" % n)]) for n in range(10)]
        await turns()
        assert len(asking.store.begun) == 1
        asking.store.go_on.set()
        assert await one == "first"
        assert await asyncio.gather(*others) == ["first"] * 10
        assert len(asking.store.begun) == 2

    settled(work)


def test_a_client_that_takes_its_answer_slowly_delays_nobody() -> None:
    async def work(asking: Asking) -> None:
        asking.store.go_on.set()
        taken = asyncio.Event()

        async def receive() -> Message:
            return {"type": "http.request", "body": b"", "more_body": False}

        async def slow(_: Message) -> None:
            await taken.wait()

        headers = [(b"host", b"localhost")]
        scope = {"type": "http", "method": "GET", "path": "/api/v1/models", "query_string": b"", "headers": headers}
        first = asyncio.create_task(asking.app({**scope, GRANT: EVERYTHING}, receive, slow))
        await turns()
        assert await asyncio.gather(asking.get(), asking.get()) == ["first"] * 2
        assert not first.done()
        taken.set()
        await first

    settled(work)


def test_an_answer_is_made_of_what_is_there_after_it_was_asked_for() -> None:
    async def work(asking: Asking) -> None:
        one = asking.get()
        await turns()
        asking.store.holds = "second"
        second = asking.get()
        await turns()
        asking.store.holds = "third"
        third = asking.get()
        await turns()
        asking.store.go_on.set()
        # Both wait, and share what has not begun: it is newer than either.
        assert [await each for each in (one, second, third)] == ["first", "third", "third"]

    settled(work)


def test_who_asks_while_the_shared_one_is_made_gets_another() -> None:
    async def work(asking: Asking) -> None:
        one = asking.get()
        await turns()
        shared = asking.get()
        await turns()
        # Lets go the one that waits now, and none that comes later.
        asking.store.go_on.set()
        asking.store.go_on.clear()
        await one
        await turns()
        assert len(asking.store.begun) == 2
        asking.store.holds = "second"
        later = [asking.get(), asking.get()]
        await turns()
        asking.store.go_on.set()
        assert await shared == "first"
        assert await asyncio.gather(*later) == ["second"] * 2
        assert len(asking.store.begun) == 3

    settled(work)


@pytest.mark.parametrize(
    "given",
    [
        {GRANT: READER},
        {GRANT: OTHER},
        {GRANT: None},
        {SESSION: "a" * 64},
        {"path": "/api/v1/alerts"},
        {"query_string": b"range=7d"},
        {"headers": [(b"host", b"localhost"), (b"accept", b"text/csv")]},
        {"headers": [(b"host", b"watch")]},
        {"headers": [(b"host", b"localhost"), (b"x-forwarded-prefix", b"/watch")]},
        {"headers": [(b"host", b"localhost"), (b"if-none-match", b'"1"')]},
    ],
)
def test_nothing_is_shared_with_who_may_see_or_wants_something_else(given: dict[str, Any]) -> None:
    async def work(asking: Asking) -> None:
        first, second = asking.get(), asking.get(**given)
        await turns()
        assert len(asking.store.begun) == 2
        asking.store.go_on.set()
        await asyncio.gather(first, second)

    settled(work)


@pytest.mark.parametrize(
    "given",
    [
        {"method": "POST"},
        {"path": "/livez"},
        {"path": "/ui/assets/style.css"},
        {"headers": [(b"content-length", b"2")]},
        {"headers": [(b"transfer-encoding", b"chunked")]},
    ],
)
def test_what_is_no_read_is_answered_one_by_one(given: dict[str, Any]) -> None:
    async def work(asking: Asking) -> None:
        both = [asking.get(**given), asking.get(**given)]
        await turns()
        assert len(asking.store.begun) == 2
        asking.store.go_on.set()
        await asyncio.gather(*both)

    settled(work)


def test_an_error_is_told_to_each_and_the_next_is_answered() -> None:
    async def work(asking: Asking) -> None:
        asking.store.error = RuntimeError("a bug")
        one = asking.get()
        await turns()
        others = [asking.get(), asking.get()]
        asking.store.go_on.set()
        found = await asyncio.gather(one, *others, return_exceptions=True)
        assert [str(each) for each in found] == ["a bug"] * 3
        asking.store.error = None
        assert await asking.get() == "first"

    settled(work)


def test_who_goes_away_ends_no_answer_of_others() -> None:
    async def work(asking: Asking) -> None:
        one = asking.get()
        await turns()
        others = [asking.get(), asking.get()]
        await turns()
        one.cancel()
        others[0].cancel()
        asking.store.go_on.set()
        assert await others[1] == "first"
        assert one.cancelled() or one.cancelling()

    settled(work)
