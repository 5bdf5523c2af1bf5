"""The rules that one model is judged by: the settings of the service, and what the model's monitor says otherwise."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any, Literal, TypeVar

import msgspec

from modelwatch.config import Settings, parse_lookback
from modelwatch.config.monitors.defaults import ODDS_RATIO
from modelwatch.config.monitors.monitor import MonitorConfig, Persistence, settled_thresholds
from modelwatch.config.monitors.values import AlertOn
from modelwatch.stats.drift.evidence import alpha_per_look

if TYPE_CHECKING:
    from _typeshed import DataclassInstance


# So many new predictions are worth a look: fewer hardly change what is known, and each look spends what has accrued.
LOOKS_AFTER = 15
# From so many values on the tests are right far out in their tails, and from this part of what a verdict needs on a
# shift that is no chance is said.
DETECTS_FROM, DETECTING_SHARE = 30, 0.3
# With fewer values of the reference directed tests say up to five times too much, and a single value is always unusual.
LEAST_REFERENCE = 10


@dataclass(frozen=True, slots=True)
class FeatureRules:
    """Rules of one feature; None: as for the others."""

    psi_warning: float | None = None
    psi_alert: float | None = None
    min_samples: int | None = None
    odds_ratio: float | None = None


@dataclass(frozen=True, slots=True)
class Thresholds:
    """PSI from which a shift of one subject matters, and the number of values that a verdict needs.

    odds_ratio: how many times the odds of one of its categories must have grown or fallen to matter, whatever the PSI;
    its square is an alert. 0: the odds are not judged.
    """

    psi_warning: float
    psi_alert: float
    min_samples: int
    odds_ratio: float = 0.0


class AccruingBudget:
    """Rules whose budget accrues evenly over event time: a look spends what has accrued since the one before it."""

    __slots__ = ()
    check_interval: int

    def accrued(self, elapsed: int | None) -> int:
        """The seconds whose budget a look may spend that comes `elapsed` seconds after the one before it; None: an
        interval. What accrued over more than an interval is forfeited."""
        return self.check_interval if elapsed is None else min(max(elapsed, 1), self.check_interval)


@dataclass(frozen=True, slots=True)
class DriftRules(AccruingBudget):
    """Rules of the drift check for one model, and its schedule. Times in seconds.

    leave_out: names or shell patterns of features that are not watched. kinds: what is watched beside the features.
    odds_ratio: of the prediction, as in `Thresholds`. alarms_needed, alarms_among: so many of the last so many
    evaluations must say drift before it is a finding. resolve_after: calm evaluations in a row until it is none any
    more. on_new_data: evaluate early, when `looks_after` new predictions have come (None: `min_samples`). alert_on: the
    least severity that is a finding. names_shifted: whether what is detected and small is `shifted`. directed: whether
    directed tests are among those that decide, and sizes are less what chance adds. detects_from: from so many values
    on a look-back may show a shift, though a verdict needs `min_samples`, and only look-backs that hold so many have a
    part of the level (None: all have, and nothing is shown by fewer than `min_samples`). dispersed: whether p-values
    allow for the natural variation of the reference. cluster_by: feature whose values group predictions that are alike;
    it is not watched. least_reference: number of reference values without which a subject is not judged.
    """

    psi_warning: float
    psi_alert: float
    ks_alpha: float
    min_samples: int
    budget: float
    lookbacks: tuple[str, ...]
    check_interval: int
    natural_variation: bool = True
    grace: int = 60
    on_new_data: bool = True
    alarms_needed: int = 1
    alarms_among: int = 1
    resolve_after: int = 2
    leave_out: tuple[str, ...] = ()
    kinds: tuple[str, ...] = ("prediction", "score", "latency")
    features: Mapping[str, FeatureRules] = field(default_factory=dict)
    alert_on: AlertOn = "warning"
    # What evidence of earlier releases was judged by.
    odds_ratio: float = 0.0
    names_shifted: bool = False
    directed: bool = False
    looks_after: int | None = None
    detects_from: int | None = None
    dispersed: bool = False
    cluster_by: str | None = None
    least_reference: int = 0

    @classmethod
    def of(cls, settings: Settings) -> DriftRules:
        """The rules of a model without a monitor."""
        return cls(
            psi_warning=settings.psi_warning_threshold,
            psi_alert=settings.psi_alert_threshold,
            ks_alpha=settings.ks_test_alpha,
            min_samples=settings.min_samples_for_drift,
            budget=settings.false_alarm_budget,
            lookbacks=settings.lookbacks,
            check_interval=settings.drift_check_interval,
            natural_variation=settings.natural_variation,
            grace=settings.evaluation_grace_seconds,
            odds_ratio=ODDS_RATIO,
            names_shifted=True,
            directed=True,
            looks_after=LOOKS_AFTER,
            detects_from=DETECTS_FROM,
            dispersed=True,
            least_reference=LEAST_REFERENCE,
        )

    @property
    def enough_new(self) -> int | None:
        """How many new predictions make an early evaluation; None where there are no early ones."""
        if not self.on_new_data:
            return None
        return self.min_samples if self.looks_after is None else min(self.looks_after, self.min_samples)

    def least(self, min_samples: int) -> int:
        """Number of values from which on a window may show a shift, where a verdict needs `min_samples`.

        >>> rules = DriftRules(0.1, 0.25, 0.05, 100, 1.0, ("24h",), 3_600, detects_from=30)
        >>> [rules.least(needed) for needed in (7, 100, 500)]
        [7, 30, 150]
        """
        if self.detects_from is None:
            return min_samples
        return min(min_samples, max(self.detects_from, round(DETECTING_SHARE * min_samples)))

    @property
    def least_of_any(self) -> int:
        """Number of predictions without which a window shows nothing of any subject."""
        needed = (feature.min_samples for feature in self.features.values() if feature.min_samples is not None)
        return self.least(min((self.min_samples, *needed)))

    @property
    def longest(self) -> int:
        """Length of the longest look-back, in seconds."""
        return max(parse_lookback(lookback) for lookback in self.lookbacks)

    def alpha(
        self, subjects: int, streams: int = 1, elapsed: int | None = None, *, lookbacks: int | None = None
    ) -> float:
        """The chance of a false alarm that one look at one subject may take.

        The budget accrues evenly over event time, and a look spends what has accrued since the one before it. streams:
        how many versions and environments of the model are evaluated beside each other. elapsed: seconds since the
        previous evaluation, the interval if None; what accrued over more than an interval is forfeited. lookbacks: how
        many are evaluated; those of the rules if None.
        """
        spans = len(self.lookbacks) if lookbacks is None else lookbacks
        seconds = self.accrued(elapsed)
        return alpha_of_look("drift", self.budget, subjects=subjects, streams=streams, lookbacks=spans, seconds=seconds)

    def thresholds(self, kind: str, name: str) -> Thresholds:
        """Thresholds of one subject."""
        feature = self.features.get(name, FeatureRules()) if kind == "feature" else FeatureRules()
        odds_ratio = self.odds_ratio if kind == "prediction" else feature.odds_ratio or 0.0
        warning, alert = settled_thresholds(feature.psi_warning, feature.psi_alert, self.psi_warning, self.psi_alert)
        min_samples = self.min_samples if feature.min_samples is None else feature.min_samples
        return Thresholds(warning, alert, min_samples, odds_ratio)

    def watches(self, kind: str, name: str) -> bool:
        """True when the subject is watched."""
        if kind != "feature":
            return kind in self.kinds
        return name != self.cluster_by and not any(fnmatchcase(name, pattern) for pattern in self.leave_out)


def rules_for(defaults: DriftRules, monitor: MonitorConfig | None) -> DriftRules:
    """The rules of a model with this monitor: what it leaves open is as in `defaults`."""
    if monitor is None:
        return defaults
    drift, schedule = monitor.drift, monitor.schedule
    warning, alert = settled_thresholds(drift.psi_warning, drift.psi_alert, defaults.psi_warning, defaults.psi_alert)
    kinds = {"prediction": drift.prediction, "score": drift.score, "latency": drift.latency}
    given: dict[str, Any] = {
        "psi_warning": warning,
        "psi_alert": alert,
        "min_samples": drift.min_samples,
        "budget": monitor.budget,
        "lookbacks": drift.lookbacks,
        "check_interval": schedule.every,
        "natural_variation": None if drift.tolerance is None else drift.tolerance == "natural",
        "grace": schedule.grace,
        "on_new_data": schedule.on_new_data,
        "odds_ratio": drift.odds_ratio,
        "alert_on": drift.alert_on,
        "resolve_after": drift.resolve_after,
        "leave_out": drift.leave_out,
        "cluster_by": drift.cluster_by,
        "kinds": tuple(kind for kind in defaults.kinds if kinds[kind] is not False),
    }
    if drift.features:
        given["features"] = {
            name: FeatureRules(feature.psi_warning, feature.psi_alert, feature.min_samples, feature.odds_ratio)
            for name, feature in drift.features.items()
        }
    return overridden(defaults, given, drift.persistence)


Rules = TypeVar("Rules", bound="DataclassInstance")


def overridden(rules: Rules, given: Mapping[str, Any], persistence: Persistence | None) -> Rules:
    """The rules with what a monitor gives. given: by field; None leaves a field as it is."""
    values = {name: value for name, value in given.items() if value is not None}
    if persistence is not None:
        values |= {"alarms_needed": persistence.alarms, "alarms_among": persistence.of}
    return replace(rules, **values)


Check = Literal["drift", "performance", "quality"]

SHARES: dict[Check, float] = {"drift": 0.5, "performance": 0.25, "quality": 0.25}
SECONDS_PER_30_DAYS = 30 * 86_400
# A generous budget over few looks would otherwise call coin tosses evidence.
LARGEST_ALPHA = 0.05


def share_of(check: Check) -> float:
    """The part of the budget that a check may spend; the parts add up to one."""
    return SHARES[check]


def alpha_of_look(
    check: Check, budget: float, *, subjects: int, lookbacks: int, seconds: int, streams: int = 1
) -> float:
    """The chance of a false alarm that one look may take.

    budget: false alarms per model and 30 days. subjects: of each stream of the model. seconds: how much time has passed
    since the look before, in which budget has accrued.

    >>> alpha_of_look("drift", 1.0, subjects=10, lookbacks=1, seconds=2_592_000)
    0.05
    >>> f"{alpha_of_look('quality', 1.0, subjects=10, lookbacks=1, seconds=3_600):.2e}"
    '3.47e-05'
    """
    looks = max(subjects, 1) * max(streams, 1)
    alpha = alpha_per_look(budget * share_of(check), looks, max(lookbacks, 1), SECONDS_PER_30_DAYS / max(seconds, 1))
    return min(alpha, LARGEST_ALPHA)


class AlphaReport(msgspec.Struct, frozen=True):
    """Origin of alpha: the check's share of the budget that accrued in so many seconds, divided among all looks.
    capped: true when that is more than any look may take, so that alpha is the largest that one may."""

    false_alarm_budget: float
    share: float
    subjects: int
    streams: int
    lookbacks: int
    seconds: int
    capped: bool = False
