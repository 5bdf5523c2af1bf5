"""Results of a check as JUnit XML, which CI systems show beside those of tests."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import NamedTuple
from xml.sax.saxutils import quoteattr

from modelwatch.cli.base import FAILING, JUDGED

FAILED = FAILING["warning"]
# What no XML document may hold, not even escaped.
_NOT_IN_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


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
        inside = f"<failure type={_quoted(case.severity)} message={_quoted(case.found)}/>"
    elif case.severity not in JUDGED:
        inside = f"<skipped message={_quoted(case.reason or case.severity)}/>"
    return f'<testcase classname="{case.kind}" name={_quoted(case.name)}>{inside}</testcase>'


def _quoted(text: str) -> str:
    """The text as an attribute; characters that XML does not have are spelled, so that names stay apart."""
    return quoteattr(_NOT_IN_XML.sub(lambda found: found[0].encode("unicode_escape").decode("ascii"), text))
