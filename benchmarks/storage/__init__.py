"""Benchmarks of the store: its commits, reads and bytes, beside plain tables and an earlier commit."""
