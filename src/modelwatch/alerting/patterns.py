"""Regular expressions of matchers: RE2's, as in Prometheus and Alertmanager.

Matchers come from people, and `re` backtracks: a pattern such as `(a+)+b` keeps it busy for years. RE2 matches in
linear time, and so has no back references and no look-around.
"""

from __future__ import annotations

import logging
from functools import lru_cache
from typing import Protocol, cast

import re2

log = logging.getLogger(__name__)

LONGEST_PATTERN = 256
LONGEST_VALUE = 512
# Bytes of one compiled pattern and its tables.
MAX_MEMORY = 1024 * 1024


class PatternError(ValueError):
    """The pattern can't be read; the message says why, in words for the person who wrote it."""


class Pattern(Protocol):
    """A compiled pattern."""

    def fullmatch(self, text: str) -> object | None:
        """Match of the whole text; None where the pattern does not match it."""


@lru_cache(maxsize=4_096)
def matches(pattern: str, text: str) -> bool:
    """True when the whole text matches; of a longer text, only its first 512 characters are matched.

    A pattern that can't be read matches nothing, which is logged: what an earlier release took must not stop the
    evaluation of alerts.

    >>> matches("fraud_.*|risk", "fraud_v2"), matches("raud", "fraud"), matches("[[:alpha:]]+", "abc")
    (True, False, True)
    """
    try:
        return compile_pattern(pattern).fullmatch(text[:LONGEST_VALUE]) is not None
    except PatternError as error:
        log.warning("The pattern %r of a silence matches nothing, since it is not valid: %s", pattern, error)
        return False


@lru_cache(maxsize=512)
def compile_pattern(text: str) -> Pattern:
    """The pattern of a text in RE2's syntax. Raises PatternError when RE2 can't read it, or it is too large."""
    if len(text) > LONGEST_PATTERN:
        raise PatternError(f"Expected at most {LONGEST_PATTERN} characters, got {len(text)}")
    options = re2.Options()
    options.log_errors = False
    options.max_mem = MAX_MEMORY
    try:
        return cast(Pattern, re2.compile(text, options))
    except re2.error as error:
        [reason] = error.args
        raise PatternError(reason.decode() if isinstance(reason, bytes) else str(reason)) from None
