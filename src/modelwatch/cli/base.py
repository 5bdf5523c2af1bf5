"""The base of all commands: exit codes, errors, common options, and text for people and JSON for programs.

A character that the encoding of stdout does not have is spelled with those that it has.
"""

from __future__ import annotations

import codecs
import json
import sys
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn
from urllib.parse import quote

import typer

if TYPE_CHECKING:
    from modelwatch.cli.client import ServiceClient
    from modelwatch.config.settings import Settings
    from modelwatch.storage.engine.store import Store


EXIT_OK = 0
EXIT_FOUND = 1
EXIT_USAGE = 2
EXIT_UNREACHABLE = 3
EXIT_NO_VERDICT = 4
EXIT_OTHER_RULES = 5
EXIT_INTERRUPTED = 130

# Which severities fail a check that fails on this one.
FAILING = {"shifted": {"shifted", "warning", "alert"}, "warning": {"warning", "alert"}, "alert": {"alert"}}
FAIL_WITHOUT_VERDICT = "no-verdict"
JUDGED = {"stable", "shifted", "warning", "alert"}

URL_VARIABLE = "MODELWATCH_URL"
# No address was named: see `modelwatch.cli.address.own_address`.
DEFAULT_URL = ""


class CliError(Exception):
    """Ends the command. message: for stderr; it says what was expected and what to do. code: the exit code."""

    def __init__(self, message: str, code: int = EXIT_USAGE) -> None:
        super().__init__(message)
        self.message = message
        self.code = code


class Refused(CliError):
    """The service answered with an error. problem: its problem document (RFC 9457), as far as it sent one."""

    def __init__(self, message: str, status: int, problem: dict[str, object]) -> None:
        super().__init__(message, EXIT_USAGE)
        self.status = status
        self.problem = problem


class Unreachable(CliError):
    """The service does not answer, or not with something that can be understood."""

    def __init__(self, message: str) -> None:
        super().__init__(message, EXIT_UNREACHABLE)


Url = Annotated[
    str,
    typer.Option(
        "--url",
        help="Address of the service.",
        envvar=URL_VARIABLE,
        show_default="by HOST and PORT, or http://localhost:8000",
    ),
]
OfVersion = Annotated[str | None, typer.Option("--version", help="Version. Default: all.")]
OfEnvironment = Annotated[str | None, typer.Option("--environment", help="Environment. Default: all.")]
FailOn = Annotated[
    list[str] | None,
    typer.Option(
        metavar="warning|alert|no-verdict",
        help="Exit code 1 on a warning (or worse) or an alert, 4 if anything is not judged. Repeatable.",
    ),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print the result as JSON.")]
DatabaseUrl = Annotated[str | None, typer.Option("--database-url", help="The store.  [DATABASE_URL]")]


def print_out(text: str = "") -> None:
    """A line for people, on stdout."""
    # Named: else click writes UTF-8 where the encoding is ASCII.
    typer.echo(text, sys.stdout)


def print_err(text: str) -> None:
    """A line beside the result, on stderr."""
    typer.echo(text, sys.stderr)


def print_json(value: Any) -> None:
    """A result for programs, on stdout."""
    print_json_text(json.dumps(value, indent=2, ensure_ascii=False))


def print_json_text(text: str) -> None:
    """The same of JSON; with escapes where the encoding of stdout lacks a character: none may be lost."""
    print_out(text if fits_stdout(text) else json.dumps(json.loads(text), indent=2))


def print_yaml(value: Any) -> None:
    """A result for people and programs, on stdout; with escapes as in JSON."""
    import yaml

    text = yaml.safe_dump(value, sort_keys=False, allow_unicode=True)
    print_out((text if fits_stdout(text) else yaml.safe_dump(value, sort_keys=False)).rstrip())


def write_text(path: Path, text: str) -> None:
    """Writes a result into a file. Raises CliError when that is not possible."""
    try:
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise CliError(f"{path} can't be written: {error.strerror}") from error


def settings_with(overrides: Mapping[str, Any]) -> Settings:
    """The settings; options that are None were not given. Raises SettingsError that lists what is wrong."""
    from modelwatch.config import load_settings

    return load_settings(**overrides)


@contextmanager
def connected(url: str, *, patience: float = 60.0) -> Iterator[ServiceClient]:
    """A client of the service at this address, once something answers there.

    patience: seconds during which a request that gets no answer is sent again. Raises Unreachable, and CliError when
    url is no address.
    """
    from modelwatch.cli.client import ServiceClient

    with ServiceClient(url, patience=patience) as service:
        service.check_reachable()
        yield service


@contextmanager
def migrated_store(settings: Settings) -> Iterator[Store]:
    """The store of these settings with the newest schema. Raises StartupError and StoreUnreachable."""
    from modelwatch.server.startup import migrate_store, opened_store

    migrate_store(settings)
    with opened_store(settings) as store:
        yield store


def fail_on_of(given: list[str] | None) -> list[str]:
    """The values of --fail-on. Raises CliError for one that is none."""
    for each in given or []:
        if each not in FAILING and each != FAIL_WITHOUT_VERDICT:
            raise CliError(f"--fail-on {each!r}: expected shifted, warning, alert or {FAIL_WITHOUT_VERDICT}")
    return given or []


def exit_code(severities: Collection[str], fail_on: Collection[str]) -> int:
    """The exit code of a check with these severities: findings come before what could not be judged.

    >>> exit_code({"stable", "no_data"}, ["alert"]), exit_code({"stable", "no_data"}, ["no-verdict"])
    (0, 4)
    >>> exit_code({"no_data"}, ["alert"]), exit_code({"alert", "no_data"}, ["warning", "no-verdict"])
    (4, 1)
    """
    found = set(severities)
    if any(found & FAILING.get(each, set()) for each in fail_on):
        return EXIT_FOUND
    unjudged = not found & JUDGED if FAIL_WITHOUT_VERDICT not in fail_on else not found or bool(found - JUDGED)
    return EXIT_NO_VERDICT if fail_on and unjudged else EXIT_OK


def show_current(
    url: str,
    model: str,
    check: str,
    version: str | None,
    environment: str | None,
    *,
    fail_on: list[str] | None,
    as_json: bool,
    show: Callable[[Mapping[str, Any]], None],
) -> NoReturn:
    """Prints what a check of a service says now of each stream of a model, and raises Exit with its code.

    check: the last part of the address. show: prints one report for people.
    """
    fail_on = fail_on_of(fail_on)
    params = {"version": version, "environment": environment}
    with connected(url, patience=10.0) as service:
        given = {name: value for name, value in params.items() if value is not None}
        answer = service.get(f"/api/v1/models/{quote(model, safe='')}/{check}", given)
    reports: list[Mapping[str, Any]] = answer["current"]
    if as_json:
        print_json(answer)
    else:
        if not reports:
            print_out("No predictions of this version and environment.")
        for report in reports:
            show(report)
    raise typer.Exit(exit_code({report["severity"] for report in reports}, fail_on))


HANDLER = "modelwatch.spelled"
_SPELLED = {"−": "-", "–": "-", "→": "->", "…": "...", "×": "x", "∞": "inf", "σ": "sigma"}
_RAISED = dict(zip("⁻⁰¹²³⁴⁵⁶⁷⁸⁹", "-0123456789", strict=True))


def never_fail_at_a_character() -> None:
    """Prints on stdout what is near to a character that its encoding lacks, and "?" where nothing is.

    A handler that PYTHONIOENCODING names stays, and so does that of stderr, which writes escapes.
    """
    codecs.register_error(HANDLER, spelled)
    # A stand-in, as of a notebook, takes any text; None: there is none. Python's own in the locale C: surrogateescape.
    if getattr(sys.stdout, "errors", None) in ("strict", "surrogateescape") and hasattr(sys.stdout, "reconfigure"):
        sys.stdout.reconfigure(errors=HANDLER)


def spelled(error: UnicodeError) -> tuple[str, int]:
    """What is printed for the first character that can't be encoded, and where to go on: a handler of `codecs`.

    An exponent is spelled whole, also where the encoding has some of its digits, as Latin-1 has ¹, ² and ³.
    """
    if not isinstance(error, UnicodeEncodeError):
        raise error
    text, start = error.object, error.start
    end = start
    while end < len(text) and text[end] in _RAISED:
        end += 1
    if end == start:
        return _SPELLED.get(text[start], " " if text[start].isspace() else "?"), start + 1
    begins = start == 0 or text[start - 1] not in _RAISED
    return ("^" if begins else "") + "".join(_RAISED[each] for each in text[start:end]), end


def fits_stdout(text: str) -> bool:
    """Whether the encoding of stdout has all characters of the text."""
    try:
        text.encode(getattr(sys.stdout, "encoding", None) or "utf-8")
    except UnicodeEncodeError:
        return False
    return True
