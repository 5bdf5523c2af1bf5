"""Wording of alerts: titles and summaries, with what moved, by how much, since when, and how sure it is."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Protocol

from msgspec.structs import replace

from modelwatch.alerting.alert import SERVICE, Alert, Change, Member
from modelwatch.alerting.notification import Event, Notification, NotificationMember, Trend
from modelwatch.alerting.policy import AlertPolicy
from modelwatch.charts.drawing.numbers import number, percent
from modelwatch.findings import NOT_SHOWN, Doubt, Finding, Graded, Kind, held_until
from modelwatch.measures import (
    LEAST_P,
    chance_limit,
    in_sentence,
    p_text,
    plain,
    quality_title,
    score_limit,
    score_title,
    score_value,
)
from modelwatch.stats.drift.patterns import ShiftPattern
from modelwatch.text import clipped, lookback, shortened, span
from modelwatch.times import MICROS_PER_SECOND, minute_of_micros

NAMED = 10
NAMED_IN_TITLE = 2
# A notification carries the worst members; all of them are behind its evidence_url.
MEMBERS_SENT = 100
LONGEST_NAME = 80
LONGEST_LABEL = 512
LONGEST_DETAIL = 240
LONGEST_NOTE = 2_000

KINDS: dict[Kind, str] = {
    "feature_drift": "Feature drift",
    "prediction_drift": "Prediction drift",
    "latency_drift": "Latency drift",
    "performance": "Performance loss",
    "label_drift": "Label drift",
    "data_quality": "Data quality issue",
    "volume": "Unusual volume",
    "freshness": "No predictions",
}
# The tests that find drift, by the part of the p-value that says most.
FOUND_BY = {
    "location": "the test of location: values have become larger or smaller",
    "scale": "the test of scale: values vary more or less",
    "all cells": "the test of all cells together",
    "single cell": "the test of a single cell",
    "new names": "the test of new names",
}
# What the sample of a finding counts, and that of its reference; values where a kind is not named.
COUNTED: dict[Kind, tuple[str, str]] = {
    "performance": ("labelled predictions", "labelled predictions of the reference"),
    "label_drift": ("labelled predictions", "labelled predictions of the reference"),
    "volume": ("predictions", "predictions of the reference"),
}
VALUES = ("values", "reference values")
# Kinds whose subjects are metrics.
METRIC_KINDS: tuple[Kind, ...] = ("performance", "label_drift")
SUBJECTS = {"duplicates": "duplicate predictions"}


class Held(Graded, Protocol):
    """A finding whose score has a name."""

    @property
    def score_name(self) -> str: ...


def notification_of(
    alert: Alert, change: Change, event: Event, policy: AlertPolicy, public_url: str, trend: Trend | None = None
) -> Notification:
    """Notification of a change, the same for every channel that is sent this event. Times in microseconds."""
    members = alert.members if alert.is_open else ()
    times, doubt = alert.times, alert.uncertain_since
    base = public_url.rstrip("/")
    return Notification(
        alert_id=alert.id,
        fingerprint=alert.fingerprint,
        sequence=change.sequence,
        event=event,
        state=alert.state,
        severity=alert.severity,
        model=shortened(alert.model, LONGEST_LABEL),
        environment=shortened(alert.environment, LONGEST_LABEL),
        kind=alert.kind,
        labels={name: shortened(value, LONGEST_LABEL) for name, value in labels_of(alert, policy.labels).items()},
        title=title_of(alert),
        summary=summary_of(alert, change, event, policy),
        members=tuple(_shown(member) for member in members[:MEMBERS_SENT]),
        recovered=() if event == "firing" else tuple(_recovered(alert)[:MEMBERS_SENT]),
        started_at=alert.started_at,
        ended_at=alert.ended_at,
        data_until=alert.data_until,
        occurred_at=change.at,
        actor=None if change.actor == SERVICE else shortened(change.actor, LONGEST_LABEL),
        note=None if change.note is None else clipped(change.note, LONGEST_NOTE),
        page_url=f"{base}/ui/alerts/{alert.id}" if base else "",
        evidence_url=f"{base}/api/v1/alerts/{alert.id}" if base else "",
        bad_from=times.bad_from * MICROS_PER_SECOND,
        bad_until=times.bad_until * MICROS_PER_SECOND,
        detected_at=times.detected_at * MICROS_PER_SECOND,
        judged_until=times.judged_until * MICROS_PER_SECOND,
        uncertain_since=None if doubt is None else doubt * MICROS_PER_SECOND,
        began=alert.began,
        trend=trend,
    )


def labels_of(alert: Alert, monitor_labels: Mapping[str, str]) -> dict[str, str]:
    """Labels of an alert: its own, and the monitor's under names that are not taken."""
    return {
        **monitor_labels,
        "model": alert.model,
        "environment": alert.environment,
        "kind": alert.kind,
        "severity": alert.severity,
    }


def title_of(alert: Alert) -> str:
    """Title in one line: what is wrong, where, and with what."""
    where = f"{shortened(alert.model, LONGEST_NAME)} ({shortened(alert.environment, LONGEST_NAME)})"
    flapping = " is flapping" if alert.flapping else ""
    if alert.kind == "freshness":
        return f"{KINDS[alert.kind]} from {where}{flapping}"
    subjects = list(dict.fromkeys(_subject(alert.kind, member.finding.subject) for member in alert.members))
    return f"{KINDS[alert.kind]} in {where}{flapping}: {_listed(subjects, NAMED_IN_TITLE)}"


def worst_of(alert: Alert) -> str:
    """Sentence on the worst finding of an alert: what has changed, and by how much; without a full stop."""
    finding = alert.members[0].finding
    if finding.kind == "freshness":
        return _score(finding)
    detail = clipped(finding.detail, LONGEST_DETAIL).rstrip(".")
    if finding.kind == "data_quality":
        # It begins with the name of a feature, which a large letter would make another one.
        return detail
    if finding.score_name != "PSI":
        return _capital(detail)
    subject = shortened(_subject(finding.kind, finding.subject), LONGEST_NAME)
    return f"{subject}: {detail}; PSI {_size(finding, finding.score)}"


def summary_of(alert: Alert, change: Change, event: Event, policy: AlertPolicy) -> str:
    """Summary of a change: a few sentences, in one paragraph."""
    happened = _what_happened(alert, change, event, policy)
    return " ".join([*happened, *(_ended_state(alert) if event == "resolved" else _open_state(alert, change.at))])


def current_summary(alert: Alert) -> str:
    """Summary of the alert as it is now: a few sentences, in one paragraph."""
    return " ".join(_open_state(alert) if alert.is_open else _ended_state(alert))


def _what_happened(alert: Alert, change: Change, event: Event, policy: AlertPolicy) -> Iterable[str]:
    who, note = shortened(change.actor, LONGEST_NAME), _quoted(change.note)
    if event == "acknowledged":
        yield f"Acknowledged by {who}{note}."
    elif event == "reminder":
        unseen = "" if alert.acknowledgement is not None else "; nobody has acknowledged it"
        yield f"Still firing since {minute_of_micros(alert.started_at)}{unseen}."
    elif event == "resolved" and change.event == "calmed":
        yield f"It was flapping and has stayed resolved for {span(policy.flap.window_seconds)}."
    elif change.event == "accepted":
        yield f"Accepted as new normal by {who}{note}."
    elif event == "resolved" and change.actor != SERVICE:
        yield f"Resolved by {who}{note}."
    elif change.event == "silenced":
        yield "Silenced: no notifications are sent while a silence matches."
    elif change.event == "unsilenced":
        yield "No longer silenced."
    elif event in ("updated", "escalated") and change.event in ("updated", "escalated"):
        added = [_subject(alert.kind, subject) for _, subject in change.added]
        if added:
            yield f"New: {_listed(added, NAMED)}."
        if alert.severity_step == change.sequence:
            yield f"The severity rose to {alert.severity}."
        grown = [_growth(member) for member in alert.members if _grew_at(member, change.sequence)]
        if grown:
            yield f"Much larger: {'; '.join(grown[:NAMED])}{_more(len(grown) - NAMED)}."
    if alert.flapping and alert.is_open:
        yield (
            f"Flapping: reopened {_times(alert.reopenings)}. Its end is sent once it has stayed resolved for"
            f" {span(policy.flap.window_seconds)}."
        )
    elif event == "firing" and alert.reopenings:
        yield f"Firing again after it was resolved; reopened {_times(alert.reopenings)}."
    if event != "acknowledged" and alert.acknowledgement is not None:
        taken = alert.acknowledgement
        yield f"Acknowledged by {shortened(taken.actor, LONGEST_NAME)}{_quoted(taken.note)}."


def _grew_at(member: Member, sequence: int) -> bool:
    return member.size is not None and member.size.growth_step == sequence


def _growth(member: Member) -> str:
    size, finding = member.size, member.finding
    assert size is not None, "what has grown has a size"
    before, now = (_size(finding, each) for each in (size.previous_score, finding.score))
    return f"{_name(member)}, {shortened(score_title(finding.score_name), LONGEST_NAME)} {before} → {now}"


def _open_state(alert: Alert, at: int | None = None) -> Iterable[str]:
    """at: when this is said, in microseconds; None where it is read at any time."""
    worst, *others = alert.members
    yield from _at_length(worst, at)
    if others:
        shown = others[: NAMED - 1]
        yield "Also: " + "; ".join(map(_in_short, shown)) + _more(len(others) - len(shown)) + "."


def _ended_state(alert: Alert) -> Iterable[str]:
    ended_at = alert.data_until if alert.ended_at is None else alert.ended_at
    lasted = span((ended_at - alert.started_at) // MICROS_PER_SECOND)
    began, ended = minute_of_micros(alert.started_at), minute_of_micros(ended_at)
    yield f"It lasted {lasted} of event time, from {began} to {ended}."
    if alert.kind != "freshness":
        yield f"Bad data from {_time(alert.times.bad_from)} to {_time(alert.times.bad_until)}."
    if alert.dismissed:
        still = [_name(each.member) for each in alert.dismissed]
        yield f"Still found when it was resolved: {_listed(still, NAMED)}."
    else:
        yield f"Recovered: {_listed(_recovered(alert), NAMED)}."


def _at_length(member: Member, at: int | None) -> Iterable[str]:
    finding = member.finding
    yield f"{_name(member)}: {clipped(finding.detail, LONGEST_DETAIL).rstrip('.')}."
    if finding.kind == "freshness":
        # The finding has its size when it was found; the silence goes on.
        lasts = "" if at is None else f"No predictions for {span(at // MICROS_PER_SECOND - finding.since)}. "
        yield f"{lasts}The limit is {span(int(finding.threshold))}."
        return
    if finding.pattern is not None:
        yield pattern_text(finding.pattern)
    yield f"{_capital(_score(finding))}."
    # Where labels come late, the bad data are older than the evaluation that shows them.
    bad_from, bad_until, detected_at, judged_until = map(_time, finding.times)
    yield f"Bad data from {bad_from} to {bad_until}, detected at {detected_at}; data evaluated up to {judged_until}."
    if finding.began is not None:
        between = ""
        if finding.began_earliest is not None and finding.began_latest is not None:
            earliest, latest = _time(finding.began_earliest), _time(finding.began_latest)
            between = "" if earliest == latest else f", approximately between {earliest} and {latest}"
        yield f"It probably began at {_time(finding.began)}{between}."
    doubt = doubt_of(finding)
    if doubt:
        yield doubt
    yield _sample(finding)
    if finding.p_value is not None:
        yield _chance(finding.p_value, finding.alpha)
    if finding.found_by is not None:
        yield f"Found by {FOUND_BY.get(finding.found_by, finding.found_by)}."


def pattern_text(pattern: ShiftPattern) -> str:
    """Sentence on what would explain a shift.

    >>> pattern_text(ShiftPattern("one_factor", factor=2.543))
    'All values have changed by one factor, about 2.54, as with another unit or currency.'
    """
    match pattern.kind:
        case "one_factor":
            factor = plain(number(pattern.factor or 1.0))
            return f"All values have changed by one factor, about {factor}, as with another unit or currency."
        case "one_category":
            cell = shortened(pattern.cell or "", LONGEST_NAME)
            return f"Only one category has shifted, {cell}; the proportions of the others are unchanged."
        case "new_categories":
            return (
                "Most of the shift comes from categories that are not in the reference: new ones, or another spelling."
            )
        case "missing":
            return "More values are missing, by more than the others have shifted."
        case "larger" | "smaller":
            return f"Values are {pattern.kind} over the whole range."


def _sample(finding: Finding) -> str:
    counted, referred = COUNTED.get(finding.kind, VALUES)
    end = _time(finding.window_end)
    window = (
        f"the {lookback(finding.lookback)} up to {end}"
        if finding.lookback
        else f"{_time(finding.window_start)} to {end}"
    )
    if finding.reference_size:
        return f"Compared {finding.sample_size:,} {counted} from {window} with {finding.reference_size:,} {referred}."
    return f"Based on {finding.sample_size:,} {counted} from {window}."


def doubt_of(finding: Finding) -> str:
    """Sentence on a finding that the last evaluation did not find as it was; empty when it did."""
    since = None if finding.uncertain_since is None else finding.uncertain_since * MICROS_PER_SECOND
    return doubt_text(since, finding.doubt, is_holding=finding.holding)


def doubt_text(uncertain_since: int | None, doubt: Doubt | None, *, is_holding: bool) -> str:
    """Sentence on what is no longer certain, since when and why. uncertain_since: microseconds."""
    if uncertain_since is None:
        return "It has decreased since, but is still in force." if is_holding else ""
    since = minute_of_micros(uncertain_since)
    if doubt == "no_data":
        return f"No longer certain: no data since {since}."
    if doubt == "too_little_data":
        return f"No longer certain since {since}: there is not enough data to evaluate."
    return f"No longer certain since {since}: no look-back finds it, but none shows that it is over."


def _time(seconds: int) -> str:
    return minute_of_micros(seconds * MICROS_PER_SECOND)


def _chance(p_value: float, alpha: float | None) -> str:
    """Sentence on how far chance explains a finding.

    >>> _chance(1e-30, 2.3e-5), _chance(0.002, None)  # doctest: +NORMALIZE_WHITESPACE
    ('Chance alone would almost never produce this (p < 10⁻¹²; alert limit 2.3 × 10⁻⁵).',
     'Chance alone would rarely produce this (p = 0.002).')
    """
    if p_value < LEAST_P:
        often = "would almost never"
    elif p_value < 0.05:
        often = "would rarely"
    else:
        often = "could"
    limit = "" if alpha is None else f"; alert limit {plain(chance_limit(alpha))}"
    return f"Chance alone {often} produce this ({plain(p_text(p_value))}{limit})."


def _in_short(member: Member) -> str:
    finding = member.finding
    sure = "" if finding.p_value is None else f", {plain(p_text(finding.p_value))}"
    when = _time(finding.times.bad_from if finding.kind != "freshness" else finding.since)
    doubt = "" if finding.uncertain_since is None else ", no longer certain"
    early = "" if finding.early is None else f", early on {plain(percent(finding.early))} of the usual labels"
    return f"{_name(member)}: {_score(finding)}, bad data from {when}, n = {finding.sample_size:,}{sure}{early}{doubt}"


def _score(finding: Finding) -> str:
    if finding.kind == "freshness":
        return f"No predictions since {_time(finding.since)} (alert limit {span(int(finding.threshold))})"
    title = shortened(score_title(finding.score_name), LONGEST_NAME)
    return f"{title} {_size(finding, finding.score)}{_thresholds(finding)}"


def _size(finding: Finding, value: float) -> str:
    return plain(score_value(finding.score_name, value))


def _limit(finding: Finding, value: float) -> str:
    return plain(score_limit(finding.score_name, value))


def _thresholds(finding: Finding) -> str:
    warning, alert = finding.warning_threshold, finding.alert_threshold
    held = f"; {held_words(finding)}" if held_words(finding) else ""
    if warning is not None and alert is not None:
        small = f"real, but {NOT_SHOWN}; " if finding.small else ""
        return f" ({small}warning from {_limit(finding, warning)}, alert from {_limit(finding, alert)}{held})"
    return f" ({finding.severity} from {_limit(finding, finding.threshold)}{held})" if finding.threshold else ""


def held_words(finding: Held) -> str:
    """Clause on a severity that is above what the score alone would give: down to where it stays in force; else empty.

    >>> from types import SimpleNamespace
    >>> of = {"score_name": "odds ratio", "small": False, "warning_threshold": 2.0, "alert_threshold": 4.0}
    >>> held_words(SimpleNamespace(**of, severity="alert", score=3.54, holding=False))
    'an alert until below 3.2'
    >>> held_words(SimpleNamespace(**of, severity="warning", score=1.8, holding=True))
    'a warning until clearly below 1.6'
    """
    least = held_until(finding)
    if least is None:
        return ""
    until = "an alert until below" if finding.severity == "alert" else "a warning until clearly below"
    return f"{until} {plain(score_limit(finding.score_name, least))}"


def _times(count: int) -> str:
    return "once" if count == 1 else f"{count} times"


def _quoted(note: str | None) -> str:
    return "" if not note else f": “{clipped(note, LONGEST_DETAIL)}”"


def _listed(names: Sequence[str], most: int) -> str:
    """The first of the names, and how many more there are.

    >>> _listed(["a", "b", "c"], 2), _listed(["a"], 2)
    ('a, b and 1 more', 'a')
    """
    return ", ".join(shortened(name, LONGEST_NAME) for name in names[:most]) + _more(len(names) - most)


def _more(count: int) -> str:
    return f" and {count} more" if count > 0 else ""


def _subject(kind: Kind, subject: str) -> str:
    if kind in METRIC_KINDS:
        return in_sentence(subject)
    return SUBJECTS.get(subject) or (quality_title(subject) if kind == "data_quality" else subject)


def _name(member: Member) -> str:
    return _of_version(member.finding.kind, member.finding.subject, member.version)


def _of_version(kind: Kind, subject: str, version: str) -> str:
    return f"{shortened(_subject(kind, subject), LONGEST_NAME)} (version {shortened(version, LONGEST_NAME)})"


def _recovered(alert: Alert) -> list[str]:
    return [_of_version(alert.kind, each.subject, each.version) for each in alert.recovered]


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]


def _shown(member: Member) -> NotificationMember:
    finding = member.finding
    plain = replace(
        finding,
        subject=shortened(finding.subject, LONGEST_LABEL),
        detail=clipped(finding.detail, LONGEST_LABEL),
        score_name=shortened(finding.score_name, LONGEST_NAME),
    )
    return NotificationMember(shortened(member.version, LONGEST_LABEL), member.verdict_id, plain)
