"""What an evaluation saw of one subject, whatever was checked: what the conditions are advanced by."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from modelwatch.findings import Finding

# A finding counts as over only when its score is clearly below what raised it.
CALM_SHARE = 0.8


@dataclass(frozen=True, slots=True)
class Observation:
    """One subject in one evaluation.

    kind, name: the subject. reference: the id of what it was compared with. state: whether it is as it should not be;
    undecided when there was too little to tell. holding: calm, but not clearly: it keeps a finding alive. finding: as
    it is now, of what drifted or holds; `since` is this evaluation's. still_severe: the same as an alert, where the
    score is at least so near to what makes one that an earlier alert remains one.
    """

    kind: str
    name: str
    reference: str
    state: Literal["drifted", "calm", "undecided"]
    holding: bool = False
    finding: Finding | None = None
    still_severe: Finding | None = None
