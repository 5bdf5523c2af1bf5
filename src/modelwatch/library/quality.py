"""Missing, invalid and unusual values of the columns of two data sets, judged as by the service."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import msgspec

from modelwatch.charts.drawing.numbers import percent
from modelwatch.measures import UNSOUND_VALUES, plain
from modelwatch.monitoring.checks.drift.evaluation import new_names_p_value
from modelwatch.monitoring.checks.quality.judge import rise_thresholds
from modelwatch.monitoring.checks.quality.rules import QualityRules
from modelwatch.stats.counting.profile import Profile
from modelwatch.stats.quality.rates import Rule, rate_checks
from modelwatch.storage.references.subjects import StoredReference, Subject


class UnsoundValues(msgspec.Struct, frozen=True):
    """A share of values with an issue that has risen, by enough to matter and by more than chance.

    reference_rate, rate: shares between 0 and 1; of unseen names the reference has none, and its rate is the one to be
    expected by its rare names. p_value: one-sided, that chance alone gives a rise like this.
    """

    name: str
    rule: Rule
    severity: Literal["warning", "alert"]
    reference_rate: float
    rate: float
    p_value: float


def unsound_values(
    references: Mapping[Subject, StoredReference],
    counts: Mapping[Subject, Profile],
    alpha: float,
    *,
    cluster_by: str | None = None,
    keys: Profile | float | None = None,
) -> list[UnsoundValues]:
    """The shares that have risen, the worst first.

    counts: of the other data set, by subject. alpha: chance of a false alarm about all of them. cluster_by: the column
    by which rows are alike; keys: how many rows are in the group of one on average, or counts of the column.
    """
    rules = QualityRules(budget=0.0, check_interval=0)
    checks = [
        (subject, check)
        for subject, each in references.items()
        for chance in (new_names_p_value(each, counts[subject], cluster_by, keys),)
        for check in rate_checks(
            each.profile,
            counts[subject],
            each.split,
            p_values={} if chance is None else {"unseen_category": chance},
        )
    ]
    limit = alpha / max(len(checks), 1)
    found = []
    for subject, check in checks:
        if not check.large or check.p_value >= limit or check.current_rate is None or check.reference_rate is None:
            continue
        _, severe = rise_thresholds(check.reference_rate, rules)
        found.append(
            UnsoundValues(
                subject.name or subject.kind,
                check.rule,
                "alert" if check.current_rate - check.reference_rate >= severe else "warning",
                check.reference_rate,
                check.current_rate,
                check.p_value,
            )
        )
    return sorted(found, key=lambda each: (each.severity != "alert", each.reference_rate - each.rate, each.name))


def quality_in_words(found: UnsoundValues) -> str:
    """A share that has risen, in one clause."""
    before, now = plain(percent(found.reference_rate)), plain(percent(found.rate))
    return f"{found.name}: {before} → {now} {UNSOUND_VALUES[found.rule]}"
