"""Cursors of lists: where the next page begins, as text that clients pass back unread."""

from __future__ import annotations

import base64
import binascii
from typing import Annotated

import msgspec

from modelwatch.errors import FieldError, InvalidInput, excerpt

# What the store can compare with: 64 bits, and text without NUL characters.
_Number = Annotated[int, msgspec.Meta(ge=-(2**63), le=2**63 - 1)]
_Name = Annotated[str, msgspec.Meta(pattern=r"\A[^\0]*\Z")]


def cursor_of(position: tuple[int, str]) -> str:
    """The text of a position.

    >>> position_of(cursor_of((5, "a")))
    (5, 'a')
    """
    return base64.urlsafe_b64encode(msgspec.json.encode(position)).decode().rstrip("=")


def position_of(cursor: str) -> tuple[int, str]:
    """The position of a cursor. Raises InvalidInput when it is none of ours."""
    try:
        raw = base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True)
        return msgspec.json.decode(raw, type=tuple[_Number, _Name])
    except (binascii.Error, ValueError, msgspec.MsgspecError):
        problem = FieldError("/cursor", "Expected the next_cursor of the page before", excerpt(cursor))
        raise InvalidInput("The list can't be continued from there.", (problem,)) from None
