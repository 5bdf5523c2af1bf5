"""Observation of one subject by an evaluation, the same for all checks: it advances the subject's condition."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from modelwatch.findings import Finding
from modelwatch.stats.drift.recovery import Size

# It is over when it is plausibly below this share of its worst, or does not matter any more.
WORST_SHARE = 0.5


@dataclass(frozen=True, slots=True)
class SizeNow:
    """Size of the named score by one look-back. tolerance: the size from which it matters there. start: of its window,
    in seconds; None where the newest values were taken, however old. category: the one that it is of; None when it is
    of all."""

    score_name: str
    tolerance: float
    size: Size
    start: int | None = None
    category: str | None = None

    def is_of(self, finding: Finding) -> bool:
        """True when the finding's score is this one."""
        return self.score_name == finding.score_name and self.category in (None, finding.category)


@dataclass(frozen=True, slots=True)
class Observation:
    """One subject in one evaluation.

    kind, name: the subject. reference: the id of what it was compared with. state: whether it is as it should not be;
    undecided when there was too little to tell. holding: calm, but not clearly: it keeps a finding alive. finding: as
    it is now, of what drifted or holds; `since` is this evaluation's. still_severe: the same as an alert, where the
    score is at least so near to what makes one that an earlier alert remains one.
    sizes: what the look-backs show of its size. counted: calm is no inference from a sample, but what was counted: it
    ends a finding without further evidence. judged_until: the end of the data that were judged, in seconds.
    """

    kind: str
    name: str
    reference: str
    state: Literal["drifted", "calm", "undecided"]
    holding: bool = False
    finding: Finding | None = None
    still_severe: Finding | None = None
    sizes: tuple[SizeNow, ...] = ()
    counted: bool = False
    judged_until: int | None = None

    def shows_end_of(self, finding: Finding, found_until: int) -> bool:
        """True when a look-back shows that the score has plausibly fallen below what still counts as the finding: the
        size that matters, or half of its worst.

        found_until: the end of the data that it was found in first. A look-back that reaches back before that shows
        how it was before, too: a sound week hides a bad hour.
        """
        if self.counted:
            return True
        half = WORST_SHARE * max(finding.score, finding.worst or 0.0)
        since = [each for each in self.sizes if each.start is None or each.start >= found_until]
        comparable = [each for each in since if each.is_of(finding)]
        if not comparable:
            # It was found by a score that is not looked at any more: half of that is no size of another.
            return any(each.size.is_below(each.tolerance) for each in since)
        return any(each.size.is_below(max(each.tolerance, half)) for each in comparable)
