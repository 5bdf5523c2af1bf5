"""The labelled data sets, with each label at the time it came: what is counted, what is told, and nothing before."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

import pytest

from modelwatch.events import Prediction
from modelwatch.monitoring.checks.performance.check import check_performance
from modelwatch.monitoring.checks.performance.rules import LOOKBACKS, PerformanceRules
from modelwatch.monitoring.references.references import labelled_outcomes
from modelwatch.stats.outcomes.outcome_layout import OutcomeLayout
from modelwatch.stats.outcomes.outcomes import OutcomeCounts
from modelwatch.stats.performance import performance
from modelwatch.storage.engine.models import StreamKey
from modelwatch.storage.engine.store import Store
from tests.proofs.lock import Proofs
from tests.support.data.data_sets import DataSets
from tests.support.data.labelled_data import (
    EVER,
    Labelled,
    Replay,
    Watched,
    load,
    microseconds,
    reference_frame,
    seconds,
    shown,
    watch,
)
from tests.support.events import NOON, open_store

HOUR, DAY, WEEK = 3_600, 86_400, 604_800
# Seconds between two evaluations, and what these look back over: as long as there are enough labels in it.
SCENARIOS: dict[str, tuple[int, tuple[str, ...]]] = {
    "elec2_binary": (DAY, LOOKBACKS),
    "insects_multiclass": (4 * HOUR, LOOKBACKS),
    "bike_regression": (WEEK, LOOKBACKS),
    "carloan_nannyml": (30 * DAY, ("30d",)),
    "acs_employment_binary": (30 * DAY, LOOKBACKS),
    "agrawal_abrupt_binary": (DAY, LOOKBACKS),
    "agrawal_gradual_binary": (12 * HOUR, LOOKBACKS),
}
# The windows of each whose metrics are looked at.
SHOWN = {"insects_multiclass": ("w008", "w009", "w010"), "bike_regression": ("w000", "w050")}


class Shown(NamedTuple):
    """A metric as it is shown."""

    value: float | None
    high: float | None
    reason: str | None


@dataclass(frozen=True)
class Course:
    """What was seen of a data set, sent from its beginning to its end.

    told: after each window of the oracle, what was found anew since the one before: by version and subject, how severe;
    the last is after all labels have come. compared: how often counts and metrics were those of the oracle. shown:
    metrics of some windows. estimates: of the area under the curve, by window, each beside the realised one.
    last_week: of accuracy, the lower bound of the estimate and the upper bound of the realised value.
    """

    told: list[dict[str, str]]
    compared: int
    shown: dict[str, dict[str, Shown]]
    estimates: list[tuple[float, float]]
    last_week: tuple[float, float] | None

    def places(self, subject: str) -> list[int]:
        """After which windows the subject was found, of version 1."""
        return [place for place, found in enumerate(self.told) if f"1 {subject}" in found]


Watch = Callable[[str], Course]


@pytest.fixture
def watched(shared_data: DataSets, proofs: Proofs) -> Watch:
    """Sends a data set and watches it."""
    return lambda name: proofs.figures(course_of, shared_data / name)


def course_of(folder: Path) -> Course:
    """Sends a data set and watches it. Raises AssertionError where counts or metrics are not those of the oracle."""
    data = load(folder)
    with TemporaryDirectory() as place, closing(open_store(Path(place))) as store:
        seen = watch(store, data, *SCENARIOS[data.name])
        told = [
            {f"{version} {subject}": finding.severity for (version, subject), finding in found.items()}
            for found in seen.told
        ]
        shown = {name: metrics_shown(store, data, name) for name in SHOWN.get(data.name, ())}
        estimates = estimated_areas(store, data) if data.name == "carloan_nannyml" else []
        last_week = estimated_accuracy(store, data) if data.name == "agrawal_abrupt_binary" else None
        return Course(told, compared_with_oracle(seen), shown, estimates, last_week)


def compared_with_oracle(seen: Watched) -> int:
    oracle, compared = seen.data.oracle, 0
    for window in oracle["windows"]:
        for moment in oracle["as_of"]:
            check(seen.counts[moment][window["window"]][1], window["as_of"][moment])
            compared += 1
        predictions, counts = seen.counts["final"][window["window"]]
        assert predictions == window["final"]["n"]
        check(counts, window["final"])
        compared += 1
    return compared


def metrics_shown(store: Store, data: Labelled, name: str) -> dict[str, Shown]:
    window = shown(store, data, name)
    assert window is not None
    return {metric: Shown(found.value, found.high, found.reason) for metric, found in window.metrics.items()}


def estimated_areas(store: Store, data: Labelled) -> list[tuple[float, float]]:
    rules, found = PerformanceRules(1.0, HOUR, lookbacks=("60d",)), []
    for window in data.oracle["windows"]:
        stream = StreamKey(data.name, window["window"], "production")
        [newest, _] = check_performance(store, rules, stream, NOON * 2).windows
        assert newest.estimate is not None
        assert newest.predictions == 5_000
        value = newest.estimate.metrics["roc_auc"].value
        assert value is not None
        found.append((value, window["final"]["roc_auc"]))
    return found


def estimated_accuracy(store: Store, data: Labelled) -> tuple[float, float]:
    report = check_performance(store, PerformanceRules(1.0, HOUR), StreamKey(data.name, "1", "production"), NOON * 2)
    [week] = [each for each in report.windows if each.matured and each.lookback == "7d"]
    assert week.estimate is not None
    expected, realised = week.estimate.metrics["accuracy"], week.metrics["accuracy"]
    assert expected.low is not None
    assert realised.high is not None
    return expected.low, realised.high


def check(counts: OutcomeCounts, oracle: dict[str, Any]) -> None:
    """Every figure of the oracle that the counts have."""
    assert counts.n == oracle["n_labelled"]
    if not counts.n:
        return
    metrics = {name: estimate for family in counts.families() for name, estimate in performance(family).items()}
    names = {"average_precision": "pr_auc", "roc_auc_ovr_macro": "roc_auc_macro"}
    compared = 0
    for name, expected in oracle.items():
        estimate = metrics.get(names.get(name, name))
        if estimate is None or (name.endswith(("_macro", "_weighted")) and name != "roc_auc_ovr_macro"):
            continue
        compared += 1
        if expected is None or estimate.value is None:
            # Where scikit-learn says 0 for a zero denominator, there is no value here.
            assert estimate.value is None, name
            assert expected in (None, 0.0), name
        else:
            assert abs(estimate.value - expected) <= max(1e-9 * max(1.0, abs(expected)), estimate.bound + 1e-12), name
    assert compared >= 3
    if counts.confusion is not None and "tp" in oracle:
        matrix = counts.confusion.matrix
        assert [matrix[1, 1], matrix[0, 1], matrix[1, 0], matrix[0, 0]] == [
            oracle[name] for name in ("tp", "fp", "fn", "tn")
        ]
    if counts.confusion is not None and "confusion" in oracle:
        assert counts.confusion.matrix[:-1, :-1].tolist() == oracle["confusion"]


@pytest.mark.timeout(600)
@pytest.mark.parametrize("name", SCENARIOS)
def test_counts_and_metrics_are_those_of_the_oracle(watched: Watch, shared_data: DataSets, name: str) -> None:
    seen = watched(name)
    data = load(shared_data / name)
    reference = labelled_outcomes(reference_frame(data))
    assert reference is not None
    check(reference, data.oracle["reference"])
    assert seen.compared == len(data.oracle["windows"]) * (len(data.oracle["as_of"]) + 1)


def test_the_layout_follows_the_task(store: Store, shared_data: DataSets) -> None:
    layouts: dict[str, OutcomeLayout] = {}
    for name in ("elec2_binary", "insects_multiclass", "bike_regression"):
        data = load(shared_data / name)
        found = labelled_outcomes(reference_frame(data))
        assert found is not None
        layouts[name] = found.layout
    assert (layouts["elec2_binary"].task, layouts["elec2_binary"].positive) == ("binary", "1")
    assert layouts["insects_multiclass"].task == "multiclass"
    assert layouts["insects_multiclass"].class_scores
    assert layouts["bike_regression"].task == "regression"


def test_car_loans_with_unsound_features_have_the_same_outcomes(shared_data: DataSets) -> None:
    """So what is counted of the one data set holds for the other."""
    sound, unsound = load(shared_data / "carloan_nannyml"), load(shared_data / "carloan_dq_nannyml")
    assert sound.oracle["windows"] == unsound.oracle["windows"]
    for column in ("prediction_id", "timestamp", "prediction", "proba", "label", "label_arrival_ts"):
        assert sound.production[column].equals(unsound.production[column]), column


@pytest.mark.timeout(600)
def test_elec2_is_told_of_once_the_labels_after_the_break_have_come(watched: Watch) -> None:
    """Victoria joins the market in w012; a week later so does the loss."""
    found = watched("elec2_binary").places("accuracy")
    assert found[0] in (13, 14, 15)


def test_a_window_that_is_partly_labelled_is_shown_with_its_coverage_and_one_without_labels_has_no_metrics(
    store: Store, shared_data: DataSets
) -> None:
    """As of 1 June 1997, with the predictions of both windows already there."""
    data = load(shared_data / "elec2_binary")
    replay, moment = Replay(store, data), microseconds(datetime(1997, 6, 1, tzinfo=UTC))
    end = seconds(data.oracle["windows"][17]["end"]) * 1_000_000
    replay.rest = [
        (time, each) for time, each in replay.rest if time <= (end if isinstance(each, Prediction) else moment)
    ]
    replay.until(EVER)
    before, partly, none = (shown(store, data, name) for name in ("w015", "w016", "w017"))
    assert before is not None
    assert partly is not None
    assert none is not None
    assert before.immature is None
    assert (partly.predictions, partly.labelled, partly.coverage) == (336, 183, 183 / 336)
    assert partly.immature is not None
    assert (none.predictions, none.labelled, none.coverage) == (336, 0, 0.0)
    assert none.immature is not None
    assert {metric.value for metric in none.metrics.values()} <= {None}


@pytest.mark.timeout(600)
def test_a_model_of_six_classes_falls_when_the_mix_of_classes_breaks(watched: Watch) -> None:
    seen = watched("insects_multiclass")
    found = seen.places("accuracy")
    assert found[0] in (5, 6, 7)
    assert 12 in found, "still told at the documented change"
    assert seen.places("ground_truth") != []


@pytest.mark.timeout(600)
def test_windows_of_one_class_have_no_area_and_an_accuracy_of_nothing_is_nothing(watched: Watch) -> None:
    seen = watched("insects_multiclass")
    for metrics in seen.shown.values():
        assert metrics["roc_auc_macro"].value is None
        assert metrics["roc_auc_macro"].reason is not None
    assert [metrics["accuracy"].value for metrics in seen.shown.values()] == [0.0, 0.0, 0.0]


@pytest.mark.timeout(600)
def test_a_demand_that_doubles_is_told_from_the_start_and_never_over(watched: Watch) -> None:
    seen = watched("bike_regression")
    weeks = [week for week in seen.places("mae") if week <= 50]
    assert weeks[0] <= 1
    assert len(weeks) >= 49
    assert seen.told[weeks[0]]["1 mae"] == "alert"
    assert "1 mean_error" in seen.told[weeks[0]]
    for metrics in seen.shown.values():
        high = metrics["mean_error"].high
        assert high is not None
        assert high < 0, "the model under-predicts"
    assert len(seen.shown) == 2


@pytest.mark.timeout(600)
def test_car_loans_are_told_of_in_the_second_half_only(watched: Watch) -> None:
    """Each window of the oracle is a version of the model here."""
    seen = watched("carloan_nannyml")
    told = {name.split()[0] for found in seen.told for name in found}
    assert told == {"w005", "w006", "w007", "w008", "w009"}


@pytest.mark.timeout(600)
def test_an_estimate_without_labels_is_near_the_realised_value(watched: Watch) -> None:
    estimates = watched("carloan_nannyml").estimates
    assert len(estimates) == 10
    assert max(abs(estimated - realised) for estimated, realised in estimates) <= 0.006
    values = [estimated for estimated, _ in estimates]
    assert min(values[:5]) > 0.9633 > max(values[5:])


@pytest.mark.timeout(600)
def test_a_ranking_that_holds_in_large_windows_is_never_told_of(watched: Watch) -> None:
    seen = watched("acs_employment_binary")
    assert seen.places("roc_auc") == []
    assert len(seen.told) == 13


@pytest.mark.timeout(600)
def test_concept_change_without_covariate_change_is_told_when_its_labels_have_come(watched: Watch) -> None:
    seen = watched("agrawal_abrupt_binary")
    # The concept changes with w010; nine of ten labels have come within three days, which are three windows.
    assert not any(seen.told[:12])
    for subject in ("accuracy", "log_loss", "f1"):
        assert seen.places(subject)[0] in (12, 13)
    assert seen.told[-1]["1 accuracy"] == "alert"
    assert all("1 accuracy" in found for found in seen.told[14:])


@pytest.mark.timeout(600)
def test_an_estimate_does_not_see_a_concept_that_changes(watched: Watch) -> None:
    """What the assumption says: the estimate stays where it was while the realised accuracy falls."""
    last_week = watched("agrawal_abrupt_binary").last_week
    assert last_week is not None
    expected_low, realised_high = last_week
    assert expected_low - realised_high > 0.1


@pytest.mark.timeout(600)
def test_the_concept_that_changes_gradually_is_told_on_its_way(watched: Watch) -> None:
    found = watched("agrawal_gradual_binary").places("accuracy")
    assert 5 <= found[0] <= 13
