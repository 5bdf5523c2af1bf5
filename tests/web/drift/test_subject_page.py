"""The page of one subject: what has moved in words, its cells, its course, and two windows beside each other."""

from __future__ import annotations

import re
from types import SimpleNamespace
from typing import cast
from urllib.parse import quote

import numpy as np
import pytest

from modelwatch.views.drift.subject_comparison import SubjectComparison
from modelwatch.views.newest_verdicts import OpenFinding
from modelwatch.web.drift.subject_verdict import SubjectVerdict
from modelwatch.web.frame.model_frame import ModelFrame
from tests.support.app import App
from tests.support.events import event, open_ledger
from tests.views.drift.test_series import END, HOUR, NOW
from tests.web.drift.histories import SAMPLE, evaluated, filled, rare_class, rare_class_of_many
from tests.web.reading import Page
from tests.web.test_pages import HOSTILE, visit

MARKUP = '<b>amount</b> & "co" 金額'


def seen(app: App, path: str = "features/amount", status: int = 200) -> Page:
    return visit(app, f"/ui/models/m/{path}", status)


def test_a_shift_is_said_in_words_with_since_when_how_bad_and_why(app: App) -> None:
    filled(app, factor=2.5)
    evaluated(app)
    page = seen(app)
    assert "of values are above" in page.text
    assert "the median went from " in page.text
    assert re.search(r"Every value is about 2\.[3-7]\d* times what it was", page.text)
    # The amounts rise one day before the end of the data.
    assert re.search(r"since Sat 14 Jun 2025, 1[45]:\d\d", page.text)
    for part in ("How bad", "alert from 0.25", "another unit or currency", "Kolmogorov–Smirnov", "Why this verdict"):
        assert part in page.text
    [alert] = app.desk.alerts()
    assert page.links["Alert"].endswith(f"ui/alerts/{alert.id}")
    assert page.links["Verify it"].endswith("/verification")
    assert page.links["Runbook"].endswith("#modeldriftsignificant")


def test_categories_are_said_by_the_shares_that_moved_most(mixed: App) -> None:
    page = seen(mixed, "features/country")
    assert "The shares have changed" in page.text
    assert re.search(r"DE (59|60|61)[\d.]* → [12]\d[\d.]* %", page.text.replace("\xa0", " "))
    assert "Shares of country over time" in page.text


def test_a_class_whose_odds_decided_is_said_first_with_the_limit_of_its_severity(app: App) -> None:
    rare_class(app)
    evaluated(app)
    text = seen(app, "prediction").text.replace("\xa0", " ")
    assert "The shares have changed: fraud 1.0 → 3.0 % , other 39.0 → 35.0 % , common" in text
    assert "Odds of fraud 3.04 times , warning from 2 4,000 values" in text
    assert "of the PSI comes from" not in text


def test_missing_values_are_said_and_have_a_rate_over_time(app: App) -> None:
    filled(app, missing=0.4)
    assert "Missing values of amount over time" in seen(app).text


def test_what_is_as_in_the_reference_says_so(plain: App) -> None:
    page = seen(plain)
    assert "As in the reference" in page.text
    assert "stable" in page.text
    assert "began" not in page.text


@pytest.mark.parametrize("path", ["prediction", "score", "features/country"])
def test_other_subjects_have_the_same_page(plain: App, path: str) -> None:
    assert "Over time" in seen(plain, path).text


def test_a_subject_without_reference_is_not_judged_and_says_why(app: App) -> None:
    filled(app)
    page = seen(app, "latency")
    assert "not judged" in page.text
    assert "No reference is set" in page.text
    open_ledger(app.store, prefix="u").commit([event("x", {"extra": 1.0}, timestamp=NOW - 1)])
    assert "No reference is set" in seen(app, "features/extra").text
    open_ledger(app.store, prefix="v").commit([event("x", model="bare", timestamp=NOW - 1)])
    assert "No reference is set" in visit(app, "/ui/models/bare/features/x").text


def test_an_unknown_feature_is_not_found_and_the_nearest_are_named(app: App) -> None:
    filled(app)
    page = seen(app, "features/amuont", 404)
    assert "m has no feature named 'amuont'" in page.text
    assert "Did you mean 'amount'?" in page.text
    open_ledger(app.store, prefix="u").commit([event("x", {"extra": 1.0}, timestamp=NOW - 1)])
    assert "Did you mean 'extra'?" in seen(app, "features/extras", 404).text
    assert "Did you mean" not in seen(app, "features/NOPE", 404).text


def test_a_model_before_its_first_prediction_says_so(app: App) -> None:
    app.post("reference", {"model_name": "m", "features": {"amount": SAMPLE.tolist()}}, 201)
    assert "sent no predictions yet" in seen(app).text
    visit(app, "/ui/models/nobody/features/amount", 404)


def test_two_windows_are_compared_by_a_form_that_keeps_the_address(moved: App) -> None:
    first, middle, last = (np.datetime_as_string(np.datetime64(END - hours * HOUR, "s"), "m") for hours in (40, 20, 2))
    query = f"window_from={middle}&window_to={last}&baseline_from={first}&baseline_to={middle}&version=1&range=7d"
    page = seen(moved, f"features/amount?{query}")
    assert "Comparison of two windows" in page.text
    assert page.forms[-1].fields[-2:] == ["version", "range"]
    assert "Comparison of two windows" not in seen(moved).text
    refused = seen(moved, "features/amount?window_from=soon&window_to=later", 422)
    assert "window_from" in refused.text
    backwards = f"window_from={last}&window_to={middle}&baseline_from={first}&baseline_to={middle}"
    seen(moved, f"features/amount?{backwards}", 422)


def test_a_segment_narrows_the_series(app: App) -> None:
    app.request("PUT", "/api/v1/models/m/monitor", json={"segments": ["country"]})
    filled(app)
    narrowed = seen(app, "features/amount?segment=country%3DDE")
    assert "Segments are not judged on their own." in narrowed.text
    assert "Over time" in narrowed.text
    assert "Numbers 24 h" not in narrowed.text
    assert "not on country=DE alone" in seen(app, "drift?segment=country%3DDE").text
    seen(app, "features/amount?segment=country%3DXX", 422)


def test_the_segments_of_a_drift_are_ranked_by_their_part_and_lead_to_themselves(app: App) -> None:
    app.request("PUT", "/api/v1/models/m/monitor", json={"segments": ["country"]})
    filled(app, factor=2.5)
    page = seen(app)
    table = page.text[page.text.index("Shift by country") :]
    # The shift is everywhere, so the largest segment has the largest part.
    assert table.index("DE") < table.index("FR") < table.index("IT")
    assert page.links["DE"].endswith("segment=country%3DDE")
    filled_calm = seen(app, "score").text
    assert "Where it moved" not in filled_calm


def test_a_feature_is_not_divided_by_its_own_values(app: App) -> None:
    app.request("PUT", "/api/v1/models/m/monitor", json={"segments": ["country"]})
    filled(app, factor=2.5, mixed=True)
    assert "Shift by country" in seen(app).text
    assert "Where it moved" not in seen(app, "features/country").text


def test_where_a_step_holds_too_little_each_looks_back_further(moved: App) -> None:
    page = seen(moved)
    assert "each looks back 4 h" in page.text
    told = moved.request("GET", f"/{page.links['This page as JSON'].lstrip('./')}").json()
    assert (told["step_seconds"], told["window_seconds"]) == (1_800, 14_400)
    rows = moved.request("GET", f"/{page.links['Numbers as CSV'].lstrip('./')}").text.splitlines()
    assert len(rows) == len(told["steps"]) + 1
    assert "each looks back" not in seen(moved, "features/amount?range=30d").text


def test_names_made_of_markup_are_text_and_the_numbers_are_linked(app: App) -> None:
    filled(app, name=MARKUP)
    page = seen(app, f"features/{quote(MARKUP, safe='')}")
    assert MARKUP in page.text
    assert HOSTILE not in page.text
    assert "style" not in page.attributes
    answer = app.request("GET", f"/{page.links['Numbers as CSV'].lstrip('./')}")
    assert answer.status_code == 200, answer.text
    assert answer.text.startswith("start,end")
    assert app.request("GET", f"/{page.links['This page as JSON'].lstrip('./')}").status_code == 200


def test_a_rare_class_that_decided_is_drawn_among_many_and_what_is_left_out_is_said(app: App) -> None:
    many = rare_class_of_many(app)
    evaluated(app)
    page = seen(app, "prediction")
    text = page.text.replace("\xa0", " ")
    assert "Odds of fraud" in text
    assert f"{len(many) - 30} of {len(many)} categories are left out: rarer ones. The table has all." in text
    html = app.request("GET", "/ui/models/m/prediction").text
    bars = html[html.index("chart-categories") :]
    assert "<title>fraud: " in bars[: bars.index("</svg>")]
    over_time = html[html.index("Shares of prediction over time") :]
    assert "fraud" in over_time[: over_time.index("</svg>")]


def test_a_subject_whose_score_alone_would_be_a_warning_says_how_long_it_stays_an_alert() -> None:
    tolerance = SimpleNamespace(psi_warning=0.1, psi_alert=0.25)
    report = SimpleNamespace(
        odds=None,
        psi=SimpleNamespace(score=0.224),
        tolerance=tolerance,
        lookback=None,
        sample_size=900,
        reference_size=3_000,
        evidence=None,
    )

    def said(score: float) -> str:
        held = {"severity": "alert", "holding": False, "small": False, "score_name": "PSI", "score": score}
        known = SimpleNamespace(finding=SimpleNamespace(**held, warning_threshold=0.1, alert_threshold=0.25))
        verdict = SubjectVerdict(
            cast(ModelFrame, None),
            cast(SubjectComparison, SimpleNamespace(report=report)),
            cast(OpenFinding, known),
            None,
            "/",
        )
        return re.sub("<.+?>", "", str(verdict._how_bad().lines[0])).replace("\xa0", " ")

    assert said(0.22) == "PSI 0.224, alert from 0.25 (an alert until below 0.2)"
    assert said(0.26) == "PSI 0.224, alert from 0.25"
