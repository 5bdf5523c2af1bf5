"""Verdict at the top of a page: one sentence with numbers, then since when, how bad, why and what to do."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup, escape

from modelwatch.charts.drawing.marks import State
from modelwatch.web.frame.rendering import When, near


@dataclass(frozen=True, slots=True)
class Answer:
    """Answer to one question, the main line first. Lines are texts, or Markup as `strong` and `link` return it."""

    question: str
    lines: Sequence[str]


@dataclass(frozen=True, slots=True)
class Verdict:
    """State, sentence (a text or Markup) and answers."""

    state: State
    sentence: str
    answers: Sequence[Answer] = ()


def strong(text: str) -> Markup:
    """The text, escaped, in bold.

    >>> strong("a < b")
    Markup('<b>a &lt; b</b>')
    """
    return Markup("<b>{}</b>").format(text)


def quiet(text: str) -> Markup:
    """The text, escaped, as a remark."""
    return Markup('<span class="quiet">{}</span>').format(text)


def link(text: str, address: str) -> Markup:
    """The text, escaped, as a link."""
    return Markup('<a href="{}">{}</a>').format(address, text)


def between(earliest: When, latest: When) -> list[Markup]:
    """Line on the interval in which something began; none where both ends are one moment."""
    if earliest.text == latest.text:
        return []
    return [joined(["Approximately between ", near(earliest), " and ", near(latest), "."], "")]


def joined(parts: Sequence[str], between: str = ", ") -> Markup:
    """Texts and Markup as one Markup.

    >>> joined([strong("2"), "a < b"], " ")
    Markup('<b>2</b> a &lt; b')
    """
    return Markup(escape(between)).join(parts)
