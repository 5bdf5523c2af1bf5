"""Benchmarks of the service: over HTTP, by its client, from the command line, and from a body to its commit."""
