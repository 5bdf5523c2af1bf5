"""Monitoring: references, windows, checks, verdicts, and the evaluations that keep them current."""
