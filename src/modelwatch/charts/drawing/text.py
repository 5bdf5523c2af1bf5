"""Texts: made safe, measured without a font, and cut to a width."""

from __future__ import annotations

import itertools
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
# Code points: a letter and the 30 marks that Unicode's stream-safe format allows it (UAX 15), and one that joins.
LONGEST_CHARACTER = 32
# So often names are told apart; each time they are told from one more place on.
ROUNDS = 6

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
_WITHOUT_TURNS = dict.fromkeys(map(ord, _TURNS))


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
    plain = clean(name).translate(_WITHOUT_TURNS)
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
    whole, parts = _whole(text, room, size, bold)
    if whole is not None:
        return whole
    room -= width(ELLIPSIS, size=size, bold=bold)
    # Inside of an isolated name, whose direction it takes.
    return "" if room < 0 else clean("".join(_fitting(parts, room, size, bold)).rstrip() + ELLIPSIS)


def shortened(text: str, room: float, *, size: float = FONT, bold: bool = False) -> str:
    """Name that fits into `room` pixels, with an ellipsis in its middle where something was left out: names of columns
    begin alike, and end in what tells them apart.

    >>> shortened("short", 200), shortened("amount_of_the_last_30_days", 90), shortened("anything", 0)
    ('short', 'amou…0_days', '')
    """
    whole, parts = _whole(text, room, size, bold)
    if whole is not None:
        return whole
    half = (room - width(ELLIPSIS, size=size, bold=bold)) / 2
    if half < 0:
        return ""
    head = _fitting(parts, half, size, bold)
    # What the beginning does not need is the end's.
    tail = _fitting(parts[::-1], 2 * half - _width_of(head, size, bold), size, bold)[::-1]
    return clean(f"{''.join(head).rstrip()}{ELLIPSIS}{''.join(tail).lstrip()}")


def _whole(text: str, room: float, size: float, bold: bool) -> tuple[str | None, Sequence[str]]:
    """The text where it fits as it is, or without what its characters can't carry; and else its characters."""
    text = clean(text)
    # More characters than pixels never fit, and a long name need not be measured to its end.
    if len(text) <= room and width(text, size=size, bold=bold) <= room:
        return text, ()
    parts = characters(text)
    fits = len(parts) <= room and _width_of(parts, size, bold) <= room
    return clean("".join(parts)) if fits else None, parts


def shortened_apart(names: Sequence[str], room: float, *, size: float = FONT, bold: bool = False) -> list[str]:
    """Each name as `shortened` and isolated, no two different ones as the same text where that has room: names that
    would be are told from where they differ on, and numbered if they have no room for it.

    >>> shortened_apart(["payments_of_march_in_euro", "payments_of_april_in_euro", "age"], 90)
    ['p…march_in…', 'p…april_in_e…', 'age']
    >>> names = [f"payments_of_{month}_in_euro_{how}" for month in ("march", "april") for how in ("mean", "summ")]
    >>> shortened_apart(names, 100)
    ['p…mar…mean', 'p…mar…sum…', 'p…april…mea…', 'p…april…sum…']
    >>> shortened_apart(["class_5", "class_15"], 32), shortened_apart(["class_5", "class_15"], 14)
    (['…_5', '…15'], ['…', '…'])
    """
    bare = {name: clean(name.translate(_WITHOUT_TURNS)) for name in names}
    found = {name: shortened(text, room, size=size, bold=bold) for name, text in bare.items()}
    parts: dict[str, list[str]] = {}
    places: dict[str, list[int]] = {}
    for _ in range(ROUNDS):
        taken = set(found.values())
        # Of all names: those that were told apart from one may have become like another.
        for some in _alike(found):
            begin = _difference([parts.setdefault(name, characters(bare[name])) for name in some])
            for name in some:
                known = places.get(name, [])
                # What began there had no room for where it differs.
                places[name] = [begin] if begin in known else sorted([*known, begin])
                text = _told(parts[name], places[name], room, size, bold) or _end(parts[name], room, size, bold)
                if text and text not in taken:
                    found[name] = text
    found |= _numbered(found, bare, room, size, bold)
    return [isolated(found[name]) for name in names]


def _difference(names: Sequence[Sequence[str]]) -> int:
    """The first place where the names are not all the same."""
    columns = enumerate(zip(*names, strict=False))
    return next((place for place, each in columns if len(set(each)) > 1), min(map(len, names)))


def _told(parts: Sequence[str], places: Sequence[int], room: float, size: float, bold: bool) -> str:
    """The first character, and as much from each of these places on as an equal part of the room has; empty where
    there is none, or nothing to say, at one of them."""
    text, at = "".join(parts[:1]), 1
    left = room - width(text + ELLIPSIS * (len(places) + 1), size=size, bold=bold)
    if left < 0:
        return ""
    for index, place in enumerate(places):
        begin = max(place, at)
        end = places[index + 1] if index + 1 < len(places) else len(parts)
        piece = _fitting(parts[begin:end], left / (len(places) - index), size, bold)
        if not piece and place >= at:
            return ""
        left -= _width_of(piece, size, bold)
        text += (ELLIPSIS if begin > at else "") + "".join(piece)
        at = begin + len(piece)
    return text + (ELLIPSIS if at < len(parts) else "")


def _end(parts: Sequence[str], room: float, size: float, bold: bool) -> str:
    """As much of the end as the room has; empty where that is nothing, or all."""
    end = _fitting(parts[::-1], room - width(ELLIPSIS, size=size, bold=bold), size, bold)[::-1]
    return ELLIPSIS + "".join(end) if 0 < len(end) < len(parts) else ""


def _numbered(
    texts: Mapping[str, str], bare: Mapping[str, str], room: float, size: float, bold: bool
) -> dict[str, str]:
    """Those names that still are like an earlier one, with running numbers, if these have room beside some of the
    name."""
    found: dict[str, str] = {}
    taken, numbers = set(texts.values()), itertools.count(2)
    for name in (name for some in _alike(texts) for name in some[1:]):
        for number in numbers:
            mark = f" ({number})"
            short = shortened(bare[name], room - width(mark, size=size, bold=bold), size=size, bold=bold)
            if short in ("", ELLIPSIS):
                break
            if short + mark not in taken:
                found[name] = short + mark
                break
    return found


def _alike(texts: Mapping[str, str]) -> list[list[str]]:
    by_text: dict[str, list[str]] = {}
    for name, short in texts.items():
        by_text.setdefault(short, []).append(name)
    return [some for some in by_text.values() if len(some) > 1]


def characters(text: str) -> list[str]:
    """The characters of a text as people see them, each with its marks: a text is cut between them. Flags and
    skin tones are two each. Marks beyond those that any language has, which would make a short name endless, are left
    out.

    >>> characters("cafe\u0301") == ["c", "a", "f", "e\u0301"], len(characters("a" + 200 * "\u0301")[0])
    (True, 32)
    """
    if text.isascii():
        return list(text)
    found: list[str] = []
    for character in text:
        if not found or not _joins(character, found[-1][-1]):
            found.append(character)
        elif len(found[-1]) < LONGEST_CHARACTER:
            found[-1] += character
    return found


def _width_of(parts: Sequence[str], size: float, bold: bool) -> float:
    return width("".join(parts), size=size, bold=bold)


def _fitting(parts: Sequence[str], room: float, size: float, bold: bool) -> list[str]:
    """The most of the first ones that fit."""
    used = 0.0
    for index, part in enumerate(parts):
        used += width(part, size=size, bold=bold)
        if used > room:
            return list(parts[:index])
    return list(parts)


def _joins(character: str, before: str) -> bool:
    is_mark = unicodedata.category(character) == "Mc" or (_advance(character) == 0 and character not in _TURNS)
    return is_mark or before == "\u200d"
