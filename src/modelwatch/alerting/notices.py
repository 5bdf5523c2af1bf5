"""What people are told about a change of an alert: the same for every channel, before it is put in its form."""

from __future__ import annotations

from typing import Literal

import msgspec

from modelwatch.findings import Finding, FindingSeverity, Kind

Event = Literal["firing", "updated", "escalated", "reminder", "acknowledged", "resolved", "test"]


class NoticeMember(msgspec.Struct, frozen=True):
    """One member of an alert: a finding, the version of the model that it is about, and the verdict that says so."""

    version: str
    verdict_id: str
    finding: Finding


class Notice(msgspec.Struct, frozen=True):
    """One change of one alert, told in plain words and in numbers.

    alert_id: the incident; fingerprint: the same for every incident of this (model, environment, kind). sequence: the
    position of this change in the alert's life. Times are microseconds since 1970 UTC: started_at, ended_at and
    data_until in event time, occurred_at by the wall clock; bad_from, bad_until, detected_at, judged_until and
    uncertain_since in event time, too, as of a finding. title: one line; summary: a few sentences that say what
    moved, by how much, since when, against what and how sure. labels: model, environment, kind, severity and the
    monitor's own labels. page_url: the page for people; evidence_url: the same for programs. Empty when unknown.
    """

    alert_id: str
    fingerprint: str
    sequence: int
    event: Event
    state: str
    severity: FindingSeverity
    model: str
    environment: str
    kind: Kind
    labels: dict[str, str]
    title: str
    summary: str
    members: tuple[NoticeMember, ...]
    recovered: tuple[str, ...]
    started_at: int
    ended_at: int | None
    data_until: int
    occurred_at: int
    actor: str | None
    note: str | None
    page_url: str
    evidence_url: str
    bad_from: int | None = None
    bad_until: int | None = None
    detected_at: int | None = None
    judged_until: int | None = None
    uncertain_since: int | None = None
