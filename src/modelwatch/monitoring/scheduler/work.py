"""Verdicts that have been reached and are to be stored together, each whole or as a summary."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace

from modelwatch.findings import Assessment
from modelwatch.monitoring.scheduler.summaries import keeps_evidence, summary_of
from modelwatch.storage.verdicts.evaluations import EvaluationFailure
from modelwatch.storage.verdicts.verdicts import StoredHeadline, StoredVerdict, VerdictTrace


@dataclass(slots=True)
class Concluded:
    """Verdict with its evidence, and the assessment for alerting.

    report: makes all of the report, as JSON; until then the verdict has its brief one. None once that is settled.
    """

    verdict: StoredVerdict
    evidence: bytes
    headline: StoredHeadline
    assessment: Assessment
    report: Callable[[], bytes] | None

    @property
    def trace(self) -> VerdictTrace:
        """Facts that its successors go by."""
        each = self.verdict
        return VerdictTrace(each.id, each.window_end, each.generation, each.severity, each.conditions, each.full)

    def keep_whole(self) -> None:
        """Settles that the verdict is stored with all of its report and its evidence."""
        if self.report is not None:
            self.verdict, self.report = replace(self.verdict, result=self.report()), None

    def reduce(self) -> None:
        """Settles that a summary is stored."""
        self.verdict = replace(self.verdict, result=summary_of(self.verdict.result), full=False)
        self.evidence, self.report = b"", None


@dataclass(slots=True)
class Work:
    """Result of the evaluations that were due: verdicts in their order, checks that succeeded, and those that failed.

    traces: by check, the verdicts before the newest, newest first. more: whether there may be more to do.
    """

    traces: dict[str, list[VerdictTrace]] = field(default_factory=dict)
    concluded: list[Concluded] = field(default_factory=list)
    succeeded: set[str] = field(default_factory=set)
    failed: dict[str, EvaluationFailure] = field(default_factory=dict)
    more: bool = False

    def add(self, concluded: Concluded) -> None:
        """Adds the newest verdict of its check, so that the one before it may be reduced. Most of the time of a quiet
        evaluation goes into the report, which is not made of those that are.

        Raises what making the report raises.
        """
        check = concluded.verdict.check
        traces = self.traces.setdefault(check, [])
        before = next((each for each in reversed(self.concluded) if each.verdict.check == check), None)
        if before is not None:
            if keeps_evidence([before.trace, *traces]):
                self._keep_whole(before)
            else:
                before.reduce()
            traces.insert(0, before.trace)
        elif traces and not keeps_evidence(traces):
            # It is reduced when this one is stored.
            traces[0] = replace(traces[0], full=False)
        self.concluded.append(concluded)

    def settle(self) -> None:
        """Keeps the newest verdict of each check whole. Raises what making its report raises."""
        for each in list(self.concluded):
            self._keep_whole(each)

    def _keep_whole(self, concluded: Concluded) -> None:
        """Keeps it whole, or neither it nor those after it."""
        try:
            concluded.keep_whole()
        except Exception:
            del self.concluded[self.concluded.index(concluded) :]
            raise
