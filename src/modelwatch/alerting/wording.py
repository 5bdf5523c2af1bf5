"""What an alert says, in plain words: what moved, by how much, since when, against what, and how sure it is."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from msgspec.structs import replace

from modelwatch.alerting.alerts import MICROSECONDS, SERVICE, Alert, Change, Member, Recovered
from modelwatch.alerting.notices import Event, Notice, NoticeMember
from modelwatch.alerting.routing import AlertPolicy
from modelwatch.alerting.text import clipped, moment, number, span
from modelwatch.findings import Finding, Kind

NAMED = 10
NAMED_IN_TITLE = 2
# A notice carries the worst members; all of them are behind its evidence_url.
MEMBERS_TOLD = 100
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
    "data_quality": "Unsound data",
    "volume": "Unusual volume",
    "freshness": "Silence",
}
# What a finding counts.
COUNTED: dict[Kind, str] = {
    "performance": "labelled predictions",
    "label_drift": "labelled predictions",
    "volume": "predictions",
}


def notice_of(alert: Alert, change: Change, event: Event, policy: AlertPolicy, public_url: str) -> Notice:
    """What is told of a change, the same for every channel that is told this event."""
    members = alert.members if alert.is_open else ()
    times, doubt = alert.times, alert.uncertain_since
    base = public_url.rstrip("/")
    return Notice(
        alert_id=alert.id,
        fingerprint=alert.fingerprint,
        sequence=change.sequence,
        event=event,
        state=alert.state,
        severity=alert.severity,
        model=clipped(alert.model, LONGEST_LABEL),
        environment=clipped(alert.environment, LONGEST_LABEL),
        kind=alert.kind,
        labels={name: clipped(value, LONGEST_LABEL) for name, value in labels_of(alert, policy.labels).items()},
        title=title_of(alert),
        summary=summary_of(alert, change, event, policy),
        members=tuple(_shown(member) for member in members[:MEMBERS_TOLD]),
        recovered=() if event == "firing" else tuple(_name(each) for each in alert.recovered[:MEMBERS_TOLD]),
        started_at=alert.started_at,
        ended_at=alert.ended_at,
        data_until=alert.data_until,
        occurred_at=change.at,
        actor=None if change.actor == SERVICE else clipped(change.actor, LONGEST_LABEL),
        note=None if change.note is None else clipped(change.note, LONGEST_NOTE),
        page_url=f"{base}/ui/alerts/{alert.id}" if base else "",
        evidence_url=f"{base}/api/v1/alerts/{alert.id}" if base else "",
        bad_from=times.bad_from * MICROSECONDS,
        bad_until=times.bad_until * MICROSECONDS,
        detected_at=times.detected_at * MICROSECONDS,
        judged_until=times.judged_until * MICROSECONDS,
        uncertain_since=None if doubt is None else doubt * MICROSECONDS,
    )


def labels_of(alert: Alert, own: Mapping[str, str]) -> dict[str, str]:
    """The labels of an alert: what it is about, and the monitor's own under names that are not taken."""
    return {
        **own,
        "model": alert.model,
        "environment": alert.environment,
        "kind": alert.kind,
        "severity": alert.severity,
    }


def title_of(alert: Alert) -> str:
    """One line: what is wrong, where, and with what."""
    subjects = list(dict.fromkeys(member.finding.subject for member in alert.members))
    where = f"{clipped(alert.model, LONGEST_NAME)} ({clipped(alert.environment, LONGEST_NAME)})"
    flapping = " is flapping" if alert.flapping else ""
    return f"{KINDS[alert.kind]} in {where}{flapping}: {_listed(subjects, NAMED_IN_TITLE)}"


def summary_of(alert: Alert, change: Change, event: Event, policy: AlertPolicy) -> str:
    """A few sentences, in one paragraph."""
    happened = _what_happened(alert, change, event, policy)
    return " ".join([*happened, *(_how_it_was(alert) if event == "resolved" else _how_it_is(alert))])


def standing_of(alert: Alert) -> str:
    """How the alert stands, whatever happened to it last: a few sentences, in one paragraph."""
    return " ".join(_how_it_is(alert) if alert.is_open else _how_it_was(alert))


def _what_happened(alert: Alert, change: Change, event: Event, policy: AlertPolicy) -> Iterable[str]:
    who, note = clipped(change.actor, LONGEST_NAME), _quoted(change.note)
    if event == "acknowledged":
        yield f"Acknowledged by {who}{note}."
    elif event == "reminder":
        unseen = "" if alert.acknowledgement is not None else ", and nobody has acknowledged it"
        yield f"It is still firing, since {moment(alert.started_at)}{unseen}."
    elif event == "resolved" and change.event == "calmed":
        yield f"It was flapping and has stayed resolved for {span(policy.flap.window_seconds)}."
    elif change.event == "accepted":
        yield f"Accepted as new normal by {who}{note}."
    elif event == "resolved" and change.actor != SERVICE:
        yield f"Declared resolved by {who}{note}."
    elif change.event == "silenced":
        yield "A silence matches: nothing is told while it does."
    elif change.event == "unsilenced":
        yield "It was silenced until now."
    elif event in ("updated", "escalated") and change.event in ("updated", "escalated"):
        added = [subject for _, subject in change.added]
        if added:
            yield f"New: {_listed(added, NAMED)}."
        if alert.risen == change.sequence:
            yield f"The severity rose to {alert.severity}."
        grown = [_growth(member) for member in alert.members if _grew_at(member, change.sequence)]
        if grown:
            yield f"Much larger: {'; '.join(grown[:NAMED])}{_more(len(grown) - NAMED)}."
    if alert.flapping and alert.is_open:
        yield (
            f"It is flapping: reopened {_times(alert.reopenings)}. Nothing is told of its ends until it has stayed"
            f" resolved for {span(policy.flap.window_seconds)}."
        )
    elif event == "firing" and alert.reopenings:
        yield f"It was resolved and fires again; reopened {_times(alert.reopenings)}."
    if event != "acknowledged" and alert.acknowledgement is not None:
        taken = alert.acknowledgement
        yield f"Acknowledged by {clipped(taken.actor, LONGEST_NAME)}{_quoted(taken.note)}."


def _grew_at(member: Member, sequence: int) -> bool:
    return member.size is not None and member.size.grown == sequence


def _growth(member: Member) -> str:
    size, finding = member.size, member.finding
    assert size is not None, "what has grown has a size"
    name = clipped(finding.score_name, LONGEST_NAME)
    return f"{_name(member)}, {name} {number(size.before)} → {number(finding.score)}"


def _how_it_is(alert: Alert) -> Iterable[str]:
    worst, *others = alert.members
    yield from _at_length(worst)
    if others:
        shown = others[: NAMED - 1]
        yield "Also: " + "; ".join(map(_in_short, shown)) + _more(len(others) - len(shown)) + "."


def _how_it_was(alert: Alert) -> Iterable[str]:
    ended_at = alert.data_until if alert.ended_at is None else alert.ended_at
    lasted = span((ended_at - alert.started_at) // MICROSECONDS)
    yield f"It lasted {lasted} of event time, from {moment(alert.started_at)} to {moment(ended_at)}."
    if alert.kind != "freshness":
        yield f"Bad data from {_time(alert.times.bad_from)} to {_time(alert.times.bad_until)}."
    if alert.dismissed:
        still = [_name(each.member) for each in alert.dismissed]
        yield f"Still found when it was declared resolved: {_listed(still, NAMED)}."
    else:
        yield f"Recovered: {_listed([_name(each) for each in alert.recovered], NAMED)}."


def _at_length(member: Member) -> Iterable[str]:
    finding = member.finding
    yield f"{_name(member)}: {clipped(finding.detail, LONGEST_DETAIL).rstrip('.')}."
    if finding.kind == "freshness":
        yield f"{_score(finding)}, since {moment(finding.since * MICROSECONDS)}."
        return
    yield f"{_score(finding)}."
    yield _when(finding)
    doubt = doubt_of(finding)
    if doubt:
        yield doubt
    window = f"{moment(finding.window_start * MICROSECONDS)} to {moment(finding.window_end * MICROSECONDS)}"
    looked_at = f"the {finding.lookback} to {moment(finding.window_end * MICROSECONDS)}" if finding.lookback else window
    counted = f"{finding.sample_size:,} {COUNTED.get(finding.kind, 'values')} of {looked_at}"
    if finding.reference_size:
        yield f"Compared were {counted} with a reference of {finding.reference_size:,}."
    else:
        yield f"Looked at were {counted}."
    yield from _how_sure(finding)


def _when(finding: Finding) -> str:
    """The three times of a finding, each by its name.

    The data that are bad are older than what shows it where labels come late.
    """
    times = finding.times
    bad = f"Bad data from {_time(times.bad_from)} to {_time(times.bad_until)}, detected at {_time(times.detected_at)}"
    return f"{bad}; the newest data judged are those up to {_time(times.judged_until)}."


def doubt_of(finding: Finding) -> str:
    """Whether it is still certain, in a sentence; empty when the last evaluation found it as it was."""
    if finding.uncertain_since is None:
        return "It has come down since, but is still found." if finding.holding else ""
    since = _time(finding.uncertain_since)
    if finding.doubt == "no_data":
        return f"Not certain any more: no data have come since {since}."
    if finding.doubt == "too_little_data":
        return f"Not certain any more since {since}: there are not enough data to judge."
    return f"Not certain any more since {since}: no look-back finds it, but none shows that it is over."


def _time(seconds: int) -> str:
    return moment(seconds * MICROSECONDS)


def _how_sure(finding: Finding) -> Iterable[str]:
    if finding.p_value is None:
        return
    chance = f"Without any change, chance would show as much in {_one_in(finding.p_value)} ({_p(finding.p_value)})"
    if finding.alpha is None:
        yield f"{chance}."
    else:
        limit = f"the limit for an alarm is {_one_in(finding.alpha)} (α = {number(finding.alpha)})"
        yield f"{chance}; {limit}."


def _in_short(member: Member) -> str:
    finding = member.finding
    sure = "" if finding.p_value is None else f", {_p(finding.p_value)}"
    when = _time(finding.times.bad_from if finding.kind != "freshness" else finding.since)
    doubt = "" if finding.uncertain_since is None else ", not certain any more"
    return f"{_name(member)}: {_score(finding)}, bad data from {when}, n = {finding.sample_size:,}{sure}{doubt}"


def _score(finding: Finding) -> str:
    name = clipped(finding.score_name, LONGEST_NAME)
    return f"{name} is {number(finding.score)}{_thresholds(finding)}"


def _thresholds(finding: Finding) -> str:
    warning, alert = finding.warning_threshold, finding.alert_threshold
    if warning is not None and alert is not None:
        return f" (warning from {number(warning)}, alert from {number(alert)})"
    if not finding.threshold:
        return ""
    return f" (threshold for {finding.severity}: {number(finding.threshold)})"


def _p(p_value: float) -> str:
    """A p-value; one that is too small for a number is not zero.

    >>> _p(0.002), _p(0.0)
    ('p = 0.002', 'p < 1e-300')
    """
    return "p < 1e-300" if p_value < 1e-300 else f"p = {number(p_value)}"


def _one_in(chance: float) -> str:
    """A probability as people say it.

    >>> _one_in(0.02), _one_in(3e-7), _one_in(1e-30), _one_in(0.0)
    ('1 of 50 looks', '1 of 3.3 million looks', 'less than 1 of a trillion looks', 'less than 1 of a trillion looks')
    """
    if chance < 1e-12:
        return "less than 1 of a trillion looks"
    times = float(f"{1 / min(chance, 1.0):.2g}")
    size, word = next((size, word) for size, word in ((1e9, " billion"), (1e6, " million"), (1, "")) if times >= size)
    return f"1 of {times / size:,g}{word} looks"


def _times(count: int) -> str:
    return "once" if count == 1 else f"{count} times"


def _quoted(note: str | None) -> str:
    return "" if not note else f": “{clipped(note, LONGEST_DETAIL)}”"


def _listed(names: Sequence[str], most: int) -> str:
    """The first of the names, and how many more there are.

    >>> _listed(["a", "b", "c"], 2), _listed(["a"], 2)
    ('a, b and 1 more', 'a')
    """
    return ", ".join(clipped(name, LONGEST_NAME) for name in names[:most]) + _more(len(names) - most)


def _more(count: int) -> str:
    return f" and {count} more" if count > 0 else ""


def _name(member: Member | Recovered) -> str:
    subject = member.finding.subject if isinstance(member, Member) else member.subject
    return f"{clipped(subject, LONGEST_NAME)} (version {clipped(member.version, LONGEST_NAME)})"


def _shown(member: Member) -> NoticeMember:
    finding = member.finding
    plain = replace(
        finding,
        subject=clipped(finding.subject, LONGEST_LABEL),
        detail=clipped(finding.detail, LONGEST_LABEL),
        score_name=clipped(finding.score_name, LONGEST_NAME),
    )
    return NoticeMember(clipped(member.version, LONGEST_LABEL), member.verdict_id, plain)
