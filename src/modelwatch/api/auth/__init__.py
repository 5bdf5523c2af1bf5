"""Authentication of requests, and authorization by scope and model."""
