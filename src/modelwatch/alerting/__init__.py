"""Alerting: from the findings of an evaluation to alerts, and from their changes to delivered notifications."""
