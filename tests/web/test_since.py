"""One time since when findings are in force, on every page that tells it."""

from __future__ import annotations

import pytest

from modelwatch.alerting.alert import Member
from modelwatch.alerting.onsets import onset_of, onset_of_first
from modelwatch.findings import Assessment, Kind
from modelwatch.times import MICROS_PER_SECOND, iso_of_seconds, microseconds_now
from modelwatch.web.frame.rendering import when
from tests.support.alerts.assessments import finding
from tests.support.app import App
from tests.views.drift.test_series import NOW
from tests.web.drift.histories import filled
from tests.web.test_pages import visit

HOUR = 3_600
END = NOW // MICROS_PER_SECOND


def take(app: App, end: int, **began: int) -> None:
    """An evaluation that finds these features, which began so many hours before the newest data."""
    found = [
        finding(name, "alert", since=end, window_start=end - HOUR, window_end=end, began=END - hours * HOUR)
        for name, hours in began.items()
    ]
    app.desk.clock.now = end * MICROS_PER_SECOND
    app.desk.take(
        Assessment("m", "1", "production", f"v{end}", end, end * MICROS_PER_SECOND, ("feature_drift",), tuple(found))
    )


def short(hours: int) -> str:
    return when(iso_of_seconds(END - hours * HOUR), microseconds_now()).short


def test_all_pages_tell_when_the_first_of_the_findings_in_force_began(app: App) -> None:
    filled(app)
    take(app, END - 2 * HOUR, gone=40, amount=20, country=3)
    take(app, END, amount=20, country=3)
    overview, drift = visit(app, "/ui/models/m").text, visit(app, "/ui/models/m/drift").text
    assert f"2 features drift , the first since {short(20)} ." in overview
    assert f"drift: amount , country , the first since {short(20)} ." in drift
    assert "They began at different times" in drift
    assert "began together" not in drift
    assert f"alert since {short(20)} · 1 alert" in visit(app, "/ui/models").text
    for path in ("/ui/alerts", f"/ui/alerts/{app.desk.alert().id}"):
        page = visit(app, path).text
        assert short(20) in page
    assert "began Sat 19:00" in page
    assert short(40) not in visit(app, "/ui/alerts").text
    assert app.get("alerts")["alerts"][0]["since"] == iso_of_seconds(END - 20 * HOUR)


def test_what_began_together_is_said_to_be_since_one_time(app: App) -> None:
    filled(app)
    take(app, END, amount=3, country=3)
    assert f"drift: amount , country , since {short(3)} ." in visit(app, "/ui/models/m/drift").text
    assert "drift since" in visit(app, "/ui/models/m").text


@pytest.mark.parametrize(
    ("kind", "began", "first", "onset"),
    [
        ("feature_drift", 50, None, 50),
        ("feature_drift", None, None, 100),
        ("performance", None, None, 20),
        ("performance", None, 60, 60),
        ("data_quality", None, 10, 20),
        ("freshness", 50, 60, 100),
    ],
)
def test_the_onset_is_the_estimate_or_what_is_known_without(
    kind: Kind, began: int | None, first: int | None, onset: int
) -> None:
    found = finding(kind=kind, since=100, bad_from=20, began=began)
    assert onset_of(found, first) == onset
    assert onset_of_first([Member(version="1", verdict_id="v", finding=found, added_step=1)], first) == onset
