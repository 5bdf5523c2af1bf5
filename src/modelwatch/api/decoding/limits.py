"""Limits of one request."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from modelwatch.config import Settings


@dataclass(frozen=True, slots=True)
class Limits:
    """The limits of a request; each is the setting of the same name.

    >>> Limits().max_batch_rows
    10000
    """

    max_body_bytes: int = 32 * 1024 * 1024
    max_batch_rows: int = 10_000
    max_features: int = 2_000
    max_name_length: int = 512
    max_value_length: int = 4_096
    max_clock_skew_seconds: int = 300

    @classmethod
    def of(cls, settings: Settings) -> Limits:
        """The limits that the settings name."""
        return cls(**{field.name: getattr(settings, field.name) for field in fields(cls)})
