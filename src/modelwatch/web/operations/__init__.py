"""Pages for operators: the service and its API keys."""
