"""The moment at which every test of the wire happens."""

from datetime import UTC, datetime

NOW = int(datetime(2026, 1, 1, tzinfo=UTC).timestamp()) * 1_000_000
