"""State of a model in one word: what its marks, its place in a list and its sentence go by."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal

from modelwatch.config import BASE_WINDOW_SECONDS
from modelwatch.storage.counts.streams import Newest
from modelwatch.storage.verdicts.evaluations import EvaluationProgress
from modelwatch.storage.verdicts.headlines import NewestState
from modelwatch.times import SECONDS_PER_HOUR

ModelState = Literal["alert", "warning", "shifted", "stable", "unknown", "catching_up", "no_data"]

# As much data without an evaluation is behind, not just between two of them.
BEHIND_SECONDS = 6 * SECONDS_PER_HOUR

STATES: tuple[ModelState, ...] = ("alert", "warning", "unknown", "catching_up", "no_data", "shifted", "stable")
_JUDGED = {"alert", "warning", "stable"}


def is_behind(progress: EvaluationProgress | None, newest: Newest | None, verdict: NewestState | None) -> bool:
    """True while much of a stream's data is still to be evaluated.

    progress: of all evaluations. newest: newest window of the stream; verdict: newest verdict on its drift.
    """
    if progress is None or not progress.waiting or newest is None or verdict is None:
        return False
    return newest.window_start + BASE_WINDOW_SECONDS - verdict.window_end > BEHIND_SECONDS


def model_state(alerts: Iterable[str], severity: str | None, *, has_data: bool, is_behind: bool = False) -> ModelState:
    """State by the severities of the open alerts, and that of the newest verdict on drift (None: not evaluated yet).

    has_data: anything was received. is_behind: much of what was received is still to be evaluated.

    >>> model_state(["warning"], "stable", has_data=True), model_state([], "insufficient_data", has_data=True)
    ('warning', 'unknown')
    >>> model_state([], "shifted", has_data=True)
    'shifted'
    """
    open_severities = set(alerts)
    if "alert" in open_severities:
        return "alert"
    if "warning" in open_severities:
        return "warning"
    if not has_data:
        return "no_data"
    if severity is None or is_behind:
        return "catching_up"
    if severity == "shifted":
        return "shifted"
    # What is found and was taken as the new normal, or was resolved by a person, is no longer wrong.
    return "stable" if severity in _JUDGED else "unknown"
