"""Addresses of subjects: of their pages, and of their series in the API."""

from __future__ import annotations

from urllib.parse import urlencode

from modelwatch.storage.references.subjects import Subject
from modelwatch.times import iso_of_seconds
from modelwatch.web.frame.model_frame import ModelFrame
from modelwatch.web.frame.site import segment_of


def subject_address(of_model: ModelFrame, subject: str, kind: str) -> str:
    """Way from the root to the page of a subject. kind: of its finding."""
    last = subject if kind != "feature_drift" else f"features/{segment_of(subject)}"
    return f"{of_model.below}/{last}{of_model.selection.query(sort=None)}"


def series_address(of_model: ModelFrame, subject: Subject, last: str) -> str:
    """Way from the root to the series of a subject in the API."""
    stream, segment = of_model.stream, of_model.selection.segment
    fields = {
        "feature": subject.name or None,
        "kind": None if subject.kind == "feature" else subject.kind,
        "version": None if stream is None else stream.version,
        "environment": None if stream is None else stream.environment,
        "start": iso_of_seconds(of_model.start),
        "end": iso_of_seconds(of_model.end),
        "segment": None if segment is None else "=".join(segment),
    }
    query = urlencode({name: value for name, value in fields.items() if value is not None})
    return f"api/v1/models/{segment_of(of_model.model)}/{last}?{query}"
