"""Series of subjects: each step is the drift check of its span, and steps add up to the check of the stretch."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from modelwatch.errors import InvalidInput, UnknownModel
from modelwatch.events import Prediction, Scalar
from modelwatch.monitoring.checks.drift.check import check_drift
from modelwatch.monitoring.checks.drift.evidence import DriftQuery
from modelwatch.monitoring.checks.drift.report import SubjectReport
from modelwatch.monitoring.checks.windows import Window
from modelwatch.storage.counts.rollup_levels import Grain
from modelwatch.storage.engine.models import StreamKey
from modelwatch.storage.engine.store import Store
from modelwatch.storage.maintenance.rollup import roll_up
from modelwatch.storage.references.subjects import Subject
from modelwatch.times import iso_of_seconds
from modelwatch.views.drift.series import drift_series
from modelwatch.views.drift.subject_series import SeriesStep, SubjectSeries, subject_series
from modelwatch.views.stretches.stretch import SeriesQuery, usual_step
from tests.support.events import NOON, event, open_ledger
from tests.support.rules import RULES
from tests.support.stores.fresh import ENGINES, FreshStores
from tests.support.stores.segments import name_segments, set_values
from tests.support.stores.stored import fold_all

HOUR = 3_600
# A whole hour, some time before which everything happens.
END = NOON // 1_000_000 // HOUR * HOUR
NOW = END * 1_000_000
AMOUNT, COUNTRY = Subject("feature", "amount"), Subject("feature", "country")
AMOUNTS: list[Scalar] = np.random.default_rng(1).lognormal(4.0, 0.8, 2_000).tolist()
COUNTRIES: list[Scalar] = [*["DE"] * 1_200, *["FR"] * 600, *["IT"] * 200]
# Ordinary values, missing ones, of a wrong type, and beyond the reference.
ODD: list[Scalar] = [None, "text", 1e9, -5.0, "XX"]


def sent(seed: int, n: int, hours: int, *, factor: float = 1.0, odd: float = 0.1) -> list[Prediction]:
    """Predictions of two versions, spread over the last hours; in the second half amounts are so many times more."""
    rng = np.random.default_rng(seed)
    found = []
    for number in range(n):
        at = END - int(rng.integers(1, hours * HOUR))
        times = factor if at >= END - hours * HOUR // 2 else 1.0
        amount: Scalar = float(rng.lognormal(4.0, 0.8)) * times
        country: Scalar = str(rng.choice(["DE", "FR", "IT"], p=[0.6, 0.3, 0.1]))
        if rng.random() < odd:
            amount, country = ODD[rng.integers(len(ODD))], ODD[rng.integers(len(ODD))]
        features = {"amount": amount, "country": country}
        version = str(rng.integers(1, 3))
        found.append(event(f"{seed}-{number}", features, timestamp=at * 1_000_000, version=version))
    return found


def filled(store: Store, predictions: list[Prediction]) -> None:
    set_values(store, amount=AMOUNTS, country=COUNTRIES)
    open_ledger(store).commit(predictions)


def rolled_up(store: Store, before: int) -> None:
    """All windows before then become hours."""
    fold_all(store, 1 << 60)
    for version in ("1", "2"):
        assert roll_up(store, StreamKey("m", version, "production"), Grain.of(before, 0), most=1_000)


def series(store: Store, subject: Subject = AMOUNT, **asked: Any) -> SubjectSeries:
    return subject_series(store, RULES, SeriesQuery("m", "production", **asked), subject, NOW)


def checked(store: Store, start: str, end: str, version: str | None = None) -> dict[str, SubjectReport]:
    """What drift checks say of this span."""
    first, last = (int(np.datetime64(each[:-1], "s").astype(np.int64)) for each in (start, end))
    query = DriftQuery("m", "production", version, window=Window(first, last))
    return {each.feature_name: each for each in check_drift(store, RULES, query, NOW).drift_results}


def is_the_check(step: SeriesStep, report: SubjectReport) -> None:
    counts = report.counts
    if counts is None:
        assert (step.n, step.severity) == (0, "no_data")
        return
    assert step.counts == counts.current
    assert (step.missing, step.invalid, step.unseen) == (counts.missing, counts.invalid, counts.unseen)
    assert (step.below_range, step.above_range) == (counts.below_range, counts.above_range)
    assert (step.n, step.severity) == (report.sample_size, report.severity)
    assert step.psi == pytest.approx(None if report.psi is None else report.psi.score)
    assert step.p_value == pytest.approx(None if report.evidence is None else report.evidence.p_value)


@settings(max_examples=8, phases=(Phase.explicit, Phase.reuse, Phase.generate))
@given(
    engine=st.sampled_from(ENGINES),
    seed=st.integers(0, 1_000),
    minutes=st.sampled_from([15, 30, 60, 120]),
    steps_back=st.integers(1, 4),
    version=st.sampled_from([None, "1"]),
    rolled=st.booleans(),
)
def test_each_step_is_the_check_of_what_it_looks_back_over_and_steps_add_up(
    fresh_stores: FreshStores,
    engine: str,
    seed: int,
    minutes: int,
    steps_back: int,
    version: str | None,
    rolled: bool,
) -> None:
    predictions = sent(seed, 600, 8, factor=3.0)
    with fresh_stores.open(engine) as store:
        filled(store, predictions)
        if rolled:
            rolled_up(store, END - 4 * HOUR)
        asked: dict[str, Any] = {"start": END - 8 * HOUR, "end": END, "step": 60 * minutes, "version": version}
        found = series(store, **asked)
        alike = [each for each in predictions if version in (None, each.model_version)]
        assert sum(step.predictions for step in found.steps) == len(alike)
        whole = checked(store, found.steps[0].start, found.steps[-1].end, version)["amount"]
        assert whole.counts is not None
        assert np.sum([step.counts for step in found.steps], axis=0).tolist() == whole.counts.current
        assert found.reference is not None
        assert found.reference.counts == whole.counts.reference
        looking_back = [
            series(store, subject, **asked, window=60 * minutes * steps_back) for subject in (AMOUNT, COUNTRY)
        ]
        together = drift_series(
            store, RULES, SeriesQuery("m", "production", **asked, window=60 * minutes * steps_back), NOW
        )
        lines = {line.feature_name: line for line in together.subjects}
        for place, step in enumerate(looking_back[0].steps):
            reports = checked(store, step.start, step.end, version)
            for one in looking_back:
                is_the_check(one.steps[place], reports[one.feature_name])
                line = lines[one.feature_name]
                assert line.severity[place] == one.steps[place].severity
                assert line.psi[place] == pytest.approx(one.steps[place].psi)


def test_steps_begin_at_whole_steps_and_empty_ones_stay(store: Store) -> None:
    some = [each for each in sent(1, 400, 6) if not END - 4 * HOUR <= each.timestamp // 1_000_000 < END - 2 * HOUR]
    filled(store, some)
    found = series(store, start=END - 6 * HOUR + 1_500, end=END - 600, step=HOUR)
    assert [step.start for step in found.steps] == [iso_of_seconds(END - hours * HOUR) for hours in range(6, 0, -1)]
    assert (found.steps[-1].end, found.end) == (iso_of_seconds(END - 600),) * 2
    assert [step.severity == "no_data" for step in found.steps] == [False, False, True, True, False, False]
    empty = found.steps[2]
    assert (empty.predictions, empty.psi, empty.missing_rate, empty.quantiles) == (0, None, None, [None] * 5)


def test_windows_that_were_rolled_up_widen_the_steps(store: Store) -> None:
    filled(store, sent(2, 500, 6))
    before = series(store, start=END - 6 * HOUR, end=END, step=1_800)
    rolled_up(store, END - 3 * HOUR)
    after = series(store, start=END - 6 * HOUR, end=END, step=1_800)
    assert (len(before.steps), len(after.steps)) == (12, 9)
    assert [step.counts for step in after.steps[3:]] == [step.counts for step in before.steps[6:]]
    assert after.steps[0].counts == np.add(before.steps[0].counts, before.steps[1].counts).tolist()


def test_a_shift_shows_in_the_steps_after_it_and_in_the_quantiles(store: Store) -> None:
    filled(store, sent(3, 4_000, 8, factor=2.5, odd=0.0))
    found = series(store, start=END - 8 * HOUR, end=END, step=HOUR)
    assert [step.severity for step in found.steps] == ["stable"] * 4 + ["alert"] * 4
    assert found.reference is not None
    medians = [step.quantiles[2] for step in found.steps]
    assert all(median == pytest.approx(found.reference.quantiles[2], rel=0.25) for median in medians[:4])
    assert all(median == pytest.approx(2.5 * (found.reference.quantiles[2] or 0.0), rel=0.25) for median in medians[4:])


def test_rates_are_those_of_the_rules_of_data_quality(store: Store) -> None:
    values: list[Scalar] = [50.0] * 5 + [None] * 2 + ["text"] + [1e9, -5.0]
    filled(store, [event(str(i), {"amount": each}, timestamp=NOW - 1) for i, each in enumerate(values)])
    [step] = series(store, start=END - 1_800, end=END, step=1_800).steps
    assert (step.missing_rate, step.invalid_rate, step.out_of_range_rate) == (2 / 10, 1 / 8, 2 / 7)


def test_a_segment_has_a_series_of_its_own(store: Store) -> None:
    name_segments(store, {"feature": "country"})
    filled(store, sent(4, 1_000, 4, odd=0.0))
    asked: dict[str, Any] = {"start": END - 4 * HOUR, "end": END, "step": HOUR}
    whole = series(store, **asked)
    parts = [series(store, **asked, segment=f"country={name}") for name in ("DE", "FR", "IT")]
    assert np.sum([[step.counts for step in part.steps] for part in parts], axis=0).tolist() == [
        step.counts for step in whole.steps
    ]
    assert {step.severity for step in parts[0].steps} == {None}
    assert parts[0].steps[0].psi is not None
    assert (parts[0].segment, parts[0].compared_with) == ("country=DE", "reference")
    with pytest.raises(InvalidInput) as refused:
        series(store, **asked, segment="country=XX")
    assert refused.value.errors[0].pointer == "/segment"
    assert "country=DE" in refused.value.errors[0].message


@pytest.mark.parametrize(
    ("asked", "pointer"),
    [
        ({"start": END, "end": END - HOUR}, "/end"),
        ({"start": END - HOUR, "end": END, "step": 100}, "/step"),
        ({"start": END - 30 * 24 * HOUR, "end": END, "step": 300}, "/step"),
        ({"start": END - HOUR, "end": END, "step": 900, "window": 300}, "/window"),
        ({"start": END - HOUR, "end": END, "step": 900, "window": 1_200}, "/window"),
        ({"segment": "country=DE"}, "/segment"),
    ],
)
def test_a_stretch_that_cannot_be_had_names_the_field(store: Store, asked: dict[str, Any], pointer: str) -> None:
    filled(store, sent(5, 10, 1))
    with pytest.raises(InvalidInput) as refused:
        series(store, **asked)
    assert [error.pointer for error in refused.value.errors] == [pointer]


def test_what_has_no_reference_says_so_and_shows_how_much_there_was(store: Store) -> None:
    open_ledger(store).commit(sent(6, 50, 1))
    found = series(store, start=END - HOUR, end=END, step=HOUR)
    assert found.reference is None
    assert found.reason is not None
    assert [(step.predictions, step.severity) for step in found.steps] == [(50, "no_reference")]


def test_a_model_without_data_has_no_steps_and_an_unknown_one_is_an_error(store: Store) -> None:
    set_values(store, amount=AMOUNTS)
    found = series(store)
    assert (found.steps, found.start) == ([], None)
    assert drift_series(store, RULES, SeriesQuery("m", "production"), NOW).steps == []
    with pytest.raises(UnknownModel):
        subject_series(store, RULES, SeriesQuery("nobody", "production"), AMOUNT, NOW)


def test_the_default_is_48_hours_up_to_the_newest_data(store: Store) -> None:
    filled(store, [*sent(7, 50, 60), event("newest", {"amount": 1.0}, timestamp=NOW - 1)])
    found = series(store)
    assert (found.end, found.step_seconds) == (iso_of_seconds(END), 1_800)
    assert len(found.steps) == 96
    assert usual_step(2 * 24 * HOUR) == found.step_seconds
