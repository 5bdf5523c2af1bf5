"""uvicorn's protocol with the fast lane: what it takes gets no scope, no task and no framework.

The ordinary way is uvicorn's. A request is handed over to it as long as nothing was answered: when the lane does not
take its head, when its body does not come at once, and when the body is not valid.

Clients send the same heads again and again. One that the lane has taken is known by its bytes, and its request needs no
parser, which would find the same once more.
"""

from __future__ import annotations

from asyncio.events import TimerHandle
from typing import TYPE_CHECKING, Any

from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol, RequestResponseCycle

from modelwatch.access import Grant
from modelwatch.api.auth.scopes import GRANT
from modelwatch.api.fast_lane import FastLane, KnownHead, Written

if TYPE_CHECKING:
    from uvicorn.config import Config


class _NoEvent:
    """In place of the event by which uvicorn's application would learn that something came."""

    def set(self) -> None:
        """No request waits for it."""


_NO_EVENT = _NoEvent()
END_OF_HEAD = b"\r\n\r\n"


class _Owed:
    """An answer that the lane owes, as uvicorn looks at its own: whether it was given, and may more come after it."""

    __slots__ = ("_protocol", "disconnected", "keep_alive", "response_complete")

    message_event = _NO_EVENT

    def __init__(self, protocol: LaneProtocol) -> None:
        self._protocol = protocol
        self.response_complete = False
        self.keep_alive = True
        self.disconnected = False

    def send(self, answer: Written) -> None:
        """Gives the answer, unless the client has gone."""
        self.response_complete = True
        if not self.disconnected:
            self._protocol.send(answer, self.keep_alive)


class LaneProtocol(HttpToolsProtocol):
    """uvicorn's protocol, in front of an application with a fast lane."""

    def __init__(self, config: Config, *args: Any, **kwargs: Any) -> None:
        super().__init__(config, *args, **kwargs)
        self._application = config.loaded_app
        # The lane that the request which is being read may take, and what came of its body.
        self._lane: FastLane | None = None
        self._body = b""
        # Whether the parser stands between two requests, and the lane, while it stands behind one that was taken there.
        self._is_between = True
        self._lane_before: FastLane | None = None
        # By which a request was let in whose body the lane has seen, and does not take.
        self._grant: Grant | None = None
        # Since when the connection rests after an answer of the lane; None while it does not.
        self._rests_since: float | None = None
        self._rest_timer: TimerHandle | None = None

    @property
    def owes_answer(self) -> bool:
        """True while a request that came is not answered."""
        cycle: RequestResponseCycle | None = self.cycle
        return cycle is not None and not cycle.response_complete

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        if self._rest_timer is not None:
            self._rest_timer.cancel()

    def on_message_begin(self) -> None:
        # As uvicorn does it, but for the scope: what the lane takes needs none.
        self._is_between, self._lane_before = False, None
        self.url, self.headers, self.expect_100_continue = b"", [], False

    def on_headers_complete(self) -> None:
        lane: FastLane | None = getattr(self._application, "lane", None)
        if self._grant is not None:
            grant, self._grant = self._grant, None
            self._begin_cycle(grant)
        elif (
            lane is not None
            and self.app is self._application
            and self.parser.get_method() == b"POST"
            and lane.takes(self.url, self.headers)
            and self.parser.get_http_version() == "1.1"
            and self.parser.should_keep_alive()
            and not self.owes_answer
            and not self.flow.write_paused
        ):
            self._lane, self._body = lane, b""
        else:
            self._begin_cycle(None)

    def on_body(self, body: bytes) -> None:
        if self._lane is None:
            super().on_body(body)
        else:
            self._body += body

    def on_message_complete(self) -> None:
        self._is_between = True
        if self._lane is not None:
            lane, self._lane = self._lane, None
            grant = lane.let_in(self.headers)
            if grant is not None and self._begin(lane, self.url, self._body, grant):
                self._lane_before = lane
                return
            self._hand_over(grant)
        super().on_message_complete()

    def _begin(self, lane: FastLane, url: bytes, body: bytes, grant: Grant) -> bool:
        owed = _Owed(self)
        if not lane.begin(url, body, grant, owed.send):
            return False
        self.cycle = owed  # type: ignore[assignment]
        return True

    def takes_again(self, data: bytes) -> bool:
        """Takes what came in, if it is a request whose head is known. False: it is for the parser, as if it had not
        come here."""
        lane = self._lane_before
        if lane is None or self.owes_answer or self.flow.write_paused:
            return False
        head, _, body = data.partition(END_OF_HEAD)
        known = lane.known_heads.get(head)
        if known is None or known.length != len(body):
            return False
        grant = lane.let_in(known.headers)
        if grant is None:
            # A key may have been revoked: it is not kept in memory.
            del lane.known_heads[head]
            return False
        if not self._begin(lane, known.url, body, grant):
            self._grant = grant
            return False
        self._unset_keepalive_if_required()
        return True

    def data_received(self, data: bytes) -> None:
        # Set again where this brings a request that the lane takes: not by blank lines, which begin none.
        is_start, self._lane_before = self._is_between, None
        super().data_received(data)
        if self._lane is not None:
            # The rest of the body may take its time, which the ordinary way bounds.
            self._lane = None
            if not self.transport.is_closing():
                self._hand_over(None)
        elif is_start and self._lane_before is not None:
            head, _, body = data.partition(END_OF_HEAD)
            # Otherwise there is more than this request, or its head ends elsewhere.
            if body == self._body:
                self._lane_before.remember(head, KnownHead(self.url, self.headers, len(body)))

    def _hand_over(self, grant: Grant | None) -> None:
        """Lets the request go the ordinary way. grant: that by which it was let in, if it was."""
        body, self._body = self._body, b""
        self._begin_cycle(grant)
        if body:
            super().on_body(body)

    def _begin_cycle(self, grant: Grant | None) -> None:
        """Begins what uvicorn does with a request whose head is complete."""
        url, headers, expects = self.url, self.headers, self.expect_100_continue
        super().on_message_begin()
        self.url, self.headers, self.expect_100_continue, self.scope["headers"] = url, headers, expects, headers
        if grant is not None:
            self.scope[GRANT] = grant  # type: ignore[literal-required]
        super().on_headers_complete()

    def send(self, answer: Written, keep_alive: bool) -> None:
        """Writes an answer of the lane. keep_alive: whether the connection may go on after it."""
        if self.transport.is_closing():
            return
        lines = [STATUS_LINE[answer.status]]
        for name, value in self.server_state.default_headers:
            lines += (name, b": ", value, b"\r\n")
        lines.append(answer.head)
        if not keep_alive and not answer.closes:
            lines.append(b"connection: close\r\n")
        lines += (b"\r\n", answer.content)
        self.transport.write(b"".join(lines))
        if answer.closes or not keep_alive:
            self.transport.close()
        if self.pipeline or self.transport.is_closing():
            self.on_response_complete()
        else:
            self._rest()

    def _rest(self) -> None:
        """Does what uvicorn does after an answer. But a timer for each answer, which nearly always ends with the next
        request, would take longer than the answer."""
        self.server_state.total_requests += 1
        self.flow.resume_reading()
        self._rests_since = self.loop.time()
        if self._rest_timer is None:
            self._rest_timer = self.loop.call_later(self.timeout_keep_alive, self._look_at_rest)

    def _look_at_rest(self) -> None:
        self._rest_timer = None
        if self._rests_since is None:
            return
        left = self._rests_since + self.timeout_keep_alive - self.loop.time()
        if left > 0:
            self._rest_timer = self.loop.call_later(left, self._look_at_rest)
        else:
            self.timeout_keep_alive_handler()

    def _unset_keepalive_if_required(self) -> None:
        self._rests_since = None
        super()._unset_keepalive_if_required()
