"""Steps of the runbooks as the pages show them, and the one that is to be done first."""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence

from markupsafe import Markup

from modelwatch.findings import Kind
from modelwatch.monitoring.checks.performance.coverage import COVERAGE
from modelwatch.web.frame.verdict import joined, strong

# How the step begins that is to be done first; of a drift of many features, and of one.
_FIRST: dict[Kind, str] = {"performance": "Are the labels correct?", "label_drift": "The world has changed"}
_LABELS_MISSING = "Labels are missing"
_MANY, _ONE = "Many features", "One feature"
# What the pages show, where the runbooks name the way of the API to it.
_OF_API = re.compile(r"GET /api/v1/models/\S+/(performance|quality)\b")


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
    begins = _FIRST.get(kind, "")
    if kind == "feature_drift":
        begins = _MANY if len(subjects) > 1 else _ONE
    elif set(subjects) == {COVERAGE}:
        begins = _LABELS_MISSING
    rule = worst.rpartition(": ")[2]
    shown = page_steps(steps)
    # Steps on the quality of data begin with the rules that they are about.
    fitting = (
        each for each in shown if rule in each.partition(":")[0].split(", ") or (begins and each.startswith(begins))
    )
    step = next(fitting, shown[0])
    occasion, _, rest = step.partition(":")
    return joined([strong(f"{occasion}:"), rest], "") if rest else joined([step])
