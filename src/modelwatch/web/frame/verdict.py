"""Verdict at the top of a page: one sentence with numbers, then since when, how bad, why and what to do."""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass

from markupsafe import Markup, escape

from modelwatch.charts.drawing.marks import State
from modelwatch.findings import Kind
from modelwatch.monitoring.checks.performance.labels.coverage import COVERAGE
from modelwatch.web.frame.rendering import When, name, near

# How the step begins that is to be done first; of a drift of many features, and of one.
_FIRST: dict[Kind, str] = {
    "prediction_drift": "The prediction or its score",
    "latency_drift": "Latency",
    "performance": "Are the labels correct?",
    "label_drift": "The world has changed",
}
_LABELS_MISSING = "Labels are missing"
_MANY, _ONE = "Many features", "One feature"
# What the pages show, where the runbooks name the way of the API to it.
_OF_API = re.compile(r"GET /api/v1/models/\S+/(performance|quality)\b")


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


def strong_name(given: str) -> Markup:
    """The name of a subject in bold, which may break where it is longer than the line.

    >>> strong_name("amount")
    Markup('<b><bdi>amount</bdi></b>')
    """
    return strong(Markup("<bdi>{}</bdi>").format(name(given)))


def joined(parts: Sequence[str], between: str = ", ") -> Markup:
    """Texts and Markup as one Markup.

    >>> joined([strong("2"), "a < b"], " ")
    Markup('<b>2</b> a &lt; b')
    """
    return Markup(escape(between)).join(parts)


def page_steps(steps: Sequence[str]) -> list[str]:
    """The steps, without the one that leads to the alert's own page.

    >>> page_steps(["GET /api/v1/models/m/quality shows since when."])
    ['The page on quality shows since when.']
    """
    shown = [step for step in steps if not step.startswith("Open the page of the alert")]
    return [_OF_API.sub(r"The page on \1", step) for step in shown]


def first_step(kind: Kind, subjects: Collection[str], worst: str, steps: Sequence[str]) -> Markup:
    """The step that fits best what was found, its occasion in bold. subjects: of all findings; worst: of the worst.

    >>> first_step("feature_drift", {"a"}, "a", ["Many features: look.", "One feature: ask."])
    Markup('<b>One feature:</b> ask.')
    """
    shown = page_steps(steps)
    if kind == "data_quality":
        rule = worst.rpartition(": ")[2]
        fitting = (each for each in shown if rule in _rules_of(each))
    else:
        begins = _FIRST.get(kind, "")
        if kind == "feature_drift":
            begins = _MANY if len(subjects) > 1 else _ONE
        elif set(subjects) == {COVERAGE}:
            begins = _LABELS_MISSING
        fitting = (each for each in shown if begins and each.startswith(begins))
    step = next(fitting, shown[0])
    occasion, _, rest = step.partition(":")
    return joined([strong(f"{occasion}:"), rest], "") if rest else joined([step])


def _rules_of(step: str) -> set[str]:
    """Words before a step's colon: rules of data quality are among them as the API names them, or as its one word.

    >>> sorted(_rules_of("Far outside (`extreme`), a code (sentinel): look."))
    ['a', 'code', 'extreme', 'far', 'outside', 'sentinel']
    """
    occasion, colon, _ = step.partition(":")
    return set(re.findall(r"\w+", occasion.casefold())) if colon else set()
