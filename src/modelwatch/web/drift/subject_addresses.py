"""Addresses of subjects: of their pages, and of their series in the API."""

from __future__ import annotations

from typing import Protocol

from modelwatch.storage.references.subjects import Subject
from modelwatch.web.frame.model_frame import ModelFrame
from modelwatch.web.frame.site import segment_of

SECONDS_PER_MINUTE = 60


def subject_address(of_model: ModelFrame, subject: str, kind: str) -> str:
    """Way from the root to the page of a subject. kind: of its finding."""
    last = subject if kind != "feature_drift" else f"features/{segment_of(subject)}"
    return f"{of_model.below}/{last}{of_model.selection.elsewhere()}"


class Stepped(Protocol):
    """A series: the lengths of its steps and of what each looks back over, in seconds."""

    @property
    def step_seconds(self) -> int: ...

    @property
    def window_seconds(self) -> int: ...


def series_address(of_model: ModelFrame, subject: Subject, last: str, series: Stepped) -> str:
    """Way from the root to the series of a subject in the API, in the steps in which it is shown."""
    step, window = _steps(series)
    return of_model.api_address(
        last,
        with_segment=True,
        feature=subject.name or None,
        kind=None if subject.kind == "feature" else subject.kind,
        step=step,
        window=window,
    )


def drift_series_address(of_model: ModelFrame, last: str, series: Stepped) -> str:
    """The same of all subjects."""
    step, window = _steps(series)
    return of_model.api_address(last, step=step, window=window)


def _steps(series: Stepped) -> tuple[str, str | None]:
    step, window = (f"{each // SECONDS_PER_MINUTE}m" for each in (series.step_seconds, series.window_seconds))
    return step, None if window == step else window
