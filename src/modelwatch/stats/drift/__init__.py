"""Drift between two samples: its size, and whether it is more than chance and natural variation explain."""
