"""Names that are promised but that this version does not honour: it warns about them."""

from __future__ import annotations

# Accepted with a warning, so that one configuration serves several versions. What each will do:
RESERVED: dict[str, str] = {
    "METRICS_RETENTION_DAYS": "removes profiles and verdicts after so many days; nothing expires yet",
    "PREDICTION_RETENTION_DAYS": "removes prediction rows after so many days; nothing expires yet",
    "PREDICTION_SAMPLE_RATE": "keeps a sample of the predictions; all are kept until then",
}


def asks_for_nothing(name: str, value: object) -> bool:
    """Whether a value of such a name asks for what this version does anyway.

    >>> asks_for_nothing("PREDICTION_SAMPLE_RATE", "1"), asks_for_nothing("PREDICTION_SAMPLE_RATE", "0.1")
    (True, False)
    """
    return name == "PREDICTION_SAMPLE_RATE" and str(value).strip() in {"1", "1.0"}


def warning(name: str, source: str) -> str:
    """What is said about a name of RESERVED that is set."""
    return f"{name} is set in {source}, but this version does not use it yet (a later one {RESERVED[name]})"
