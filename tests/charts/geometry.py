"""Geometry of a drawn chart at a width, read from its markup as a browser would lay it out."""

from __future__ import annotations

import re
from dataclasses import dataclass
from xml.etree import ElementTree as ET

from modelwatch.charts.drawing.text import ASCENT, DESCENT, width

_POINT = re.compile(r"([MLHVZ])([^MLHVZ]*)")


@dataclass(frozen=True)
class Box:
    """Rectangle in pixels of the chart's box, and what is drawn in it."""

    left: float
    top: float
    right: float
    bottom: float
    of: str

    def overlaps(self, other: Box, by: float = 0.5) -> bool:
        """Whether more than `by` pixels lie in both."""
        along = min(self.right, other.right) - max(self.left, other.left)
        return along > by and min(self.bottom, other.bottom) - max(self.top, other.top) > by


@dataclass(frozen=True)
class Drawing:
    """Chart at one width: its height, the boxes of its visible texts and shapes."""

    wide: float
    tall: float
    texts: list[Box]
    shapes: list[Box]

    def overlapping(self) -> list[tuple[str, str]]:
        """Pairs of texts that cover each other."""
        boxes = self.texts
        return [(a.of, b.of) for index, a in enumerate(boxes) for b in boxes[index + 1 :] if a.overlaps(b)]

    def outside(self) -> list[Box]:
        """Boxes that leave the chart, but for half of a stroke or dot."""
        return [
            each
            for kind, boxes in ((0.6, self.texts), (5.0, self.shapes))
            for each in boxes
            if each.left < -kind or each.right > self.wide + kind or each.top < -kind or each.bottom > self.tall + kind
        ]


def root_of(markup: str) -> ET.Element:
    """Outermost SVG of a chart; the markup is well-formed XML."""
    element = ET.fromstring(markup)
    found = element if element.tag == "svg" else element.find(".//svg")
    assert found is not None
    return found


def drawing(markup: str, wide: float) -> Drawing:
    """Chart in a box `wide` pixels wide."""
    svg = root_of(markup)
    left, right = (int(_number(rf"\b{side}-(\d+)", svg.get("class", ""))) for side in ("l", "r"))
    tall = float(svg.get("height", "0"))
    group = svg.find("g")
    shift = _number(r"translate\(0 (-?[\d.]+)\)", "" if group is None else group.get("transform", ""))
    plot = wide - left - right
    found = Drawing(wide, tall, [], [])
    for each in svg if group is None else group:
        names = each.get("class", "").split()
        if any(wide < float(name[5:]) for name in names if name.startswith("from-")):
            continue
        _add(found, each, names, left, plot, shift)
    return found


def _add(found: Drawing, each: ET.Element, names: list[str], left: float, plot: float, shift: float) -> None:
    def at(value: str | None) -> float:
        assert value is not None
        return left + plot * float(value.removesuffix("%")) / 100 if value.endswith("%") else left + float(value)

    if each.tag == "text":
        text = _written(each)
        long = width(text, bold="strong" in names)
        x = at(each.get("x")) + float(each.get("dx", "0"))
        start = x - long if "end" in names else x - long / 2 if "middle" in names else x
        y = float(each.get("y", "0")) + shift
        found.texts.append(Box(start, y - ASCENT, start + long, y + DESCENT, text))
    elif each.tag == "line":
        top, bottom = sorted((float(each.get("y1", "0")), float(each.get("y2", "0"))))
        found.shapes.append(Box(at(each.get("x1")), top + shift, at(each.get("x2")), bottom + shift, "line"))
    elif each.tag == "rect":
        start, top = at(each.get("x")), float(each.get("y", "0")) + shift
        long = at(each.get("width")) - left
        assert long >= 0
        assert float(each.get("height", "0")) >= 0
        found.shapes.append(Box(start, top, start + long, top + float(each.get("height", "0")), "rect"))
    elif each.tag == "circle":
        x, y, r = at(each.get("cx")), float(each.get("cy", "0")) + shift, float(each.get("r", "0"))
        found.shapes.append(Box(x - r, y - r, x + r, y + r, "circle"))
    elif each.tag == "svg":
        top = float(each.get("y", "0")) + shift
        for path in each.findall("path"):
            for points in subpaths(path.get("d", "")):
                xs, ys = [x for x, _ in points], [y for _, y in points]
                scale = plot / 1_000
                box = Box(left + min(xs) * scale, top + min(ys), left + max(xs) * scale, top + max(ys), "path")
                found.shapes.append(box)


def subpaths(data: str) -> list[list[tuple[float, float]]]:
    """Points of each piece of a path (M, L, H, V, Z)."""
    pieces: list[list[tuple[float, float]]] = []
    x = y = 0.0
    for command, arguments in _POINT.findall(data):
        numbers = [float(each) for each in arguments.split()]
        if command in "ML":
            x, y = numbers
        elif command == "H":
            (x,) = numbers
        elif command == "V":
            (y,) = numbers
        else:
            continue
        if command == "M":
            pieces.append([])
        pieces[-1].append((x, y))
    return pieces


def paths(markup: str, style: str) -> list[list[tuple[float, float]]]:
    """Pieces of all paths of one class."""
    found = [path for path in root_of(markup).iter("path") if style in path.get("class", "").split()]
    return [piece for path in found for piece in subpaths(path.get("d", ""))]


def texts(markup: str) -> list[str]:
    """Texts of a chart, shown at some width."""
    return [_written(each) for each in root_of(markup).iter("text")]


def _written(text: ET.Element) -> str:
    """What a text shows: without its title, with the times in it."""
    parts = [text.text or ""]
    for child in text:
        parts += [child.text or "" if child.tag == "tspan" else "", child.tail or ""]
    return "".join(parts)


def _number(pattern: str, text: str) -> float:
    found = re.search(pattern, text)
    return float(found.group(1)) if found else 0.0
