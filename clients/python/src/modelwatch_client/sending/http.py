"""Requests to the service, and what its answers mean."""

from __future__ import annotations

import json
import os
import re
import threading
from dataclasses import dataclass, field
from email.utils import parsedate_to_datetime
from time import time
from typing import TYPE_CHECKING, Any, Dict, List, Mapping, Tuple
from urllib.parse import quote

if TYPE_CHECKING:
    import httpx

LONGEST_PAUSE = 300.0
_LONGEST_DETAIL = 500
# Characters of a name in an address: no address is longer than 65,536 for httpx, and there are three names at most.
_LONGEST_NAME = 10_000
# What a header can have, up to its last character.
_KEY = re.compile(r"[\t -~]*[!-~]")


class Unreachable(Exception):
    """The service did not answer, or could not be asked. The message names its address."""


class ApiError(Exception):
    """The service refused a request. status: of the answer; problem: its body (RFC 9457), empty if it had none."""

    def __init__(self, status: int, message: str, problem: Mapping[str, Any]) -> None:
        super().__init__(message)
        self.status = status
        self.problem = problem


@dataclass
class Receipt:
    """Outcome of the lines of a request.

    sent: acknowledged, duplicates: those of them that were known. rejected: place in the request and reason of each
    line that was refused.
    """

    sent: int = 0
    duplicates: int = 0
    rejected: List[Tuple[int, str]] = field(default_factory=list)


class TooLarge(Exception):
    """The body was larger than the service takes."""


class TryAgain(Exception):
    """The request may succeed later.

    pause: seconds that the service asks for. is_fault: whether it may be this very body at which it fails.
    """

    def __init__(self, why: str, pause: float | None = None, is_fault: bool = False) -> None:
        super().__init__(why)
        self.pause = pause
        self.is_fault = is_fault


def service_url(url: str | None) -> str:
    """The address given, else that of MODELWATCH_URL, else the one of HOST and PORT.

    Raises ValueError for what is no address.
    """
    found = url or os.environ.get("MODELWATCH_URL")
    if not found:
        host = os.environ.get("HOST") or "127.0.0.1"
        host = "127.0.0.1" if host in ("0.0.0.0", "::") else host  # noqa: S104 (where it listens, not where it is)
        found = f"http://{f'[{host}]' if ':' in host else host}:{os.environ.get('PORT') or '8000'}"
    if not found.startswith(("http://", "https://")) or found[-3:] == "://":
        raise ValueError(f"url is {found!r}: expected an address such as http://localhost:8000")
    return found.rstrip("/")


def check_names(query: Mapping[str, object]) -> None:
    """Raises ValueError for the model's name and the like that no address of a request can have, naming the field."""
    for field_name, value in query.items():
        try:
            length = len(quote(str(value)))
        except UnicodeEncodeError:
            raise ValueError(f"{field_name} is {value!r}: expected text that UTF-8 can encode") from None
        if length > _LONGEST_NAME:
            raise ValueError(f"{field_name} is {length:,} characters in an address: expected at most {_LONGEST_NAME:,}")


def check_key(api_key: str | None) -> None:
    """Raises ValueError for a key that no header can have. The message doesn't show it."""
    if api_key and not _KEY.fullmatch(str(api_key)):
        raise ValueError("api_key can't be sent: expected printable ASCII characters, the last of them no space")


def is_passing(status: int) -> bool:
    """Whether the same request may succeed later: after 408, 425, 429, and any 5xx, of a proxy or a CDN too."""
    return status in (408, 425, 429) or status >= 500


# A fork waits until a thread that imports httpx has done so: in the child that thread is gone, and no one could import
# it any more.
_no_fork = threading.RLock()
if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_no_fork.acquire, after_in_parent=_no_fork.release, after_in_child=_no_fork.release)


class Connection:
    """Connections to one service. Made in the thread that uses it; httpx is only imported then.

    Raises Unreachable when the certificates to trust can't be read, or the address or that of a proxy can't be used.
    """

    def __init__(self, url: str, api_key: str | None, timeout: float, verify: Any) -> None:
        headers = {"Authorization": f"Bearer {api_key}"} if api_key else {}
        with _no_fork:
            import httpx

            try:
                self._client = httpx.Client(base_url=url, headers=headers, timeout=timeout, verify=verify)
            except OSError as error:
                raise Unreachable(f"{url} can't be asked, verify={verify!r}: {_named(error)}") from error
            except (ValueError, httpx.InvalidURL) as error:  # Also for a proxy of the environment.
                raise Unreachable(f"{url} can't be asked: {_named(error)}") from error
            "a.b".encode("idna")  # Imports the codec of names of hosts.
        self.url = url
        self._errors = (httpx.HTTPError, httpx.InvalidURL, UnicodeError, OSError)

    def close(self) -> None:
        self._client.close()

    def send_lines(self, path: str, query: Mapping[str, str], lines: List[bytes], timeout: float) -> Receipt:
        """Sends rows as NDJSON. Raises TryAgain, TooLarge."""
        headers = {"Content-Type": "application/x-ndjson"}
        body = b"\n".join(lines)
        try:
            answer = self._client.post(path, params=dict(query), content=body, headers=headers, timeout=timeout)
        except self._errors as error:
            raise TryAgain(f"{self.url} can't be reached: {_named(error)}") from error
        return self._receipt(answer, len(lines))

    def request(self, method: str, path: str, **options: Any) -> Any:
        """The JSON of an answer, None of an empty one. Raises Unreachable, and ApiError for what is refused."""
        options["params"] = {name: text for name, text in options.get("params", {}).items() if text is not None}
        try:
            answer = self._client.request(method, path, **options)
        except self._errors as error:
            raise Unreachable(f"{self.url} can't be reached: {_named(error)}") from error
        if answer.status_code >= 300:
            raise ApiError(answer.status_code, f"{answer.status_code} from {self.url}: {_why(answer)}", _json(answer))
        return answer.json() if answer.content else None

    def _receipt(self, answer: httpx.Response, count: int) -> Receipt:
        status = answer.status_code
        if status == 413 and count > 1:
            raise TooLarge
        if is_passing(status) or status < 200 or 300 <= status < 400:
            why = f"{self.url} answered {status}: {_why(answer)}"
            raise TryAgain(why, _pause_of(answer.headers.get("retry-after")), status == 500)
        body = _json(answer)
        if status >= 400:
            refused = _refused_rows(body)
            return Receipt(
                rejected=[(place, refused.get(place) or f"{status}: {_why(answer)}") for place in range(count)]
            )
        if "accepted" not in body:
            raise TryAgain(f"{self.url} answered {status}, but not like modelwatch: is this its address?")
        rejected = [
            (int(each.get("index", 0)), f"{each.get('pointer', '')}: {each.get('message', '')}")
            for each in body.get("rejected", ())
        ]
        return Receipt(count - len(rejected), int(body.get("duplicates", 0)), rejected)


def _pause_of(text: str | None) -> float | None:
    """Seconds of a Retry-After header: a number, or a date."""
    if not text:
        return None
    try:
        seconds = float(text)
    except ValueError:
        try:
            seconds = parsedate_to_datetime(text).timestamp() - time()
        except (TypeError, ValueError):
            return None
    return min(max(seconds, 0.0), LONGEST_PAUSE)


def _json(answer: httpx.Response) -> Dict[str, Any]:
    try:
        found = json.loads(answer.content)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def _why(answer: httpx.Response) -> str:
    problem = _json(answer)
    text = str(problem.get("detail") or problem.get("title") or answer.reason_phrase or "no reason given")
    errors = problem.get("errors") or ()
    named = "; ".join(f"{each.get('pointer')}: {each.get('message')}" for each in errors[:3] if isinstance(each, dict))
    return f"{text} {named}".strip()[:_LONGEST_DETAIL]


def _refused_rows(problem: Mapping[str, Any]) -> Dict[int, str]:
    """Reasons by place, of a batch of which no row was good: its errors' pointers begin with the place."""
    found: Dict[int, str] = {}
    for each in problem.get("errors") or ():
        first = str(each.get("pointer", "")).split("/")[1:2]
        if first and first[0].isdigit():
            found.setdefault(int(first[0]), f"{each.get('pointer')}: {each.get('message')}")
    return found


def _named(error: Exception) -> str:
    return f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
