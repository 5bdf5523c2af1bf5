"""Segments: metrics, drift and data quality by segment, and what each contributes to a change."""
