"""Predictions that are not independent: stretches of a reference that differ, and clusters of alike predictions."""
