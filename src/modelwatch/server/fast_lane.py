"""uvicorn's protocol with the fast lane: what it takes gets no scope, no task and no framework.

The ordinary way is uvicorn's. A request is handed over to it as long as nothing was answered: when the lane does not
take its head, when its body does not come at once, and when the body is not valid.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol, RequestResponseCycle

from modelwatch.access import Grant
from modelwatch.api.auth.scopes import GRANT
from modelwatch.api.fast_lane import FastLane, Written

if TYPE_CHECKING:
    from uvicorn.config import Config


class _NoEvent:
    """In place of the event by which uvicorn's application would learn that something came."""

    def set(self) -> None:
        """No request waits for it."""


_NO_EVENT = _NoEvent()


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

    @property
    def owes_answer(self) -> bool:
        """True while a request that came is not answered."""
        cycle: RequestResponseCycle | None = self.cycle
        return cycle is not None and not cycle.response_complete

    def on_headers_complete(self) -> None:
        lane: FastLane | None = getattr(self._application, "lane", None)
        if (
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
            super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        if self._lane is None:
            super().on_body(body)
        else:
            self._body += body

    def on_message_complete(self) -> None:
        if self._lane is not None:
            lane, self._lane = self._lane, None
            grant = lane.let_in(self.headers)
            owed = _Owed(self)
            if grant is not None and lane.begin(self.url, self._body, grant, owed.send):
                self.cycle = owed  # type: ignore[assignment]
                return
            self._hand_over(grant)
        super().on_message_complete()

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        if self._lane is not None:
            # The rest of the body may take its time, which the ordinary way bounds.
            self._lane = None
            if not self.transport.is_closing():
                self._hand_over(None)

    def _hand_over(self, grant: Grant | None) -> None:
        """Lets the request go the ordinary way. grant: that by which it was let in, if it was."""
        if grant is not None:
            self.scope[GRANT] = grant  # type: ignore[literal-required]
        body, self._body = self._body, b""
        super().on_headers_complete()
        if body:
            super().on_body(body)

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
        self.on_response_complete()
