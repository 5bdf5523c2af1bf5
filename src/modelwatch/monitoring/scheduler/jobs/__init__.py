"""Background jobs beside the evaluations: maintenance, retention, deletions, silent streams."""
