"""Addresses: of the store, of web services, of people, of the mail server. Refused without being shown."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Annotated, Literal, get_args
from urllib.parse import parse_qsl, unquote, urlencode, urlsplit

from pydantic import BeforeValidator

StartTls = Literal["offered", "required", "never"]
MAX_REPLICAS = 5
POSTGRESQL_PORT = 5432
MAX_RECIPIENTS = 50
_ADDRESS = r"[A-Za-z0-9.!#$%&'*+/=?^_`{|}~-]+@[A-Za-z0-9](?:[A-Za-z0-9.-]*[A-Za-z0-9])?"
_SENDER = re.compile(rf"{_ADDRESS}|[\w .'-]+ <{_ADDRESS}>")


@dataclass(frozen=True, slots=True)
class MailServer:
    """The server that mail is handed to, and how. starttls matters only without implicit_tls."""

    host: str
    port: int
    implicit_tls: bool
    starttls: StartTls
    user: str | None = field(default=None, repr=False)
    password: str | None = field(default=None, repr=False)


def redact_url(url: str) -> str:
    """The URL without user, password and parameters: fit for a log.

    >>> redact_url("postgresql+psycopg://mw:s3cr3t@db:5432/monitoring?sslpassword=x")
    'postgresql+psycopg://***@db:5432/monitoring'
    """
    scheme, separator, rest = url.partition("://")
    if not separator:
        return "***"
    authority, slash, path = rest.split("?", 1)[0].rpartition("@")[2].partition("/")
    user = "***@" if "@" in rest else ""
    return f"{scheme}://{user}{authority}{slash}{path}"


def parse_database_url(url: str) -> str:
    """The store's address, with the driver that is used here. Raises ValueError that says what is expected.

    Several hosts of PostgreSQL, with commas between them as libpq has it, become parameters; of several the one that
    takes writes is meant, unless target_session_attrs says otherwise.

    >>> parse_database_url("postgres://u@a,b:5433/mw")
    'postgresql+psycopg://u@/mw?host=a%3A5432&host=b%3A5433&target_session_attrs=read-write'
    """
    scheme, separator, rest = url.partition("://")
    if scheme in {"postgres", "postgresql"}:
        scheme = "postgresql+psycopg"
    if not separator or scheme not in {"sqlite", "postgresql+psycopg"}:
        raise ValueError("Expected sqlite:///path/to/file.db or postgresql://user:password@host:5432/database")
    if scheme == "sqlite":
        path = rest.partition("?")[0]
        if path in {"", "/"} or ":memory:" in path or "mode=memory" in rest:
            raise ValueError(
                "Each worker would have its own store in memory, and acknowledged predictions would be lost."
                " Expected a file: sqlite:///path/to/file.db"
            )
        if not path.startswith("/"):
            raise ValueError("Expected three slashes for a relative path, sqlite:///file.db, and four for an absolute")
    else:
        rest = _with_hosts_as_parameters(rest)
        try:
            parts = urlsplit(f"{scheme}://{rest}")
            _ = parts.port
        except ValueError:
            raise ValueError("Expected a port number after the host, and %-escapes for : / @ in a password") from None
        # The rest of such a password would be taken for the host, and every error would name it.
        names = [name for name, _ in parse_qsl(parts.query, keep_blank_values=True)]
        if parts.netloc.count("@") > 1 or any("@" in each for each in (parts.path, *names)):
            raise ValueError("Expected %40 for each @ except the one before the host, and %2F for / in a password")
    return f"{scheme}://{rest}"


def _with_hosts_as_parameters(rest: str) -> str:
    """An address whose hosts have commas between them in the form that the driver reads; any other as it is."""
    authority, slash, path = rest.partition("/")
    user, at, hosts = authority.rpartition("@")
    if "," not in hosts:
        return rest
    named = [host if re.search(r":\d+$", host) else f"{host}:{POSTGRESQL_PORT}" for host in hosts.split(",")]
    if any(host.startswith(":") for host in named):
        raise ValueError("Expected a host on both sides of each comma")
    name, _, query = path.partition("?")
    options = parse_qsl(query, keep_blank_values=True)
    if not any(option == "target_session_attrs" for option, _ in options):
        options.append(("target_session_attrs", "read-write"))
    return f"{user}{at}{slash}{name}?{urlencode([*(('host', host) for host in named), *options])}"


def parse_http_url(value: object) -> str:
    """An address of a web service, as it was given. Raises ValueError that says what is expected.

    >>> parse_http_url("https://hooks.example.org/x")
    'https://hooks.example.org/x'
    """
    if not isinstance(value, str) or not value.isascii() or not value.isprintable() or " " in value:
        raise ValueError("Expected an http:// or https:// address without spaces and line ends")
    try:
        parts = urlsplit(value)
        _ = parts.port
    except ValueError:
        parts = None
    if parts is None or parts.scheme not in {"http", "https"} or not parts.hostname or parts.fragment:
        raise ValueError("Expected an address such as https://host.example.org/path")
    return value


def parse_http_urls(value: object) -> tuple[str, ...]:
    """One to five addresses of web services, separated by commas, or a list. Raises ValueError for anything else."""
    urls = tuple(parse_http_url(part) for part in _parts(value))
    if not 1 <= len(set(urls)) == len(urls) <= MAX_REPLICAS:
        raise ValueError(f"Expected 1 to {MAX_REPLICAS} different addresses, separated by commas")
    return urls


def parse_recipients(value: object) -> tuple[str, ...]:
    """Mail addresses, separated by commas, or a list. Raises ValueError that says what is expected.

    >>> parse_recipients("a@example.org, b@example.org")
    ('a@example.org', 'b@example.org')
    """
    found = _parts(value)
    if not all(re.fullmatch(_ADDRESS, address) for address in found):
        raise ValueError("Expected mail addresses separated by commas, such as a@example.org,b@example.org")
    if not 1 <= len(found) <= MAX_RECIPIENTS:
        raise ValueError(f"Expected 1 to {MAX_RECIPIENTS} mail addresses")
    return tuple(found)


def parse_sender(value: object) -> str:
    """One mail address, with a name or without. Raises ValueError that says what is expected."""
    if not isinstance(value, str) or not value.isprintable() or _SENDER.fullmatch(value) is None:
        raise ValueError("Expected an address such as alerts@example.org, or with a name: Alerts <alerts@example.org>")
    return value


def parse_mail_server(value: str) -> MailServer:
    """The parts of smtp://user:password@host:port?starttls=required, or smtps://…; %-escapes in user and password.

    The port is 25, or 465 for smtps, if it is not given. Raises ValueError that says what is expected.

    >>> parse_mail_server("smtp://mail.example.org:587").starttls
    'offered'
    """
    wrong = ValueError("Expected smtp://user:password@host:587 or smtps://…, with %-escapes for : / @ in a password")
    if not value.isascii() or not value.isprintable() or " " in value:
        raise wrong
    try:
        parts = urlsplit(value)
        port = parts.port
    except ValueError:
        raise wrong from None
    if parts.scheme not in {"smtp", "smtps"} or not parts.hostname or parts.path not in {"", "/"} or parts.fragment:
        raise wrong
    options = dict(parse_qsl(parts.query, keep_blank_values=True))
    starttls = options.pop("starttls", "offered")
    if options or starttls not in get_args(StartTls) or (parts.scheme == "smtps" and parts.query):
        raise ValueError("Expected no other option than starttls=offered, required or never, and none after smtps://")
    user = unquote(parts.username) if parts.username else None
    password = unquote(parts.password) if parts.password else None
    tls = parts.scheme == "smtps"
    choice: StartTls = starttls  # type: ignore[assignment]  # checked above
    return MailServer(parts.hostname, port or (465 if tls else 25), tls, choice, user, password)


def parse_smtp_url(value: object) -> str:
    """The address of a mail server, as it was given, once it is clear that `parse_mail_server` reads it.

    Raises ValueError that says what is expected.
    """
    if not isinstance(value, str):
        raise ValueError("Expected an address such as smtp://mail.example.org:587")
    parse_mail_server(value)
    return value


def parse_key(value: object) -> str:
    """A secret text without spaces and line ends. Raises ValueError that does not show it."""
    if not isinstance(value, str) or not value.isascii() or not value.isprintable() or " " in value or not value:
        raise ValueError("Expected letters, digits and signs, without spaces and line ends")
    return value


def _parts(value: object) -> list[str]:
    given = value.split(",") if isinstance(value, str) else value
    if not isinstance(given, list | tuple) or not all(isinstance(part, str) for part in given):
        raise ValueError("Expected addresses separated by commas")
    return [part.strip(" ") for part in given]


HttpUrl = Annotated[str, BeforeValidator(parse_http_url)]
HttpUrls = Annotated[tuple[str, ...], BeforeValidator(parse_http_urls)]
Recipients = Annotated[tuple[str, ...], BeforeValidator(parse_recipients)]
Sender = Annotated[str, BeforeValidator(parse_sender)]
SmtpUrl = Annotated[str, BeforeValidator(parse_smtp_url)]
Key = Annotated[str, BeforeValidator(parse_key)]
