"""From counts to judgements: a share of bad values that has risen by enough to matter, and by more than chance."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal

from modelwatch.measures import p_needed
from modelwatch.monitoring.checks.quality.report import PRECEDENCE, Severity
from modelwatch.monitoring.checks.quality.rules import QualityRules
from modelwatch.stats.quality.rates import (
    ROUNDING,
    RateCheck,
    SchemaChange,
    compare_rates,
    rise_that_matters,
    schema_changes,
)
from modelwatch.stats.quality.volume import LEAST_CHANGE, VolumeCheck, dispersion_of_span, volume_check

if TYPE_CHECKING:
    from modelwatch.monitoring.checks.quality.evidence import QualityEvidence, Volumes, WindowQuality

# From this share of unsound values on, a feature is not to be trusted at all.
MOSTLY_UNSOUND = 0.5
SEVERE_RISE = 2.0
# The longest span finds what slow streams lack. It ends at midnight, and is one look a day.
WEEK: Final = "7d"
HOURS_OF_WEEK = 168
SECONDS_PER_DAY = 86_400
# A volume of half or less, or of twice or more, is an alert.
HALVED, DOUBLED = 0.5, 1.0
Span = Literal["1h", "24h", "7d"]
SPANS: tuple[tuple[Span, int], ...] = (("1h", 1), ("24h", 24), (WEEK, HOURS_OF_WEEK))


@dataclass(frozen=True, slots=True)
class RateJudgement:
    """One rule of one feature in one window."""

    feature: str
    window: WindowQuality
    check: RateCheck
    severity: Severity
    reason: str | None

    @property
    def rank(self) -> tuple[int, int]:
        """The worst window decides for a rule, of equally bad ones the longest."""
        return PRECEDENCE.index(self.severity), self.window.start - self.window.end


@dataclass(frozen=True, slots=True)
class VolumeJudgement:
    """A span compared with the same span of earlier weeks. Times in seconds. alpha: the chance of a false alarm that it
    took."""

    span: Span
    start: int
    end: int
    check: VolumeCheck
    severity: Severity
    alpha: float


@dataclass(frozen=True, slots=True)
class RepeatsJudgement:
    """Judgement of repeats: all of them, those that differ from the first time, and everything that was sent."""

    severity: Severity
    repeats: int
    changed: int
    sent: int


def subjects_of(evidence: QualityEvidence) -> int:
    """Number of rates, extreme values and volumes that share the budget."""
    watched = [counts for name, counts in evidence.reference.items() if evidence.rules.watches(name)]
    rates = sum(len(counts) + ("above_range" in counts) for counts in watched)
    classes = sum(use.reference_n > 0 for use in evidence.classes)
    return rates + classes + (len(SPANS) if evidence.rules.volume else 0)


def judge_rates(evidence: QualityEvidence, alpha: float) -> dict[str, list[RateJudgement]]:
    """By feature, the judgement on each rule by its deciding window."""
    rules = evidence.rules
    found: dict[str, list[RateJudgement]] = {}
    for name, before in evidence.reference.items():
        if not rules.watches(name):
            continue
        by_rule: dict[str, list[RateJudgement]] = {}
        for window in evidence.windows:
            checks = compare_rates(
                before,
                window.features[name],
                least_rise=rules.min_rise,
                factor=rules.factor,
                p_values={"unseen_category": window.new_names[name]} if name in window.new_names else {},
            )
            for check in checks:
                by_rule.setdefault(check.rule, []).append(_rate(name, window, check, rules, alpha))
        found[name] = [min(judged, key=lambda each: each.rank) for judged in by_rule.values()]
    return found


def _rate(feature: str, window: WindowQuality, check: RateCheck, rules: QualityRules, alpha: float) -> RateJudgement:
    if not check.current_n:
        return RateJudgement(feature, window, check, "no_data", "There are no values in this window.")
    if not check.reference_n:
        return RateJudgement(feature, window, check, "no_reference", "The reference has no values.")
    # The exact test holds for samples of any size: few values can show a rise, only the lack of one takes many.
    if not check.large or check.p_value >= alpha:
        if check.current_n < rules.min_samples:
            missing = rules.min_samples - check.current_n
            reason = f"{check.current_n} of at least {rules.min_samples} values: {missing} more are needed."
            return RateJudgement(feature, window, check, "insufficient_data", reason)
        chance = None
        if check.large:
            chance = f"Risen, but explained by chance: {p_needed(check.p_value, alpha)}."
        return RateJudgement(feature, window, check, "stable", chance)
    _, alert = rise_thresholds(check.reference_rate or 0.0, rules)
    severe = (check.change or 0.0) >= alert - ROUNDING
    return RateJudgement(feature, window, check, "alert" if severe else "warning", None)


def rise_thresholds(reference_rate: float, rules: QualityRules) -> tuple[float, float]:
    """From which rise of a rate on there is a warning, and an alert: when it is large, or most values have an issue."""
    warning = rise_that_matters(reference_rate, least_rise=rules.min_rise, factor=rules.factor)
    return warning, max(warning, min(SEVERE_RISE * rules.min_rise, MOSTLY_UNSOUND - reference_rate))


def volume_thresholds(check: VolumeCheck) -> tuple[float, float] | None:
    """By how many predictions a volume must be off for a warning, and for an alert; None when nothing is expected."""
    if not check.expected:
        return None
    severe = HALVED if check.current < check.expected else DOUBLED
    return LEAST_CHANGE * check.expected, severe * check.expected


def judge_schema(evidence: QualityEvidence, alpha: float) -> list[tuple[SchemaChange, Severity]]:
    """Features that have appeared or disappeared, and whether that is certain; those that had appeared and are in no
    row any more."""
    rules, window = evidence.rules, longest(evidence.windows)
    if not rules.schema or window is None or not window.predictions:
        return []
    changes: list[SchemaChange] = []
    for name, before in evidence.reference.items():
        missing, total = window.features[name]["missing"]
        reference_missing, reference_total = before["missing"]
        if rules.watches(name):
            changes += schema_changes(
                {name: reference_total - reference_missing},
                {name: total - missing},
                reference_n=reference_total,
                current_n=total,
            )
    if evidence.complete and evidence.reference:
        reference_n = max(counts["missing"][1] for counts in evidence.reference.values())
        new = {
            name: given
            for name, given in evidence.sample.given.items()
            if name not in evidence.reference and rules.watches(name)
        }
        changes += schema_changes({}, new, reference_n=reference_n, current_n=evidence.sample.rows)
        changes += [SchemaChange(name, "appeared", 0, 0, 1.0) for name, given in new.items() if not given]
    judged: list[tuple[SchemaChange, Severity]] = []
    for change in changes:
        enough = (window.predictions if change.change == "disappeared" else evidence.sample.rows) >= rules.min_samples
        severity: Severity = "stable" if enough else "insufficient_data"
        if change.p_value < alpha:
            severity = "alert" if change.change == "disappeared" else "warning"
        judged.append((change, severity))
    return judged


def judge_volume(evidence: QualityEvidence, alpha: float) -> list[VolumeJudgement]:
    """The last whole hour, the last 24, and the seven days to the last midnight, beside the same of earlier weeks.

    alpha: of the first two, which are judged repeatedly; the last are the same for a whole day, and have its.
    """
    volumes, watermark = evidence.volumes, evidence.watermark
    if not evidence.rules.volume or watermark is None:
        return []
    last = watermark // 3_600 * 3_600
    judged = []
    for name, hours in SPANS:
        end, level = last, alpha
        if name == WEEK:
            end = last // SECONDS_PER_DAY * SECONDS_PER_DAY
            level = evidence.rules.alpha_a_day(subjects_of(evidence), evidence.streams)
        check = volume_of_hours(volumes, hours, (last - end) // 3_600)
        severity: Severity = "insufficient_data"
        if check.p_value is not None:
            unusual = check.large and check.p_value < level
            limits = volume_thresholds(check)
            severe = limits is not None and abs(check.current - (check.expected or 0.0)) >= limits[1]
            severity = "stable" if not unusual else "alert" if severe else "warning"
        judged.append(VolumeJudgement(name, end - hours * 3_600, end, check, severity, level))
    return judged


def volume_of_hours(volumes: Volumes | None, hours: int, before: int = 0) -> VolumeCheck:
    """The span of so many hours that ends `before` hours before the last one."""
    if volumes is None:
        return volume_check(0, [])
    weeks = [*volumes.earlier, volumes.week]
    if before:
        flat = tuple(count for week in weeks for count in week)[HOURS_OF_WEEK - before : -before]
        weeks = [flat[start : start + HOURS_OF_WEEK] for start in range(0, len(flat), HOURS_OF_WEEK)]
    return volume_check(
        sum(weeks[-1][-hours:]),
        [sum(week[-hours:]) for week in weeks[:-1]],
        dispersion=dispersion_of_span(weeks[:-1], hours),
    )


def judge_duplicates(evidence: QualityEvidence) -> RepeatsJudgement:
    """Judges whether too much is sent again with other content. Exact repeats are how retries work, and no fault."""
    window, rules = longest(evidence.windows), evidence.rules
    if window is None or not window.predictions:
        return RepeatsJudgement("no_data", 0, 0, 0)
    sent, changed = window.predictions + window.duplicates, window.changed_duplicates
    severity: Severity = "stable"
    if sent < rules.min_samples:
        severity = "insufficient_data"
    elif rules.duplicates and changed >= rules.duplicates * sent:
        severity = "warning"
    return RepeatsJudgement(severity, window.duplicates, changed, sent)


def longest(windows: Sequence[WindowQuality]) -> WindowQuality | None:
    """The longest window."""
    return max(windows, key=lambda window: window.end - window.start, default=None)
