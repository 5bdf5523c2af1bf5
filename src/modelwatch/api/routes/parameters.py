"""Parameters that several routes take."""

from __future__ import annotations

from typing import Annotated

from fastapi import Path, Query
from pydantic import AfterValidator

MOST_A_PAGE = 500


def _storable(text: str | None) -> str | None:
    if text is not None and "\0" in text:
        raise ValueError("Expected text without NUL characters")
    return text


Text = Annotated[str | None, Query(min_length=1, max_length=512), AfterValidator(_storable)]
Name = Annotated[str, Path(max_length=1_024), AfterValidator(_storable)]
Actor = Annotated[str, Query(description="Who does it.")]
Limit = Annotated[int, Query(ge=1, le=MOST_A_PAGE, description="The most that one page has.")]
Cursor = Annotated[
    str | None, Query(min_length=1, max_length=4_096, description="next_cursor of the page before; none: the first.")
]

# Who does what is asked for over the API, when the request does not say.
API = "api"
