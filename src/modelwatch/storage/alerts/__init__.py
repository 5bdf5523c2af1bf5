"""Alerts, silences, notifications to be delivered and the audit trail, as rows."""
