"""Views of what people did: silences, and the entries of the audit trail. Times are RFC 3339 in UTC."""

from __future__ import annotations

from typing import Any

import msgspec

from modelwatch.alerting.silences import Matcher, Silence
from modelwatch.storage.alerts.audit import AuditEntry
from modelwatch.storage.alerts.silences import SilenceState
from modelwatch.times import iso_of_micros

_decode_detail = msgspec.json.Decoder(dict[str, Any]).decode


class SilenceLine(msgspec.Struct, frozen=True):
    """One silence."""

    silence_id: str
    state: SilenceState
    matchers: tuple[Matcher, ...]
    starts_at: str
    ends_at: str
    created_at: str
    created_by: str
    comment: str


class AuditLine(msgspec.Struct, frozen=True):
    """One entry of the audit trail."""

    audit_id: str
    at: str
    actor: str
    action: str
    target: str
    detail: dict[str, Any]


def silence_line(silence: Silence, now: int) -> SilenceLine:
    """View of a silence. now: microseconds."""
    return SilenceLine(
        silence_id=silence.id,
        state=silence.state(now),
        matchers=silence.matchers,
        starts_at=iso_of_micros(silence.starts_at),
        ends_at=iso_of_micros(silence.ends_at),
        created_at=iso_of_micros(silence.created_at),
        created_by=silence.created_by,
        comment=silence.comment,
    )


def audit_line(entry: AuditEntry) -> AuditLine:
    """View of an entry of the audit trail."""
    return AuditLine(
        entry.id, iso_of_micros(entry.at), entry.actor, entry.action, entry.target, _decode_detail(entry.detail)
    )
