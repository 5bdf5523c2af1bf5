"""Reading YAML and JSON that people write."""

from __future__ import annotations

import contextlib
import json
from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelwatch.config.documents import MAX_BYTES, MAX_DEPTH, Format, decode_document
from modelwatch.errors import BodyTooLarge, MalformedBody


@pytest.mark.parametrize(
    ("raw", "form", "says"),
    [
        (b"a: &x [1]\nb: *x\n", "yaml", "alias 'x'"),
        (b"a: 1\na: 2\n", "yaml", "'a' is given twice"),
        (b"a: [1\n", "yaml", "line 2"),
        (b"a: !!python/object:os.system x\n", "yaml", "the tag '!!python/object:os.system'; leave it out"),
        (b'a: !!int ""\n', "yaml", "the tag '!!int'"),
        (b"a: !mine {b: 1}\n", "yaml", "the tag '!mine'"),
        (b"a: &x 1\n<<: *x\n", "yaml", "alias 'x'"),
        (b"a:\n  b: 1\n  c: {d: 1, d: 2}\n", "yaml", "line 3: 'd' is given twice"),
        (b"x: 1\na: b: c\n", "yaml", "line 2"),
        (b"? [a]\n: 1\n", "yaml", "unhashable"),
        (b"a: 0x" + b"f" * 5_000, "yaml", "line 1: a number has too many digits"),
        (b"a: " + b"9" * 5_000, "yaml", "line 1: a number has too many digits"),
        (b"a: 0b_", "yaml", "not YAML"),
        (b"a: \0", "yaml", "control characters"),
        (b"--- 1\n--- 2\n", "yaml", "not YAML"),
        (b"[" * 100_000, "yaml", "nested too deeply"),
        (b"\xff\xfe", "yaml", "not UTF-8"),
        (b'{"a": 1, "a": 2}', "json", "'a' is given twice"),
        (b'{"a": NaN}', "json", "NaN"),
        (b'{"a": -Infinity}', "json", "-Infinity"),
        (b'{"b": {"a": 1, "c": 2, "a": 3}}', "json", "'a' is given twice"),
        (b'{"a": "\\ud800"}', "json", "lone surrogate"),
        (b'{"\\udfff": 1}', "json", "lone surrogate"),
        (b'{"a": ' + b"9" * 5_000 + b"}", "json", "a number has too many digits"),
        (b"a: 1", "json", "not JSON"),
        (b"\xff\xfe", "json", "not UTF-8"),
        (b"", "json", "not JSON"),
        (b'{"a": ', "json", "not JSON"),
        (b"[" * 100_000, "json", "nested too deeply"),
    ],
)
def test_what_can_not_be_read_is_said(raw: bytes, form: Format, says: str) -> None:
    with pytest.raises(MalformedBody) as refusal:
        decode_document(raw, form)
    assert says in refusal.value.detail


def test_too_much_is_refused_unread() -> None:
    with pytest.raises(BodyTooLarge):
        decode_document(b" " * (MAX_BYTES + 1), "yaml")


def test_many_keys_are_looked_through_once() -> None:
    """The last two are the same; comparing each with each would take minutes."""
    keys = [*(f'"k{number}":1' for number in range(70_000)), '"z":1', '"z":1']
    with pytest.raises(MalformedBody, match="'z' is given twice"):
        decode_document(f"{{{','.join(keys)}}}".encode(), "json")


def test_nesting_is_fine_within_reason() -> None:
    assert decode_document(b"[" * MAX_DEPTH + b"]" * MAX_DEPTH, "yaml")
    with pytest.raises(MalformedBody, match="too deeply"):
        decode_document(b"[" * (MAX_DEPTH + 1) + b"]" * (MAX_DEPTH + 1), "yaml")


def test_dates_are_text_in_both_forms() -> None:
    assert decode_document(b"a: 2026-01-31\nb: 2026-13-99", "yaml") == {"a": "2026-01-31", "b": "2026-13-99"}


def test_an_empty_document_is_nothing() -> None:
    assert decode_document(b"", "yaml") is decode_document(b"# nothing yet\n", "yaml") is None


FRAGMENTS = (
    "a: ;b: ;- ;\n;  ;{;};[;];!!int ;!x ;&a ;*a;<<: ;? ;\";';1:2;0x;.inf;2026-01-01;null;yes;|;#;---\n;%TAG;=;\t;,"
)
PIECES = st.sampled_from(FRAGMENTS.split(";")).map(str.encode)


@given(st.lists(PIECES | st.binary(max_size=3), max_size=12).map(b"".join), st.sampled_from(get_args(Format)))
def test_whatever_comes_is_read_or_refused(raw: bytes, form: Format) -> None:
    with contextlib.suppress(MalformedBody):
        json.dumps(decode_document(raw, form)).encode()


def test_both_forms_say_the_same() -> None:
    assert decode_document(b"\xef\xbb\xbfa: [1, x]", "yaml") == decode_document(b'{"a": [1, "x"]}', "json")
