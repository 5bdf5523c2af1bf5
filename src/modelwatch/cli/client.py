"""The client of a running service: retries that count nothing twice, and errors in plain words."""

from __future__ import annotations

import json
import math
import os
import ssl
import time
from collections.abc import Callable, Mapping
from types import TracebackType
from typing import Any

import httpx

from modelwatch.cli.address import normal_url, uses_proxy
from modelwatch.cli.base import Refused, Unreachable

# A key on the command line would be seen by everybody on the machine.
KEY_VARIABLE = "MODELWATCH_API_KEY"
NO_MODEL = "No model named"
WHAT_TO_DO = {
    401: f"Set {KEY_VARIABLE} to a key of this service: `modelwatch keys create NAME --scope read`, beside its store.",
    403: f"Set {KEY_VARIABLE} to a key that may do this: `modelwatch keys list`, beside the store, shows them.",
}
FIRST_PAUSE_SECONDS = 0.1
LONGEST_PAUSE_SECONDS = 5.0
SHOWN_ERRORS = 10
# The look before the call, and one that was under way.
LOOKS_UNDER_WAY = 2
READY_PATH = "/readyz"
POLL_SECONDS = 1.0


class ServiceClient:
    """A client of one service. Every request may be sent again: predictions are identified by their ids.

    patience: seconds during which a request that is refused with "later", or gets no answer, is sent again.
    """

    def __init__(
        self,
        url: str,
        *,
        patience: float = 60.0,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
        transport: httpx.BaseTransport | None = None,
    ) -> None:
        self.url = normal_url(url)
        self._patience = patience
        self._clock = clock
        self._sleep = sleep
        key = os.environ.get(KEY_VARIABLE)
        self._http = httpx.Client(
            base_url=self.url,
            # Without TLS no certificate is checked, and to read those of all authorities takes a while.
            verify=self.url.lower().startswith("https:") or ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT),
            timeout=60.0,
            trust_env=uses_proxy(self.url),
            transport=transport,
            headers={"authorization": f"Bearer {key}"} if key else None,
        )

    def __enter__(self) -> ServiceClient:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._http.close()

    def check_reachable(self) -> None:
        """Returns when a service answers at all. Raises Unreachable at once when nothing listens there."""
        try:
            self._http.get("/livez", timeout=10.0)
        except httpx.TransportError as error:
            raise Unreachable(self._unreachable(error)) from error

    def is_ready(self) -> bool:
        """True when the service is ready now. Never waits for it."""
        try:
            return self._http.get(READY_PATH, timeout=5.0).is_success
        except httpx.TransportError:
            return False

    def get(self, path: str, params: Mapping[str, str] | None = None) -> Any:
        """The decoded answer to a GET. Raises Refused and Unreachable."""
        return self._answer("GET", path, params=params)

    def wait_until_evaluated(
        self, on_poll: Callable[[], object], *, quiet_seconds: float = 0.0, longest_seconds: float = math.inf
    ) -> bool:
        """Waits until the service has evaluated all that is due. Returns False when longest_seconds were over before.

        What counts is a look that began after this was called: the second that is told of, since the first may have
        been under way. quiet_seconds: for so long nothing more must have become due. on_poll: is called after each
        request. Raises Refused and Unreachable.
        """
        began, quiet_since = self._clock(), None
        looks: set[str | None] = set()
        while True:
            state: dict[str, Any] = self.get(READY_PATH)["evaluation"]
            on_poll()
            now = self._clock()
            looks.add(state["looked_at"])
            if state["waiting"] or state["status"] == "stopped" or len(looks) <= LOOKS_UNDER_WAY:
                quiet_since = None
            elif quiet_since is None:
                quiet_since = now
            if quiet_since is not None and now - quiet_since >= quiet_seconds:
                return True
            if now - began > longest_seconds:
                return False
            self._sleep(POLL_SECONDS)

    def get_text(self, path: str) -> str:
        """The text of a page. Raises Unreachable when there is no answer."""
        try:
            response = self._http.get(path)
        except httpx.TransportError as error:
            raise Unreachable(self._unreachable(error)) from error
        return response.text if response.is_success else ""

    def post(
        self,
        path: str,
        content: bytes,
        content_type: str = "application/json",
        params: Mapping[str, str] | None = None,
    ) -> Any:
        """The decoded answer to a POST. Raises Refused and Unreachable."""
        return self._answer("POST", path, content=content, headers={"content-type": content_type}, params=params)

    def post_json(self, path: str, body: object) -> Any:
        """The decoded answer to a POST of JSON. Raises Refused and Unreachable."""
        return self.post(path, json.dumps(body, allow_nan=False).encode())

    def put_json(self, path: str, body: object) -> Any:
        """The decoded answer to a PUT of JSON. Raises Refused and Unreachable."""
        content = json.dumps(body, allow_nan=False).encode()
        return self._answer("PUT", path, content=content, headers={"content-type": "application/json"})

    def delete(self, path: str, params: Mapping[str, str] | None = None) -> Any:
        """The decoded answer to a DELETE. Raises Refused and Unreachable."""
        return self._answer("DELETE", path, params=params)

    def _answer(self, method: str, path: str, **request: Any) -> Any:
        deadline = self._clock() + self._patience
        pause = FIRST_PAUSE_SECONDS
        while True:
            try:
                response = self._http.request(method, path, **request)
            except httpx.TransportError as error:
                reason, wait = self._unreachable(error), pause
            else:
                if not _is_passing(response.status_code):
                    return self._decoded(response)
                reason = in_plain_words(response.status_code, problem_of(response), self.url)
                wait = max(pause, retry_after(response))
            if self._clock() + wait > deadline:
                raise Unreachable(f"{reason}\nGave up after {self._patience:g} s of retries.")
            self._sleep(wait)
            pause = min(2 * pause, LONGEST_PAUSE_SECONDS)

    def _decoded(self, response: httpx.Response) -> Any:
        if response.is_success:
            try:
                return response.json()
            except ValueError:
                raise Unreachable(f"The server at {self.url} is not modelwatch: its answer is not JSON.") from None
        problem = problem_of(response)
        raise Refused(in_plain_words(response.status_code, problem, self.url), response.status_code, problem)

    def _unreachable(self, error: httpx.TransportError) -> str:
        if isinstance(error, httpx.ConnectError):
            return f"No service answers at {self.url}: start one with `modelwatch serve`, or name another with --url."
        return f"The service at {self.url} did not answer: {str(error) or type(error).__name__}"


def _is_passing(status: int) -> bool:
    """True where the same request may succeed later; an error of the service itself is shown at once.

    Proxies and content delivery networks have numbers of their own above 504.
    """
    return status in (408, 425, 429) or status > 501


def retry_after(response: httpx.Response) -> float:
    """The seconds that the service asks to wait; 0 when it names none."""
    value = response.headers.get("retry-after", "")
    return float(value) if value.isdigit() else 0.0


def problem_of(response: httpx.Response) -> dict[str, object]:
    """The problem document (RFC 9457) of an answer; empty when it has none."""
    try:
        problem = response.json()
    except ValueError:
        return {}
    return problem if isinstance(problem, dict) else {}


def errors_of(problem: Mapping[str, object]) -> list[dict[str, Any]]:
    """The fields that a problem names."""
    errors = problem.get("errors")
    return [each for each in errors if isinstance(each, dict)] if isinstance(errors, list) else []


def in_plain_words(status: int, problem: Mapping[str, object], url: str) -> str:
    """The text of a problem document, with the place of each wrong field.

    >>> print(in_plain_words(422, {"detail": "Some fields are not valid.",
    ...     "errors": [{"pointer": "/prediction", "message": "Required", "value_excerpt": None}]}, "http://localhost:8000"))
    The service at http://localhost:8000 answered 422: Some fields are not valid.
      /prediction: Required
    """
    text = problem.get("detail") or problem.get("title") or "it gave no reason"
    lines = [f"The service at {url} answered {status}: {text}"]
    if status in WHAT_TO_DO:
        lines.append(WHAT_TO_DO[status])
    if str(text).startswith(NO_MODEL):
        lines.append("`modelwatch models` lists those that it knows.")
    errors = errors_of(problem)
    for error in errors[:SHOWN_ERRORS]:
        value = error.get("value_excerpt")
        given = "" if value is None else f" (given: {value})"
        lines.append(f"  {error.get('pointer') or 'the body'}: {error.get('message')}{given}")
    if len(errors) > SHOWN_ERRORS:
        lines.append(f"  and {len(errors) - SHOWN_ERRORS} more")
    return "\n".join(lines)
