"""The report on a model of a service, made of what its API answers: the same page as that of two data sets."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import msgspec

from modelwatch.library.quality import UnsoundValues
from modelwatch.library.report import Report, ServedModel, Side, SubjectComparison, by_severity
from modelwatch.monitoring.checks.drift.judge import DRIFTED
from modelwatch.monitoring.checks.drift.report import SubjectReport

NO_SIDE = dict.fromkeys(("n", "missing", "invalid", "unseen", "below_range", "above_range"), 0)
PAIRS = ("missing", "invalid", "unseen", "below_range", "above_range")


@dataclass(frozen=True, repr=False)
class ServedReport(Report):
    """A report whose columns were compared by a service. compared: the columns."""

    compared: Sequence[SubjectComparison] = ()

    @cached_property
    def subjects(self) -> list[SubjectComparison]:
        """The subjects of the model, worst first."""
        return sorted(self.compared, key=by_severity)


def served_report(
    check: Mapping[str, Any], comparisons: Iterable[Mapping[str, Any]], quality: Iterable[Mapping[str, Any]]
) -> ServedReport:
    """The report on a model.

    check: answer to POST /drift/check. comparisons: of GET /models/{model}/comparison, one for each of its subjects.
    quality: the reports in `current` of GET /models/{model}/quality.
    """
    summary = check["summary"]
    found = list(comparisons)
    results = [msgspec.convert(each["report"], SubjectReport) for each in found]
    windows = [result.window for result in results if result.window is not None]
    model = ServedModel(
        summary["model_name"],
        summary["model_version"],
        summary["environment"],
        min((window.start for window in windows), default=None),
        max((window.end for window in windows), default=None),
        summary["false_alarm_budget"],
    )
    return ServedReport(
        results=results,
        quality=_unsound(quality),
        profiles={},
        reference=Side(max((result.reference_size for result in results), default=0)),
        current=Side(summary["predictions"]),
        alpha=summary["alpha"],
        left_out={},
        model=model,
        compared=[_compared(result, each) for result, each in zip(results, found, strict=True)],
    )


def _compared(result: SubjectReport, found: Mapping[str, Any]) -> SubjectComparison:
    before, after, pattern = (found[name] or {} for name in ("before", "after", "pattern"))
    before, after = NO_SIDE | before, NO_SIDE | after
    pairs = {name: (before[name], after[name]) for name in PAIRS}
    drifted = result.severity in DRIFTED
    return SubjectComparison.of(
        result,
        type=result.feature_type or "",
        sizes=(before["n"], after["n"]),
        cells=found["cells"],
        reference_counts=before.get("counts", []),
        current_counts=after.get("counts", []),
        edges=found["edges"],
        pattern=pattern.get("kind") if drifted else None,
        factor=pattern.get("factor") if drifted else None,
        cell=pattern.get("cell") if drifted else None,
        **pairs,
    )


def _unsound(reports: Iterable[Mapping[str, Any]]) -> list[UnsoundValues]:
    """Shares that have risen, the worst first; of several versions the worst of each."""
    found: dict[tuple[str, str], UnsoundValues] = {}
    for report in reports:
        for feature in report["features"]:
            for rule in feature["rules"]:
                if rule["severity"] not in DRIFTED:
                    continue
                name = feature["feature_name"]
                each = UnsoundValues(
                    name,
                    rule["rule"],
                    rule["severity"],
                    rule["reference_rate"] or 0.0,
                    rule["rate"] or 0.0,
                    rule["p_value"] if rule["p_value"] is not None else 1.0,
                )
                key = (name, rule["rule"])
                found[key] = min(found.get(key, each), each, key=_rank)
    return sorted(found.values(), key=_rank)


def _rank(each: UnsoundValues) -> tuple[bool, float, str]:
    return each.severity != "alert", each.reference_rate - each.rate, each.name
