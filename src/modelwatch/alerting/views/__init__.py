"""Views: what of alerts, deliveries, silences and the audit trail the API sends and the pages format."""
