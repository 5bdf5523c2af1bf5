"""Numbers, shares and times as texts: sensible digits, no-break spaces before units, UTC with the weekday."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Literal

from modelwatch.times import EPOCH

Format = Literal["number", "percent"]

UNKNOWN = "–"
SPACE = "\u00a0"
MINUS = "−"
# Decimals beyond these are noise of binary fractions.
MOST_DECIMALS = 9
# Whole numbers up to here are written out.
MOST_WRITTEN = 1e6
LEAST_PSI = 0.001
LARGEST_WITH_UNIT, LEAST_PLAIN = 1e15, 1e-4
_UNITS = ((1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k"))
_RAISED = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")
FIRST_SECOND, LAST_SECOND = -62_135_596_800.0, 253_402_300_799.0


def number(value: float, digits: int = 3) -> str:
    """Number with so many digits that count; thousands with commas up to a million, then with a unit.

    >>> number(0.68421), number(14974), number(1_934_000), number(-5.6), number(0), number(0.68421, 2)
    ('0.684', '14,974', '1.93\\xa0M', '−5.6', '0', '0.68')
    >>> number(1.9e-05), number(3e20), number(float("nan"))
    ('1.9\\xa0×\\xa010⁻⁵', '3\\xa0×\\xa010²⁰', '–')
    >>> number(999.6), number(999_999_999)
    ('1,000', '1\\xa0G')
    """
    if math.isnan(value):
        return UNKNOWN
    size = abs(value)
    if math.isinf(value):
        return _signed(value, "∞")
    if size == 0:
        return "0"
    # What is rounded up to the next unit has that unit.
    rounded = float(f"{size:.{digits - 1}e}")
    if rounded >= LARGEST_WITH_UNIT or size < LEAST_PLAIN:
        mantissa, _, exponent = f"{size:.{digits - 1}e}".partition("e")
        return _signed(value, f"{_trimmed(mantissa)}{SPACE}×{SPACE}10{str(int(exponent)).translate(_RAISED)}")
    if round(size) >= MOST_WRITTEN:
        unit, letter = next(each for each in _UNITS if rounded >= each[0])
        return _signed(value, f"{_trimmed(_digits(rounded / unit, digits))}{SPACE}{letter}")
    return _signed(value, f"{size:,.0f}" if max(size, rounded) >= 1_000 else _trimmed(_digits(size, digits)))


def percent(share: float) -> str:
    """Share as per cent, with three digits that count and at most two decimals; what rounds to nothing or all says so.

    >>> percent(0.842193), percent(1), percent(0.0062), percent(0.00001), percent(0), percent(float("nan"))
    ('84.2\\xa0%', '100\\xa0%', '0.62\\xa0%', '<\\xa00.01\\xa0%', '0\\xa0%', '–')
    >>> percent(0.9996), percent(0.99949)
    ('>\\xa099.9\\xa0%', '99.9\\xa0%')
    """
    if math.isnan(share):
        return UNKNOWN
    size = abs(share) * 100
    if math.isinf(share) or size >= MOST_WRITTEN:
        return f"{number(share * 100)}{SPACE}%"
    if 0 < size < 0.005:
        return f"<{SPACE}0.01{SPACE}%" if share > 0 else f">{SPACE}{MINUS}0.01{SPACE}%"
    if 99.95 <= size < 100:
        return f">{SPACE}99.9{SPACE}%" if share > 0 else f"<{SPACE}{MINUS}99.9{SPACE}%"
    decimals = 0 if size == 0 or size >= 99.95 else 1 if size >= 0.995 else 2
    return _signed(share, f"{size:,.{decimals}f}{SPACE}%")


def bare_percent(share: float) -> str:
    """The same without its unit, where the unit is said once for several.

    >>> bare_percent(0.842193), bare_percent(float("nan"))
    ('84.2', '–')
    """
    return percent(share).removesuffix(f"{SPACE}%")


def from_to(before: float, now: float) -> str:
    """A share before and now; with more decimals where both are said to be less, or more, than the same.

    >>> from_to(0.0241, 0.0952), from_to(0.00001, 0.00004), from_to(0.9996, 1)
    ('2.4 → 9.5\\xa0%', '0.001 → 0.004\\xa0%', '>\\xa099.9 → 100\\xa0%')
    """
    texts = bare_percent(before), bare_percent(now)
    if texts[0] == texts[1] and before != now and texts[0][0] in "<>":
        finer = ((f"{100 * before:.{decimals}f}", f"{100 * now:.{decimals}f}") for decimals in range(3, MOST_DECIMALS))
        texts = next((pair for pair in finer if pair[0] != pair[1]), texts)
    return f"{texts[0]} → {texts[1]}{SPACE}%" if texts[1] != UNKNOWN else f"{texts[0]} → {UNKNOWN}"


def interval_text(low: float, high: float, form: Format) -> str:
    """An interval with its unit said once; joined by a word where a sign stands at one of its ends. A dash where an end
    is not known.

    >>> interval_text(0.833, 0.85, "percent"), interval_text(-0.1, 0.2, "number")
    ('83.3–85.0', '−0.1 to 0.2')
    >>> interval_text(0.991, 0.9999, "percent")
    '99.1 to >\\xa099.9'
    """
    lower, upper = (written_value(end, form).removesuffix(f"{SPACE}%") for end in (low, high))
    return f"{lower} to {upper}" if any(sign in lower + upper for sign in f"{MINUS}<>") else f"{lower}–{upper}"


def psi_text(value: float | None) -> str:
    """A measured PSI with three digits, of small ones with three decimals; a dash where it is not known.

    >>> psi_text(0.67812), psi_text(0.26), psi_text(1.2345), psi_text(23.456), psi_text(999.96)
    ('0.678', '0.260', '1.23', '23.5', '1,000')
    >>> psi_text(0.0003), psi_text(0.0), psi_text(None)
    ('<\\xa00.001', '0', '–')
    """
    if value is None or math.isnan(value):
        return UNKNOWN
    if value == 0.0:
        return "0"
    if value < LEAST_PSI:
        return f"<{SPACE}{LEAST_PSI}"
    return f"{value:.{3 if value < 0.9995 else 2 if value < 9.995 else 1}f}" if value < 999.95 else number(value)


def written_value(value: float, form: Format) -> str:
    """Value as its axis is written.

    >>> written_value(0.5, "percent"), written_value(0.5, "number")
    ('50.0\\xa0%', '0.5')
    """
    return percent(value) if form == "percent" else number(value)


def tick_texts(ticks: Sequence[float], form: Format = "number") -> list[str]:
    """Texts of the ticks of one axis, all with the same decimals and unit.

    >>> tick_texts([0, 0.25, 0.5]), tick_texts([0, 0.5, 1], "percent"), tick_texts([0, 20_000])
    (['0', '0.25', '0.50'], ['0\\xa0%', '50\\xa0%', '100\\xa0%'], ['0', '20\\xa0k'])
    """
    if not ticks:
        return []
    factor, unit = (100.0, f"{SPACE}%") if form == "percent" else (1.0, "")
    values = [tick * factor for tick in ticks]
    largest = max(map(abs, values))
    if largest >= LARGEST_WITH_UNIT or 0 < largest < LEAST_PLAIN:
        return [number(value) + unit if value else f"0{unit}" for value in values]
    if form == "number" and largest >= 10_000:
        size, letter = next(each for each in _UNITS if largest >= each[0])
        values, unit = [value / size for value in values], f"{SPACE}{letter}"
    decimals = _decimals(values)
    zero = f"0{unit}" if form == "percent" else "0"
    return [_signed(value, f"{abs(value):,.{decimals}f}{unit}") if value else zero for value in values]


def _decimals(values: Sequence[float]) -> int:
    near = (
        1e-9 * max(map(abs, values))
        if len(values) < 2
        else 1e-6 * min(abs(b - a) for a, b in itertools.pairwise(values))
    )
    for decimals in range(MOST_DECIMALS):
        if all(abs(round(value, decimals) - value) <= near for value in values):
            return decimals
    return MOST_DECIMALS


def _digits(size: float, digits: int) -> str:
    return f"{size:.{max(0, digits - 1 - math.floor(math.log10(size)))}f}"


def _trimmed(text: str) -> str:
    return text.rstrip("0").rstrip(".") if "." in text else text


def _signed(value: float, text: str) -> str:
    return MINUS + text if value < 0 else text


def moment(seconds: float) -> datetime:
    """Time in UTC; what lies outside the years 1 to 9999 is moved to their edge.

    >>> moment(0).isoformat()
    '1970-01-01T00:00:00+00:00'
    """
    return EPOCH + timedelta(seconds=min(max(seconds, FIRST_SECOND), LAST_SECOND))


def short_time(seconds: float, *, with_year: bool = False) -> str:
    """Time of a reading: weekday, day and minute, in UTC.

    >>> short_time(1_795_900_500), short_time(1_795_900_500, with_year=True)
    ('Sat 28 Nov, 21:15', 'Sat 28 Nov 2026, 21:15')
    """
    if not math.isfinite(seconds):
        return UNKNOWN
    at = moment(seconds)
    return f"{at:%a} {at.day} {at:%b}{f' {at.year}' if with_year else ''}, {at:%H:%M}"
