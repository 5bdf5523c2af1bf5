"""Texts: made safe, measured without a font, and cut to a width."""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping, Sequence
from functools import lru_cache

FONT = 11.0
# Above and below the baseline, of a text of FONT pixels.
ASCENT, DESCENT = 9.0, 3.0
# DejaVu Sans, the widest font that a bare Linux falls back to, needs this much more than Arial.
RESERVE = 1.16
BOLD = 1.13
ELLIPSIS = "…"
REPLACEMENT = "\ufffd"

# Advance widths in thousandths of the size: those of Helvetica and Arial (published Adobe font metrics), and more where
# DejaVu Sans needs more than RESERVE.
_ADVANCES: dict[str, int] = {
    **dict.fromkeys("ijl'\u2009\u200a", 240),
    **dict.fromkeys("I ,.\u00a0\u202f·", 280),
    **dict.fromkeys("f|:;/\\", 304),
    **dict.fromkeys("t!r()[]-`", 350),
    **dict.fromkeys('cksz*J"', 500),
    **dict.fromkeys("vxy°", 512),
    **dict.fromkeys("abdeghnopquL0123456789_$?{}–", 560),
    **dict.fromkeys("FTZ", 611),
    **dict.fromkeys("ABEKPSVXY&", 680),
    **dict.fromkeys("wCDHNRU", 722),
    **dict.fromkeys("+<>=~^#×−≤≥±→↓", 724),
    **dict.fromkeys("GOQ", 778),
    **dict.fromkeys("mM", 842),
    **dict.fromkeys("W%жшщюфЖШЩЮФЫω", 946),
    **dict.fromkeys("…—@", 1_000),
    **dict.fromkeys("⁰¹²³⁴⁵⁶⁷⁸⁹⁻", 456),
}
_OTHER = 667
_WIDE = 1_000
# Indic and other scripts shape several code points to wide syllables, and their fonts differ most.
_LETTER_OF_OTHER_SCRIPT = 900
_SCRIPTS = {"LATIN": _OTHER, "GREEK": 740, "CYRILLIC": 800, "HEBREW": _OTHER, "ARABIC": 850}
_ISOLATE, _POP = "\u2068", "\u2069"
_TURNS = frozenset("\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")


def clean(text: str) -> str:
    """Text without what XML refuses, without line breaks, and without marks that turn the direction of what follows.

    Pairs that `isolated` has set are kept.

    >>> clean("a\\x00b\\nc"), clean("x\\u202ey")
    ('a\ufffdb c', 'x\ufffdy')
    """
    return text if text.isascii() and text.isprintable() else _cleaned(text)


@lru_cache(maxsize=4_096)
def _cleaned(text: str) -> str:
    depth = 0
    kept: list[str] = []
    for character in text:
        if character == _ISOLATE:
            depth += 1
        elif character == _POP and depth:
            depth -= 1
        elif character.isspace():
            character = character if character in "\u00a0\u2009\u200a\u202f" else " "
        elif character in _TURNS or unicodedata.category(character) in ("Cc", "Cs", "Cn", "Co"):
            character = REPLACEMENT
        kept.append(character)
    return "".join(kept) + _POP * depth


def isolated(name: str) -> str:
    """Name for a sentence, isolated: text from right to left does not turn what follows it.

    >>> isolated("income"), isolated("\u05d4\u05db\u05e0\u05e1\u05d4") == "\\u2068\u05d4\u05db\u05e0\u05e1\u05d4\\u2069"
    ('income', True)
    """
    plain = "".join(each for each in clean(name) if each not in _TURNS)
    return plain if plain.isascii() or not any(map(_goes_left, plain)) else _ISOLATE + plain + _POP


def _goes_left(character: str) -> bool:
    return unicodedata.bidirectional(character) in ("R", "AL", "AN")


def width(text: str, *, size: float = FONT, bold: bool = False) -> float:
    """Width in pixels that a line of text takes at most, in the fonts of the style sheet.

    >>> width("") == 0.0 and width("漢字") > width("ab") and width("ab", bold=True) > width("ab")
    True
    >>> 50 < width("transaction") < 80
    True
    """
    return sum(map(_advance, text)) * size / 1_000 * RESERVE * (BOLD if bold else 1.0)


@lru_cache(maxsize=4_096)
def _advance(character: str) -> int:
    known = _ADVANCES.get(character)
    if known is not None:
        return known
    if (
        character in _TURNS
        or character in "\u200b\u200c\u200d"
        or unicodedata.category(character) in ("Mn", "Me", "Cf")
    ):
        return 0
    if unicodedata.east_asian_width(character) in "WF":
        return _WIDE
    base = unicodedata.normalize("NFD", character)[0]
    if base != character:
        return _ADVANCES.get(base, _OTHER)
    if character == REPLACEMENT or (not character.isascii() and unicodedata.category(character)[0] in "LMS"):
        script = unicodedata.name(character, "").partition(" ")[0]
        return _SCRIPTS.get(script, _LETTER_OF_OTHER_SCRIPT)
    return _OTHER


def clipped(text: str, room: float, *, size: float = FONT, bold: bool = False) -> str:
    """Text that fits into `room` pixels, with an ellipsis where something was cut; never cut inside a character.

    >>> clipped("short", 200), clipped("a_name_that_is_much_too_long", 60).endswith("…")
    ('short', True)
    >>> clipped("anything", 0)
    ''
    """
    text = clean(text)
    # More characters than pixels never fit, and a long name need not be measured to its end.
    shortened = text[: max(int(room), 0)]
    if len(shortened) == len(text) and width(text, size=size, bold=bold) <= room:
        return text
    room -= width(ELLIPSIS, size=size, bold=bold)
    if room < 0:
        return ""
    used, end = 0.0, 0
    for index, character in enumerate(shortened):
        used += width(character, size=size, bold=bold)
        if used > room:
            break
        if index + 1 >= len(text) or not _joins(text[index + 1], character):
            end = index + 1
    kept = text[:end].rstrip()
    # Inside of an isolated name, whose direction it takes.
    return clean(kept + ELLIPSIS)


def shortened(text: str, room: float, *, size: float = FONT, bold: bool = False) -> str:
    """Name that fits into `room` pixels, with an ellipsis in its middle where something was left out: names of columns
    begin alike, and end in what tells them apart.

    >>> shortened("short", 200), shortened("amount_of_the_last_30_days", 90), shortened("anything", 0)
    ('short', 'amou…0_days', '')
    """
    text = clean(text)
    if len(text) <= room and width(text, size=size, bold=bold) <= room:
        return text
    half = (room - width(ELLIPSIS, size=size, bold=bold)) / 2
    head = _fitting(text, half, size, bold)
    # What the beginning does not need is the end's.
    left = 2 * half - width(head, size=size, bold=bold)
    tail = _fitting(text[::-1], left, size, bold)[::-1]
    while tail and _joins(tail[0], text[len(text) - len(tail) - 1]):
        tail = tail[1:]
    return clean(f"{head.rstrip()}{ELLIPSIS}{tail.lstrip()}") if head or tail else ""


def shortened_apart(names: Sequence[str], room: float, *, size: float = FONT, bold: bool = False) -> list[str]:
    """Each name as `shortened`, no two different ones as the same text: where their middles differ, from there on.

    >>> shortened_apart(["payments_of_march_in_euro", "payments_of_april_in_euro", "age"], 90)
    ['p…march_in…', 'p…april_in_e…', 'age']
    """
    found = {name: shortened(name, room, size=size, bold=bold) for name in names}
    for some in _alike(found):
        found |= _apart(some, 0, room, size, bold)
    return [found[name] for name in names]


def _apart(names: Sequence[str], known: int, room: float, size: float, bold: bool) -> dict[str, str]:
    """The names from where they differ on. known: so far they are the same."""
    columns = enumerate(zip(*names, strict=False))
    begin = next((place for place, each in columns if len(set(each)) > 1), min(map(len, names)))
    head = names[0][: min(begin, 1)] + ELLIPSIS
    rest = room - width(head, size=size, bold=bold)
    if rest < 0:
        return {}
    found = {name: clean(head + clipped(name[begin:], rest, size=size, bold=bold)) for name in names}
    for some in _alike(found):
        if begin > known:
            found |= _apart(some, begin, room, size, bold)
    return found


def _alike(texts: Mapping[str, str]) -> list[list[str]]:
    by_text: dict[str, list[str]] = {}
    for name, short in texts.items():
        by_text.setdefault(short, []).append(name)
    return [some for some in by_text.values() if len(some) > 1]


def _fitting(text: str, room: float, size: float, bold: bool) -> str:
    """The longest beginning that fits."""
    used, end = 0.0, 0
    for index, character in enumerate(text):
        used += width(character, size=size, bold=bold)
        if used > room:
            break
        if index + 1 >= len(text) or not _joins(text[index + 1], character):
            end = index + 1
    return text[:end]


def _joins(character: str, before: str) -> bool:
    return unicodedata.category(character) in ("Mn", "Me", "Mc") or character == "\u200d" or before == "\u200d"
