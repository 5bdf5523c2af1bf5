"""The verdict on the drift of a model in words: what drifts, since when, how far, why, and what to do."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup
from sqlalchemy import Connection

from modelwatch.alerting.onsets import are_together, mostly_together
from modelwatch.charts.drawing.marks import State
from modelwatch.charts.drawing.numbers import number, percent
from modelwatch.measures import from_to
from modelwatch.monitoring.checks.drift.report import CellReport
from modelwatch.storage.engine.models import StreamKey
from modelwatch.storage.verdicts.verdicts import DRIFT, newest_verdict
from modelwatch.text import lookback
from modelwatch.times import MICROS_PER_SECOND
from modelwatch.views.models.unwatched import newest_drift
from modelwatch.views.newest_verdicts import KINDS, OpenFinding
from modelwatch.web.drift.rows import FOUND, DriftRow
from modelwatch.web.frame.model_frame import ModelFrame
from modelwatch.web.frame.rendering import When, microseconds, moment, name, near, when
from modelwatch.web.frame.verdict import Answer, Verdict, joined, link, strong, strong_name

NAMED, MOST_REASONS = 3, 2
PATTERNS = {
    "missing": "more values are missing",
    "new_categories": "new categories",
    "larger": "values are larger over the whole range",
    "smaller": "values are smaller over the whole range",
}


@dataclass(frozen=True, slots=True)
class EvaluatedDrift:
    """The newest verdict: its end in seconds, and the kinds and names of the subjects that it found."""

    until: int
    found: frozenset[tuple[str, str]]


def evaluated_drift(connection: Connection, stream: StreamKey) -> EvaluatedDrift | None:
    """The newest verdict on the drift of a stream; None before the first."""
    newest = newest_verdict(connection, stream, DRIFT)
    if newest is None:
        return None
    subjects = newest_drift(connection, stream) or ()
    found = frozenset((each.kind, each.feature_name) for each in subjects if each.severity in FOUND)
    return EvaluatedDrift(newest.window_end, found)


def standing_words(
    of_model: ModelFrame, moved: Sequence[DriftRow], findings: Sequence[OpenFinding], evaluated: EvaluatedDrift | None
) -> str:
    """Clause on why what drifts is no finding, or why nothing does although the last evaluation found it; empty
    where neither is so."""
    known = {(each.kind, each.finding.subject) for each in findings}
    rows = [(row.report.kind, row.name) for row in moved]
    without_finding = {(kind, name) for kind, name in rows if (KINDS[kind], name) not in known}
    if evaluated is None:
        return "not evaluated yet" if without_finding else ""
    if evaluated.until < of_model.end and (without_finding - evaluated.found or (evaluated.found and not moved)):
        return joined(["what came after ", near(of_model.when(evaluated.until)), " is not evaluated yet"], "")
    without = of_model.without_alert
    return without.why if without_finding and without is not None else ""


def drift_verdict(
    of_model: ModelFrame,
    state: State,
    moved: Sequence[DriftRow],
    compared: int,
    findings: Sequence[OpenFinding],
    reason: str,
    root: str,
    provisional: str = "",
    *,
    unjudged: int = 0,
    standing: str = "",
) -> Verdict:
    """The block at the top of the page.

    moved: the worst first. compared: number of subjects; unjudged: of these without a verdict. reason: why nothing is
    judged, where that is so. root: way to the service's root. provisional: sentence on references that are not set.
    standing: clause on why what is said is no finding, or differs from the last evaluation.
    """
    further = f" {provisional}" if provisional else ""
    if not moved:
        if state == "stable":
            judged = compared - unjudged
            some: str = f"{judged:,} of {compared:,}"
            if judged == compared > 1:
                some = joined(["All ", strong(f"{judged:,}")], "")
            are, left = ("is" if each == 1 else "are" for each in (judged, unjudged))
            apart = f", {unjudged:,} {left} not judged" if unjudged else ""
            parts = [some, f" {are} as in the reference{apart}", "; " if standing else "", standing, ".", further]
            return Verdict(state, joined(parts, ""))
        return Verdict(state, reason)
    since = min((each.began for each in moved if each.began is not None), key=lambda each: each.iso, default=None)
    onsets = [microseconds(each.began.iso) // MICROS_PER_SECOND for each in moved if each.began is not None]
    at_once = not onsets or are_together(onsets)
    names = [strong_name(each.name) for each in moved[:NAMED]]
    more = f" and {len(moved) - NAMED:,} more" if len(moved) > NAMED else ""
    sentence = joined(
        [
            strong(f"{len(moved):,} of {compared:,} subjects"),
            f" drift{'s' if len(moved) == 1 else ''}: ",
            joined(names),
            more,
            "" if since is None else joined([", since " if at_once else ", the first since ", near(since)], ""),
            "; " if standing else "",
            standing,
            f".{further}",
        ],
        "",
    )
    answers = [
        _since(since, moved),
        _how_bad(of_model, moved, state),
        _why(moved, findings),
        _what_to_do(of_model, state, findings, root, _step(len(moved), onsets)),
    ]
    return Verdict(state, sentence, [each for each in answers if each.lines])


def _since(since: When | None, moved: Sequence[DriftRow]) -> Answer:
    if since is None:
        return Answer("Since", ())
    lines: list[str] = [joined([moment(since), f", {since.ago}" if since.ago else ""], "")]
    later = [each for each in moved if each.began is not None and each.began.iso > since.iso]
    if later and later[0].began is not None:
        lines.append(joined([name(later[0].name), " since ", near(later[0].began), "."], ""))
    return Answer("Since", lines)


def _how_bad(of_model: ModelFrame, moved: Sequence[DriftRow], state: State) -> Answer:
    by_psi = [each for each in moved if each.report.odds is None or not each.report.odds.decides]
    worst = max(by_psi or moved[:1], key=lambda each: 0.0 if each.report.psi is None else each.report.psi.score)
    lines: list[str] = []
    tolerance, odds = worst.report.tolerance, worst.report.odds
    if not by_psi and odds is not None:
        limit = f", {state} from {number(odds.alert if state == 'alert' else odds.warning)}"
        lines.append(joined([f"Odds of {name(odds.category)} ", strong(f"{number(odds.ratio)} times"), limit], ""))
    else:
        limit = (
            ""
            if tolerance is None
            else f", {state} from {number(tolerance.psi_alert if state == 'alert' else tolerance.psi_warning)}"
        )
        within = _window_words(of_model, worst)
        most = " at the most" if len(by_psi) > 1 else ""
        lines.append(joined(["PSI ", strong(worst.psi_text), most, within, limit], ""))
    shares = [each.importance for each in moved if each.importance is not None]
    if shares:
        lines.append(f"They have {percent(sum(shares))} of the model's importance.")
    return Answer("How bad", lines)


def _window_words(of_model: ModelFrame, row: DriftRow) -> str:
    """Words on the window that the PSI of a subject is of; empty where it is not known."""
    report = row.report
    if report.lookback is not None:
        return f", of all values in the last {lookback(report.lookback)}"
    if report.window is None:
        return ""
    start, end = (near(when(each, of_model.now)) for each in (report.window.start, report.window.end))
    return joined([", of all values from ", start, " to ", end], "")


def _why(moved: Sequence[DriftRow], findings: Sequence[OpenFinding]) -> Answer:
    names = {each.name for each in moved}
    lines: list[str] = []
    for each in findings:
        pattern = each.finding.pattern
        if pattern is None or each.finding.subject not in names:
            continue
        if pattern.kind == "one_factor" and pattern.factor is not None:
            what = f"all values are about {number(pattern.factor)} times what they were"
        elif pattern.kind == "one_category" and pattern.cell is not None:
            what = f"only {name(pattern.cell)} has shifted"
        else:
            what = PATTERNS.get(pattern.kind, pattern.kind)
        lines.append(joined([strong_name(each.finding.subject), f": {what}."], ""))
    if not lines:
        cells = [(each, cell) for each in moved if (cell := _moved_most(each)) is not None]
        lines = [
            joined(
                [
                    f"{name(each.name)} {name(cell.cell)}: ",
                    strong(from_to(cell.reference, cell.current)),
                ],
                "",
            )
            for each, cell in cells
        ]
    return Answer("Why", lines[:MOST_REASONS])


def _moved_most(row: DriftRow) -> CellReport | None:
    """The category whose odds decided, else the cell that adds most to the PSI; None without any."""
    odds, cells = row.report.odds, row.report.top_cells
    decided = odds.category if odds is not None and odds.decides else None
    return next((each for each in cells if each.cell == decided), next(iter(cells), None))


def _what_to_do(of_model: ModelFrame, state: State, findings: Sequence[OpenFinding], root: str, step: str) -> Answer:
    runbook = "modeldriftsignificant" if state == "alert" else "modeldriftmoderate"
    ways: list[Markup] = []
    if findings:
        ways.append(link("Runbook", f"{root}ui/runbooks#{runbook}"))
        ways.append(link("Alert", f"{root}ui/alerts/{findings[0].alert_id}"))
    if "/models/{model_name:segment}/segments" in of_model.paths:
        ways.insert(0, link("Segments", f"{root}{of_model.below}/segments{of_model.selection.elsewhere()}"))
    return Answer("What to do", [step, joined(ways, " · ")])


def _step(moved: int, onsets: Sequence[int]) -> str:
    """The first step, by the number of subjects that moved and their onsets, in seconds."""
    if moved == 1:
        return "It shifted alone: find out whether its source is wrong or the world has changed."
    if mostly_together(onsets):
        return "Shifts that began together often have one cause: start with the first."
    return "They began at different times: look for the cause of each, and start with the largest."
