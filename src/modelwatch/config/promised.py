"""Names that are promised but that this version does not honour: some are warned about, some refused."""

from __future__ import annotations

from dataclasses import dataclass

# Accepted with a warning, so that one configuration serves several versions. What each will do:
RESERVED: dict[str, str] = {
    "METRICS_RETENTION_DAYS": "removes profiles and verdicts after so many days; nothing expires yet",
    "PREDICTION_RETENTION_DAYS": "removes prediction rows after so many days; nothing expires yet",
    "PREDICTION_SAMPLE_RATE": "keeps a sample of the predictions; all are kept until then",
}


@dataclass(frozen=True, slots=True)
class Withheld:
    """A protection that is not there: what would happen without it, and what to do instead."""

    without: str
    instead: str


_PLAIN_HTTP = Withheld("traffic would be plain HTTP all the same", "put the service behind a proxy that speaks TLS")

# Refused: whoever sets one would believe in a protection that this version does not give.
WITHHELD: dict[str, Withheld] = {
    "API_KEYS_REQUIRED": Withheld(
        "every client would be served all the same", "put the service behind a proxy that asks for keys"
    ),
    "TLS_CERTFILE": _PLAIN_HTTP,
    "TLS_KEYFILE": _PLAIN_HTTP,
}


def asks_for_nothing(name: str, value: object) -> bool:
    """Whether a value of such a name asks for what this version does anyway.

    >>> asks_for_nothing("API_KEYS_REQUIRED", "false"), asks_for_nothing("PREDICTION_SAMPLE_RATE", "0.1")
    (True, False)
    """
    text = str(value).strip().lower()
    match name:
        case "API_KEYS_REQUIRED":
            return text in {"false", "0", "no", "off"}
        case "PREDICTION_SAMPLE_RATE":
            return text in {"1", "1.0"}
        case _:
            return False


def warning(name: str, source: str) -> str:
    """What is said about a name of RESERVED that is set."""
    return f"{name} is set in {source}, but this version does not use it yet (a later one {RESERVED[name]})"


def refusal(name: str, source: str) -> str:
    """What is said about a name of WITHHELD that is set."""
    withheld = WITHHELD[name]
    return f"{name} in {source} is not offered by this version: {withheld.without}. Unset it, and {withheld.instead}"
