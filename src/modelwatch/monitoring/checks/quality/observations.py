"""Observations of a quality evaluation: of each rate, change of the schema, volume, repeats and use of classes."""

from __future__ import annotations

from dataclasses import replace
from typing import Literal

from modelwatch.findings import CALM_SHARE, FindingSeverity
from modelwatch.monitoring.checks.observations import Observation, SizeNow
from modelwatch.monitoring.checks.quality.evaluation import FIRING, QualityEvaluation
from modelwatch.monitoring.checks.quality.evidence import QualityEvidence
from modelwatch.monitoring.checks.quality.findings import (
    SHARE_OF_A_CODE,
    SHARE_OF_ONE_VALUE,
    SHARE_OF_REPEATS,
    SHARE_OF_ROWS,
    finding_of,
    rise_of,
)
from modelwatch.monitoring.checks.quality.judge import RateJudgement, VolumeJudgement, longest, rise_thresholds
from modelwatch.stats.drift.recovery import RateSize
from modelwatch.stats.quality.codes import SENTINEL_SHARE
from modelwatch.stats.quality.rates import Rule

# A feature that has gone is back when most rows have it again; how many miss it is a matter of its own.
DISAPPEARED_SHARE = 0.5
# What a value breaks that no cell of the reference has.
OUTSIDE: tuple[Rule, ...] = ("below_range", "above_range", "unseen_category", "invalid_type")


def quality_observations(evaluation: QualityEvaluation) -> list[Observation]:
    """One observation for each rate, change of the schema and volume."""
    evidence = evaluation.evidence
    ids, known = evidence.reference_ids, (evidence, evaluation.alpha)
    until = {f"volume of {each.span}": each.end for each in evaluation.volume}
    found = [
        _observed_rate(evaluation, judged, ids[name])
        for name, judgements in sorted(evaluation.rates.items())
        for judged in judgements
    ]
    for name in sorted(evaluation.rates):
        news = [each for each, severity in evaluation.sentinels(name) if severity in FIRING]
        if news:
            finding = finding_of(*known, f"{name}: sentinel", "warning", news[0])
            found.append(Observation("data_quality", f"{name}: sentinel", ids[name], "drifted", False, finding))
        else:
            sizes = sentinel_sizes(evidence, name)
            found.append(Observation("data_quality", f"{name}: sentinel", ids[name], "calm", sizes=sizes))
        found.append(_observed_extreme(evaluation, name))
    for change, severity in evaluation.schema:
        subject = f"{change.feature}: {change.change}"
        if severity in FIRING:
            finding = finding_of(*known, subject, "alert" if severity == "alert" else "warning", change)
            found.append(Observation("data_quality", subject, ids.get(change.feature, ""), "drifted", False, finding))
        elif severity != "stable":
            found.append(Observation("data_quality", subject, ids.get(change.feature, ""), "undecided"))
    found += _unchanged(evaluation, {each.name for each in found})
    found += [_observed_volume(evaluation, each) for each in evaluation.volume]
    repeats = evaluation.duplicates
    if repeats.severity == "warning":
        finding = finding_of(*known, "duplicates", "warning", repeats)
        found.append(Observation("data_quality", "duplicates", "", "drifted", False, finding))
    else:
        state: Literal["calm", "undecided"] = "calm" if repeats.severity == "stable" else "undecided"
        found.append(Observation("data_quality", "duplicates", "", state, sizes=repeats_sizes(evidence)))
    for judged in evaluation.classes:
        if judged.severity in FIRING:
            severity_now: FindingSeverity = "alert" if judged.severity == "alert" else "warning"
            finding = finding_of(*known, judged.subject, severity_now, judged)
            found.append(Observation("data_quality", judged.subject, "", "drifted", False, finding))
        else:
            calm: Literal["calm", "undecided"] = "calm" if judged.severity == "stable" else "undecided"
            found.append(Observation("data_quality", judged.subject, "", calm, counted=True))
        until[judged.subject] = judged.use.end
    return [replace(each, judged_until=until.get(each.name, evidence.watermark)) for each in found]


def _observed_extreme(evaluation: QualityEvaluation, name: str) -> Observation:
    """A day that has had one is a finding until it has passed: it is reported once, and counted, not inferred."""
    evidence, subject = evaluation.evidence, f"{name}: extreme"
    reference = evidence.reference_ids[name]
    far = evaluation.extremes(name)
    if far:
        finding = finding_of(evidence, evaluation.alpha_a_day, subject, "warning", far[0])
        return Observation("data_quality", subject, reference, "drifted", False, finding)
    state: Literal["calm", "undecided"] = "undecided" if name in evidence.outside_unknown else "calm"
    return Observation("data_quality", subject, reference, state, counted=True)


def _unchanged(evaluation: QualityEvaluation, named: set[str]) -> list[Observation]:
    """Changes of the schema that are not seen (any more) are calm; of what is not watched there is nothing to say."""
    rules = evaluation.evidence.rules
    known = {*evaluation.evidence.reference, *evaluation.evidence.sample.given}
    ids = evaluation.evidence.reference_ids
    state: Literal["calm", "undecided"] = "calm" if evaluation.evidence.sample.rows else "undecided"
    return [
        Observation(
            "data_quality",
            f"{name}: {change}",
            ids.get(name, ""),
            state,
            sizes=schema_sizes(evaluation.evidence, name, change),
        )
        for name in sorted(known)
        if rules.schema and rules.watches(name)
        for change in ("appeared", "disappeared")
        if f"{name}: {change}" not in named
    ]


def _observed_rate(evaluation: QualityEvaluation, judged: RateJudgement, reference: str) -> Observation:
    check, known = judged.check, (evaluation.evidence, evaluation.alpha)
    warning, alert = rise_thresholds(check.reference_rate or 0.0, evaluation.evidence.rules)
    subject = f"{judged.feature}: {check.rule}"
    if judged.severity in FIRING:
        finding = finding_of(*known, subject, "alert" if judged.severity == "alert" else "warning", judged)
        severe = finding_of(*known, subject, "alert", judged)
        still = severe if (check.change or 0.0) >= CALM_SHARE * alert else None
        return Observation("data_quality", subject, reference, "drifted", False, finding, still)
    if judged.severity != "stable":
        return Observation("data_quality", subject, reference, "undecided")
    holds = (check.change or 0.0) >= CALM_SHARE * warning and check.p_value < evaluation.alpha
    held = finding_of(*known, subject, "warning", judged) if holds else None
    sizes = rise_sizes(evaluation.evidence, judged.feature, check.rule)
    return Observation("data_quality", subject, reference, "calm", holds, held, sizes=sizes)


def _observed_volume(evaluation: QualityEvaluation, judged: VolumeJudgement) -> Observation:
    subject, known = f"volume of {judged.span}", (evaluation.evidence, judged.alpha)
    if judged.severity in FIRING:
        finding = finding_of(*known, subject, "alert" if judged.severity == "alert" else "warning", judged)
        return Observation("volume", subject, "", "drifted", False, finding)
    # How much came is counted, not inferred: as much as usual is the end.
    return Observation("volume", subject, "", "calm" if judged.severity == "stable" else "undecided", counted=True)


def rise_sizes(evidence: QualityEvidence, feature: str, rule: Rule) -> tuple[SizeNow, ...]:
    """Possible rise of a rate, by each look-back."""
    hits, n = evidence.reference[feature][rule]
    if not n:
        return ()
    warning, _ = rise_thresholds(hits / n, evidence.rules)
    return tuple(
        SizeNow(rise_of(rule), warning, RateSize(*window.features[feature][rule], hits / n, n), window.start)
        for window in evidence.windows
    )


def sentinel_sizes(evidence: QualityEvidence, feature: str) -> tuple[SizeNow, ...]:
    """Possible share of one value that the reference does not have: at most that of all such values. For each code that
    it has, its share."""
    found = []
    for window in evidence.windows:
        counts = window.features[feature]
        outside = sum(counts[rule][0] for rule in OUTSIDE if rule in counts)
        size = RateSize(outside, counts["missing"][1] - counts["missing"][0], 0.0)
        found.append(SizeNow(SHARE_OF_ONE_VALUE, SENTINEL_SHARE, size, window.start))
    for code in evidence.codes.get(feature, ()):
        tolerance = code.reference_share + rise_thresholds(code.reference_share, evidence.rules)[0]
        found.append(SizeNow(SHARE_OF_A_CODE, tolerance, RateSize(code.count, code.n, 0.0)))
    return tuple(found)


def schema_sizes(evidence: QualityEvidence, feature: str, change: str) -> tuple[SizeNow, ...]:
    """Of a feature that had gone the share of the rows without it, of one that was new the share of those with it."""
    if change == "disappeared":
        return tuple(
            SizeNow(SHARE_OF_ROWS, DISAPPEARED_SHARE, RateSize(*window.features[feature]["missing"], 0.0), window.start)
            for window in evidence.windows
            if feature in window.features
        )
    given, rows = evidence.sample.given.get(feature, 0), evidence.sample.rows
    return (SizeNow(SHARE_OF_ROWS, 0.0, RateSize(given, rows, 0.0)),)


def repeats_sizes(evidence: QualityEvidence) -> tuple[SizeNow, ...]:
    """The share of what was sent again with another content."""
    window = longest(evidence.windows)
    if window is None:
        return ()
    size = RateSize(window.changed_duplicates, window.predictions + window.duplicates, 0.0)
    return (SizeNow(SHARE_OF_REPEATS, evidence.rules.duplicates, size, window.start),)
