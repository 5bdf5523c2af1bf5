"""Segments: metrics, drift and data quality by segment, and what each contributes to a change."""

from modelwatch.monitoring.segments.evidence import SegmentQuery
from modelwatch.monitoring.segments.report import segment_report
from modelwatch.monitoring.segments.reports import SegmentReport

__all__ = ["SegmentQuery", "SegmentReport", "segment_report"]
