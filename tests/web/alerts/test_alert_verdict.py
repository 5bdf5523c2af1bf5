"""Verdict at the top of an alert's page: what its numbers count."""

from __future__ import annotations

from pathlib import Path

import pytest
from msgspec.structs import replace

from modelwatch.findings import Assessment, Kind
from tests.support.alerts.assessments import T0, finding
from tests.support.app import App
from tests.web.reading import Page


@pytest.mark.parametrize(
    ("kind", "subject", "counted"),
    [
        ("feature_drift", "amount", "1,200 values in 1 h compared with 10,000 reference values."),
        (
            "performance",
            "accuracy",
            "1,200 labelled predictions in 1 h compared with 10,000 labelled predictions of the reference.",
        ),
        (
            "label_drift",
            "ground_truth",
            "1,200 labelled predictions in 1 h compared with 10,000 labelled predictions of the reference.",
        ),
        ("volume", "volume of 1h", "1,200 predictions in 1 h."),
    ],
)
def test_what_was_counted_is_named_as_in_the_notification(
    tmp_path: Path, kind: Kind, subject: str, counted: str
) -> None:
    app = App(tmp_path)
    found = finding(subject, "alert", kind=kind, reference_size=0 if kind == "volume" else 10_000)
    app.desk.take(Assessment("m", "1", "production", "v", T0, T0 * 1_000_000, (kind,), (found,)))
    page = Page(app.request("GET", f"/ui/alerts/{app.desk.alert().id}").text)
    [sent] = app.desk.sent()
    app.close()
    assert counted in page.text
    for words in counted.rstrip(".").split(" in 1 h"):
        assert words.replace("compared with ", "").strip() in sent.notice.summary


def test_an_alert_whose_score_alone_would_be_a_warning_says_how_long_it_stays_one(tmp_path: Path) -> None:
    app = App(tmp_path)
    found = finding("ground_truth", "alert", kind="label_drift", score_name="odds ratio", score=3.54, threshold=4.0)
    found = replace(found, warning_threshold=2.0, alert_threshold=4.0)
    app.desk.take(Assessment("m", "1", "production", "v", T0, T0 * 1_000_000, ("label_drift",), (found,)))
    page = Page(app.request("GET", f"/ui/alerts/{app.desk.alert().id}").text)
    app.close()
    text = page.text.replace("\xa0", " ")
    assert "Odds ratio 3.54 , alert from 4 (an alert until below 3.2)" in text
    assert "2 / 4 an alert until below 3.2" in text
