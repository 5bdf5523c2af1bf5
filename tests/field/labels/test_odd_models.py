"""Pages of models as there are some: many classes, a reference without a hit, labels that come with a file."""

from __future__ import annotations

import re

import numpy as np
import pytest

from modelwatch.library.reports.served import served_report
from modelwatch.monitoring.checks.headline import decode_headline
from modelwatch.monitoring.checks.performance.rules import PerformanceRules
from modelwatch.monitoring.checks.rules import DriftRules
from modelwatch.stats.outcomes.outcome_layout import Outcome
from modelwatch.storage.engine.models import StreamKey
from modelwatch.storage.verdicts.headlines import recent_headlines
from modelwatch.views.performance.stretch import LabelDelay
from modelwatch.web.performance.lanes import coverage_words
from tests.support.app import App
from tests.support.background import background, run_out
from tests.support.data.labelled import later, send_labelled, set_labelled_reference
from tests.support.data.streams import SECOND
from tests.support.events import NOON, event, open_ledger
from tests.web.reading import Page
from tests.web.test_pages import visit

RULES = DriftRules(0.1, 0.25, 0.05, 100, 1.0, ("1h",), 3_600)
ROWS = 3_000


def page_of(app: App, before: list[Outcome], after: list[Outcome]) -> Page:
    """The page of performance of a model whose labels come with its predictions."""
    set_labelled_reference(app.store, before)
    send_labelled(app.store, later(100), after, at=NOON, label_after=0)
    app.desk.clock.now = later(101)()
    run_out(background(app.store, RULES, app.desk.clock, performance=PerformanceRules.of(RULES, 0.02)))
    return visit(app, "/ui/models/m/performance")


def classes(seed: int, many: int) -> list[Outcome]:
    rng = np.random.default_rng(seed)
    truth = rng.integers(0, many, ROWS)
    called = np.where(rng.random(ROWS) < 0.8, truth, rng.integers(0, many, ROWS))
    pairs = zip(called.tolist(), truth.tolist(), strict=True)
    return [Outcome(f"class {said:02}", None, f"class {was:02}") for said, was in pairs]


def test_a_page_of_many_classes_says_what_it_leaves_out(app: App) -> None:
    text = page_of(app, classes(1, 60), classes(2, 60)).text
    assert "Warnings" in text
    assert "of other classes than the 50 most frequent ones: they count in accuracy" in text
    assert "24 of 51 rows are drawn; the table has all." in text


def rare(seed: int) -> list[Outcome]:
    """A model of a rare class that it never predicts."""
    return [Outcome("no", 0.03, "yes" if yes else "no") for yes in np.random.default_rng(seed).random(ROWS) < 0.03]


def test_a_level_that_no_loss_can_reach_is_not_drawn(app: App) -> None:
    text = page_of(app, rare(1), rare(2)).text
    assert "reference 0 %" in text
    assert "alert below −" not in text
    assert "Recall" in text


@pytest.mark.parametrize(
    ("delay", "words"),
    [
        (None, ("", "no labels yet")),
        (LabelDelay(0, None, None, None, 0, None, []), ("", "no labels yet")),
        # All came later than the data reaches.
        (LabelDelay(600, 0.0, 0.0, 0.0, 0, 0.0, []), ("", "")),
        (LabelDelay(600, 0.0, 0.0, 0.0, 0, 1.0, []), ("100 %", "arrive at once")),
        # Only the quick ones can have come.
        (LabelDelay(600, 0.0, 0.0, 0.0, 300, 0.4, [], "too new"), ("", "how late is not known yet")),
    ],
)
def test_the_usual_share_of_labels_is_said_where_it_is_known(delay: LabelDelay | None, words: tuple[str, str]) -> None:
    reading, remark = coverage_words(delay)
    assert (reading.replace("\xa0", " "), remark) == words


def feature_page(app: App, before: list[float], after: list[float | None]) -> str:
    """The text of the page of x, whose values came one a second."""
    app.post("reference", {"model_name": "m", "feature_name": "x", "data_type": "continuous", "values": before}, 201)
    events = [event(f"p{row}", {"x": value}, timestamp=NOON + row * SECOND) for row, value in enumerate(after)]
    open_ledger(app.store, later(1)).commit(events)
    app.desk.clock.now = later(2)()
    run_out(background(app.store, RULES, app.desk.clock))
    return visit(app, "/ui/models/m/features/x").text


def test_a_feature_most_of_whose_values_are_missing_is_not_simply_as_in_the_reference(app: App) -> None:
    values = np.random.default_rng(1).normal(size=2_000).tolist()
    text = feature_page(app, values, [value if row % 3 else None for row, value in enumerate(values[:900])])
    assert "As in the reference" in text
    assert "This is for valid values only: 33.3 % of all values are missing or invalid (reference: 0 %)." in text


def test_a_median_beyond_the_range_of_the_reference_is_not_told_from_before(app: App) -> None:
    text = feature_page(app, [1.0] * 2_000, [1.0] * 400 + [2.0] * 900)
    assert "median beyond its range, was 1" in text


def test_a_report_on_a_model_without_labels_has_no_empty_part_about_performance(app: App) -> None:
    values = np.random.default_rng(1).normal(size=2_000).tolist()
    feature_page(app, values, values[:900])
    performance = app.get("models/m/performance")["current"]
    assert performance[0]["windows"]
    check = app.post("drift/check", {"model_name": "m"})
    assert served_report(check, [], [], performance).performance is None


def test_a_page_of_drift_counts_what_is_not_judged_apart(app: App) -> None:
    values = np.random.default_rng(1).normal(size=2_000).tolist()
    for name in ("x", "y"):
        body = {"model_name": "m", "feature_name": name, "data_type": "continuous", "values": values}
        app.post("reference", body, 201)
    rows = [{"x": value, "y": value if row < 20 else None} for row, value in enumerate(values[:900])]
    events = [event(f"p{row}", each, timestamp=NOON + row * SECOND) for row, each in enumerate(rows)]
    open_ledger(app.store, later(1)).commit(events)
    app.desk.clock.now = later(2)()
    run_out(background(app.store, RULES, app.desk.clock))
    said = r"(1 of 2|2 of 3)( subjects)? (is|are) as in the reference, 1 is not judged\."
    assert re.search(said, visit(app, "/ui/models/m/drift").text)
    with app.store.read() as connection:
        stored = recent_headlines(connection, StreamKey("m", "1", "production"), "drift", app.desk.clock() // SECOND, 1)
    headline = decode_headline(stored[-1], "newest")
    assert headline is not None
    assert (headline.not_judged, headline.checked - headline.not_judged in (1, 2)) == (1, True)


def test_an_evaluation_of_labels_that_came_after_the_data_is_shown(app: App) -> None:
    set_labelled_reference(app.store, classes(1, 3))
    send_labelled(app.store, later(20), classes(2, 3)[:600], at=NOON, label_after=2 * 3_600 * SECOND)
    app.desk.clock.now = later(101)()
    run_out(background(app.store, RULES, app.desk.clock, performance=PerformanceRules.of(RULES, 0.02)))
    text = visit(app, "/ui/models/m/performance").text
    assert "Performance has not been evaluated yet." not in text
    assert re.search(r"Watched metrics .{0,20}to ", text), text
