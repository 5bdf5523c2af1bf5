"""Errors of JSON bodies: a slow second pass that names every wrong field.

msgspec stops at the first wrong value and does not name the keys of maps. When it has refused a body, the body is
taken apart level by level instead, with every part still undecoded (`msgspec.Raw`), and each part is tried alone.
"""

from __future__ import annotations

import re
import types
import typing
from difflib import get_close_matches
from typing import Any

import msgspec

from modelwatch.api.decoding.values import BEYOND_FLOAT, pointer_to
from modelwatch.errors import FieldError, InvalidInput, MalformedBody, excerpt

# A level with more parts than this is not taken apart: the undecoded parts would need a multiple of the body.
MAX_PARTS = 100_000
MAX_PROBLEMS = 100
LONGEST_HINT = 64
EXCERPT_BYTES = 400

DECODING_ERRORS = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)

_read_raw = msgspec.json.Decoder(msgspec.Raw).decode
_read_parts = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode
_read_items = msgspec.json.Decoder(list[msgspec.Raw]).decode
WORDS = {
    "bool": "true or false",
    "int": "a whole number",
    "float": "a number",
    "str": "text",
    "array": "a list",
    "object": "an object",
    "datetime": "a time as RFC 3339 writes it",
}
_TYPES = re.compile(r"`([a-z]+(?: \| [a-z]+)*)`(?! in)")
_PLACE = re.compile(r" - at `(?:key` in `)?\$([^`]*)`$")
_STEP = re.compile(r"\.([^.\[]+)|\[(\d+)\]")
_POSITION = re.compile(r"\(byte (\d+)\)$")
_NOT_A_NUMBER = (b"NaN", b"Infinity", b"-Infinity", b"nan", b"inf")
_LONE_SURROGATE = re.compile(rb"\\u[dD][89a-fA-F][0-9a-fA-F]{2}")


def check_readable(body: bytes | msgspec.Raw) -> None:
    """Raises MalformedBody, which says where, unless the body is one JSON value in UTF-8; decodes nothing."""
    content = bytes(body)
    if not content.strip():
        raise MalformedBody("The body is empty; a JSON value was expected.")
    if content.startswith((b"\xef\xbb\xbf", b"\xff\xfe", b"\xfe\xff")):
        raise MalformedBody("The body begins with a byte order mark; send JSON in UTF-8 without one.")
    try:
        if not content.isascii():
            content.decode()
        _read_raw(content)
    except UnicodeDecodeError as error:
        raise MalformedBody(f"The body is not UTF-8: {error.reason} at byte {error.start}.") from None
    except RecursionError:
        raise MalformedBody("The body is nested too deeply.") from None
    except msgspec.DecodeError as error:
        raise MalformedBody(_why_unreadable(content, str(error))) from None


def explained(body: bytes | msgspec.Raw, kind: Any, cause: BaseException) -> InvalidInput:
    """The error of a body that is no `kind`; `cause` is what msgspec said. Raises MalformedBody if it is not JSON."""
    check_readable(body)
    problems: list[FieldError] = []
    _examine(body, kind, "", problems)
    if not problems:
        problems.append(_as_problem(body, "", cause, kind))
    return InvalidInput("The body has fields that are not valid.", tuple(problems))


def _why_unreadable(content: bytes, message: str) -> str:
    found = _POSITION.search(message)
    if found:
        position = int(found[1])
        for start in (position, position - 1):
            if start >= 0 and content[start : start + 9].startswith(_NOT_A_NUMBER):
                return f"NaN and Infinity are not JSON (byte {start}); send null for a missing value."
    elif _LONE_SURROGATE.search(content):
        message = "Lone surrogate in a text, or " + message[0].lower() + message[1:]
    return f"The body is not JSON: {message.removeprefix('JSON is malformed: ')}."


def _examine(part: bytes | msgspec.Raw, kind: Any, pointer: str, problems: list[FieldError]) -> None:
    """Adds what is wrong with a part that should be a `kind`."""
    if len(problems) >= MAX_PROBLEMS:
        return
    try:
        msgspec.json.decode(part, type=kind)
    except DECODING_ERRORS as error:
        before = len(problems)
        _take_apart(part, kind, pointer, problems)
        if len(problems) == before:
            problems.append(_as_problem(part, pointer, error, kind))


def _take_apart(part: bytes | msgspec.Raw, kind: Any, pointer: str, problems: list[FieldError]) -> None:
    content = bytes(part).lstrip()
    options = typing.get_args(kind) if typing.get_origin(kind) in (typing.Union, types.UnionType) else (kind,)
    for option in options:
        origin, arguments = typing.get_origin(option), typing.get_args(option)
        if content.startswith(b"{") and content.count(b'"') <= 2 * MAX_PARTS:
            if isinstance(option, type) and issubclass(option, msgspec.Struct):
                _examine_fields(content, option, pointer, problems)
            elif origin is dict:
                for name, inner in _read_parts(content).items():
                    _examine(inner, arguments[1], pointer + pointer_to(name[:EXCERPT_BYTES]), problems)
        elif content.startswith(b"[") and origin is list and content.count(b",") < MAX_PARTS:
            for index, inner in enumerate(_read_items(content)):
                _examine(inner, arguments[0], f"{pointer}/{index}", problems)


def _examine_fields(content: bytes, kind: type[msgspec.Struct], pointer: str, problems: list[FieldError]) -> None:
    parts = _read_parts(content)
    fields = {field.encode_name: field for field in msgspec.structs.fields(kind)}
    for name, field in fields.items():
        if name in parts:
            _examine(parts[name], field.type, pointer + pointer_to(name), problems)
        elif field.required:
            problems.append(FieldError(pointer + pointer_to(name), "Required"))
    for name, part in parts.items():
        if name not in fields and len(problems) < MAX_PROBLEMS:
            message = f"Unknown field{nearest(name, fields)}"
            problems.append(FieldError(pointer + pointer_to(name[:EXCERPT_BYTES]), message, _start_of(part)))


def nearest(name: str, known: typing.Iterable[str]) -> str:
    """A hint at the known name that is meant, or which ones there are.

    >>> nearest("model_nam", ["model_name", "features"])
    '; did you mean model_name?'
    """
    close = get_close_matches(name, list(known), n=1) if len(name) <= LONGEST_HINT else []
    return f"; did you mean {close[0]}?" if close else f"; known are {', '.join(known)}"


def _as_problem(part: bytes | msgspec.Raw, pointer: str, cause: BaseException, kind: Any) -> FieldError:
    message = str(cause)
    place = _PLACE.search(message)
    if place:
        message = message[: place.start()]
        # Keys of maps are not named: the pointer ends above them.
        for step in _STEP.finditer(place[1].partition("[...]")[0]):
            pointer += pointer_to(step[1] or step[2])
    if "out of range" in message:
        message = BEYOND_FLOAT
    elif isinstance(cause, RecursionError):
        message = "Nested too deeply"
    elif message.startswith("Invalid enum value") and (choices := _choices(kind)):
        message = f"Expected {' or '.join(choices)}"
    return FieldError(pointer, in_words(message).replace("`", ""), None if place else _start_of(part))


def _choices(kind: Any) -> tuple[str, ...]:
    """The texts that a type allows, if it is one of some."""
    if typing.get_origin(kind) is typing.Literal:
        return tuple(map(str, typing.get_args(kind)))
    return next((found for each in typing.get_args(kind) if (found := _choices(each))), ())


def in_words(message: str) -> str:
    """A message of msgspec with the words of JSON instead of Python's.

    >>> in_words("Expected `float | null`, got `str`"), in_words("Expected `bool | int | float | str`, got `array`")
    ('Expected a number or null, got text', 'Expected true or false, a number or text, got a list')
    """
    return _TYPES.sub(lambda found: _types_in_words(found[1]), message)


def _types_in_words(types: str) -> str:
    names = types.split(" | ")
    words = [WORDS.get(name, name) for name in names if not (name == "int" and "float" in names)]
    return " or ".join([", ".join(words[:-1]), words[-1]] if len(words) > 1 else words)


def _start_of(part: bytes | msgspec.Raw) -> str:
    return excerpt(bytes(memoryview(part)[:EXCERPT_BYTES]).decode(errors="replace"))
