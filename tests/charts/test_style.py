"""Style and markup: names are escaped, nothing is styled inline, texts are readable, colours are told apart."""

from __future__ import annotations

import itertools
import re
from xml.etree import ElementTree as ET

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelwatch.charts.drawing.marks import STATES, definitions, key, mark
from modelwatch.charts.drawing.markup import element, written
from modelwatch.charts.drawing.plot import stylesheet
from modelwatch.charts.drawing.tables import csv_text, table
from modelwatch.charts.drawing.text import clean, clipped, isolated, width
from modelwatch.charts.small import Metric, tile
from tests.charts.gallery import charts, lanes_of_a_model, page, small
from tests.charts.geometry import root_of

ALL = {
    **charts(),
    **small(),
    "lanes": lanes_of_a_model(),
    "tile": tile(Metric("<b>", 0.5)),
    "key": key([("hu", "<i>")]),
}
LIGHT, DARK = (
    dict(re.findall(r"--c-([\w-]+): (#[0-9a-f]{6})", block))
    for block in stylesheet().split("@media screen and (prefers-color-scheme: dark)")
)

TAGS = set("div svg g path line rect circle text title desc ul li span b bdi strong".split())
# For linear RGB, severity 1.0. Source: Machado, Oliveira, Fernandes: A Physiologically-based Model for Simulation of
# Color Vision Deficiency (2009).
DEFICIENCIES = {
    "normal": np.eye(3),
    "protanopia": [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]],
    "deuteranopia": [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]],
    "tritanopia": [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602], [0.004733, 0.691367, 0.303900]],
}
# Colours that stand beside each other and mean different things.
TOLD_APART = [
    ("now", "second"),
    ("now", "reference"),
    ("now", "reference-line"),
    ("second", "reference-line"),
    ("now", "alert"),
    ("heat-3", "heat-w"),
    ("heat-2", "heat-w"),
    ("heat-2", "heat-s"),
    ("heat-3", "heat-s"),
    ("heat-s", "heat-w"),
    ("heat-s", "heat-a"),
    ("heat-w", "heat-a"),
    ("heat-w", "heat-b"),
    ("heat-a", "heat-b"),
    ("heat-b", "heat-c"),
    ("heat-3", "heat-a"),
    ("less-2", "less-1"),
    ("less-1", "same"),
    ("same", "more-1"),
    ("less-1", "more-1"),
    ("less-2", "more-2"),
    ("more-1", "more-2"),
    ("more-2", "more-3"),
    ("now", "more-2"),
    ("alert", "warning-fill"),
]


def linear(colour: str) -> np.ndarray:
    srgb = np.array([int(colour[index : index + 2], 16) for index in (1, 3, 5)]) / 255
    return np.where(srgb <= 0.04045, srgb / 12.92, ((srgb + 0.055) / 1.055) ** 2.4)


def oklab(rgb: np.ndarray) -> np.ndarray:
    """Björn Ottosson: A perceptual color space for image processing (2020)."""
    to_lms = [
        [0.4122214708, 0.5363325363, 0.0514459929],
        [0.2119034982, 0.6806995451, 0.1073969566],
        [0.0883024619, 0.2817188376, 0.6299787005],
    ]
    to_lab = [
        [0.2104542553, 0.7936177850, -0.0040720468],
        [1.9779984951, -2.4285922050, 0.4505937099],
        [0.0259040371, 0.7827717662, -0.8086757660],
    ]
    return np.array(to_lab) @ np.cbrt(np.array(to_lms) @ rgb)


def contrast(a: str, b: str) -> float:
    """Contrast of WCAG 2.2."""
    high, low = sorted((float(np.array([0.2126, 0.7152, 0.0722]) @ linear(each)) for each in (a, b)), reverse=True)
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("deficiency", DEFICIENCIES)
def test_colours_are_told_apart_by_the_colour_blind(scheme: str, deficiency: str) -> None:
    colours = LIGHT if scheme == "light" else DARK
    seen = {
        name: oklab(np.clip(np.array(DEFICIENCIES[deficiency]) @ linear(colour), 0, 1))
        for name, colour in colours.items()
    }
    apart = {pair: round(100 * float(np.linalg.norm(seen[pair[0]] - seen[pair[1]])), 1) for pair in TOLD_APART}
    assert {pair: distance for pair, distance in apart.items() if distance < 8} == {}


@pytest.mark.parametrize("colours", [LIGHT, DARK], ids=["light", "dark"])
def test_texts_have_contrast_enough(colours: dict[str, str]) -> None:
    for name in ("ink", "quiet", "now", "second", "estimate", "alert", "warning", "link"):
        assert contrast(colours[name], colours["paper"]) >= 4.5, name
    for name in ("now", "second", "reference-line", "unknown", "heat-a", "heat-b", "heat-c", "less-2", "more-2"):
        assert contrast(colours[name], colours["paper"]) >= 3, name
    # Texts in the cells of a matrix.
    for name in ("heat-0", "heat-1", "heat-2", "more-1"):
        assert contrast(colours["ink"], colours[name]) >= 4.5, name


def test_both_schemes_have_all_colours() -> None:
    assert LIGHT.keys() == DARK.keys()


def test_heat_is_a_ramp_of_lightness() -> None:
    for colours, sign in ((LIGHT, -1), (DARK, 1)):
        for ramp in (
            ("heat-0", "heat-1", "heat-2", "heat-3"),
            ("heat-a", "heat-b", "heat-c"),
            ("more-1", "more-2", "more-3"),
        ):
            light = [float(oklab(linear(colours[name]))[0]) for name in ramp]
            assert all(sign * (b - a) > 0.02 for a, b in itertools.pairwise(light)), ramp


def test_no_text_is_below_11_pixels() -> None:
    sizes = [float(each) for each in re.findall(r"font-size: ([\d.]+)px", stylesheet())]
    assert sizes
    assert min(sizes) >= 11
    assert "font-size" not in "".join(ALL.values())


@pytest.mark.parametrize("name", ALL)
def test_charts_have_no_inline_style_script_or_foreign_address(name: str) -> None:
    for each in ET.fromstring(f"<div>{ALL[name]}</div>").iter():
        assert each.tag in TAGS
        assert not {
            attribute for attribute in each.attrib if attribute.startswith("on") or attribute in ("style", "href")
        }


@pytest.mark.parametrize("name", [*charts(), *small()])
def test_each_chart_is_an_image_with_a_name(name: str) -> None:
    root = root_of(ALL[name])
    assert root.get("role") == "img"
    assert root[0].tag == "title"
    assert root[0].text


def test_every_class_has_a_rule() -> None:
    used = {each for names in re.findall(r'class="([^"]+)"', page().split("</style>")[1]) for each in names.split()}
    # Hooks without a look of their own: kinds of charts, and parts of the page around them.
    bare = r"card|cells?|all|lane|zone|chart-(?!key|tile|table|mark|defs|lanes|small)[\w-]+"
    assert {each for each in used if not re.fullmatch(bare, each) and f".{each}" not in stylesheet()} == set()


def test_ids_are_only_in_the_definitions() -> None:
    assert re.findall(r'\bid="([^"]+)"', page()) == re.findall(r'id="([^"]+)"', definitions())


@given(st.text())
def test_any_name_is_well_formed_and_cannot_leave_its_element(name: str) -> None:
    parsed = ET.fromstring(element("text", written(name) or "-", title=name))
    assert len(parsed) == 0
    assert parsed.attrib.keys() == {"title"}
    ET.fromstring(table(name, [name], [[name]]))


@pytest.mark.parametrize("turning", ["\u202e", "\u2067", "\u200f", "\u2069", "\u2068"])
def test_a_name_does_not_turn_the_text_after_it(turning: str) -> None:
    text = f"{isolated('a' + turning + 'b')} 12 %"
    assert not set(text) & set("\u202a\u202b\u202d\u202e\u2066\u2067")
    assert clean(text).count("\u2068") == clean(text).count("\u2069")


def test_a_right_to_left_name_is_isolated_and_stays_so_when_it_is_cut() -> None:
    name = isolated("מאפיין" * 40)
    short = clipped(name, 100)
    assert short[0] == "\u2068"
    assert short[-2:] == "…\u2069"


@given(st.text(max_size=60), st.floats(0, 300), st.booleans())
def test_a_cut_text_fits(text: str, room: float, bold: bool) -> None:
    assert width(clipped(text, room, bold=bold), bold=bold) <= room + 1e-6 or clipped(text, room, bold=bold) == ""


def test_a_cut_is_never_inside_a_character() -> None:
    family = "👩‍👩‍👧"
    for room in range(80):
        kept = clipped(family * 4, room).removesuffix("…")
        assert kept == family * (len(kept) // len(family))
        assert not clipped("e\u0301" * 9, room).removesuffix("…").endswith("e")


def test_numbers_as_csv_keep_their_digits_and_run_nothing() -> None:
    assert (
        csv_text(["name", "psi"], [["@SUM(A1)", 0.1 + 0.2], ["a,b", None]])
        == 'name,psi\r\n\'@SUM(A1),0.30000000000000004\r\n"a,b",\r\n'
    )


def test_each_state_has_a_shape_of_its_own() -> None:
    shapes = {re.sub(r' class="chart-mark[^"]*"', "", mark(state)) for state in STATES}
    assert len(shapes) == len(STATES)
