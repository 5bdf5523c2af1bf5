"""Markup: elements with escaped texts and attributes, and lengths as short as the eye needs them."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable
from functools import lru_cache
from html import escape

from modelwatch.charts.drawing.text import clean

Attribute = str | float | int | None
# Neither cleaned nor escaped: they stay as they are.
PLAIN = re.compile(r"[A-Za-z0-9 .,:;_%/()#+-]*")


def element(name: str, content: str = "", **attributes: Attribute) -> str:
    """Element as text. `content` is markup; attributes are escaped, None is left out, `_` stands for `-`.

    A trailing `_` keeps a name that Python has taken: `class_`.

    >>> element("line", x1="0%", class_="axis", data_from=3, hidden=None)
    '<line x1="0%" class="axis" data-from="3"/>'
    >>> element("text", written("<b>"), x=1.25)
    '<text x="1.25">&lt;b&gt;</text>'
    """
    written_attributes = "".join(
        [f' {_attribute(key)}="{_value(value)}"' for key, value in attributes.items() if value is not None]
    )
    return f"<{name}{written_attributes}>{content}</{name}>" if content else f"<{name}{written_attributes}/>"


@lru_cache(maxsize=1_024)
def _attribute(key: str) -> str:
    return key.rstrip("_").replace("_", "-")


def _value(value: str | float) -> str:
    if not isinstance(value, str):
        return pixels(value, digits=2)
    # Path data, too, pass here: long, and never in need of it.
    return value if PLAIN.fullmatch(value) else escape(clean(value))


def written(text: str) -> str:
    """Text as markup: escaped, without characters that XML refuses or that turn the direction of what follows.

    >>> written("a < b & c")
    'a &lt; b &amp; c'
    """
    return escape(clean(text))


def breakable(text: str) -> str:
    """The text as markup, in which a line may break after an underscore, as names of columns have them.

    >>> breakable("amount_<EUR>")
    'amount_<wbr>&lt;EUR&gt;'
    """
    return written(text).replace("_", "_<wbr>")


def pixels(length: float, digits: int = 1) -> str:
    """Length in pixels, rounded, without zeros at its end.

    >>> pixels(12.04), pixels(3.25), pixels(-0.01)
    ('12', '3.2', '0')
    """
    if type(length) is int:
        return str(length)
    rounded = round(length, digits) + 0.0
    return f"{rounded:.0f}" if rounded.is_integer() else f"{rounded:.{digits}f}".rstrip("0")


def percent_of_plot(fraction: float) -> str:
    """Position along the plot as a length of SVG: 0 is its left edge, 1 its right one.

    >>> percent_of_plot(0.5), percent_of_plot(1 / 3)
    ('50%', '33.33%')
    """
    return pixels(100 * fraction, digits=2) + "%"


def classes(names: Iterable[str | None]) -> str | None:
    """Value of a `class` attribute; None when there is none.

    >>> classes(["label", None, "end"])
    'label end'
    """
    return " ".join(name for name in names if name) or None


def path(points: Iterable[tuple[float, float]]) -> str:
    """Path data through points; a point that is not a number ends a piece, and the next one begins another.

    A lone point becomes a piece without length, which round line ends draw as a dot.

    >>> path([(0, 1), (10, 2), (20, float("nan")), (30, 4)])
    'M0 1L10 2M30 4L30 4'
    """
    pieces: list[list[str]] = [[]]
    for x, y in points:
        if math.isfinite(x) and math.isfinite(y):
            pieces[-1].append(f"{pixels(x)} {pixels(y)}")
        elif pieces[-1]:
            pieces.append([])
    return "".join("M" + "L".join(piece if len(piece) > 1 else piece * 2) for piece in pieces if piece)


def box(x0: float, y0: float, x1: float, y1: float) -> str:
    """Path data of a rectangle between two corners.

    >>> box(0, 10, 4, 2)
    'M0 10H4V2H0Z'
    """
    return f"M{pixels(x0)} {pixels(y0)}H{pixels(x1)}V{pixels(y1)}H{pixels(x0)}Z"
