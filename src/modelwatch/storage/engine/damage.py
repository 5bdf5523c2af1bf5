"""Rows that can't be read: each is named, and left out where many are read, so that it answers for itself alone."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import TypeVar

from modelwatch.errors import DamagedData

# A row that lists leave out is read many times a minute, and the log shall still have it on the next day.
SECONDS_BETWEEN_LOGS = 3_600.0
MOST_REMEMBERED = 10_000
LEFT_OUT = "It is left out of lists."

log = logging.getLogger(__name__)

Raw = TypeVar("Raw")
Item = TypeVar("Item")
Row = TypeVar("Row")

_logged: dict[str, float] = {}


def decoded(what: str, decode: Callable[[Raw], Item], raw: Raw) -> Item:
    """What `decode` makes of stored bytes or text. Raises DamagedData that says of `what` they are when it can't.

    >>> decoded("The age", int, "7")
    7
    >>> decoded("The age", int, "x7")
    Traceback (most recent call last):
    modelwatch.errors.DamagedData: The age can't be read: invalid literal for int() with base 10: 'x7'.
    """
    try:
        return decode(raw)
    except ValueError as error:  # also of msgspec, of counts and binnings, and of text that is not UTF-8
        raise DamagedData(f"{what} can't be read: {error}.") from error


def readable(rows: Iterable[Row], decode: Callable[[Row], Item], consequence: str = LEFT_OUT) -> Iterator[Item]:
    """What `decode` makes of each row; one for which it raises DamagedData is logged, with the consequence, and left
    out."""
    for row in rows:
        try:
            item = decode(row)
        except DamagedData as error:
            log_damage(error, consequence)
        else:
            yield item


@contextmanager
def passing_over(consequence: str) -> Iterator[None]:
    """Ends its block where DamagedData is raised in it, and logs that, with the consequence: what comes after the block
    does not wait for what can't be read."""
    try:
        yield
    except DamagedData as error:
        log_damage(error, consequence)


def log_damage(error: DamagedData, consequence: str) -> None:
    """Logs what can't be read and what follows from it, the same once an hour."""
    text, now = f"{error} {consequence}", time.monotonic()
    if now - _logged.get(text, -SECONDS_BETWEEN_LOGS) < SECONDS_BETWEEN_LOGS:
        return
    if len(_logged) >= MOST_REMEMBERED:
        _logged.clear()
    _logged[text] = now
    log.warning("%s", text)
