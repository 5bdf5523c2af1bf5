"""Reading YAML and JSON that people write."""

from __future__ import annotations

import pytest

from modelwatch.config.documents import MAX_BYTES, Format, decode_document
from modelwatch.errors import BodyTooLarge, MalformedBody


@pytest.mark.parametrize(
    ("raw", "form", "says"),
    [
        (b"a: &x [1]\nb: *x\n", "yaml", "alias 'x'"),
        (b"a: 1\na: 2\n", "yaml", "'a' is given twice"),
        (b"a: [1\n", "yaml", "line 2"),
        (b"a: !!python/object:os.system x\n", "yaml", "not YAML"),
        (b"--- 1\n--- 2\n", "yaml", "not YAML"),
        (b"[" * 100_000, "yaml", "nested too deeply"),
        (b"\xff\xfe", "yaml", "not UTF-8"),
        (b'{"a": 1, "a": 2}', "json", "'a' is given twice"),
        (b'{"a": NaN}', "json", "NaN"),
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


def test_both_forms_say_the_same() -> None:
    assert decode_document(b"\xef\xbb\xbfa: [1, x]", "yaml") == decode_document(b'{"a": [1, "x"]}', "json")
