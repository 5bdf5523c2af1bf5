"""State of a model in one word: what its marks, its place in a list and its sentence go by."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal

ModelState = Literal["alert", "warning", "stable", "unknown", "catching_up", "no_data"]

STATES: tuple[ModelState, ...] = ("alert", "warning", "unknown", "catching_up", "no_data", "stable")
_JUDGED = {"alert", "warning", "shifted", "stable"}


def model_state(alerts: Iterable[str], severity: str | None, *, has_data: bool, is_behind: bool = False) -> ModelState:
    """State by the severities of the open alerts, and that of the newest verdict on drift (None: not evaluated yet).

    has_data: anything was received. is_behind: much of what was received is still to be evaluated.

    >>> model_state(["warning"], "stable", has_data=True), model_state([], "insufficient_data", has_data=True)
    ('warning', 'unknown')
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
    # What is found and was taken as the new normal, or was resolved by a person, is no longer wrong.
    return "stable" if severity in _JUDGED else "unknown"
