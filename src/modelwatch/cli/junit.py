"""Results of a check as JUnit XML, which CI systems show beside those of tests."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple
from xml.sax.saxutils import quoteattr

from modelwatch.cli.base import FAILING, JUDGED

FAILED = FAILING["warning"]


class Case(NamedTuple):
    """A test case. found: what a failure says; reason: why there is no verdict."""

    kind: str
    name: str
    severity: str
    found: str
    reason: str | None


def junit_xml(cases: Iterable[Case]) -> str:
    """The document: a failure for each warning and alert, skipped what has no verdict."""
    every = list(cases)
    failures = sum(case.severity in FAILED for case in every)
    skipped = sum(case.severity not in JUDGED for case in every)
    head = f'<testsuite name="modelwatch" tests="{len(every)}" failures="{failures}" skipped="{skipped}">'
    return "\n".join(['<?xml version="1.0" encoding="UTF-8"?>', head, *map(_case, every), "</testsuite>", ""])


def _case(case: Case) -> str:
    inside = ""
    if case.severity in FAILED:
        inside = f"<failure type={quoteattr(case.severity)} message={quoteattr(case.found)}/>"
    elif case.severity not in JUDGED:
        inside = f"<skipped message={quoteattr(case.reason or case.severity)}/>"
    return f'<testcase classname="{case.kind}" name={quoteattr(case.name)}>{inside}</testcase>'
