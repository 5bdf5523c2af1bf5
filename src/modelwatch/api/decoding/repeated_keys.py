"""JSON objects that name a key twice: it is unknown which of the two was meant, and a decoder keeps the last."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import msgspec
import numpy as np

from modelwatch.api.decoding.values import pointer_to
from modelwatch.errors import FieldError, InvalidInput, excerpt
from modelwatch.events import FeatureBody, PredictionBody

_BLANKS = b" \t\n\r"
QUOTATION_MARK, COLON, BLANK = b'": '
# Bytes from which on whole arrays are compared, and how many at a time.
LONG_TEXT = 1 << 16

_decode = msgspec.json.Decoder().decode
_encode = msgspec.json.Encoder().encode
_members = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode

_Steps = tuple[str | int, ...]


class _Pairs(list[tuple[str, Any]]):
    """An object as it is written."""


def check_keys(text: bytes | msgspec.Raw, row: msgspec.Struct | None = None) -> None:
    """Raises InvalidInput that names a key which an object has twice. text: JSON that can be decoded. row: what was
    decoded from it; it spares nearly every row that has a key once a closer look."""
    written = bytes(text)
    if isinstance(row, PredictionBody):
        known = _keys_in(row)
        # Each key has a colon. They are counted in a quarter of the time, and most rows have no other one.
        if known == written.count(b":") or known == keys_of(written):
            return
    if keys_of(written) > keys_of(_encode(_decode(written))):
        raise _named(written)


def check_keys_of_lists(text: bytes) -> None:
    """Checks a large object and the objects in it, without decoding their lists. Raises InvalidInput like
    `check_keys`."""
    for place in (msgspec.Raw(text), *_members(text).values()):
        written = bytes(place)
        if not written.startswith(b"{"):
            continue
        inner = _members(written)
        if keys_of(written) > len(inner) + sum(keys_of(bytes(each)) for each in inner.values()):
            raise _named(text)


def keys_of(text: bytes) -> int:
    """Number of keys in a JSON text, repeated ones included."""
    # A quotation mark before a colon ends a key. Within a text it is escaped, and the same however often it is written.
    if len(text) > LONG_TEXT:
        number = _keys_without_blanks(text)
        if number is not None:
            return number
    return text.translate(None, _BLANKS).count(b'":')


def _keys_without_blanks(text: bytes) -> int | None:
    """Number of keys in a JSON text where each is directly before its colon, some kilobytes at a time; None: not so."""
    characters, number = np.frombuffer(text, dtype=np.uint8), 0
    for start in range(0, len(text), LONG_TEXT):
        part = characters[start : start + LONG_TEXT + 1]
        before, is_colon = part[:-1], part[1:] == COLON
        if np.any(is_colon & (before <= BLANK)):
            return None
        number += int(np.count_nonzero(is_colon & (before == QUOTATION_MARK)))
    return number


def _keys_in(row: PredictionBody) -> int:
    """The keys that a row has for sure; those that are null may be there as well."""
    fields = msgspec.structs.astuple(row)
    features, probability = row.features, row.prediction_probability
    return (
        len(fields)
        - fields.count(None)
        + (len(features) if isinstance(features, dict) else _keys_in_list(features))
        + (len(probability) if isinstance(probability, dict) else 0)
    )


def _keys_in_list(features: list[FeatureBody]) -> int:
    # Few, if any: one look finds them in a third of the time.
    some_null = [each for each in features if each.value is None or each.data_type is None]
    nulls = sum((each.value is None) + (each.data_type is None) for each in some_null)
    return 3 * len(features) - nulls


def _named(written: bytes) -> InvalidInput:
    tree = json.loads(written, object_pairs_hook=_Pairs, parse_int=str, parse_float=str)
    steps, key = next(_found(tree, ()), ((), ""))
    problem = FieldError(pointer_to(*steps, key), "Duplicate key", excerpt(key))
    return InvalidInput("An object has a duplicate key.", (problem,))


def _found(tree: Any, steps: _Steps) -> Iterator[tuple[_Steps, str]]:
    """The keys that are there again, and where."""
    if isinstance(tree, _Pairs):
        known: set[str] = set()
        for key, value in tree:
            if key in known:
                yield steps, key
            known.add(key)
            yield from _found(value, (*steps, key))
    elif isinstance(tree, list):
        for index, item in enumerate(tree):
            yield from _found(item, (*steps, index))
