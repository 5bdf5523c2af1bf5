"""The verdict on one subject in words: what has moved, since when, how bad, why, and what to do."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup

from modelwatch.alerting.wording import held_words
from modelwatch.charts.drawing.marks import State
from modelwatch.charts.drawing.numbers import number, percent
from modelwatch.charts.histogram import edge_texts
from modelwatch.measures import chance_limit, from_to, p_text, psi_text
from modelwatch.monitoring.checks.drift.report import ToleranceReport
from modelwatch.stats.drift.patterns import PatternKind
from modelwatch.stats.quality.rates import LEAST_RISE
from modelwatch.text import lookback
from modelwatch.views.drift.subject_comparison import MovedCell, SubjectComparison
from modelwatch.views.newest_verdicts import OpenFinding
from modelwatch.web.drift.subject_lanes import STATES
from modelwatch.web.frame.model_frame import ModelFrame
from modelwatch.web.frame.rendering import When, moment, name, near, when
from modelwatch.web.frame.verdict import Answer, Verdict, between, joined, link, strong

TO_DO: dict[PatternKind, str] = {
    "missing": "Check the step that fills it: a join that finds nothing, or a source that no longer answers.",
    "new_categories": "Check its source for new categories, or for a new spelling of known ones.",
    "one_category": "Look for one client, campaign or route whose traffic has changed.",
    "one_factor": "One factor over the whole range suggests another unit or currency: check its source.",
    "larger": "Check whether the kind of cases has changed, or whether its source computes it differently.",
    "smaller": "Check whether the kind of cases has changed, or whether its source computes it differently.",
}
OTHERWISE = "Check whether other features shifted at the same time, then look at the segments."
MOST_MOVED = 3
LEAST_MOVED = 0.005


@dataclass(frozen=True, slots=True)
class SubjectVerdict:
    """Inputs of the verdict's sentences. finding: the one in force about the subject. onset: since when steps are not
    as the reference, in seconds, where no finding says. root: way to the service's root."""

    of_model: ModelFrame
    compared: SubjectComparison
    finding: OpenFinding | None
    onset: When | None
    root: str

    @property
    def state(self) -> State:
        """The state of the subject: that of its finding, else of the check."""
        if self.finding is not None:
            return self.finding.finding.severity
        return STATES.get(self.compared.report.severity, "unknown")

    @property
    def began(self) -> When | None:
        """Since when it is so; None while it is as in the reference, or not known."""
        if self.finding is not None:
            began = self.finding.finding.began
            # Without an estimate, what the steps show is nearer than when it was found.
            if began is None and self.onset is not None:
                return self.onset
            return when(began or self.finding.finding.since, self.of_model.now)
        return self.onset if self.state in ("alert", "warning") else None

    @property
    def verdict(self) -> Verdict:
        """The block at the top of the page."""
        if self.state not in ("alert", "warning"):
            return Verdict(self.state, self._calm())
        answers = [self._since(), self._how_bad(), self._why(), self._what_to_do()]
        return Verdict(self.state, self._sentence(), [each for each in answers if each.lines])

    def _calm(self) -> str:
        report = self.compared.report
        if report.severity not in ("stable", "shifted") or report.psi is None:
            return report.reason or "Nothing is known about it yet."
        if report.severity == "shifted":
            return self._real(report.psi.score, report.tolerance)
        span = f" in the last {lookback(report.lookback)}" if report.lookback else ""
        said: list[str] = [joined(["As in the reference", span, ": PSI ", strong(psi_text(report.psi.score)), "."], "")]
        unusable = self._unusable()
        if unusable:
            said.append(unusable)
        if report.reason:
            said.append(report.reason)
        return joined(said, " ")

    def _unusable(self) -> str:
        """How many values are missing or invalid, where clearly more are than in the reference: the PSI is of the
        rest."""
        before, after = self.compared.before, self.compared.after
        if before is None or after is None:
            return ""
        shares = []
        for side in (before, after):
            beside = side.missing + side.invalid
            shares.append(beside / (side.n + beside) if side.n + beside else 0.0)
        if shares[1] - shares[0] < LEAST_RISE:
            return ""
        now, usual = percent(shares[1]), percent(shares[0])
        return f"This is for valid values only: {now} of all values are missing or invalid (reference: {usual})."

    def _real(self, psi: float, tolerance: ToleranceReport | None) -> Markup:
        """Of a shift that is real and no drift: it is small, or of too few values to tell its size."""
        limit = "" if tolerance is None else f", warning from {number(tolerance.psi_warning)}"
        why = self.compared.report.reason
        said = [strong("Shifted, but no finding"), ": PSI ", strong(psi_text(psi)), f"{limit}. "]
        return joined([*said, f"{why} " if why else "", "It raises no alert."], "")

    def _sentence(self) -> Markup:
        since = "" if self.began is None else joined([", since ", near(self.began)], "")
        tail, compared = self.compared.tail, self.compared
        if compared.pattern is not None and compared.pattern.kind == "missing" and compared.after is not None:
            total = compared.after.n + compared.after.missing + compared.after.invalid
            return joined([strong(percent(compared.after.missing / total)), " of values are missing", since, "."], "")
        if tail is not None and compared.before is not None and compared.after is not None:
            edge = edge_texts([tail.edge])[0]
            upper = tail.after >= tail.before
            now, before = (tail.after, tail.before) if upper else (1.0 - tail.after, 1.0 - tail.before)
            where = "above" if upper else "at or below"
            said = [
                joined(
                    [
                        strong(percent(now)),
                        " of values are ",
                        where,
                        " ",
                        strong(edge),
                        f" (reference: {percent(before)})",
                    ],
                    "",
                )
            ]
            medians = [_middle(each.quantiles) for each in (compared.before, compared.after)]
            if all(each is not None for each in medians):
                texts = [number(each or 0.0) for each in medians]
                said.append(joined(["; the median went from ", strong(texts[0]), " to ", strong(texts[1])], ""))
            return joined([*said, since, "."], "")
        decided = self._decided
        known = "" if decided is None else decided.cell
        moved = [] if decided is None else [decided]
        moved += [
            each for each in compared.moved if abs(each.after - each.before) >= LEAST_MOVED and each.cell != known
        ]
        moved = moved[:MOST_MOVED]
        changes = [joined([name(each.cell), " ", strong(from_to(each.before, each.after))], "") for each in moved]
        return joined(["The shares have changed", since, ": ", joined(changes), "."], "")

    @property
    def _decided(self) -> MovedCell | None:
        """The category whose odds decided; None where another score did."""
        odds, before, after = self.compared.report.odds, self.compared.before, self.compared.after
        if odds is None or not odds.decides or before is None or after is None:
            return None
        place = self.compared.cells.index(odds.category)
        return MovedCell(odds.category, before.shares[place], after.shares[place])

    def _since(self) -> Answer:
        if self.began is None:
            return Answer("Since", ())
        lines: list[str] = [joined([moment(self.began), f", {self.began.ago}" if self.began.ago else ""], "")]
        if self.finding is not None:
            known = self.finding.finding
            if known.began_earliest is not None and known.began_latest is not None:
                lines += between(
                    *(when(each, self.of_model.now) for each in (known.began_earliest, known.began_latest))
                )
            found = when(self.finding.finding.since, self.of_model.now)
            lines.append(joined(["Found ", near(found), "."], ""))
        return Answer("Since", lines)

    def _how_bad(self) -> Answer:
        report = self.compared.report
        words = "" if self.finding is None else held_words(self.finding.finding)
        held = f" ({words})" if words else ""
        lines: list[str] = []
        if report.odds is not None and report.odds.decides:
            lines.append(
                joined(
                    [
                        f"Odds of {name(report.odds.category)} ",
                        strong(f"{number(report.odds.ratio)} times"),
                        f", {self.state} from"
                        f" {number(report.odds.alert if self.state == 'alert' else report.odds.warning)}{held}",
                    ],
                    "",
                )
            )
        elif report.psi is not None and report.tolerance is not None:
            limit = report.tolerance.psi_alert if self.state == "alert" else report.tolerance.psi_warning
            lines.append(
                joined(["PSI ", strong(psi_text(report.psi.score)), f", {self.state} from {number(limit)}{held}"], "")
            )
        span = f" in {lookback(report.lookback)}" if report.lookback else ""
        lines.append(f"{report.sample_size:,} values{span}, compared with {report.reference_size:,} reference values.")
        if report.evidence is not None:
            # A finding stays in force until it is surely over.
            needed = "below" if report.evidence.p_value < report.evidence.alpha else "no longer below"
            lines.append(
                f"{p_text(report.evidence.p_value)}, {needed} the limit α of {chance_limit(report.evidence.alpha)}."
            )
        return Answer("How bad", lines)

    def _why(self) -> Answer:
        compared = self.compared
        lines: list[str] = []
        pattern = compared.pattern
        if pattern is not None and pattern.kind == "one_factor" and pattern.factor is not None:
            lines.append(
                joined(["Every value is about ", strong(f"{number(pattern.factor)} times"), " what it was."], "")
            )
        elif pattern is not None and pattern.kind == "one_category" and pattern.cell is not None:
            lines.append(joined(["Only ", strong(name(pattern.cell)), " has shifted; the others are unchanged."], ""))
        elif pattern is not None and pattern.kind in ("larger", "smaller"):
            lines.append(joined(["The whole distribution is ", strong(pattern.kind), "."], ""))
        elif pattern is not None and pattern.kind == "new_categories":
            lines.append("Most of the shift comes from categories that are not in the reference.")
        elif compared.contributions and compared.psi and self._decided is None:
            order = sorted(range(len(compared.cells)), key=lambda cell: -compared.contributions[cell])[:2]
            share = sum(compared.contributions[cell] for cell in order) / compared.psi
            names = " and ".join(name(compared.cells[cell]) for cell in order)
            lines.append(joined([strong(percent(share)), f" of the PSI comes from {names}."], ""))
        after = compared.after
        if after is not None:
            counts = ((after.missing, "missing"), (after.invalid, "invalid"), (after.unseen, "unseen"))
            odd = [f"{number:,} {what}" for number, what in counts if number]
            lines.append(f"{', '.join(odd)}." if odd else "No value is missing or invalid.")
        return Answer("Why", lines)

    def _what_to_do(self) -> Answer:
        pattern = self.compared.pattern
        ways: list[str] = [
            link(
                "Runbook", f"{self.root}ui/runbooks#modeldrift{'significant' if self.state == 'alert' else 'moderate'}"
            )
        ]
        if self.finding is not None:
            ways.append(link("Alert", f"{self.root}ui/alerts/{self.finding.alert_id}"))
        return Answer("What to do", [OTHERWISE if pattern is None else TO_DO[pattern.kind], joined(ways, " · ")])


def _middle(quantiles: Sequence[float | None]) -> float | None:
    return quantiles[len(quantiles) // 2] if quantiles else None
