"""Text that people wrote, made fit to be shown anywhere; sentences, lists and durations; small charts of blocks."""

from __future__ import annotations

import itertools
import re
import unicodedata
from collections.abc import Sequence

from modelwatch.charts.drawing.text import characters
from modelwatch.times import SECONDS_PER_DAY, SECONDS_PER_HOUR

BLOCKS = "▁▂▃▄▅▆▇█"


def clean(text: str) -> str:
    """One line without control, format and unassigned characters: nothing that moves a cursor or turns text round.

    >>> clean("a\\r\\nBcc: b\\x00\\u202e!")
    'a Bcc: b !'
    """
    if text.isprintable():
        return " ".join(text.split())
    return " ".join("".join(" " if unicodedata.category(char)[0] in "CZ" else char for char in text).split())


def clipped(text: str, length: int) -> str:
    """The text, clean and at most so many characters long.

    >>> clipped("transaction", 6)
    'trans…'
    """
    plain = clean(text)
    return plain if len(plain) <= length else "".join(_first(characters(plain), length - 1)) + "…"


def shortened(text: str, length: int) -> str:
    """Name, clean and at most so many characters long: cut in its middle, since names begin alike, and never between a
    letter and its marks.

    >>> shortened("amount_of_the_last_30_days", 14), shortened("amount", 6)
    ('amount_…0_days', 'amount')
    """
    plain = clean(text)
    if len(plain) <= length:
        return plain
    parts = characters(plain)
    tail = (length - 1) // 2
    end = _first(parts[::-1], tail)[::-1]
    return f"{''.join(_first(parts, length - 1 - tail))}…{''.join(end)}"


def _first(parts: Sequence[str], length: int) -> list[str]:
    """The most of the first ones that are together no longer."""
    ends = itertools.accumulate(map(len, parts))
    return [part for part, end in zip(parts, ends, strict=True) if end <= length]


def span(seconds: int) -> str:
    """Duration in the two largest units that matter.

    >>> span(45), span(3_600), span(93_780), span(0)
    ('45 s', '1 h', '1 d 2 h', '0 s')
    """
    parts = []
    for size, unit in ((SECONDS_PER_DAY, "d"), (SECONDS_PER_HOUR, "h"), (60, "min"), (1, "s")):
        count, seconds = divmod(max(seconds, 0), size)
        if count:
            parts.append(f"{count} {unit}")
        elif parts:
            break
    return " ".join(parts[:2]) or "0 s"


def lookback(text: str) -> str:
    """Look-back as people write it.

    >>> lookback("24h"), lookback("7d")
    ('24 h', '7 d')
    """
    return re.sub(r"(?<=\d)(?=[a-z])", " ", text)


def sparkline(values: Sequence[float]) -> str:
    """Values as a line of blocks, the lowest from 0 on, or from the smallest where all are large.

    >>> sparkline([0.01, 0.02, 0.3, 0.6]), sparkline([0.9, 0.89, 0.84]), sparkline([0.5, 0.5])
    ('▁▁▅█', '█▇▁', '██')
    """
    low, high = lowest_shown(values), max(values, default=0.0)
    if high <= low:
        return BLOCKS[0] * len(values)
    return "".join(BLOCKS[round((len(BLOCKS) - 1) * (value - low) / (high - low))] for value in values)


def lowest_shown(values: Sequence[float]) -> float:
    """Lower end of a small chart of the values.

    >>> lowest_shown([0.1, 0.6]), lowest_shown([0.84, 0.9]), lowest_shown([])
    (0.0, 0.84, 0.0)
    """
    low, high = min(values, default=0.0), max(values, default=0.0)
    return 0.0 if 0.0 <= low < high / 2 or low == high else low


def capitalized(sentence: str) -> str:
    """The sentence with a large first letter; the rest as it is."""
    return sentence[:1].upper() + sentence[1:]


def sentence(text: str) -> str:
    """The text as a sentence.

    >>> sentence("there are no labels"), sentence("There are none.")
    ('There are no labels.', 'There are none.')
    """
    return f"{capitalized(text).rstrip('.')}."


def listed(names: list[str], total: int) -> str:
    """Some names of so many in all.

    >>> listed(["a", "b"], 2), listed(["a", "b"], 5), listed(["a"], 1)
    ('a and b', 'a, b and 3 more', 'a')
    """
    left = total - len(names)
    if left > 0:
        return f"{', '.join(names)} and {left:,} more"
    return " and ".join([", ".join(names[:-1]), names[-1]]) if len(names) > 1 else "".join(names)
