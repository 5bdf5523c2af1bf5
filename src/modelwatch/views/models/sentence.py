"""The sentence on a model's state: what is found, with numbers, or why nothing is judged."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from modelwatch.alerting.alert import Alert, Member
from modelwatch.config import parse_lookback
from modelwatch.findings import NOT_SHOWN, Kind
from modelwatch.measures import in_sentence, metric_interval, metric_name, metric_value
from modelwatch.monitoring.checks.headline import Headline
from modelwatch.text import capitalized, clipped, listed, shortened, span
from modelwatch.times import MICROS_PER_SECOND, SECONDS_PER_HOUR
from modelwatch.views.models.rows import ModelState
from modelwatch.views.models.without_alert import DriftWithoutAlert

LONGEST_NAME = 60
LONGEST_DETAIL = 160
DRIFT_KINDS: tuple[Kind, ...] = ("feature_drift", "prediction_drift", "latency_drift")
OWN_SUBJECTS = {"prediction": "the prediction", "score": "its score", "latency": "latency"}


def members_of(alerts: Sequence[Alert], *kinds: Kind) -> list[Member]:
    """The findings in force of these kinds, worst first; of all without any."""
    found = [member for alert in alerts if not kinds or alert.kind in kinds for member in alert.members]
    return sorted(found, key=lambda each: (each.finding.severity != "alert", -_size(each)))


def _size(member: Member) -> float:
    finding = member.finding
    return finding.score / finding.threshold if finding.threshold else finding.score


def own_subjects(subjects: Iterable[str]) -> list[str]:
    """Names of what a model makes of its features, in one order: the score is the prediction's.

    >>> own_subjects(["score", "prediction"])
    ['the prediction', 'its score']
    >>> own_subjects(["score"])
    ['the score']
    """
    order = list(OWN_SUBJECTS)
    found = sorted(dict.fromkeys(subjects), key=lambda each: order.index(each) if each in order else len(order))
    whose = "its" if "prediction" in found else "the"
    return [OWN_SUBJECTS.get(each, each).replace("its", whose) for each in found]


def in_other_versions(members: Sequence[Member], version: str | None) -> str:
    """Words on the versions that findings are about, where none is about this one; empty otherwise, and for None."""
    versions = sorted({each.version for each in members if each.version})
    if version is None or not versions or version in versions:
        return ""
    names = listed([shortened(each, LONGEST_NAME) for each in versions[:2]], len(versions))
    return f" in version{'' if len(versions) == 1 else 's'} {names}"


def drift_clause(members: Sequence[Member], features: int, version: str | None = None) -> str:
    """Clause on the drift: the number of features that drifted, of how many, and which of the prediction, its score and
    latency. version: the one that is shown; others are named."""
    moved = list(dict.fromkeys(each.finding.subject for each in members if each.finding.kind == "feature_drift"))
    subjects = dict.fromkeys(each.finding.subject for each in members if each.finding.kind != "feature_drift")
    others = own_subjects(subjects)
    with_them = listed(others[:3], len(others))
    where = in_other_versions(members, version)
    if not moved:
        return capitalized(f"{with_them} {'drifts' if len(others) == 1 else 'drift'}{where}")
    one = len(moved) == 1
    number = f"{len(moved):,} of {features:,} features" if features else f"{len(moved):,} feature{'' if one else 's'}"
    names = listed([shortened(each, LONGEST_NAME) for each in moved[:2]], len(moved))
    clause = f"{number} {'drifts' if one else 'drift'}{where}: {names}"
    return f"{clause}; {with_them} with {'it' if one else 'them'}" if others else clause


def metric_clause(headline: Headline) -> str:
    """The main metric with its interval and of how long it is, and the reference's."""
    name = headline.subject or ""
    text = f"{in_sentence(name)} {metric_value(name, headline.value)}"
    if headline.low is not None and headline.high is not None:
        text += f" ({metric_interval(name, headline)})"
    if headline.seconds:
        hours, rest = divmod(headline.seconds, SECONDS_PER_HOUR)
        text += f" over {f'{hours} h' if 0 < hours < 72 and not rest else span(headline.seconds)}"
    return text if headline.reference is None else f"{text}, reference {metric_value(name, headline.reference)}"


def sentence_of(
    state: ModelState,
    alerts: Sequence[Alert],
    severity: str | None,
    drift: Headline | None,
    performance: Headline | None,
    *,
    behind: int,
    silent: int | None,
    has_reference: bool,
    version: str | None = None,
    without_alert: DriftWithoutAlert | None = None,
) -> str:
    """Sentence on a model in an environment.

    alerts: those that are open. severity: of the newest verdict on drift. drift, performance: headlines of the newest
    verdicts. behind: how many seconds of data are still to be evaluated. silent: seconds since the last arrival.
    version: the one that is shown; findings are of all, and what drifts in others alone is said to be theirs.
    without_alert: of a verdict of drift while no alert is open.
    """
    if without_alert is not None and state in ("alert", "warning"):
        return capitalized("; ".join([without_alert.clause(), *_metric(performance)])) + "."
    if state in ("alert", "warning"):
        return "; ".join(_clauses(alerts, drift, performance, version)) + "."
    if state == "no_data":
        reference = "A reference is set, but" if has_reference else "No reference is set, and"
        return f"{reference} nothing has arrived{'' if silent is None else f' for {span(silent)}'}."
    if state == "catching_up":
        return "Not evaluated yet." if severity is None else f"{span(behind)} of data have not been evaluated yet."
    if state == "unknown":
        reason = None if drift is None else drift.reason
        return (
            clipped(reason, LONGEST_DETAIL) if reason else _UNJUDGED.get(severity or "", "Nothing can be judged yet.")
        )
    return capitalized("; ".join(_calm(severity, drift, performance))) + "."


_UNJUDGED = {
    "insufficient_data": "Too little data for a verdict.",
    "no_data": "No usable values in the data.",
    "no_reference": "No reference to compare with.",
}


def _clauses(
    alerts: Sequence[Alert], drift: Headline | None, performance: Headline | None, version: str | None
) -> list[str]:
    clauses = []
    silence = [each for each in alerts if each.kind == "freshness"]
    if silence:
        clauses.append(_detail(silence[0].members[0]))
    moved = members_of(alerts, *DRIFT_KINDS)
    if moved:
        clauses.append(drift_clause(moved, 0 if drift is None else drift.features, version))
    worse = members_of(alerts, "performance")
    if worse:
        clause = _loss(worse, performance)
        clauses.append(clause if clauses else capitalized(clause))
    rest = members_of(alerts, "label_drift", "data_quality", "volume")
    if rest:
        more = f" and {len(rest) - 1:,} more" if len(rest) > 1 else ""
        clauses.append(_detail(rest[0]) + more)
    return clauses


def _calm(severity: str | None, drift: Headline | None, performance: Headline | None) -> list[str]:
    clauses = []
    if severity in ("alert", "warning"):
        clauses.append("a person has resolved the findings")
    elif drift is not None and drift.shifted:
        clauses.append(_shifted(drift))
    elif drift is not None and drift.checked:
        clauses.append(_compared(drift))
    else:
        clauses.append("as in the reference")
    return clauses + _metric(performance)


def _metric(performance: Headline | None) -> list[str]:
    return [] if performance is None or performance.value is None else [metric_clause(performance)]


def _compared(drift: Headline) -> str:
    if drift.not_judged:
        judged = max(drift.checked - drift.not_judged, 0)
        are, left = ("is" if each == 1 else "are" for each in (judged, drift.not_judged))
        some = f"{judged:,} of {drift.checked:,} subjects {are} as in the reference"
        return f"{some}, {drift.not_judged:,} {left} not judged"
    what = (
        f"{drift.features:,} feature{'' if drift.features == 1 else 's'}" if drift.features else "everything compared"
    )
    others = " and the model's outputs" if drift.checked > drift.features > 0 else ""
    verb = "is" if not others and drift.features <= 1 else "are"
    return f"{what}{others} {verb} as in the reference"


def _shifted(drift: Headline) -> str:
    names = [shortened(OWN_SUBJECTS.get(each, each), LONGEST_NAME) for each in drift.shifted_names[:2]]
    has = "has" if drift.shifted == 1 else "have"
    rest = drift.checked - drift.shifted - drift.not_judged
    others = f", the other {rest:,} are as in the reference" if rest > 1 else ""
    if drift.not_judged:
        counts = ((max(rest, 0), "as in the reference"), (drift.not_judged, "not judged"))
        others = "".join(f", {some:,} {'is' if some == 1 else 'are'} {what}" for some, what in counts if some)
    return f"real, but {NOT_SHOWN}: {listed(names, drift.shifted)} {has} shifted{others}"


def _detail(member: Member) -> str:
    finding = member.finding
    detail = clipped(finding.detail, LONGEST_DETAIL).rstrip(".")
    subject = shortened(finding.subject, LONGEST_NAME)
    # These name what they are about.
    own = finding.kind in ("freshness", "volume", "data_quality", "label_drift")
    return detail if own or detail.startswith(subject) else f"{subject}: {detail}"


def _loss(worse: Sequence[Member], performance: Headline | None) -> str:
    """Clause on the loss: the main metric as it is, where it is worse in the look-back that this shows; else what was
    found, since another metric is worse, or this one in another look-back. worse: the findings, the worst first."""
    finding, over = worse[0].finding, ""
    if performance is not None and performance.value is not None:
        finding = next((each.finding for each in worse if each.finding.subject == performance.subject), finding)
        seconds = None if finding.lookback is None else parse_lookback(finding.lookback)
        if finding.subject == performance.subject and seconds in (None, performance.seconds):
            return metric_clause(performance)
        # The main metric stands beside the sentence, of another look-back.
        over = f" over {span(seconds)}" if seconds not in (None, performance.seconds) else ""
    more = f" and {len(worse) - 1:,} more" if len(worse) > 1 else ""
    detail = clipped(finding.detail, LONGEST_DETAIL).rstrip(".")
    return detail.replace(metric_name(finding.subject), in_sentence(finding.subject), 1) + over + more


def seconds_since(micros: int, now: int) -> int:
    """Whole seconds between two times in microseconds."""
    return max(now - micros, 0) // MICROS_PER_SECOND
