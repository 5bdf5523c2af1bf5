"""Charts of alerts about labels, their coverage, repeats and volume: on the page, and as a trend in notifications."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
import pytest

from modelwatch.alerting.channels.email_message import compose
from modelwatch.alerting.channels.presentation import trend_text
from modelwatch.alerting.notification import Trend
from modelwatch.findings import Assessment, Finding
from modelwatch.stats.outcomes.outcome_layout import Outcome
from tests.support.alerts.assessments import finding
from tests.support.app import App
from tests.support.background import background, run_out
from tests.support.data.labelled import outcomes, send_labelled, set_labelled_reference, watch_yes
from tests.support.data.streams import HOUR, MINUTE, SECOND, finish, normal, set_reference
from tests.support.events import NOON, Clock, event, open_ledger
from tests.support.rules import HOURLY_RULES
from tests.web.reading import Page

HOURS = 12
END = NOON // SECOND + HOURS * 3_600


@pytest.fixture
def app(tmp_path: Path) -> Iterator[App]:
    app = App(tmp_path)
    yield app
    app.close()


def alerted(app: App, about: Finding) -> tuple[Page, Trend | None]:
    """The page of an alert with this finding, and the trend in its notification."""
    app.desk.take(
        Assessment(
            model="m",
            version="1",
            environment="production",
            verdict_id="v",
            window_end=END,
            evaluated_at=END * SECOND,
            kinds=(about.kind,),
            findings=(about,),
        )
    )
    answer = app.request("GET", f"/ui/alerts/{app.desk.alert().id}")
    assert answer.status_code == 200
    [sent] = app.desk.sent()
    if sent.notice.trend is not None:
        assert trend_text(sent.notice) is not None
        mail = compose(sent.notice, "k", channel="mail", sender="a@example.org", to=("b@example.org",), now=NOON)
        html = mail.get_body(("html",))
        assert html is not None
        assert sent.notice.trend.title in html.get_content()
    return Page(answer.text), sent.notice.trend


def about(kind: str, subject: str, **changes: object) -> Finding:
    given = {"since": END, "window_start": END - 4 * 3_600, "window_end": END, "began": END - 4 * 3_600, **changes}
    return finding(subject, "alert", kind=kind, **given)  # type: ignore[arg-type]


def send_labels(app: App, rows_of: Callable[[int], Sequence[Outcome]], *, unlabelled_from: int = HOURS) -> None:
    clock = Clock(NOON + 100 * HOUR)
    for hour in range(HOURS):
        at, late = NOON + hour * HOUR, hour >= unlabelled_from
        send_labelled(app.store, clock, rows_of(hour), at=at, label_after=None if late else 10 * MINUTE)


def test_drift_of_labels_shows_the_class_that_moved(app: App) -> None:
    watch_yes(app.store)
    set_labelled_reference(app.store, outcomes(2_000, seed=9))

    def rows(hour: int) -> list[Outcome]:
        drawn = outcomes(400, seed=hour)
        # From the eighth hour on, three of four labels are `yes`.
        return (
            drawn if hour < 8 else [each for index, each in enumerate(drawn) if each.truth == "yes" or index % 3 == 0]
        )

    send_labels(app, rows)
    page, trend = alerted(app, about("label_drift", "ground_truth"))
    assert re.search(r"share of (yes|no) in the labels, every", page.text)
    assert "in the reference" in page.text
    assert trend is not None
    assert (trend.name.removesuffix("yes").removesuffix("no"), trend.form) == ("Share of the label ", "percent")
    assert trend.title.endswith(f"last {HOURS} hours")
    before, after = np.mean(trend.values[:8]), np.mean(trend.values[8:])
    assert abs(before - 0.5) < 0.05
    assert abs(after - before) > 0.2


def test_a_shift_of_the_mean_target_shows_the_mean(app: App) -> None:
    def rows(n: int, seed: int, mean: float) -> list[Outcome]:
        truths = np.random.default_rng(seed).normal(mean, 5.0, n).tolist()
        return [Outcome(each + 1.0, None, each) for each in truths]

    set_labelled_reference(app.store, rows(2_000, 99, 100.0), "continuous")
    send_labels(app, lambda hour: rows(100, hour, 120.0 if hour >= 8 else 100.0))
    page, trend = alerted(app, about("label_drift", "ground_truth", score_name="shift of the mean target"))
    assert "mean of the labels, every" in page.text
    assert trend is not None
    assert (trend.name, len(trend.values)) == ("Mean target", HOURS)
    assert abs(trend.values[0] - 100.0) < 2.0
    assert abs(trend.values[-1] - 120.0) < 2.0


def test_a_lack_of_labels_shows_their_share(app: App) -> None:
    watch_yes(app.store)
    set_labelled_reference(app.store, outcomes(2_000, seed=9))
    send_labels(app, lambda hour: outcomes(150, seed=hour), unlabelled_from=4)
    clock = Clock(NOON + 100 * HOUR)
    finish(clock)
    run_out(background(app.store, HOURLY_RULES, clock))
    page, trend = alerted(app, about("performance", "label_coverage", score_name="missing share of the usual labels"))
    assert "predictions that have a label by now, every" in page.text
    assert "What to do Labels are missing (label_coverage; this compares with earlier weeks" in page.text
    assert "did the job that sends them run" in page.text
    assert trend is not None
    assert (trend.name, trend.form, trend.steps) == ("Share of predictions with a label", "percent", "evaluations")
    assert max(trend.values) == 1.0
    assert trend.values[-1] == min(trend.values) < 0.5


def test_repeats_show_their_share_of_what_was_sent(app: App) -> None:
    set_reference(app.store, normal(2_000, seed=99))
    ledger = open_ledger(app.store, Clock(NOON + 100 * HOUR))
    for hour in range(HOURS):
        for again in range(2 if hour >= 8 else 1):
            ledger.commit(
                [
                    event(f"{hour}-{index}", {"x": value + again}, timestamp=NOON + hour * HOUR + index * SECOND)
                    for index, value in enumerate(normal(100, seed=hour))
                ]
            )
    ledger.close()
    page, trend = alerted(app, about("data_quality", "duplicates", warning_threshold=0.01))
    assert "share of what was sent, every" in page.text
    assert "What to do Duplicates: ids that are not unique" in page.text
    assert trend is not None
    assert trend.values == (0.0,) * 8 + (0.5,) * 4
    assert (trend.name, trend.warning) == ("Share of changed repeats", 0.01)


def test_a_volume_shows_the_predictions_of_each_hour(app: App) -> None:
    ledger = open_ledger(app.store, Clock(NOON + 100 * HOUR))
    for hour in range(HOURS):
        number = 10 if hour >= 8 else 100
        events = [event(f"{hour}-{i}", {"x": 1.0}, timestamp=NOON + hour * HOUR + i * SECOND) for i in range(number)]
        ledger.commit(events)
    ledger.close()
    _, trend = alerted(app, about("volume", "volume of 1h"))
    assert trend is not None
    assert trend.values[-HOURS:] == (100.0,) * 8 + (10.0,) * 4
    assert trend.title == "Predictions an hour, last 24 hours"
