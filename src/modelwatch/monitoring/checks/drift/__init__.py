"""Data drift and prediction drift."""
