"""Computing a verdict again from the evidence that was kept with it: the same bytes must come out.

Another type of processor adds numbers in another order: there only the last digits may differ. That holds for the rules
that made it. Rules of another version may give another result, which does not invalidate the verdict. Differences of
either kind are listed.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from typing import Literal

import msgspec

from modelwatch.errors import UnknownResource
from modelwatch.monitoring.checks.check import RULES_VERSION, AnyCheck, Extent
from modelwatch.monitoring.checks.codec import inputs_hash
from modelwatch.monitoring.checks.drift.check import DriftCheck
from modelwatch.monitoring.checks.performance.check import PerformanceCheck
from modelwatch.monitoring.checks.quality.check import QualityCheck
from modelwatch.storage.engine.store import Store
from modelwatch.storage.verdicts.verdicts import (
    StoredVerdict,
    evidence_of,
    nearest_full,
    report_of,
    verdict_by_id,
)
from modelwatch.times import iso_of_seconds

CHECKS: dict[str, type[AnyCheck]] = {each.name: each for each in (DriftCheck, PerformanceCheck, QualityCheck)}
Outcome = Literal["reproduced", "reproduced_up_to_rounding", "other_rules", "not_reproduced", "summary_only"]
# A report as JSON, and what it rests on.
Recomputed = tuple[bytes, Extent]
MOST_DIFFERENCES = 10
# Sums in another order, as another type of processor adds them, differ by about 1e-15 of a number.
ROUNDING = 1e-9


class Verification(msgspec.Struct, frozen=True):
    """Result of computing a verdict again.

    outcome: `reproduced` when the evidence is the one that was hashed, and gives the stored report to the bit;
    `reproduced_up_to_rounding` when it does but for fractions that differ by at most 1e-9 of their size, as on another
    type of processor; `other_rules` when it is, but rules of another version made the report and the current ones give
    another; `not_reproduced` when something was changed; `summary_only` when the evaluation was quiet and a summary of
    it is all that is kept, so that there is nothing to compute it from. reproduced: the same as true, true, null, false
    and null. problems: what does not agree. differences: the result of the current rules or processor instead.
    references, counts: how many the evidence holds. late_predictions: number of predictions that the longest window has
    gained since; None when a newer reference has laid the counts out anew, so that they can't be compared.
    nearest_full, nearest_full_window_end: of a summary, the verdict of the same check with full evidence that is
    nearest in time.
    """

    verdict_id: str
    model_name: str
    model_version: str
    environment: str
    window_end: str
    severity: str
    inputs_hash: str
    reproduced: bool | None
    problems: list[str]
    references: int
    counts: int
    late_predictions: int | None
    outcome: Outcome
    evidence_intact: bool
    rules_version: int
    current_rules_version: int
    differences: list[str]
    nearest_full: str | None = None
    nearest_full_window_end: str | None = None


def verify_verdict(store: Store, identity: str) -> Verification:
    """Computes the verdict with this id again.

    Raises UnknownResource when it or its references are not there, DamagedData when the report or one of them can't be
    read.
    """
    with store.read() as connection:
        verdict, raw = verdict_by_id(connection, identity), evidence_of(connection, identity)
        if verdict is None or raw is None:
            raise UnknownResource(f"There is no verdict with the id {identity!r}.")
        report_of(verdict, msgspec.json.decode)  # what is no report agrees with nothing
        if not verdict.full:
            return _summary_only(verdict, nearest_full(connection, verdict))
        found = inputs_hash(raw)
        problems = []
        if found != verdict.inputs_hash:
            problems.append(f"The evidence has the hash {found}, not {verdict.inputs_hash}: it was changed.")
        again, rounded = None, False
        try:
            again = CHECKS[verdict.check].recompute(connection, raw)
        except ValueError as error:
            disagreement = [f"The evidence can't be read: {error}."]
        else:
            disagreement = [] if again[0] == verdict.result else differences(verdict.result, again[0])
            rounded = bool(disagreement) and equal_up_to_rounding(verdict.result, again[0])
    if verdict.rules_version == RULES_VERSION and disagreement and not rounded:
        problems.append(disagreement[0] if again is None else "The recomputed report differs from the stored one.")
    return _verification(verdict, found == verdict.inputs_hash, problems, disagreement, again, rounded=rounded)


def _summary_only(verdict: StoredVerdict, nearest: tuple[str, int] | None) -> Verification:
    found = msgspec.structs.replace(
        _verification(verdict, False, [], [], None), reproduced=None, outcome="summary_only"
    )
    if nearest is None:
        return found
    identity, end = nearest
    return msgspec.structs.replace(found, nearest_full=identity, nearest_full_window_end=iso_of_seconds(end))


def differences(stored: bytes, found: bytes) -> list[str]:
    """Differences between two reports, one line for each place: those in both, then the number that only one has.

    >>> differences(b'{"summary": {"severity": "alert", "old": 1}}', b'{"summary": {"severity": "stable"}}')
    ['summary.severity: "alert" then, "stable" now', '1 value is in the report of then only']
    """
    then, now = (dict(_values(msgspec.json.decode(report))) for report in (stored, found))
    lines = [
        f"{place}: {then[place]} then, {now[place]} now"
        for place in sorted(then.keys() & now.keys(), key=_by_importance)
        if then[place] != now[place]
    ]
    left_out = len(lines) - MOST_DIFFERENCES
    if left_out > 0:
        lines = [*lines[:MOST_DIFFERENCES], f"and {left_out} more"]
    for only, when in ((then.keys() - now.keys(), "then"), (now.keys() - then.keys(), "now")):
        if only:
            lines.append(f"{len(only)} {'value is' if len(only) == 1 else 'values are'} in the report of {when} only")
    return lines or ["the same values, written otherwise"]


def equal_up_to_rounding(stored: bytes, found: bytes) -> bool:
    """True when two reports have the same values in the same places, but for fractions that rounding may tell apart.

    >>> equal_up_to_rounding(b'{"n": 3, "psi": 0.30000000000000004}', b'{"n": 3, "psi": 0.3}')
    True
    >>> equal_up_to_rounding(b'{"n": 3, "psi": 0.3}', b'{"n": 4, "psi": 0.3}')
    False
    """
    return _alike(msgspec.json.decode(stored), msgspec.json.decode(found))


def _alike(then: object, now: object) -> bool:
    if isinstance(then, dict) and isinstance(now, dict):
        return list(then) == list(now) and all(_alike(member, now[name]) for name, member in then.items())
    if isinstance(then, list) and isinstance(now, list):
        return len(then) == len(now) and all(map(_alike, then, now))
    if isinstance(then, float) and isinstance(now, float):
        return math.isclose(then, now, rel_tol=ROUNDING)
    # True is 1 in Python, and 1 is 1.0.
    return type(then) is type(now) and then == now


def _by_importance(place: str) -> tuple[bool, int, str]:
    """Verdicts before what they rest on, and the whole before its parts."""
    return (not place.endswith("severity"), place.count("."), place)


def _values(document: object, place: str = "") -> Iterator[tuple[str, str]]:
    """Each place of a JSON document that holds a single value, and the value as JSON."""
    if isinstance(document, dict):
        members: Iterable[tuple[object, object]] = document.items()
    elif isinstance(document, list):
        members = enumerate(document)
    else:
        yield place, msgspec.json.encode(document).decode()
        return
    for name, member in members:
        yield from _values(member, f"{place}.{name}" if place else str(name))


def _verification(
    verdict: StoredVerdict,
    intact: bool,
    problems: list[str],
    disagreement: list[str],
    again: Recomputed | None,
    *,
    rounded: bool = False,
) -> Verification:
    others = not problems and bool(disagreement) and not rounded
    outcome: Outcome = "reproduced_up_to_rounding" if rounded else "reproduced"
    if problems:
        outcome = "not_reproduced"
    elif others:
        outcome = "other_rules"
    return Verification(
        verdict_id=verdict.id,
        model_name=verdict.model,
        model_version=verdict.version,
        environment=verdict.environment,
        window_end=iso_of_seconds(verdict.window_end),
        severity=verdict.severity,
        inputs_hash=verdict.inputs_hash,
        reproduced=None if others else not problems,
        problems=problems,
        references=0 if again is None else again[1].references,
        counts=0 if again is None else again[1].counts,
        late_predictions=None if again is None else again[1].late,
        outcome=outcome,
        evidence_intact=intact,
        rules_version=verdict.rules_version,
        current_rules_version=RULES_VERSION,
        differences=[] if problems else disagreement,
    )
