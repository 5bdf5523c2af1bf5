"""A simulated feature is watched as a real one: what may not drift and is left out would have changed nothing."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from modelwatch.config import Settings
from modelwatch.monitoring.checks.conditions import Condition
from modelwatch.monitoring.checks.drift.observations import advance_drift
from modelwatch.monitoring.checks.rules import DriftRules
from modelwatch.simulation.features import drawn
from modelwatch.simulation.shifts import Kind, Shift
from modelwatch.simulation.streams import FeatureStream
from modelwatch.simulation.traffic import HOUR, schedule, traffic
from modelwatch.simulation.watching import Seen, Watch, lookbacks_among
from tests.proofs.lock import Proofs

DAY = 24 * HOUR
RULES = dataclasses.replace(DriftRules.of(Settings()), lookbacks=("1h", "6h", "24h"), looks_after=None)


def watched(
    rules: DriftRules, rate: float, days: int, size: int, shift: Shift, rng: np.random.Generator
) -> tuple[Watch, FeatureStream]:
    arriving = traffic(rate, DAY, days * DAY, "poisson", rng)
    when = schedule(arriving, [HOUR, 6 * HOUR, DAY], rules.check_interval, rules.min_samples)
    stream = FeatureStream.drawn(drawn(size, shift, rng), arriving, shift, rng)
    return Watch.on(when, rules, 3), stream


def one_by_one(watch: Watch, stream: FeatureStream) -> list[Seen]:
    """What is seen when every evaluation is made, whatever it holds."""
    found: list[Seen] = []
    conditions: list[Condition] = []
    for at in range(len(watch.when.ends)):
        evaluation = watch.evaluation(stream, at)
        conditions = advance_drift(conditions, evaluation)
        [subject] = evaluation.subjects
        beyond = [
            each.judgement.test is not None
            and each.judgement.test.p_value < watch.alphas[at]
            and each.judgement.severity != "insufficient_data"
            for each in subject.windows
        ]
        findings = [each.finding for each in conditions if each.finding is not None]
        if any(beyond) or findings:
            found.append(Seen(at, any(beyond), bool(findings), any(not each.holding for each in findings)))
    return found


def findings_compared(
    needed: int, among: int, budget: float, min_samples: int, rate: float, shift: float, directed: bool
) -> int:
    """In how many evaluations there is something to see. Fails when it is not the same in both ways."""
    rng = np.random.default_rng(6)
    rules = dataclasses.replace(
        RULES,
        budget=budget,
        min_samples=min_samples,
        alarms_needed=needed,
        alarms_among=among,
        psi_warning=0.05,
        directed=directed,
    )
    total = 0
    for size in (150, 3_000):
        watch, stream = watched(rules, rate, 6, size, Shift("location", shift), rng)
        expected = one_by_one(watch, stream)
        assert list(watch.seen(stream)) == expected
        detected, found = watch.first(stream)
        assert detected == next((each.at for each in expected if each.detected or each.in_force), None)
        if shift:
            # It is not looked at in each evaluation, so that it may be found later, and never sooner.
            first = next((each.at for each in expected if each.in_force), len(watch.when.ends))
            assert found is None or first <= found
        total += len(expected)
    return total


@pytest.mark.timeout(240)
@pytest.mark.parametrize(
    ("persistence", "budget", "min_samples", "rate"),
    [
        ((1, 1), 1_000.0, 40, 60.0),
        ((2, 3), 1_000.0, 30, 40.0),
        ((1, 1), 1_000.0, 10, 12.0),
        ((3, 3), 500.0, 100, 300.0),
    ],
)
@pytest.mark.parametrize("shift", [0.0, 0.3])
@pytest.mark.parametrize("directed", [True, False])
def test_findings_are_those_of_every_evaluation_made_one_by_one(
    proofs: Proofs,
    persistence: tuple[int, int],
    budget: float,
    min_samples: int,
    rate: float,
    shift: float,
    directed: bool,
) -> None:
    total = proofs.figures(findings_compared, *persistence, budget, min_samples, rate, shift, directed)
    assert shift == 0.0 or total > 0


def test_a_look_spends_what_has_accrued_since_the_one_before() -> None:
    watch, _ = watched(RULES, 150.0, 2, 300, Shift("location", 0.0), np.random.default_rng(7))
    assert set(watch.when.elapsed.tolist()) > {2_400, 2_700}
    expected = [RULES.alpha(3, elapsed=elapsed) for elapsed in watch.when.elapsed.tolist()]
    assert watch.alphas.tolist() == expected


@pytest.mark.parametrize("kind", ["category", "new"])
def test_names_are_watched_as_real_ones(kind: Kind) -> None:
    rng = np.random.default_rng(9)
    rules = dataclasses.replace(RULES, budget=1_000.0, min_samples=30, psi_warning=0.05)
    watch, stream = watched(rules, 60.0, 5, 2_000, Shift(kind, 0.08), rng)
    expected = one_by_one(watch, stream)
    assert list(watch.seen(stream)) == expected
    assert expected


@pytest.mark.parametrize("size", [1, 2, 11, 200])
def test_tiny_references_have_cells_too(size: int) -> None:
    watch, stream = watched(RULES, 50.0, 2, size, Shift("location", 1.0), np.random.default_rng(size))
    assert stream.looks(watch.when).sum(axis=2).tolist() == watch.when.values.tolist()
    assert len(list(watch.seen(stream))) <= len(watch.when.ends)


def test_the_level_of_calm_is_divided_as_that_of_the_evaluation() -> None:
    """Among the look-backs that hold enough predictions: an hour of 12, six of 72 and a day of 288."""
    watch, stream = watched(RULES, 12.0, 3, 300, Shift("location", 0.0), np.random.default_rng(10))
    for at in range(len(watch.when.ends)):
        evaluation = watch.evaluation(stream, at)
        assert evaluation.evidence.lookbacks == lookbacks_among(RULES, watch.when)[at]
        held = [sum(slot.predictions for slot in sums.values()) for sums in evaluation.evidence.sums]
        assert held == watch.when.values[at].tolist()
    assert set(lookbacks_among(RULES, watch.when).tolist()) == {2}


def test_an_onset_is_looked_for_where_and_as_far_back_as_in_the_service() -> None:
    """In the last day, the shortest look-back ago at least, and where a look-back of a day at most detects it."""
    rng = np.random.default_rng(11)
    shift = Shift("location", 0.4)
    arriving = traffic(20.0, 7 * DAY, 5 * DAY, "poisson", rng)
    feature = drawn(3_000, shift, rng)
    starts = {}
    for lookbacks, spans in ((("1h", "24h", "7d"), [HOUR, DAY, 7 * DAY]), (("24h", "7d"), [DAY, 7 * DAY])):
        rules = dataclasses.replace(RULES, lookbacks=lookbacks, budget=100.0)
        when = schedule(arriving, spans, rules.check_interval, rules.min_samples)
        stream = FeatureStream.drawn(feature, arriving, shift, np.random.default_rng(12))
        watch = Watch.on(when, rules, 3)
        starts[lookbacks] = found = []
        for at in range(len(when.ends)):
            evaluation = watch.evaluation(stream, at)
            [result] = evaluation.subjects
            judged = [each for each in result.windows if each.window.lookback is not None]
            recent = [each for each in judged if each.window.end - each.window.start <= DAY]
            detects = [any(of.p_value < evaluation.alpha for of in each.judgement.measures) for each in recent]
            assert (result.since is not None) == (any(detects) and lookbacks[0] == "1h")
            if result.since is not None:
                assert when.ends[at] - DAY <= result.since.start <= when.ends[at] - HOUR
                found.append(result.since.start)
    assert len(starts["1h", "24h", "7d"]) > 20
    assert not starts["24h", "7d"]
