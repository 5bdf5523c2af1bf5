"""Headline of a verdict: the few numbers that a list of models shows, kept beside the report, which is long."""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial

import msgspec

from modelwatch.storage.engine.damage import decoded, readable

NAMED = 3


class Headline(msgspec.Struct, frozen=True, omit_defaults=True):
    """Few numbers of a report.

    value: what is shown over time: of drift the largest PSI, each in its deciding window, of
    performance the main metric, of data quality the share of unsound values. subject: whose it is. low, high: its 95 %
    interval; reference: its value there; warning, alert: from which value it would be one or the other. n: what it
    rests on. found: how many are a warning or an alert, and names: the worst of them. shifted: how many have shifted,
    but are not shown to matter, and shifted_names: the furthest of them. checked: of how many, not_judged: without a
    verdict, features: how many of these are features. seconds: length of the window, and predictions: in it; rate:
    predictions an hour in the shortest one. coverage: share of the predictions that have a label. end: of the window
    of performance, in seconds. reason: why nothing is judged. None: not known.
    """

    value: float | None = None
    subject: str | None = None
    low: float | None = None
    high: float | None = None
    reference: float | None = None
    warning: float | None = None
    alert: float | None = None
    n: int = 0
    found: int = 0
    names: tuple[str, ...] = ()
    checked: int = 0
    features: int = 0
    seconds: int = 0
    predictions: int = 0
    rate: float | None = None
    coverage: float | None = None
    end: int | None = None
    reason: str | None = None
    shifted: int = 0
    shifted_names: tuple[str, ...] = ()
    not_judged: int = 0


_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(Headline).decode


def encode_headline(headline: Headline) -> bytes:
    """Headline as it is stored."""
    return _encode(headline)


def decode_headline(stored: bytes | None, verdict: str) -> Headline | None:
    """Headline of stored bytes; None for verdicts of releases that kept none, and where it can't be read, which is
    logged. verdict: its id.

    >>> decode_headline(encode_headline(Headline(value=0.3)), "v1") == Headline(value=0.3), decode_headline(None, "v1")
    (True, None)
    """
    given = () if stored is None else (stored,)
    return next(readable(given, partial(decoded, f"The headline of the verdict {verdict}", _decode)), None)


def first_names(names: Iterable[str]) -> tuple[str, ...]:
    """As many of the names as a headline has."""
    return tuple(name for name, _ in zip(names, range(NAMED), strict=False))
