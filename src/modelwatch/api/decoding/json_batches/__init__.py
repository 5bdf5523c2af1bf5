"""Batches in JSON and NDJSON: rows that become columns together, and rows that are looked at one by one."""
