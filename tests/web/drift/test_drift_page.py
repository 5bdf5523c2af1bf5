"""The page of a model's drift: what drifts first, what is not judged and why, and the table in the order asked for."""

from __future__ import annotations

import gzip
import re

import numpy as np
import pytest

from modelwatch.monitoring.references.references import take_provisional_reference
from tests.support.app import App
from tests.support.background import new_id
from tests.support.events import event, open_ledger
from tests.views.drift.test_series import NOW
from tests.web.drift.histories import evaluated, filled, rare_class
from tests.web.drift.test_subject_page import MARKUP
from tests.web.reading import Page
from tests.web.test_pages import HOSTILE, visit

PATH = "/ui/models/m/drift"


def seen(app: App, query: str = "", status: int = 200) -> Page:
    return visit(app, f"{PATH}{query}", status)


def test_what_drifts_is_said_first_with_since_when_and_how_far(app: App) -> None:
    filled(app, factor=2.5, mixed=True)
    evaluated(app)
    page = seen(app)
    assert "2 of 4 subjects drift: amount , country , since Sat 14 Jun" in page.text
    for part in (
        "PSI",
        "at the most, of all values ",
        ", alert from 0.25",
        "amount : all values are about 2",
        "2 drift now",
        "2 as in the reference",
    ):
        assert part in page.text
    assert page.links["amount"].endswith("ui/models/m/features/amount")
    assert page.links["prediction"].endswith("ui/models/m/prediction")
    assert page.links["Runbook"].endswith("#modeldriftsignificant")
    assert "style" not in page.attributes
    assert "Shifts that began together often have one cause: start with the first." in page.text


def test_shifts_that_began_together_are_spoken_of_where_there_are_several(moved: App, mixed: App) -> None:
    together = "Shifts that began together often have one cause"
    for app in (moved, mixed):
        text = seen(app).text
        assert "1 of 4 subjects drifts: " in text
        assert "It shifted alone: find out whether its source is wrong" in text
        assert together not in text


def test_where_odds_decided_they_are_said_and_not_the_psi(app: App) -> None:
    rare_class(app)
    evaluated(app)
    text = seen(app).text.replace("\xa0", " ")
    assert "How bad Odds of fraud 3.04 times , warning from 2 Why prediction fraud: 1.0 → 3.0 %" in text
    assert "at the most" not in text


def test_a_model_that_is_as_its_reference_says_so(plain: App) -> None:
    page = seen(plain)
    assert "All 4 are as in the reference." in page.text
    assert "drift now" not in page.text


def test_what_is_small_but_real_has_a_mark_of_its_own_and_no_alert(app: App) -> None:
    filled(app, factor=1.25)
    evaluated(app)
    page = seen(app)
    assert "No drift. 1 of 4 has shifted: real, but not shown to matter." in page.text
    assert "1 shifted, no finding" in page.text
    assert "3 as in the reference" in page.text
    subject = visit(app, "/ui/models/m/features/amount").text
    assert "Shifted, but no finding : PSI 0.0" in subject
    assert re.search(r"warning from 0\.1\. A real difference \(p . [^)]+\), but smaller than the PSI", subject)
    assert app.get("alerts")["alerts"] == []
    # The key of the overview names the state; nothing is shown in it.
    assert visit(app, "/ui/models/m").text.count("shifted") == 1


def test_a_provisional_reference_is_said_beside_the_verdict(app: App) -> None:
    times = [NOW - minute * 60_000_000 for minute in range(1, 1_501)]
    open_ledger(app.store).commit([event(str(time), {"x": time // 60_000_000 % 7}, timestamp=time) for time in times])
    assert take_provisional_reference(app.store, "m", 500, now=NOW, new_id=new_id)
    text = seen(app).text
    assert "The reference is provisional: the model's own first predictions." in text
    note = "Natural variation can't be known: the reference is the first predictions."
    assert text.count(note) == 1
    assert text.index("How drift is judged") < text.index(note)


def test_what_is_not_judged_has_a_reason(app: App) -> None:
    filled(app)
    predictions = [event(f"#{each}", {"new": 1.0}, timestamp=NOW - 1 - each) for each in range(30)]
    open_ledger(app.store, prefix="v").commit(predictions)
    text = seen(app).text
    assert "new" in text[text.index("Not judged") :]
    assert "No reference is set" in text
    open_ledger(app.store, prefix="u").commit([event("x", model="bare", timestamp=NOW - 1)])
    bare = visit(app, "/ui/models/bare/drift").text
    assert "Nothing is compared with a reference yet." in bare
    assert bare.count("POST one to /api/v1/reference") == 1


def test_a_model_before_its_first_prediction_says_so(app: App) -> None:
    app.post("reference", {"model_name": "m", "features": {"amount": [1.0, 2.0]}}, 201)
    assert "sent no predictions yet" in seen(app).text
    visit(app, "/ui/models/nobody/drift", 404)


@pytest.mark.parametrize(
    ("sort", "first"), [("name", "amount"), ("psi", "country"), ("p", "country"), ("since", "country")]
)
def test_the_table_is_sorted_as_the_address_says(mixed: App, sort: str, first: str) -> None:
    text = seen(mixed, f"?sort={sort}").text
    table = text[text.index("Thresholds as ticks") :]
    named = sorted(("amount", "country", "prediction", "score"), key=table.index)
    assert named[0] == first


def test_an_order_that_there_is_not_is_refused(plain: App) -> None:
    assert "sort" in seen(plain, "?sort=mood", 422).text


def test_importance_of_the_monitor_is_set_against_drift(app: App) -> None:
    monitor = {"importance": {"amount": 3, "country": 1}}
    assert app.request("PUT", "/api/v1/models/m/monitor", json=monitor).status_code in (200, 201)
    filled(app, factor=2.5)
    page = seen(app)
    assert "Importance and drift" in page.text
    assert "They have 75.0 % of the model's importance." in page.text.replace("\xa0", " ")
    assert page.links["Importance"].endswith("sort=importance")
    assert "Importance and drift" not in visit(app, "/ui/models/m/features/amount").text


def test_names_made_of_markup_are_text_and_the_numbers_are_linked(app: App) -> None:
    filled(app, name=MARKUP, factor=2.5)
    page = seen(app)
    assert MARKUP in page.text
    assert HOSTILE not in page.text
    for link in ("Numbers as CSV", "This page as JSON"):
        assert app.request("GET", f"/{page.links[link].lstrip('./')}").status_code == 200


def test_the_same_as_json_is_in_the_steps_that_are_shown(moved: App) -> None:
    page = seen(moved)
    assert "Steps of 30 min, each looks back 4 h." in page.text
    told = moved.request("GET", f"/{page.links['This page as JSON'].lstrip('./')}").json()
    assert (told["step_seconds"], told["window_seconds"]) == (1_800, 14_400)


def test_200_features_are_a_page_below_150_kilobytes(app: App) -> None:
    rng = np.random.default_rng(1)
    sample = {f"feature_{number:03}": rng.normal(size=200).tolist() for number in range(200)}
    app.post("reference", {"model_name": "m", "features": sample}, 201)
    predictions = [
        event(
            f"{hour}-{number}",
            {name: float(value) for name, value in zip(sample, rng.normal(size=200), strict=True)},
            timestamp=NOW - 1_000_000 - (hour * 3_600 + number * 60) * 1_000_000,
        )
        for hour in range(48)
        for number in range(3)
    ]
    open_ledger(app.store).commit(predictions)
    first, every = app.request("GET", PATH), app.request("GET", f"{PATH}?rows=all&sort=name")
    assert first.status_code == every.status_code == 200
    assert len(gzip.compress(first.content)) < 50_000
    assert len(gzip.compress(every.content)) < 150_000
    shown = [len(set(re.findall(r">feature_<wbr>(\d{3})<", answer.text))) for answer in (first, every)]
    assert shown == [60, 200]
    page = Page(first.text)
    assert "200 as in the reference" in page.text
    assert "The first 60, those that drift before the others, are shown. All 200" in page.text
    assert "The first 60 by PSI are shown. All 200" in page.text
    assert "The first 60 by feature are shown. All 200" in seen(app, "?sort=name").text
    assert page.links["All 200"] == "?rows=all"
    assert page.links["p"] == "?sort=p"
    page = Page(every.text)
    assert "All 200" not in page.links
    assert page.links["p"] == "?sort=p&rows=all"
    assert "rows" not in page.links["Performance"]
    assert "Expected one of all" in seen(app, "?rows=some", 422).text
