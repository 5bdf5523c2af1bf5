"""Single absurd values: told once, from the rows that the counts announce; what can't be known is said."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from modelwatch.events import ReferenceFrame, ReferenceSample
from modelwatch.monitoring.checks.quality.check import check_quality
from modelwatch.monitoring.checks.quality.report import FeatureQuality, QualityReport
from modelwatch.monitoring.checks.quality.rules import QualityRules
from modelwatch.monitoring.checks.rules import DriftRules
from modelwatch.monitoring.references.references import set_reference_frame
from modelwatch.storage.engine.models import StreamKey
from modelwatch.storage.engine.store import Store
from tests.support.background import Taken, background, new_id, run_out
from tests.support.data.streams import HOUR, SECOND, finish
from tests.support.events import NOON, Clock, event, open_ledger
from tests.support.stores.privacy import set_privacy

RULES = DriftRules(0.1, 0.25, 0.05, 100, 1.0, ("1h", "24h"), 3_600, on_new_data=False)
QUALITY_RULES = QualityRules.of(RULES)
STREAM = StreamKey("m", "1", "production")
AMOUNTS = np.exp(np.random.default_rng(4).normal(3.0, 0.7, size=2_000)).round(2)
LARGEST = float(AMOUNTS.max())


def set_reference(store: Store) -> None:
    sample = ReferenceSample("feature", "amount", "continuous", AMOUNTS.tolist())
    set_reference_frame(store, ReferenceFrame("m", None, [sample]), now=NOON, new_id=new_id)


def send(store: Store, clock: Clock, absurd: dict[int, float], hours: int = 1, since: int = NOON) -> None:
    """A hundred amounts an hour, and absurd ones at these places."""
    ledger = open_ledger(store, clock)
    ledger.commit(
        [
            event(
                f"{index}",
                {"amount": absurd.get(index, float(AMOUNTS[index % 2_000]))},
                timestamp=since + index // 100 * HOUR + index % 100 * SECOND,
            )
            for index in range(100 * hours)
        ]
    )


def said(store: Store, clock: Clock) -> tuple[QualityReport, FeatureQuality]:
    found = check_quality(store, RULES, QUALITY_RULES, STREAM, clock())
    [feature] = found.features
    return found, feature


@pytest.mark.both_engines
@pytest.mark.parametrize("since", [NOON, -NOON])
def test_one_value_170_times_the_largest_of_the_reference_is_told(store: Store, since: int) -> None:
    clock = Clock(NOON + HOUR)
    set_reference(store)
    send(store, clock, {7: 170 * LARGEST, 9: 1.2 * LARGEST, 11: 40 * LARGEST}, since=since)
    found, feature = said(store, clock)
    [extreme] = feature.extremes
    assert (extreme.value, extreme.side, extreme.count, extreme.n) == (pytest.approx(170 * LARGEST), "above", 2, 100)
    assert extreme.times > 170
    assert (feature.severity, found.severity, found.unsound) == ("warning", "warning", ["amount"])


def test_values_that_the_tail_may_reach_are_no_finding(store: Store) -> None:
    clock = Clock(NOON + HOUR)
    set_reference(store)
    send(store, clock, {7: 1.5 * LARGEST, 9: 2.5 * LARGEST})
    _, feature = said(store, clock)
    assert feature.extremes == []


def test_an_absurd_value_is_one_finding_that_ends_a_day_later(store: Store) -> None:
    clock, taken = Clock(NOON + 100 * HOUR), Taken()
    set_reference(store)
    send(store, clock, {250: -170 * LARGEST, 710: 500 * LARGEST}, hours=40)
    finish(clock)
    run_out(background(store, replace(RULES, resolve_after=1), clock, sink=taken, quality=QUALITY_RULES))
    told = [
        [each.subject for each in assessment.findings]
        for assessment in taken.assessments
        if "data_quality" in assessment.kinds
    ]
    with_it = [place for place, subjects in enumerate(told) if "amount: extreme" in subjects]
    assert with_it == list(range(with_it[0], with_it[-1] + 1)), "one finding, without a break"
    assert with_it[0] == 2
    assert 7 + 23 <= with_it[-1] <= 7 + 26
    details = {each.detail for one in taken.assessments for each in one.findings if each.subject == "amount: extreme"}
    assert details
    assert all("times as far from the median" in detail for detail in details)


@pytest.mark.parametrize("privacy", [{"store": "profiles"}, {"features": {"amount": "drop"}}])
def test_where_no_values_are_stored_the_counts_say_how_many_are_unknown(
    store: Store, privacy: dict[str, object]
) -> None:
    clock = Clock(NOON + HOUR)
    set_privacy(store, **privacy)
    set_reference(store)
    send(store, clock, {7: 170 * LARGEST})
    found, feature = said(store, clock)
    assert feature.extremes == []
    [unknown] = [each for each in found.not_judged if "amount: extreme" in each.subjects]
    assert unknown.reason is not None
    assert unknown.reason.startswith("1 of 1 values of the last day")
