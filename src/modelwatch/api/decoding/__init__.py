"""Bytes in, validated events out, and nothing half-read in between."""
