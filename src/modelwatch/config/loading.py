"""Loading of settings from the environment, `.env` and `modelwatch.yaml`. All problems are reported at once."""

from __future__ import annotations

import difflib
import functools
import io
import os
import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml
from dotenv import dotenv_values
from dotenv.parser import parse_stream
from pydantic import ValidationError

from modelwatch.config.agreements import Contradiction
from modelwatch.config.settings import Settings
from modelwatch.errors import SettingsError, excerpt

CONFIG_PATH_VARIABLE = "MODELWATCH_CONFIG"
DEFAULT_CONFIG_FILE = Path("modelwatch.yaml")
# Shorter names are too likely to be those of other programs, such as HOSTNAME, PORTS or SFTP_URL.
SHORTEST_NAME = 10
SHORTEST_NAME_FOR_TWO_SLIPS = 16
# Docker Compose reads the same `.env`; these names are its own.
COMPOSE_PREFIX = "COMPOSE_"
HONOURED = tuple(name.upper() for name in Settings.model_fields)
KNOWN = frozenset(HONOURED)
_LETTERS = {name: Counter(name) for name in HONOURED}
# Their values may hold a password, or are one: just what `repr` leaves out.
_UNSHOWN = frozenset(name.upper() for name, field in Settings.model_fields.items() if not field.repr)


@dataclass(slots=True)
class _Layer:
    """One source: its name for people, and the values it gives by setting name."""

    source: str
    values: dict[str, Any]


@dataclass(slots=True)
class _Reading:
    """Layers, strongest first, and what was wrong with them."""

    layers: list[_Layer] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)

    def add(self, source: str, given: Mapping[str, Any]) -> None:
        """Adds a source in which every key must be a setting. Upper and lower case are the same; empty is absent."""
        values: dict[str, Any] = {}
        for key, value in given.items():
            name = key.upper()
            if name not in KNOWN:
                self.problems.append(f"unknown setting {excerpt(key)!r} in {source}{_suggestion(name)}")
            elif name in values:
                self.problems.append(f"{name} is given twice in {source}, in upper and in lower case")
            elif (found := _without_space(value)) is not None and found != "":
                values[name] = found
        self.layers.append(_Layer(source, values))

    def find(self, name: str) -> tuple[str, Any] | None:
        """The strongest source that gives this setting, and the value."""
        for layer in self.layers:
            if name in layer.values:
                return layer.source, layer.values[name]
        return None


def load_settings(
    environ: Mapping[str, str] | None = None,
    dotenv: Path | None = Path(".env"),
    config_file: Path | None = None,
    **overrides: Any,
) -> Settings:
    """Settings from, strongest first: `overrides` (None: not given), the environment, `.env`, the YAML file, defaults.

    environ: os.environ if None. config_file: the path in MODELWATCH_CONFIG if None, else `modelwatch.yaml` where it
    is present. A file that is named must be there. `.warnings` names settings that this version does not use yet, and
    what is not safe of a host that other machines reach.
    Raises SettingsError that lists every problem with its source, and never shows a secret.
    """
    environ = os.environ if environ is None else environ
    reading = _Reading()
    reading.add("the command line", overrides)
    reading.layers.append(_Layer("the environment", _from_environment(environ, reading.problems)))
    if dotenv is not None and dotenv.is_file():
        reading.add(str(dotenv), _from_dotenv(dotenv, reading.problems))
    named = config_file or (Path(environ[CONFIG_PATH_VARIABLE]) if environ.get(CONFIG_PATH_VARIABLE) else None)
    path = named or DEFAULT_CONFIG_FILE
    if path.is_file():
        reading.add(str(path), _from_yaml(path, reading.problems))
    elif named is not None:
        reading.problems.append(f"there is no configuration file {path}")

    settings = _validated(reading)
    if settings is None or reading.problems:
        count = len(reading.problems)
        title = "1 problem" if count == 1 else f"{count} problems"
        raise SettingsError(f"{title} in the settings:\n" + "\n".join(f"  - {text}" for text in reading.problems))
    warnings = []
    if not settings.is_local and not settings.keys_required:
        warnings.append(
            f"HOST is {settings.host} and API_KEYS_REQUIRED is false: everyone who can reach the service can send"
            " predictions, set references and read everything"
        )
    if not settings.is_local and not settings.tls_certfile:
        warnings.append(
            f"HOST is {settings.host} and there is no TLS_CERTFILE: keys and data are sent in the clear, unless a"
            " proxy in front provides TLS"
        )
    settings._warnings = tuple(warnings)
    return settings


@functools.lru_cache(maxsize=1_000)
def misspelt_setting(given: str) -> str | None:
    """The setting that a name in the environment is a misspelling of; None for another program's name.

    A misspelling has one slip, or two in a long name. A slip is a letter that is missing, added or wrong, or two
    letters that changed places. A name that differs in a digit is none: DATABASE_URL_2 is another program's.

    >>> misspelt_setting("PSI_WARNNG_THRESHOLD"), misspelt_setting("DATABASE_URL_TEST")
    ('PSI_WARNING_THRESHOLD', None)
    """
    name = given.upper().replace("-", "_")
    for setting in HONOURED:
        slips = 2 if len(setting) >= SHORTEST_NAME_FOR_TWO_SLIPS else 1
        if (
            len(setting) >= SHORTEST_NAME
            # Also bounds the cost, as does the next: a slip adds one letter at most.
            and abs(len(setting) - len(name)) <= slips
            and (Counter(name) - _LETTERS[setting]).total() <= slips
            and re.findall(r"\d", setting) == re.findall(r"\d", name)
            and edit_distance(name, setting) <= slips
        ):
            return setting
    return None


def edit_distance(left: str, right: str) -> int:
    """Insertions, deletions, substitutions and swaps of neighbours that turn one text into the other.

    difflib does not tell a swap from a letter that is left out and another that is added: it would take DECRYPTION_KEY
    for ENCRYPTION_KEY.
    Source: Boytsov, Indexing methods for approximate dictionary searching (2011), optimal string alignment.

    >>> edit_distance("LOG_FORMAT", "LOG_FROMAT"), edit_distance("", "abc")
    (1, 3)
    """
    before: list[int] = []
    row = list(range(len(right) + 1))
    for i, a in enumerate(left, start=1):
        before, last, row = row, before, [i]
        for j, b in enumerate(right, start=1):
            cost = min(before[j] + 1, row[j - 1] + 1, before[j - 1] + (a != b))
            if i > 1 and j > 1 and a == right[j - 2] and left[i - 2] == b:
                cost = min(cost, last[j - 2] + 1)
            row.append(cost)
    return row[-1]


def _from_environment(environ: Mapping[str, str], problems: list[str]) -> dict[str, Any]:
    """The environment belongs to every program: a name is taken only as it is, and refused only if it is misspelt."""
    for key in sorted(environ.keys() - KNOWN):
        meant = misspelt_setting(key)
        if meant is not None:
            problems.append(
                f"{key} in the environment looks like a misspelling of {meant}:"
                " rename it, or unset it if it belongs to another program"
            )
    return {name: value for name in KNOWN if (value := _without_space(environ.get(name)))}


def _without_space(value: Any) -> Any:
    """A text without white space around it, such as the line end of a Secret made from a file; others as they are."""
    return value.strip() if isinstance(value, str) else value


def _from_dotenv(path: Path, problems: list[str]) -> Mapping[str, Any]:
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        problems.append(f"{path} can't be read: {error}")
        return {}
    # dotenv_values skips what it can't parse, and so would we without knowing.
    unreadable = [binding.original.line for binding in parse_stream(io.StringIO(text)) if binding.error]
    problems.extend(f"line {line} of {path} is not NAME=value" for line in unreadable)
    values = {} if unreadable else dotenv_values(stream=io.StringIO(text))
    return {name: value for name, value in values.items() if not name.startswith(COMPOSE_PREFIX)}


def _from_yaml(path: Path, problems: list[str]) -> dict[str, Any]:
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8-sig"))
    except (OSError, UnicodeDecodeError) as error:
        problems.append(f"{path} can't be read: {error}")
        return {}
    except yaml.YAMLError as error:
        # The error's own text quotes the file, which may hold secrets.
        mark = getattr(error, "problem_mark", None)
        problems.append(f"{path} is not YAML" + (f", line {mark.line + 1}" if mark is not None else ""))
        return {}
    if content is None:
        return {}
    if not isinstance(content, dict) or not all(isinstance(key, str) for key in content):
        problems.append(f"{path} must hold NAME: value pairs")
        return {}
    nested = [key for key, value in content.items() if isinstance(value, dict)]
    problems.extend(f"{key.upper()} in {path} is a mapping; settings are flat" for key in nested)
    return {key: value for key, value in content.items() if key not in nested}


def _validated(reading: _Reading) -> Settings | None:
    """The settings, or None after adding what is wrong to `reading.problems`."""
    given = {name.lower(): found for name in HONOURED if (found := reading.find(name)) is not None}
    wrong: set[str] = set()
    try:
        return _build(given)
    except ValidationError as error:
        for detail in error.errors(include_url=False, include_context=True):
            if detail["loc"] and detail["type"] != "default_factory_not_called":
                name = str(detail["loc"][0])
                wrong.add(name)
                reading.problems.append(_field_problem(name, detail["msg"], *given[name]))
    # The others must agree too, and the reader wants to know it now: look again without the wrong ones.
    try:
        _build({name: found for name, found in given.items() if name not in wrong})
    except ValidationError as error:
        for detail in error.errors(include_url=False, include_context=True):
            contradiction = detail.get("ctx", {}).get("error")
            if isinstance(contradiction, Contradiction):
                reading.problems.extend(
                    _agreement_problem(agreement.text, agreement.fields, given)
                    for agreement in contradiction.broken
                    if not wrong.intersection(agreement.fields)
                )
    return None


def _build(given: Mapping[str, tuple[str, Any]]) -> Settings:
    return Settings(**{name: value for name, (_, value) in given.items()})


def _field_problem(name: str, message: str, source: str, value: object) -> str:
    message = message.removeprefix("Value error, ")
    shown = "" if name.upper() in _UNSHOWN else f", got {excerpt(value)!r}"
    return f"{name.upper()} in {source}: {message[0].lower()}{message[1:]}{shown}"


def _agreement_problem(text: str, fields: tuple[str, ...], given: Mapping[str, tuple[str, Any]]) -> str:
    return f"{text} ({', '.join(_where_it_stands(name, given) for name in fields)})"


def _where_it_stands(name: str, given: Mapping[str, tuple[str, Any]]) -> str:
    if name not in given:
        default = Settings.model_fields[name].default
        return f"{name.upper()} is {default} by default" if default else f"{name.upper()} is not set"
    source, value = given[name]
    shown = "set" if name.upper() in _UNSHOWN else excerpt(str(value))
    return f"{name.upper()} is {shown} in {source}"


def _suggestion(name: str) -> str:
    nearest = difflib.get_close_matches(name, sorted(KNOWN), n=1, cutoff=0.7)
    return f": did you mean {nearest[0]}?" if nearest else "; docs/settings.md lists all settings"
