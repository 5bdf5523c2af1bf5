"""The two experiments: months in which nothing is wrong, and shifts that begin at time 0."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from modelwatch.config import parse_lookback
from modelwatch.monitoring.checks.rules import SECONDS_PER_30_DAYS, DriftRules
from modelwatch.simulation.baselines import SPANS, baselines, judged_by
from modelwatch.simulation.features import drawn
from modelwatch.simulation.shifts import Shift
from modelwatch.simulation.streams import FeatureStream
from modelwatch.simulation.traffic import HOUR, Arrivals, Schedule, Traffic, schedule, traffic
from modelwatch.simulation.watching import Watch

# Each experiment draws from a stream of its own, so that changing one leaves the others as they were.
RULE_MONTHS, BASELINE_MONTHS, RULE_SHIFTS, BASELINE_SHIFTS = range(4)
# Counts of features that don't know of each other add, so baselines are measured on some and scaled up.
BASELINE_FEATURES = 20
BASELINE_EVALUATIONS = 14_400
DEFAULT_SHIFTS = (Shift("location", 0.5), Shift("location", 1.0))


@dataclass(frozen=True, slots=True)
class Scenario:
    """A model and its traffic.

    features: subjects that are watched. rate: predictions an hour. reference: values in the reference. months: of 30
    days each. shifts: of the one feature that moves. repetitions: of each shift.
    """

    features: int = 50
    rate: float = 100.0
    reference: int = 10_000
    months: int = 24
    shifts: tuple[Shift, ...] = DEFAULT_SHIFTS
    repetitions: int = 200
    arrivals: Arrivals = "even"
    seed: int = 0


@dataclass(frozen=True, slots=True)
class Month:
    """What was found in a month in which nothing was wrong.

    findings: pairs of a feature and an evaluation whose verdict says drift. alerts: runs of evaluations with a finding
    in force about any feature. detected: pairs of a feature and a day or so in which a look-back was beyond chance,
    however small the shift. evaluations: number of them. values: shape (evaluations, look-backs), predictions.
    """

    findings: int
    alerts: int
    detected: int
    when: Schedule


@dataclass(frozen=True, slots=True)
class Hours:
    """Hours from a shift until it is first detected, and until there is a finding; None: not within the horizon."""

    detected: float | None
    found: float | None


def quiet_months(scenario: Scenario, rules: Sequence[DriftRules], month: int) -> list[Month]:
    """A month by each of these rules of the service, in their order. Those that look as far back see the same values,
    which are drawn once."""
    found: dict[int, Month] = {}
    for longest, places in _by_longest(rules).items():
        rng = _rng(scenario, RULE_MONTHS, month)
        arriving = traffic(scenario.rate, longest, SECONDS_PER_30_DAYS, scenario.arrivals, rng)
        counting = [_QuietMonth(scenario, rules[place], arriving, longest) for place in places]
        for _ in range(scenario.features):
            stream = FeatureStream.drawn(drawn(scenario.reference, None, rng), arriving, None, rng)
            for each in counting:
                each.count(stream)
        found |= {place: each.month() for place, each in zip(places, counting, strict=True)}
    return [found[place] for place in range(len(rules))]


class _QuietMonth:
    """What is found of one feature after the other, by one of the service's rules."""

    def __init__(self, scenario: Scenario, rules: DriftRules, arriving: Traffic, longest: int) -> None:
        self._when = _scheduled(rules, arriving)
        self._watch = Watch.on(self._when, rules, scenario.features)
        self._longest = longest
        self._findings = self._detected = 0
        self._in_force = np.zeros(len(self._when.ends) + 1, dtype=np.bool_)

    def count(self, stream: FeatureStream) -> None:
        """Adds a feature."""
        calm_from = -self._longest
        for seen in self._watch.seen(stream):
            self._findings += seen.drifts
            self._in_force[seen.at] |= seen.in_force
            if seen.detected:
                # Looks that overlap find the same.
                end = int(self._when.ends[seen.at])
                self._detected += end - calm_from >= self._longest
                calm_from = end

    def month(self) -> Month:
        """All features together."""
        alerts = int((self._in_force[:-1] & ~np.roll(self._in_force, 1)[:-1]).sum())
        return Month(self._findings, alerts, self._detected, self._when)


def quiet_baseline_month(scenario: Scenario, rules: DriftRules, month: int) -> Mapping[str, float]:
    """Number of (feature, evaluation) pairs with drift, by the name of a baseline."""
    others = baselines(scenario.features)
    evaluations = SECONDS_PER_30_DAYS // rules.check_interval
    measured = max(1, min(scenario.features, BASELINE_FEATURES, BASELINE_EVALUATIONS // max(evaluations, 1)))
    rng = _rng(scenario, BASELINE_MONTHS, month)
    arriving = traffic(scenario.rate, max(SPANS), SECONDS_PER_30_DAYS, scenario.arrivals, rng)
    when = schedule(arriving, SPANS, max(HOUR, rules.check_interval), None)
    alarms = dict.fromkeys((rule.name for rule in others), 0)
    for _ in range(measured):
        feature = drawn(scenario.reference, None, rng)
        looks = FeatureStream.drawn(feature, arriving, None, rng).looks(when)
        for name, drifted in judged_by(others, feature.reference, looks).items():
            alarms[name] += int(drifted.sum())
    return {name: count * scenario.features / measured for name, count in alarms.items()}


def delays(scenario: Scenario, rules: Sequence[DriftRules], shift: Shift, repetition: int) -> list[Hours]:
    """Hours from the shift until the service detects it, and has a finding, by each of its rules. Those that look as
    far back see the same values, which are drawn once."""
    found: dict[int, Hours] = {}
    for longest, places in _by_longest(rules).items():
        rng = _rng(scenario, RULE_SHIFTS, repetition)
        arriving = traffic(scenario.rate, longest, horizon(rules[places[0]]), scenario.arrivals, rng)
        stream = FeatureStream.drawn(drawn(scenario.reference, shift, rng), arriving, shift, rng)
        for place in places:
            when = _scheduled(rules[place], arriving)
            first = Watch.on(when, rules[place], scenario.features).first(stream)
            found[place] = Hours(*(None if at is None else float(when.ends[at]) / HOUR for at in first))
    return [found[place] for place in range(len(rules))]


def baseline_delay(scenario: Scenario, rules: DriftRules, shift: Shift, repetition: int) -> Mapping[str, float | None]:
    """Hours until a baseline detects drift, by the name of the baseline; none of those that are not for the feature."""
    rng = _rng(scenario, BASELINE_SHIFTS, repetition)
    arriving = traffic(scenario.rate, max(SPANS), horizon(rules), scenario.arrivals, rng)
    when = schedule(arriving, SPANS, max(HOUR, rules.check_interval), None)
    feature = drawn(scenario.reference, shift, rng)
    looks = FeatureStream.drawn(feature, arriving, shift, rng).looks(when)
    return {
        name: float(when.ends[drifted.argmax()]) / HOUR if drifted.any() else None
        for name, drifted in judged_by(baselines(scenario.features), feature.reference, looks).items()
    }


def horizon(rules: DriftRules) -> int:
    """Seconds for which a shift is watched: three times the longest look-back, and at least three days."""
    return 3 * max(*SPANS, *(parse_lookback(name) for name in rules.lookbacks))


def _by_longest(rules: Sequence[DriftRules]) -> Mapping[int, list[int]]:
    """The places of the rules whose longest look-back is as long, in seconds."""
    found: dict[int, list[int]] = {}
    for place, each in enumerate(rules):
        found.setdefault(max(map(parse_lookback, each.lookbacks)), []).append(place)
    return found


def _scheduled(rules: DriftRules, arriving: Traffic) -> Schedule:
    """The evaluations of the service by these rules."""
    return schedule(arriving, list(map(parse_lookback, rules.lookbacks)), rules.check_interval, rules.enough_new)


def _rng(scenario: Scenario, stream: int, index: int) -> np.random.Generator:
    return np.random.default_rng((scenario.seed, stream, index))
