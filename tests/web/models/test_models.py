"""The list of models, and the frame of the pages about one."""

from __future__ import annotations

import pytest

from tests.exposition.scraping import set_reference, traffic
from tests.support.alerts.assessments import assessment
from tests.support.app import App
from tests.support.events import open_ledger
from tests.web.test_pages import HOSTILE, visit


def test_the_worst_model_comes_first_with_its_state_in_words(app: App) -> None:
    ledger = open_ledger(app.store)
    ledger.commit(traffic(20, model="calm", environment="test"))
    ledger.commit(traffic(20, model="fraud"))
    app.desk.take(assessment(0, {"amount": "alert"}))
    page = visit(app, "/ui/models")
    assert page.text.index("fraud") < page.text.index("calm")
    assert "alert since" in page.text
    assert "1 feature drifts: amount." in page.text
    assert page.links["calm"] == "models/calm?environment=test"


def test_a_service_without_data_shows_how_to_send_the_first_prediction(app: App) -> None:
    page = visit(app, "/ui/models")
    assert "No predictions yet" in page.text
    assert "curl http://watch:8000/api/v1/predictions" in page.text
    assert "YOUR_KEY" not in page.text


def test_a_page_about_a_model_shows_its_newest_stream_unless_the_address_says_another(app: App) -> None:
    ledger = open_ledger(app.store)
    ledger.commit(traffic(20, version="2"))
    ledger.commit(traffic(20, version="1"))
    assert visit(app, "/ui/models/m").links["2"] == "?version=2"
    page = visit(app, "/ui/models/m?version=2&range=7d")
    assert page.links["1"] == "?version=1&range=7d"
    assert page.links["24 h"] == "?version=2&range=24h"


def test_what_a_model_has_never_sent_is_not_found(app: App) -> None:
    open_ledger(app.store).commit(traffic(20))
    visit(app, "/ui/models/nobody", 404)
    assert "has sent nothing as 3 in test" in visit(app, "/ui/models/m?version=3&environment=test", 404).text
    visit(app, "/ui/models/m?range=5y", 422)


def test_a_model_before_its_first_prediction_has_a_page(app: App) -> None:
    set_reference(app.store)
    assert "no data" in visit(app, "/ui/models/m").text


def test_a_model_with_a_monitor_alone_has_all_its_pages(app: App) -> None:
    assert app.request("PUT", "/api/v1/models/planned/monitor", json={"owner": "risk"}).status_code == 201
    assert "nothing received · risk" in visit(app, "/ui/models").text
    tabs = ("", "/drift", "/performance", "/quality", "/segments", "/compare", "/features/amount", "/latency")
    for tab in tabs:
        page = visit(app, f"/ui/models/planned{tab}")
        assert "This model has sent no predictions yet." in page.text, tab
        assert "no data" in page.text
    assert "owner: risk" in visit(app, "/ui/models/planned/monitor").text
    page = visit(app, "/ui/models/planned")
    assert page.links["How to send predictions"] == "../../docs"
    assert app.get("models/planned")["streams"] == []


def test_names_made_of_markup_are_text(app: App) -> None:
    open_ledger(app.store).commit(traffic(20, model="<b>&amp;"))
    for path in ("/ui/models", "/ui/models/%3Cb%3E%26amp%3B"):
        assert "<b>&amp;" in visit(app, path).text
    assert HOSTILE not in visit(app, "/ui/models").text


def test_that_nobody_is_told_of_alerts_is_said_on_each_page(app: App) -> None:
    # The channel of this fixture is one of the alerts alone: the service itself has none.
    assert "No notification channel is configured: alerts are not sent." in visit(app, "/ui/models").text


@pytest.mark.parametrize("query", ["state=calm", "sort=age", "range=1y", "look=cards", "offset=-1", "search=%00"])
def test_a_wrong_address_of_the_list_is_refused(app: App, query: str) -> None:
    visit(app, f"/ui/models?{query}", 422)


def test_the_list_is_searched_filtered_and_paged_by_its_address(app: App, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("modelwatch.web.models.models_page.LINES_A_PAGE", 2)
    ledger = open_ledger(app.store)
    for name in ("a", "b", "c"):
        ledger.commit(traffic(2, model=name, environment=f"in-{name}", version=name))
    first = visit(app, "/ui/models?sort=name")
    assert "3 lines" in first.text
    assert first.links["More"] == "?sort=name&offset=2"
    second = visit(app, "/ui/models?sort=name&offset=2")
    assert second.links["c"] == "models/c?environment=in-c"
    assert "a" not in second.links
    narrowed = visit(app, "/ui/models?environment=in-b&look=tiles")
    assert "1 line, one" in narrowed.text
    assert narrowed.links["All models"] == "?look=tiles"
    assert "No model matches." in visit(app, "/ui/models?search=zebra").text
