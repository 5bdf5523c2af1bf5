"""Routes for operators: health, versions, metrics, the service and the audit log."""
