"""Batches in columns: Arrow IPC streams, Parquet and CSV."""
