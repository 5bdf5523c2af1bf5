"""What the page of one alert shows, ready for its template."""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import quote

from modelwatch.alerting.text import clipped, iso, span
from modelwatch.alerting.views import AlertDetail, AlertLine, DeliveryLine, MemberLine, SilenceLine, StepLine
from modelwatch.alerting.wording import KINDS, doubt_of
from modelwatch.api.ingest.acceptance import WITHOUT_REFERENCE
from modelwatch.findings import Finding
from modelwatch.web.cells import Cell, Cells
from modelwatch.web.words import DELIVERIES, LONGEST_TEXT, MICROSECONDS, STEPS, When, chance, count, measure, name, when

MEMBERS_SHOWN = 100


@dataclass(frozen=True, slots=True)
class MemberRow:
    """One member. verdict: the way to its verdict from the service's root."""

    subject: str
    version: str
    severity: str
    score_name: str
    score: str
    threshold: str
    p_value: str
    alpha: str
    sample: str
    reference: str
    lookback: str
    bad_from: When
    bad_until: When
    detail: str
    doubt: str
    verdict: str
    cells: tuple[Cell, ...]


@dataclass(frozen=True, slots=True)
class Sent:
    """One notice of a step and what became of it. detail: attempts and the last error, or when it goes out."""

    channel: str
    event: str
    state: str
    outcome: str
    detail: str


@dataclass(frozen=True, slots=True)
class StepRow:
    """One step in the life of the alert. untold: why nobody was told."""

    event: str
    label: str
    at: When
    actor: str
    note: str
    summary: str
    sent: tuple[Sent, ...]
    untold: str


@dataclass(frozen=True, slots=True)
class SilenceRow:
    """A silence that covers the alert. path: its id in an address."""

    path: str
    until: str
    by: str
    comment: str


@dataclass(frozen=True, slots=True)
class GoneRow:
    """A member that has recovered."""

    subject: str
    version: str
    severity: str
    since: str
    until: str


@dataclass(frozen=True, slots=True)
class AlertView:
    """One alert. path: its id in an address; model_path: that of its model."""

    path: str
    model_path: str
    title: str
    state: str
    severity: str
    kind: str
    model: str
    environment: str
    summary: str
    facts: tuple[tuple[str, str], ...]
    labels: tuple[tuple[str, str], ...]
    members: tuple[MemberRow, ...]
    members_hidden: int
    still_found: bool
    recovered: tuple[GoneRow, ...]
    steps: tuple[StepRow, ...]
    silences: tuple[SilenceRow, ...]
    is_open: bool
    can_be_resolved: bool
    can_be_accepted: bool
    now: str


def alert_view(detail: AlertDetail, silences: list[SilenceLine], cells: Cells, now: int) -> AlertView:
    """now: microseconds."""
    alert = detail.alert
    is_open = alert.state != "resolved"
    shown = detail.members if is_open else detail.still_found
    own = {"model", "environment", "kind", "severity"}
    return AlertView(
        path=quote(alert.alert_id, safe=""),
        model_path=quote(alert.model_name, safe=""),
        title=alert.title,
        state=alert.state,
        severity=alert.severity,
        kind=KINDS[alert.kind],
        model=name(alert.model_name),
        environment=name(alert.environment),
        summary=detail.summary,
        facts=_facts(alert, now),
        labels=tuple((name(key), name(value)) for key, value in detail.labels.items() if key not in own),
        members=tuple(_member(member, cells, now) for member in shown[:MEMBERS_SHOWN]),
        members_hidden=max(len(shown) - MEMBERS_SHOWN, 0),
        still_found=not is_open,
        recovered=tuple(
            GoneRow(name(gone.subject), name(gone.model_version), gone.severity, _text(gone.since), _text(gone.until))
            for gone in detail.recovered[:MEMBERS_SHOWN]
        ),
        steps=tuple(_step(step, detail.deliveries, now) for step in reversed(detail.events)),
        silences=tuple(
            SilenceRow(
                quote(silence.silence_id, safe=""),
                _text(silence.ends_at),
                name(silence.created_by),
                clipped(silence.comment, LONGEST_TEXT),
            )
            for silence in silences
        ),
        is_open=is_open,
        can_be_resolved=is_open or alert.flapping,
        can_be_accepted=is_open and alert.kind not in WITHOUT_REFERENCE,
        now=when(iso(now), now).text,
    )


def _facts(alert: AlertLine, now: int) -> tuple[tuple[str, str], ...]:
    if alert.kind == "freshness":
        facts = [("Silent since", _with_age(alert.started_at, now))]
    else:
        facts = [
            ("Bad data", f"{_text(alert.bad_from)} to {_text(alert.bad_until)}"),
            ("Detected at", _with_age(alert.detected_at, now)),
            ("Newest data judged", _with_age(alert.judged_until, now)),
        ]
    if alert.uncertain_since is not None:
        facts.append(("Not certain any more since", _with_age(alert.uncertain_since, now)))
    if alert.silent_since is not None:
        facts.append(("Nothing comes since", _with_age(alert.silent_since, now)))
    facts.append(("Opened", _with_age(alert.opened_at, now)))
    if alert.acknowledgement is not None:
        taken = alert.acknowledgement
        facts.append(("Acknowledged", f"by {name(taken.actor)}, {_text(taken.at)}"))
    if alert.resolved_at is not None:
        by = "" if alert.resolved_by is None else f"by {name(alert.resolved_by)}, "
        facts.append(("Resolved", by + _with_age(alert.resolved_at, now)))
    if alert.reopenings:
        facts.append(("Reopened", f"{count(alert.reopenings)} ×" + (", flapping" if alert.flapping else "")))
    return tuple(facts)


def _member(member: MemberLine, cells: Cells, now: int) -> MemberRow:
    finding = member.finding
    return MemberRow(
        subject=name(finding.subject),
        version=name(member.model_version),
        severity=finding.severity,
        score_name=name(finding.score_name),
        score=measure(finding.score),
        threshold=_thresholds(finding),
        p_value=chance(finding.p_value),
        alpha=chance(finding.alpha),
        sample=count(finding.sample_size),
        reference=count(finding.reference_size),
        lookback=finding.lookback or span(finding.window_end - finding.window_start),
        bad_from=when(iso(finding.times.bad_from * MICROSECONDS), now),
        bad_until=when(iso(finding.times.bad_until * MICROSECONDS), now),
        detail=clipped(finding.detail, LONGEST_TEXT),
        doubt=doubt_of(finding),
        # Silence is judged by the clock: there is no verdict to show.
        verdict="" if finding.kind == "freshness" else f"api/v1/verdicts/{quote(member.verdict_id, safe='')}",
        cells=cells.get((member.verdict_id, finding.kind, finding.subject), ()),
    )


def _thresholds(finding: Finding) -> str:
    """Those of a warning and of an alert; else the one that there is."""
    both = finding.warning_threshold, finding.alert_threshold
    known = [measure(each) for each in both if each is not None]
    return " / ".join(known) if known else measure(finding.threshold) if finding.threshold else ""


def _step(step: StepLine, deliveries: tuple[DeliveryLine, ...], now: int) -> StepRow:
    return StepRow(
        event=step.event,
        label=STEPS[step.event],
        at=when(step.at, now),
        actor="" if step.actor is None else name(step.actor),
        note="" if step.note is None else clipped(step.note, LONGEST_TEXT),
        summary=step.summary,
        sent=tuple(_sent(each) for each in deliveries if each.sequence == step.sequence),
        untold="" if step.reason is None else step.reason,
    )


def _sent(delivery: DeliveryLine) -> Sent:
    tries = "" if delivery.attempts < 2 else f"{count(delivery.attempts)} attempts"
    error = "" if delivery.last_error is None else name(delivery.last_error)
    due = f"not before {_text(delivery.not_before)}" if delivery.state == "pending" else ""
    ended = "" if delivery.finished_at is None else _text(delivery.finished_at)
    return Sent(
        channel=name(delivery.channel),
        event=delivery.event,
        state=delivery.state,
        outcome=DELIVERIES[delivery.state],
        detail=", ".join(part for part in (ended, due, tries, error) if part),
    )


def _text(iso_time: str) -> str:
    return when(iso_time, 0).text


def _with_age(iso_time: str, now: int) -> str:
    moment = when(iso_time, now)
    return f"{moment.text} ({moment.ago})" if moment.ago else moment.text
