"""The fast lane: hot POSTs that are as they usually are, answered without a framework.

A request is taken here when it came whole, asks for nothing unusual, and is valid; any other one goes the ordinary way,
which alone refuses. So there is one implementation of each refusal, and one of each step: that the key counts, what a
body holds, how it is stored, what is answered.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Coroutine, Mapping
from typing import Any, NamedTuple

from modelwatch.access import Grant
from modelwatch.api.around import SecurityHeaders
from modelwatch.api.auth.gate import Gate
from modelwatch.api.ingest.hot_posts import (
    ACCEPTED,
    JSON,
    MOST_PLAIN_BYTES,
    PLAIN_DIGITS,
    Answer,
    HotPost,
    Kind,
    Outcome,
    accepted,
    outcome_of,
    refused,
)
from modelwatch.api.problems import RawHeaders
from modelwatch.api.state import ServiceState
from modelwatch.ingest.queue import Answer as Stored

# A request with one of these headers goes the ordinary way.
UNUSUAL = frozenset(
    {
        b"content-encoding",
        b"cookie",
        b"expect",
        b"http2-settings",
        b"origin",
        b"sec-fetch-site",
        b"transfer-encoding",
        b"upgrade",
        b"x-api-key",
        b"x-forwarded-prefix",
    }
)
# Heads of requests and of answers that are kept, and how large those of requests may be.
MOST_HEADS, MOST_HEAD_BYTES, MOST_HEADERS = 1_000, 2_048, 32
CLOSE = (b"connection", b"close")


class Written(NamedTuple):
    """An answer as it is sent, but for its first line and what the server adds. head: lines of headers.

    closes: whether the connection ends with it.
    """

    status: int
    head: bytes
    content: bytes
    closes: bool


class KnownHead(NamedTuple):
    """The head of a request that the lane takes. length: of its body."""

    url: bytes
    headers: RawHeaders
    length: int


class FastLane:
    """hot: the hot POSTs by their paths, as they are sent. around: what every answer has."""

    def __init__(self, state: ServiceState, gate: Gate, around: SecurityHeaders, hot: Mapping[bytes, HotPost]) -> None:
        self.state = state
        self._gate = gate
        self._around = around
        self._kinds = {path: post.kind for path, post in hot.items()} if _is_open(state) else {}
        # Of what was accepted, by the length of the content.
        self._heads: dict[int, bytes] = {}
        # By their bytes, without the blank line at their end.
        self.known_heads: dict[bytes, KnownHead] = {}
        self._looks: set[asyncio.Task[None]] = set()

    def takes(self, url: bytes, headers: RawHeaders) -> bool:
        """True when a POST with this head may come in, if its body is valid and comes at once."""
        if url not in self._kinds:
            return False
        is_json = has_length = False
        for name, value in headers:
            if name in UNUSUAL:
                return False
            if name == b"content-type":
                if is_json or value != JSON:
                    return False
                is_json = True
            elif name == b"content-length":
                if has_length or len(value) > PLAIN_DIGITS:
                    return False
                has_length = True
        return is_json and has_length

    def remember(self, head: bytes, known: KnownHead) -> None:
        """Takes note of the head of a request that came here."""
        if len(head) <= MOST_HEAD_BYTES and len(known.headers) <= MOST_HEADERS:
            if len(self.known_heads) >= MOST_HEADS:
                self.known_heads.clear()
            self.known_heads[head] = known

    def let_in(self, headers: RawHeaders) -> Grant | None:
        """The grant of a request; None: it goes the ordinary way, as if it had not come here."""
        grant = self._gate.grant_at_once(headers)
        return grant if grant is not None and grant.body_bytes is None else None

    def begin(self, url: bytes, body: bytes, grant: Grant, send: Callable[[Written], None]) -> bool:
        """Begins to store what a body holds, and calls `send` in the running event loop once that is done.

        False, without a trace, when it is not valid or there is no room: then the request goes the ordinary way.
        """
        kind = self._kinds[url]
        try:
            given = kind.decode(self.state.decoder, body)
            grant.require_writing(given.model_name)
            kind.store(self.state.batcher, given, len(body), _InLane(self, kind, given, grant, url, send))
        except Exception:  # noqa: BLE001 - the ordinary way meets it again, and answers it
            return False
        return True

    def accepted(self, content: bytes) -> Written:
        """The answer to what was taken, with what every answer has."""
        head = self._heads.get(len(content))
        if head is None:
            if len(self._heads) >= MOST_HEADS:
                self._heads.clear()
            head = self._heads[len(content)] = self.written(accepted(content)).head
        return Written(ACCEPTED, head, content, closes=False)

    def written(self, answer: Answer) -> Written:
        """An answer with what every answer has."""
        status, headers, content = answer
        head = b"".join(b"%b: %b\r\n" % header for header in self._around.complete(headers))
        return Written(status, head, content, CLOSE in headers)

    def look(self, answering: Coroutine[Any, Any, None]) -> None:
        """Lets an answer that takes a look at the store be found beside the others."""
        task = asyncio.get_running_loop().create_task(answering)
        self._looks.add(task)
        task.add_done_callback(self._looks.discard)


class _InLane:
    """A request in the lane, which is given its outcome."""

    __slots__ = ("_arrived", "_given", "_grant", "_is_done", "_kind", "_lane", "_send", "_url")

    def __init__(
        self,
        lane: FastLane,
        kind: Kind[Any],
        given: Any,
        grant: Grant,
        url: bytes,
        send: Callable[[Written], None],
    ) -> None:
        self._lane = lane
        self._kind = kind
        self._given = given
        self._grant = grant
        self._url = url
        self._send = send
        self._arrived = time.perf_counter()
        self._is_done = False

    def done(self) -> bool:
        return self._is_done

    def set_result(self, stored: Stored, /) -> None:
        self._is_done = True
        outcome = outcome_of(stored)
        content = self._kind.known_answer(self._given, outcome)
        if content is None:
            self._lane.look(self._look(outcome))
        else:
            self._accept(content)

    def set_exception(self, error: Exception, /) -> None:
        self._is_done = True
        self._refuse(error)

    async def _look(self, outcome: Outcome) -> None:
        try:
            content = await self._kind.answer(self._lane.state, self._given, outcome, self._grant)
        except Exception as error:  # noqa: BLE001 - it becomes the answer
            self._refuse(error)
        else:
            self._accept(content)

    def _accept(self, content: bytes) -> None:
        self._lane.state.counters.accepted(self._kind.name, time.perf_counter() - self._arrived)
        self._send(self._lane.accepted(content))

    def _refuse(self, error: Exception) -> None:
        self._send(self._lane.written(refused(self._lane.state, error, self._url.decode("latin-1"))))


def _is_open(state: ServiceState) -> bool:
    # With DEBUG the server logs each request, which the ordinary way does.
    return state.settings.max_body_bytes > MOST_PLAIN_BYTES and not state.settings.debug
