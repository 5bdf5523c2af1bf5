"""Addresses of subjects: of their pages, and of their series in the API."""

from __future__ import annotations

from modelwatch.storage.references.subjects import Subject
from modelwatch.web.frame.model_frame import ModelFrame
from modelwatch.web.frame.site import segment_of


def subject_address(of_model: ModelFrame, subject: str, kind: str) -> str:
    """Way from the root to the page of a subject. kind: of its finding."""
    last = subject if kind != "feature_drift" else f"features/{segment_of(subject)}"
    return f"{of_model.below}/{last}{of_model.selection.query(sort=None)}"


def series_address(of_model: ModelFrame, subject: Subject, last: str) -> str:
    """Way from the root to the series of a subject in the API."""
    return of_model.api_address(
        last,
        with_segment=True,
        feature=subject.name or None,
        kind=None if subject.kind == "feature" else subject.kind,
    )
