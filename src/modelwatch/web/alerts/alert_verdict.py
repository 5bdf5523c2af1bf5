"""Verdict on an alert in words: what was found, since when, how bad it is, why, and what to do first."""

from __future__ import annotations

from collections.abc import Sequence

from modelwatch.alerting.views.alerts import AlertReport, MemberReport
from modelwatch.alerting.views.operations import DeliveryLine
from modelwatch.alerting.wording import COUNTED, METRIC_KINDS, VALUES, pattern_text
from modelwatch.charts.drawing.marks import State
from modelwatch.findings import Kind
from modelwatch.measures import chance_limit, p_text, quality_title
from modelwatch.text import capitalized, lookback, span
from modelwatch.times import MICROS_PER_SECOND
from modelwatch.web.frame.rendering import (
    count,
    from_limit,
    microseconds,
    moment,
    name,
    near,
    size,
    size_name,
    when,
)
from modelwatch.web.frame.verdict import Answer, Verdict, between, first_step, joined, strong, strong_name

NAMED = 3
# How far a notification has come, in the order in which it is told.
DELIVERED, STILL_TRIED, GIVEN_UP = "Notified", "Not delivered yet", "Given up"
WAITS, RECALLED = "Waiting to be sent", "Recalled"
OUTCOMES = (DELIVERED, STILL_TRIED, GIVEN_UP, WAITS, RECALLED)
# Kinds whose members have a sentence of their own; of drift the subjects are listed.
DRIFTS = ("feature_drift", "prediction_drift", "latency_drift")


def alert_verdict(report: AlertReport, now: int) -> Verdict:
    """Verdict on an alert. now: microseconds."""
    alert, members = report.alert, report.members
    is_open = alert.state != "resolved"
    state: State = alert.severity if is_open else "stable"
    return Verdict(
        state,
        _sentence(report, now, is_open=is_open),
        [
            Answer("Since", _since(report, now)),
            Answer("How bad", [_silence(report, now)] if alert.kind == "freshness" else _how_bad(alert.kind, members)),
            Answer("Why", _why(report.alert.kind, members)),
            Answer("What to do", _what_to_do(report, is_open=is_open)),
        ],
    )


def began_at(report: AlertReport) -> str:
    """When it began: of a silence the present one, also where its alert was open, and data came, before."""
    return report.members[0].since if report.alert.kind == "freshness" else report.alert.since


def _sentence(report: AlertReport, now: int, *, is_open: bool) -> str:
    alert, worst = report.alert, report.members[0]
    since = near(when(began_at(report), now))
    if alert.kind == "freshness":
        words = joined(["No predictions since ", strong(since), "."], "")
    elif alert.kind in DRIFTS:
        subjects = list(dict.fromkeys(member.subject for member in report.members))
        shown = [strong_name(each) for each in subjects[:NAMED]]
        left = len(subjects) - NAMED
        ending = f"{left} more" if left > 0 else shown.pop() if len(shown) > 1 else ""
        listed = joined([joined(shown), ending], " and ") if ending else joined(shown)
        have = "has" if len(subjects) == 1 else "have"
        words = joined([listed, f" {have} drifted from the reference since ", strong(since), "."], "")
    else:
        words = joined([worst.detail.rstrip("."), ", since ", strong(since), "."], "")
    if is_open:
        return words
    ended = near(when(alert.ended_at or alert.resolved_at or alert.updated_at, now))
    return joined([words, " It ended ", ended, "."], "")


def _since(report: AlertReport, now: int) -> Sequence[str]:
    alert = report.alert
    began, detected = began_at(report), when(alert.detected_at, now)
    first = when(began, now)
    lines: list[str] = [joined([moment(first), first.ago])]
    lines += _between(report, now)
    if alert.kind == "freshness":
        return lines
    after = (microseconds(alert.detected_at) - microseconds(began)) // MICROS_PER_SECOND
    found = joined(["Found at ", near(detected)], "") if alert.began is None else f"Found after {span(after)}"
    if alert.state == "resolved":
        return [*lines, joined([found, "."], "")]
    if alert.uncertain_since is not None:
        uncertain = near(when(alert.uncertain_since, now))
        return [*lines, joined([found, ". No longer certain since ", uncertain, "."], "")]
    if alert.silent_since is not None:
        silent = near(when(alert.silent_since, now))
        return [*lines, joined([found, ". Nothing newer: the model has been silent since ", silent, "."], "")]
    if all(member.holding for member in report.members):
        return [*lines, joined([found, ". It has decreased since, but is still in force."], "")]
    return [*lines, joined([found, ". Still found by the newest evaluation."], "")]


def _between(report: AlertReport, now: int) -> Sequence[str]:
    """Line on the interval of the onset, of the member that began first."""
    known = [each for each in report.members if each.began is not None and each.began_earliest is not None]
    first = min(known, key=lambda each: each.began or "", default=None)
    if first is None or first.began_earliest is None or first.began_latest is None:
        return []
    return between(when(first.began_earliest, now), when(first.began_latest, now))


def _silence(report: AlertReport, now: int) -> str:
    """Line on how long nothing has come by now: the finding has only what it was when it was found."""
    alert, worst = report.alert, report.members[0]
    ended = alert.ended_at or alert.resolved_at or alert.updated_at
    until = microseconds(ended) if alert.state == "resolved" else now
    lasts = span(max(until - microseconds(began_at(report)), 0) // MICROS_PER_SECOND)
    return joined(["Silence ", strong(lasts), from_limit(worst)], "")


def _how_bad(kind: Kind, members: Sequence[MemberReport]) -> Sequence[str]:
    worst = members[0]
    # Of one measure: a loss in points beside one in another unit says nothing.
    sizes = [strong(_score(each)) for each in members[:2] if each.score_name == worst.score_name]
    lines: list[str] = [
        joined([f"{capitalized(size_name(worst.score_name))} ", joined(sizes, " and "), from_limit(worst)], "")
    ]
    if worst.sample_size:
        counted, referred = COUNTED.get(kind, VALUES)
        against = f" compared with {count(worst.reference_size)} {referred}" if worst.reference_size else ""
        within = f" in {lookback(worst.lookback)}" if worst.lookback else ""
        sure = "" if worst.p_value is None else f" {p_text(worst.p_value)}"
        limited = "" if worst.p_value is None or worst.alpha is None else f", limit α {chance_limit(worst.alpha)}"
        lines.append(f"{count(worst.sample_size)} {counted}{within}{against}.{sure}{limited}" + ("." if sure else ""))
    return lines


def _score(member: MemberReport) -> str:
    return size(member.score_name, member.score)


def _why(kind: Kind, members: Sequence[MemberReport]) -> Sequence[str]:
    worst = members[0]
    lines = [worst.detail]
    if worst.pattern is not None:
        lines.append(pattern_text(worst.pattern))
    others = [each for each in members[1:NAMED] if each.subject != worst.subject]
    if kind in METRIC_KINDS:
        # What is said of a metric names it.
        return [*lines, *(each.detail for each in others)]
    if kind == "data_quality":
        return [*lines, *(f"{name(quality_title(each.subject))}: {each.detail}" for each in others)]
    return [*lines, *(f"{name(each.subject)}: {each.detail}" for each in others)]


def _what_to_do(report: AlertReport, *, is_open: bool) -> Sequence[str]:
    if not is_open:
        return ["Nothing: the alert is resolved."]
    subjects = {member.subject for member in report.members}
    first = first_step(report.alert.kind, subjects, report.members[0].subject, report.runbook.steps)
    return [first, _told(report)]


def _told(report: AlertReport) -> str:
    """Text on the last notification: who has it, and who has not; and to whom an earlier one is still tried."""
    last = next((step for step in reversed(report.events) if step.told or step.reason), None)
    if last is None:
        return "No notification has been sent."
    outcomes = {each.channel: _outcome(each) for each in report.deliveries if each.sequence == last.sequence}
    # Outcomes are forgotten before the steps are.
    outcomes = outcomes or {each.channel: (DELIVERED, "") for each in last.told}
    before = {each.channel: _outcome(each) for each in report.deliveries if each.sequence < last.sequence}
    # Nothing newer is sent on a channel that has not taken the one before.
    outcomes |= {channel: outcome for channel, outcome in before.items() if outcome[0] == STILL_TRIED}
    by_word = {word: [f"{name}{why}" for name, (found, why) in outcomes.items() if found == word] for word in OUTCOMES}
    told = [f"{word}: {', '.join(channels)}." for word, channels in by_word.items() if channels]
    return " ".join(told if last.told else [f"Not sent: {last.reason}.", *told])


def _outcome(delivery: DeliveryLine) -> tuple[str, str]:
    """Word on how far a notification has come, and why it is not there."""
    why = f" ({delivery.last_error})" if delivery.last_error else ""
    match delivery.state:
        case "delivered":
            return DELIVERED, ""
        case "pending":
            return (STILL_TRIED, why) if why else (WAITS, "")
        case "dead":
            return GIVEN_UP, why
        case _:
            return RECALLED, ""
