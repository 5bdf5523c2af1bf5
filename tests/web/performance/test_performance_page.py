"""The page of a model's performance: what got worse, since when, how bad, and what is not judged and why."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from types import SimpleNamespace
from typing import Any, cast
from urllib.parse import quote, urljoin

import numpy as np
import pytest
from msgspec import UNSET

from modelwatch.alerting.channels.presentation import trend_text
from modelwatch.findings import Assessment, Kind
from modelwatch.measures import plain
from modelwatch.monitoring.checks.performance.labels.shift import LABELS
from modelwatch.monitoring.checks.performance.report import MetricReport
from modelwatch.monitoring.checks.performance.rules import PerformanceRules
from modelwatch.monitoring.checks.rules import DriftRules
from modelwatch.stats.outcomes.outcome_layout import Outcome
from modelwatch.times import iso_of_seconds, microseconds_now
from modelwatch.views.newest_verdicts import JudgedPerformance
from modelwatch.views.performance.outcomes import MetricChange, MetricValue
from modelwatch.views.performance.stretch import PerformanceStretch
from modelwatch.web.frame.model_frame import ModelFrame
from modelwatch.web.frame.rendering import when
from modelwatch.web.frame.verdict import joined
from modelwatch.web.performance.charts import PerformanceCharts
from modelwatch.web.performance.verdict import PerformanceVerdict
from tests.api.routes.checks.test_performance_stretch import rides
from tests.api.routes.checks.test_segments import monitor, reference, rows, send
from tests.support.alerts.assessments import finding
from tests.support.app import App
from tests.support.background import background, run_out
from tests.support.data.labelled import (
    later,
    outcomes,
    send_labelled,
    send_slowly_labelled,
    set_labelled_reference,
    watch_yes,
)
from tests.support.data.streams import HOUR
from tests.support.events import NOON, event, open_ledger
from tests.web.reading import Page
from tests.web.test_pages import BASE, HOSTILE, visit

RULES = DriftRules(0.1, 0.25, 0.05, 100, 1.0, ("1h",), 3_600)
PATH = "/ui/models/m/performance"
MARKUP = '<b>fraud</b> & "co" 不正検知'


def evaluate(app: App, metrics: tuple[str, ...] | None = None) -> None:
    """Evaluates the labels. metrics: those that are watched, where the task does not say."""
    app.desk.clock.now = later(101)()
    rules = replace(PerformanceRules.of(RULES, 0.02), metrics=metrics)
    run_out(background(app.store, RULES, app.desk.clock, sink=app.desk.book, performance=rules))


@pytest.fixture(scope="module")
def worse(tmp_path_factory: pytest.TempPathFactory) -> Iterator[App]:
    """Eight hours, labelled an hour after, wrong from the fifth on; then an hour without labels; all evaluated.

    Tests only read it.
    """
    app = App(tmp_path_factory.mktemp("worse"), channels=("ml-team",))
    watch_yes(app.store)
    set_labelled_reference(app.store, outcomes(3_000, 99))
    for hour in range(8):
        batch = outcomes(300, hour, flipped=0.4 if hour > 3 else 0.0)
        send_labelled(app.store, later(100), batch, at=NOON + hour * HOUR, label_after=HOUR)
    send_labelled(app.store, later(100), outcomes(300, 9), at=NOON + 11 * HOUR, label_after=None)
    evaluate(app)
    yield app
    app.close()


def test_the_loss_is_said_first_with_its_interval_the_reference_and_the_threshold(worse: App) -> None:
    page = visit(worse, PATH)
    assert "Accuracy is" in page.text
    assert "; reference: " in page.text
    for question in ("Since Sun", "How bad", "alert from −4 points", "Why", "What to do"):
        assert question in page.text
    assert page.links["Runbook"].endswith("ui/runbooks#modelperformancedegraded")
    [alert] = [each for each in worse.desk.alerts() if each.kind == "performance"]
    assert page.links["Alert"].endswith(f"ui/alerts/{alert.id}")
    assert page.links["Verdict"].startswith("../../../api/v1/verdicts/")


def test_the_overview_and_this_page_measure_a_loss_since_the_same_time(worse: App) -> None:
    page, overview = visit(worse, PATH).text, visit(worse, "/ui/models/m").text
    said = re.search(r"Accuracy is ([\d.]+ %) \(.+?\) since (.+?) ; reference: ([\d.]+ %)", overview)
    assert said is not None, overview
    now, since, reference = said.groups()
    assert f"Accuracy is {now}" in page
    assert f"since {since}" in page
    assert reference in page
    # The list has the finding, where its look-back is another one than that of the main metric.
    listed = re.search(r"Accuracy fell by [\d.]+ points \(([\d.]+ %) → [\d.]+ %; 95 %", visit(worse, "/ui/models").text)
    assert listed is not None
    assert listed.groups() == (reference,)


def test_a_loss_is_dated_by_its_own_alert_and_never_before_the_first_data(app: App) -> None:
    watch_yes(app.store)
    set_labelled_reference(app.store, outcomes(3_000, 99))
    for hour in range(4):
        send_labelled(app.store, later(100), outcomes(300, hour, flipped=0.4), at=NOON + hour * HOUR, label_after=0)
    app.desk.clock.now = later(101)()
    # The verdict alone: the findings are made here.
    run_out(background(app.store, RULES, app.desk.clock, performance=PerformanceRules.of(RULES, 0.02)))
    first, hours = NOON // 1_000_000, 3_600
    common = {"window_start": first - 30 * hours, "window_end": first + 4 * hours}
    labels = finding(LABELS, "alert", kind="label_drift", since=first + 10 * hours, **common)
    loss = finding(
        "accuracy", "alert", kind="performance", since=first + 2 * hours, bad_from=first - 20 * hours, **common
    )
    kinds: tuple[Kind, ...] = ("performance", "label_drift")
    app.desk.take(
        Assessment(
            "m", "1", "production", "v", first + 10 * hours, later(101)(), kinds, (labels, loss), check="performance"
        )
    )
    page, overview = visit(app, PATH), visit(app, "/ui/models/m")
    start, found = (when(iso_of_seconds(at), microseconds_now()) for at in (first, first + 2 * hours))
    assert re.search(rf"is [\d.]+ % \([^)]+\) since {start.short} ;", page.text)
    assert f"Found {found.short} , once labels had arrived." in page.text
    assert f"began {start.short}, found {found.short}" in page.text
    assert f"since {start.short} ;" in overview.text


def test_what_is_told_of_a_loss_is_written_as_per_cent_and_points(worse: App) -> None:
    notice = next(each.notice for each in worse.desk.sent() if each.notice.kind == "performance")
    assert re.search(r"Recall fell by [\d.]+ points \([\d.]+ % → [\d.]+ %; 95 % interval [\d.]+ % to", notice.summary)
    assert re.search(r"Loss of recall [\d.]+ points \(warning from 2 points, alert from 4 points\)", notice.summary)
    assert not re.search(r"0\.[1-9]\d{3}", notice.summary)
    told = trend_text(notice)
    assert told is not None
    assert re.fullmatch(r"Accuracy, last \d+ evaluations: [▁-█]+ [\d.]+ %", ": ".join(told))


def test_metrics_over_time_with_reference_thresholds_and_estimate(worse: App) -> None:
    page = visit(worse, PATH)
    for title in ("Accuracy over time", "Precision over time", "Log loss over time"):
        assert title in page.text
    assert "Share of predictions that have a label" in page.text
    for level in ("reference 8", "warning below 8", "alert below 8", "estimated without labels"):
        assert level in page.text
    assert "positive class: yes" in page.text


def test_what_is_still_to_come_is_not_judged_and_says_so(worse: App) -> None:
    text = visit(worse, PATH).text
    assert "Not judged" in text
    assert "0 % are labelled so far, 100 % is usual: most labels arrive within 1" in text


def test_while_only_quick_labels_can_have_come_nothing_is_said_of_how_late_most_are(app: App) -> None:
    """A model of three hours, whose labels take four on average."""
    watch_yes(app.store)
    set_labelled_reference(app.store, outcomes(3_000, 99))
    send_slowly_labelled(app.store, later(3))
    text = visit(app, PATH).text
    assert re.search(
        r"[\d.]+ % are labelled so far; how late most labels are is not known yet: the first prediction with a label"
        r" is \d h old; how late most of them are is known after \d h\.",
        text,
    )
    assert "most labels arrive within" not in text
    assert "Label delay so far" in text
    [delay] = [each["label_delay"] for each in app.get("models/m/performance/stretch")["streams"]]
    assert delay["unknown"].startswith("the first prediction with a label is")


def test_its_numbers_are_there_as_a_table(worse: App) -> None:
    answer = worse.request("GET", urljoin(BASE + PATH, visit(worse, PATH).links["Numbers as CSV"]))
    assert answer.headers["content-type"].startswith("text/csv")
    head, *rows = answer.text.splitlines()
    assert {"accuracy", "accuracy low", "log_loss"} <= set(head.split(","))
    assert len(rows) > 4


def test_tables_and_curves_now_and_of_the_reference(worse: App) -> None:
    text = visit(worse, PATH).text
    for part in ("Confusion matrix", "Calibration", "ROC", "Precision and recall", "By class"):
        assert part in text
    assert "actual yes" in text
    assert "predicted no" in text
    assert "Label delay" in text
    assert "half in" in text


def test_a_regression_has_its_errors_and_predicted_against_actual(app: App) -> None:
    assert app.request("PUT", "/api/v1/models/m/monitor", json={"task": "regression"}).status_code in (200, 201)
    set_labelled_reference(app.store, rides(1_000, 0.0), "continuous")
    send_labelled(app.store, later(100), rides(600, 8.0), at=NOON, label_after=0)
    evaluate(app)
    text = visit(app, PATH).text
    assert "MAE is" in text
    assert "Predictions are too high by" in text
    assert "Errors, prediction minus label" in text
    assert "Predicted and actual" in text
    assert "Confusion matrix" not in text


def test_a_calm_model_says_that_nothing_is_worse(app: App) -> None:
    watch_yes(app.store)
    set_labelled_reference(app.store, outcomes(3_000, 99))
    for hour in range(6):
        send_labelled(app.store, later(100), outcomes(300, hour), at=NOON + hour * HOUR, label_after=HOUR)
    evaluate(app)
    text = visit(app, PATH).text
    assert "No watched metric is worse." in text
    assert "How bad" not in text


def test_a_loss_that_may_be_chance_says_so(app: App) -> None:
    watch_yes(app.store)
    set_labelled_reference(app.store, outcomes(3_000, 99))
    send_labelled(app.store, later(100), outcomes(300, 7, flipped=0.04), at=NOON, label_after=HOUR)
    send_labelled(app.store, later(100), outcomes(300, 8), at=NOON + 11 * HOUR, label_after=None)
    evaluate(app)
    page = visit(app, PATH)
    assert "Accuracy may be chance 84.0 % 79.4–87.7 86.2 % −2.2 Precision 88.3 %" in page.text
    assert re.search(
        r'title="Worse by 2\.2 points, but explained by chance with p = [\d.]+ \(needs', app.request("GET", PATH).text
    )


def test_a_model_without_labels_says_what_to_do(app: App) -> None:
    open_ledger(app.store).commit([event("a")])
    text = visit(app, PATH).text
    assert text.count("None of these predictions has a label.") == 1
    assert "Send ground truth to /api/v1/ground-truth" in text


def test_a_model_before_its_first_prediction(app: App) -> None:
    set_labelled_reference(app.store, outcomes(300, 1))
    assert "This model has sent no predictions yet." in visit(app, PATH).text


def test_a_segment_is_shown_alone_and_not_as_judged(app: App) -> None:
    monitor(app)
    reference(app, rows(2_000, 1))
    send(app, rows(1_000, 2))
    page = visit(app, f"{PATH}?segment=country%3DFR")
    assert "Only where country = FR" in page.text
    assert "Metrics" in page.text
    assert "Verdict" not in page.links
    twin = urljoin(f"{BASE}{PATH}", page.links["This page as JSON"]).removeprefix(BASE)
    [told] = app.request("GET", twin).json()["streams"]
    assert (told["segment"], told["model_version"]) == ("country=FR", "1")
    assert "Expected one of country=DE" in visit(app, f"{PATH}?segment=country%3DES", 422).text


def test_names_made_of_markup_are_text(app: App) -> None:
    """Classes and models are named by anybody."""
    known = [{"prediction": HOSTILE if each % 2 else "مرحبا", "truth": HOSTILE} for each in range(300)]
    ledger = open_ledger(app.store)
    ledger.commit(
        [
            event(f"{place}", {}, model=MARKUP, prediction=row["prediction"], ground_truth=row["truth"])
            for place, row in enumerate(known)
        ]
    )
    app.get(f"models/{quote(MARKUP, safe='')}/performance")
    page: Page = visit(app, f"/ui/models/{quote(MARKUP, safe='')}/performance")
    assert page.tags.count("script") == 1
    assert page.tags.count("img") == 1


def test_a_ranking_that_fell_by_what_may_be_chance_is_not_said_to_hold(app: App) -> None:
    watch_yes(app.store)
    set_labelled_reference(app.store, outcomes(3_000, 99))
    send_labelled(app.store, later(100), outcomes(300, 7, flipped=0.04), at=NOON, label_after=HOUR)
    send_labelled(app.store, later(100), outcomes(300, 8), at=NOON + 11 * HOUR, label_after=None)
    evaluate(app)
    text = visit(app, PATH).text
    assert "No watched metric is worse." not in text
    assert re.search(r"Accuracy.* worse, which may be chance\.", text)


def test_a_ranking_that_is_not_watched_is_worse_where_it_is_beyond_its_interval(app: App) -> None:
    watch_yes(app.store, performance={"metrics": ["accuracy"]})
    set_labelled_reference(app.store, outcomes(3_000, 99))
    for hour in range(4):
        send_labelled(app.store, later(100), outcomes(300, hour, flipped=0.4), at=NOON + hour * HOUR, label_after=HOUR)
    send_labelled(app.store, later(100), outcomes(300, 9), at=NOON + 11 * HOUR, label_after=None)
    evaluate(app, ("accuracy",))
    text = visit(app, PATH).text
    assert re.search(r"The ranking is worse \(ROC AUC [\d.]+, was [\d.]+\)", text)
    assert "may be chance" not in text


def area(value: float, spread: float = 0.01) -> MetricValue:
    return MetricValue(value, value - spread, value + spread, 1_000)


@pytest.mark.parametrize(
    ("now", "change", "tested", "said"),
    [
        (0.70, (-0.24, -0.20), False, "The ranking is worse (ROC AUC (macro) 0.7, was 0.92)"),
        (0.85, (-0.15, 0.01), False, "The ranking may be worse (ROC AUC (macro) 0.85, was 0.92)"),
        (0.85, (-0.15, 0.01), True, "The ranking is worse, which may be chance (ROC AUC (macro) 0.85, was 0.92)"),
        (0.915, (-0.02, 0.01), False, "The ranking holds (ROC AUC (macro) 0.915, was 0.92)"),
    ],
)
def test_a_ranking_is_said_to_be_worse_by_chance_only_where_it_was_tested(
    now: float, change: tuple[float, float], tested: bool, said: str
) -> None:
    stretch = SimpleNamespace(
        outcomes=SimpleNamespace(metrics={"roc_auc_macro": area(now)}, mean_score=None, positive_share=None),
        reference=SimpleNamespace(metrics={"roc_auc_macro": area(0.92)}),
        changes={"roc_auc_macro": MetricChange(now - 0.92, *change, False)},
        levels={},
    )
    judgement = MetricReport(now, None, None, 1_000, 0.0, "stable", 0.92, loss=0.92 - now, warning_threshold=0.02)
    window = SimpleNamespace(metrics={"roc_auc_macro": judgement} if tested else {})
    judged = SimpleNamespace(report=SimpleNamespace(worst=["accuracy"]), window=window)
    of_model = SimpleNamespace(alerts=[])
    verdict = PerformanceVerdict(
        cast(ModelFrame, of_model), cast(PerformanceStretch, stretch), cast(JudgedPerformance, judged), "/"
    )
    [line] = verdict._why().lines
    assert plain(str(line)) == f"{said}."


def test_what_is_found_early_is_said_and_not_that_matured_labels_are_as_ever() -> None:
    metric = MetricReport(0.8, 0.75, 0.85, 300, 0.0, "alert", 0.9, -0.1, 0.1, 0.04, 1e-9, 0.001, alert_threshold=0.04)
    early = SimpleNamespace(window=SimpleNamespace(metrics={"accuracy": metric}), labelled_share=0.623, decides=True)
    report = SimpleNamespace(worst=["accuracy"], severity="alert", early=early)
    window = SimpleNamespace(metrics={"accuracy": metric}, label_drift=None, label_coverage=None)
    judged = SimpleNamespace(report=report, window=window)
    stretch = SimpleNamespace(outcomes=SimpleNamespace(metrics={}), levels={"accuracy": None}, changes={})
    verdict = PerformanceVerdict(
        cast(ModelFrame, SimpleNamespace(alerts=[])),
        cast(PerformanceStretch, stretch),
        cast(JudgedPerformance, judged),
        "/",
    )
    said = re.sub("<.+?>", "", plain(str(verdict._sentence())))
    assert said == (
        "Accuracy is 80.0 % (75.0–85.0); the reference had 90.0 %. This is early, on 62.3 % of the usual labels."
    )
    [line] = verdict._how_bad().lines
    assert re.sub("<.+?>", "", plain(str(line))) == "Accuracy −10 points, alert from −4 points"


@pytest.mark.parametrize(
    ("of", "said"), [({}, "PSI 0.3"), ({"by_odds": True, "odds_class": "<b>"}, "odds of &lt;b&gt; 0.3 times")]
)
def test_labels_that_shifted_are_said_with_the_class_whose_odds_decided(of: dict[str, Any], said: str) -> None:
    drift = MetricReport(None, None, None, 300, 0.0, "alert", loss=0.3, **of)
    window = SimpleNamespace(label_drift=drift, label_coverage=None)
    report = SimpleNamespace(worst=[LABELS], severity="alert", early=UNSET, task="binary")
    verdict = PerformanceVerdict(
        cast(ModelFrame, SimpleNamespace(alerts=[])),
        cast(PerformanceStretch, SimpleNamespace(outcomes=None)),
        cast(JudgedPerformance, SimpleNamespace(report=report, window=window)),
        "/",
    )
    assert str(joined(verdict._about_labels())) == f"The labels themselves have shifted ({said})."


def test_a_watched_metric_that_the_task_has_not_is_said_to_be_unknown(app: App) -> None:
    """The predictions have classes, and no probability of each."""
    watch_yes(app.store, positive_class=None, task="multiclass", performance={"metrics": ["log_loss"]})
    rng = np.random.default_rng(1)
    truths = rng.choice(["a", "b", "c"], 600).tolist()
    set_labelled_reference(app.store, [Outcome(each, None, each) for each in truths])
    send_labelled(app.store, later(100), [Outcome(each, None, each) for each in truths], at=NOON, label_after=HOUR)
    evaluate(app, ("log_loss",))
    text = visit(app, PATH).text
    assert "Log loss is unknown: it needs a probability of each class, of at most 20 classes." in text


def test_the_class_that_drift_of_the_labels_names_is_drawn_in_the_matrix_of_many() -> None:
    names = [f"c{place:02}" for place in range(30)]
    matrix = [[90 + row if row == column else 1 for column in range(31)] for row in range(31)]
    matrix = [[*row[:30], 0] for row in matrix[:30]] + [[0] * 31]
    outcomes = SimpleNamespace(confusion=SimpleNamespace(classes=[*names, "other"], matrix=matrix))
    stretch = cast(PerformanceStretch, SimpleNamespace(outcomes=outcomes, reference=outcomes))

    def drawn(shifted: str | None) -> tuple[str, str]:
        charts = PerformanceCharts(stretch, shifted)
        chart, _, table = str(charts.matrix).partition("</svg>")
        assert charts.matrix_note == "24 of 30 rows are drawn; the table has all."
        return chart, table

    of_none, table = drawn(None)
    assert "actual c23, predicted c23: 113," in of_none
    assert "actual c29" not in of_none
    shown, same = drawn("c29")
    assert "actual c29, predicted c29: 119," in shown
    assert "actual c22, predicted c29: 1," in shown
    assert "actual c23" not in shown
    assert same == table
    assert drawn("c05")[0] == of_none
