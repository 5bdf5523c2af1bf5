"""Labels and keys of probabilities that mean no class are a finding about the data, until they are mended."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pytest

from modelwatch.findings import Assessment
from modelwatch.monitoring.checks.quality.check import check_quality
from modelwatch.monitoring.checks.quality.classes import gather_classes
from modelwatch.monitoring.checks.quality.report import ClassUseReport, QualityReport
from modelwatch.monitoring.checks.quality.rules import QualityRules
from modelwatch.monitoring.checks.rules import DriftRules
from modelwatch.monitoring.verification import verify_verdict
from modelwatch.stats.outcomes.outcome_layout import Outcome
from modelwatch.storage.counts.rollup_levels import Grain
from modelwatch.storage.engine.models import StreamKey, generation_of
from modelwatch.storage.engine.store import Store
from modelwatch.storage.maintenance.rollup import roll_up
from modelwatch.storage.verdicts.verdicts import QUALITY, verdicts_of
from tests.support.background import Taken, background, run_out
from tests.support.data.labelled import later, outcomes, send_labelled, set_labelled_reference
from tests.support.data.late_labels import DAY
from tests.support.data.streams import HOUR, MINUTE, SECOND
from tests.support.events import NOON, Clock
from tests.support.stores.stored import fold_all

RULES = DriftRules(0.1, 0.25, 0.05, 100, 1.0, ("1h", "6h"), 3_600, on_new_data=False)
QUALITY_RULES = QualityRules.of(RULES)
STREAM = StreamKey("m", "1", "production")


def with_strange(rows: Sequence[Outcome], every: int, truth: str = "maybe") -> list[Outcome]:
    """The rows; of each so many the label of the first is another."""
    return [row._replace(truth=truth) if index % every == 0 else row for index, row in enumerate(rows)]


def now(store: Store, clock: Clock) -> QualityReport:
    return check_quality(store, RULES, QUALITY_RULES, STREAM, clock())


def use(report: QualityReport, what: str) -> ClassUseReport:
    [found] = [each for each in report.classes if each.what == what]
    return found


@pytest.fixture
def referenced(store: Store) -> Store:
    """A store with a labelled reference of two classes."""
    set_labelled_reference(store, outcomes(2_000, 99))
    return store


def test_labels_of_known_classes_are_sound(referenced: Store) -> None:
    send_labelled(referenced, later(2), outcomes(400), at=NOON)
    report = now(referenced, later(2))
    found = use(report, "ground_truth")
    assert (found.severity, found.count, found.n, found.names) == ("stable", 0, 400, [])
    assert found.reference_share == 0.0
    found = use(report, "prediction_probability")
    assert (found.severity, found.count, found.n) == ("stable", 0, 400)


@pytest.mark.parametrize(("every", "severity"), [(5, "alert"), (12, "warning"), (200, "stable")])
def test_a_share_of_labels_that_are_no_class_is_judged_by_its_size(
    referenced: Store, every: int, severity: str
) -> None:
    send_labelled(referenced, later(2), with_strange(outcomes(400), every), at=NOON)
    report = now(referenced, later(2))
    found = use(report, "ground_truth")
    assert (found.severity, found.names) == (severity, ["maybe"])
    assert found.count == -(-400 // every)
    assert found.p_value is not None
    assert report.severity == ("no_reference" if severity == "stable" else severity)


def test_few_labels_say_nothing_of_their_classes(referenced: Store) -> None:
    send_labelled(referenced, later(2), with_strange(outcomes(60), 2), at=NOON)
    found = use(now(referenced, later(2)), "ground_truth")
    assert (found.severity, found.reason) == ("insufficient_data", "60 of at least 100: 40 more are needed.")


def test_labels_in_other_words_are_found_without_a_reference(store: Store) -> None:
    rows = [Outcome(number % 2, None, ["legitimate", "fraud"][number % 2]) for number in range(200)]
    clock = later(2)
    send_labelled(store, clock, rows, at=NOON)
    run_out(background(store, RULES, clock))
    found = use(now(store, clock), "ground_truth")
    assert (found.severity, found.share, found.reference_share) == ("alert", 1.0, None)
    assert found.names == ["fraud", "legitimate"]


def test_keys_of_probabilities_that_are_no_class_are_found_before_any_label(store: Store) -> None:
    def rows(prefix: str) -> list[Outcome]:
        names = ["abc"[number % 3] for number in range(300)]
        return [Outcome(name, {prefix + each: float(each == name) for each in "abc"}, name) for name in names]

    set_labelled_reference(store, rows(""))
    send_labelled(store, later(2), rows("prob_"), at=NOON, label_after=None)
    found = use(now(store, later(2)), "prediction_probability")
    assert (found.severity, found.count, found.n) == ("alert", 300, 300)
    assert found.names == ["prob_a", "prob_b", "prob_c"]


def findings(assessments: Sequence[Assessment]) -> dict[int, str]:
    """By day after noon, what the labels' classes are found to be."""
    return {
        (each.window_end - NOON // 1_000_000) // 86_400: finding.detail
        for each in assessments
        if each.check == QUALITY
        for finding in each.findings
        if finding.subject == "ground_truth: unknown_class"
    }


@pytest.mark.both_engines
def test_it_is_one_finding_that_ends_with_its_cause_and_comes_out_again_to_the_bit(referenced: Store) -> None:
    clock, taken = later(400), Taken()
    # From the ninth day on only sound labels are left in the week that is looked at.
    for day in (0, 9, 10, 11):
        rows = outcomes(200, day)
        send_labelled(referenced, clock, rows if day else with_strange(rows, 4), at=NOON + day * 24 * HOUR)
    daily = replace(RULES, lookbacks=("24h",), check_interval=86_400)
    run_out(background(referenced, daily, clock, sink=taken, quality=QUALITY_RULES))
    found = findings(taken.assessments)
    assert found
    assert max(found) < 11
    assert set(found.values()) == {
        "25.0 % of the labels are of classes ('maybe') that were never predicted and are not in the reference"
    }
    with referenced.read() as connection:
        verdicts = verdicts_of(connection, "m", check=QUALITY, limit=100)
    assert verdicts
    assert all(verify_verdict(referenced, verdict.id).reproduced for verdict in verdicts)


def test_a_week_that_begins_inside_of_a_rolled_up_hour_counts_all_of_that_hour(referenced: Store) -> None:
    """A week without it lost its labels, too, where late ones had come into the rest of the hour."""
    send_labelled(referenced, later(1), outcomes(900, 1), at=NOON, apart=4 * SECOND, label_after=HOUR)
    send_labelled(referenced, later(1), outcomes(900, 2), at=NOON, apart=4 * SECOND, label_after=8 * DAY)
    label_late = send_labelled(referenced, later(240), outcomes(100, 3), at=NOON + 45 * MINUTE, label_after=None)
    fold_all(referenced, later(2)())
    first = NOON // SECOND
    assert roll_up(referenced, STREAM, Grain.of(first + 86_400, 0), most=1_000)
    label_late()
    end = first + 7 * 86_400 + 25 * 60
    with referenced.read() as connection:
        generation = generation_of(connection, "m") or 0
        window = (end - 86_400, end, "1d")
        [found] = gather_classes(connection, referenced, STREAM, generation, window, None, enough=100, known_by=end)
    hour = first // 3_600 * 3_600
    assert (found.n, found.start, found.end, found.lookback) == (900, hour, end, "7d")
