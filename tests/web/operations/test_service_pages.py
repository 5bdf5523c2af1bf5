"""Pages of silences, channels, the service, keys and a model's monitor: what they show, and what their forms do."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import NoReturn

import httpx
import msgspec
import pytest

from modelwatch.alerting.channels import Outcome
from modelwatch.alerting.notification import sample_notification
from modelwatch.storage.alerts.audit import audit_page
from modelwatch.storage.alerts.outbox import OutboxRow, enqueue
from modelwatch.storage.references.monitors import monitor_of
from modelwatch.storage.references.references import in_force
from modelwatch.storage.secrets.api_keys import all_keys
from tests.exposition.scraping import set_reference, traffic
from tests.support.alerts.assessments import assessment
from tests.support.alerts.delivering import RecordingChannel, delivery
from tests.support.app import App
from tests.support.events import Clock, open_ledger
from tests.web.reading import Page
from tests.web.test_pages import BASE, FORM_TYPE, HOSTILE, check_headers, visit

MONITOR = "/ui/models/m/monitor"
PAGES = ("/ui/silences", "/ui/channels", "/ui/service", "/ui/keys")


@pytest.fixture
def app(tmp_path: Path) -> Iterator[App]:
    app = App(tmp_path, SLACK_WEBHOOK_URL="http://127.0.0.1:9/services/T0/B0/secret")
    yield app
    app.close()


@pytest.fixture
def with_model(app: App) -> App:
    """A model `m` with a reference and some predictions."""
    set_reference(app.store)
    open_ledger(app.store).commit(traffic(400))
    return app


def send(app: App, path: str, origin: str = BASE, **fields: str) -> httpx.Response:
    headers = {"Origin": origin, "Sec-Fetch-Site": "same-origin" if origin == BASE else "cross-site"}
    return app.request("POST", path, data=fields, headers={**headers, "Content-Type": FORM_TYPE})


def audited(app: App) -> list[tuple[str, str]]:
    with app.store.read() as connection:
        return [(entry.action, entry.actor) for entry in audit_page(connection, limit=20)]


def test_the_menu_leads_to_every_page(app: App) -> None:
    page = visit(app, "/ui/service")
    for name in ("Models", "Alerts", "Silences", "Channels", "Service", "Keys"):
        assert any(text.startswith(name) for text in page.links), name


@pytest.mark.parametrize(
    ("path", "fields"),
    [
        ("/ui/silences/create", {"model": "m", "duration": "1h", "comment": "x"}),
        ("/ui/channels/slack/test", {}),
        ("/ui/keys/create", {"name": "x", "admin": "yes"}),
        (f"{MONITOR}/save", {"monitor": "budget: 2"}),
        (f"{MONITOR}/reference", {"lookback": "7d", "confirm": "yes"}),
    ],
)
def test_a_form_of_another_site_does_nothing(with_model: App, path: str, fields: dict[str, str]) -> None:
    assert send(with_model, path, origin="https://evil.example", **fields).status_code == 403
    assert audited(with_model) == []


def test_a_silence_says_beforehand_what_it_covers(app: App) -> None:
    app.desk.take(assessment(0, {"amount": "alert"}, model="fraud"), assessment(0, {"age": "warning"}, model="churn"))
    fields = {"model": "fraud", "duration": "8h", "comment": "load test", "actor": "ann"}
    seen = Page(send(app, "/ui/silences/preview", **fields).text)
    assert "Alerts that it would cover 1 of 2 open alerts" in seen.text
    assert "Feature drift in fraud (production): amount" in seen.links
    assert app.get("silences")["silences"] == []
    assert send(app, "/ui/silences/create", **fields).status_code == 303
    page = visit(app, "/ui/silences")
    assert "model fraud load test by ann" in page.text
    [silence] = app.get("silences")["silences"]
    done = send(app, f"/ui/silences/{silence['silence_id']}/end", actor="bob")
    assert (done.status_code, done.headers["location"]) == (303, "../../silences")
    assert "No silence is active." in visit(app, "/ui/silences").text
    assert "model fraud load test by ann" in visit(app, "/ui/silences?state=expired").text
    assert audited(app)[:2] == [("silence.end", "bob"), ("silence.create", "ann")]


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({"duration": "8h", "comment": "x"}, "1 to 20 matchers, got 0"),
        ({"model": "m", "comment": "x", "duration": "2h"}, "Expected one of 1h, 8h, 1d, 7d, 30d"),
        ({"model": "m", "duration": "8h"}, "Expected the reason for the silence"),
    ],
)
@pytest.mark.parametrize("way", ["preview", "create"])
def test_a_silence_that_can_not_be_is_refused_with_the_reason(
    app: App, way: str, fields: dict[str, str], says: str
) -> None:
    answer = send(app, f"/ui/silences/{way}", **fields)
    assert answer.status_code == 422
    check_headers(answer)
    assert says in Page(answer.text).text
    visit(app, "/ui/silences?state=over", 422)


def test_a_channel_shows_how_it_went_and_sends_a_test(app: App) -> None:
    page = visit(app, "/ui/channels")
    assert "not used yet" in page.text
    assert "secret" not in page.text
    answer = send(app, "/ui/channels/slack/test", actor="ann")
    check_headers(answer)
    text = Page(answer.text).text
    assert "The test notification to slack was not delivered: no connection" in text
    assert audited(app) == [("channel.test", "ann")]
    assert send(app, "/ui/channels/pager/test").status_code == 404


def test_the_channels_of_the_api_have_the_last_success_and_the_last_error(app: App) -> None:
    [channel] = app.get("channels")["channels"]
    assert (channel["last_success"], channel["last_error"], channel["last_error_at"]) == (None, None, None)


def test_a_channel_that_worked_and_does_not_any_more_is_shown_as_one_that_is_tried_again(app: App) -> None:
    clock = Clock(app.asgi.app.state.service.clock())
    channel = RecordingChannel("slack", Outcome("retry", "HTTP 503"))
    sender = delivery(app.store, clock, channel)
    states = []
    for key, sequence in (("a:1", 1), ("a:2", 2)):
        row = OutboxRow(key, "slack", "a", sequence, "firing", clock(), clock(), encoded_notice())
        with app.store.write() as connection:
            enqueue(connection, app.store, [row])
        channel.script = [Outcome("retry", "HTTP 503")] if sequence == 2 else []
        sender.once()
        [line] = app.get("channels")["channels"]
        states.append(
            (line["pending"], line["retrying"], re.findall("works|trying again", visit(app, "/ui/channels").text))
        )
        clock.advance(3_600)
    assert states == [(0, 0, ["works"]), (1, 1, ["trying again"])]
    sender.once()
    assert "works" in visit(app, "/ui/channels").text


def encoded_notice() -> bytes:
    return msgspec.json.encode(sample_notification(0))


def test_without_a_channel_the_page_says_how_to_set_one_up(tmp_path: Path) -> None:
    bare = App(tmp_path)
    page = visit(bare, "/ui/channels")
    bare.close()
    assert "alerts are not sent" in page.text
    assert "SLACK_WEBHOOK_URL an incoming webhook of Slack" in page.text
    assert page.links["Set one up"].endswith("ui/channels")


def test_the_service_shows_what_it_refused_and_its_store(app: App) -> None:
    app.post("predictions", {"model_name": "m"}, 422)
    app.tell()
    text = visit(app, "/ui/service").text
    assert "Refused by 1 process, since its start" in text
    assert "invalid-input A field is missing or wrong" in text
    assert "prediction" in text
    assert "Evaluations State up to date" in text


def test_what_a_client_asks_wrongly_is_no_fault_of_the_service_and_counts_only_where_it_brings_data(app: App) -> None:
    for path in ("/favicon.ico", "/api/v1/models/unknown/drift", "/api/v1/alerts?limit=many", "/ui/nothing"):
        assert app.request("GET", path).status_code in (404, 422)
    app.tell()
    assert "Nothing was refused." in visit(app, "/ui/service").text
    others = (
        "/api/v1/alerts/none/acknowledge",
        "/api/v1/drift/check",
        "/api/v1/silences",
        "/ui/login",
        "/wp-login.php",
    )
    for path in others:
        assert app.request("POST", path, json={"model_name": "unknown"}).status_code in (404, 415, 422), path
    assert app.request("DELETE", "/api/v1/predictions").status_code == 405
    app.tell()
    assert "Nothing was refused." in visit(app, "/ui/service").text
    for method, path in (("POST", "/predictions"), ("PUT", "/api/v1/predictions"), ("POST", "/api/v1/reference?for=m")):
        assert app.request(method, path).status_code in (404, 405, 415, 422)
    app.tell()
    text = visit(app, "/ui/service").text
    assert "internal-error" not in text
    for reason in ("not-found No such address", "method-not-allowed The wrong method", "invalid-input A field"):
        assert reason in text


def test_an_error_of_the_service_counts_as_one_wherever_it_happens_and_as_rejected_data_only_where_there_is_some(
    app: App, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_given: object) -> NoReturn:
        raise ZeroDivisionError

    monkeypatch.setattr("modelwatch.web.operations.service_page.service_report", broken)
    monkeypatch.setattr("modelwatch.api.routes.operations.service.service_report", broken)
    assert [app.request("GET", path).status_code for path in ("/ui/service", "/api/v1/service")] == [500, 500]
    assert metric_lines(app, "modelwatch_internal_errors_total", "ml_ingest_rejected_total") == [
        "modelwatch_internal_errors_total 2.0"
    ]
    monkeypatch.undo()
    monkeypatch.setattr("modelwatch.api.decoding.decoder.Decoder.reference", broken)
    assert app.request("POST", "/api/v1/reference", json={}).status_code == 500
    assert metric_lines(app, "modelwatch_internal_errors_total", "ml_ingest_rejected_total") == [
        'ml_ingest_rejected_total{reason="internal-error"} 1.0',
        "modelwatch_internal_errors_total 3.0",
    ]
    app.tell()
    assert app.get("service")["ingest"]["refused"] == {"internal-error": 3}


def metric_lines(app: App, *names: str) -> list[str]:
    return [line for line in app.request("GET", "/metrics").text.splitlines() if line.startswith(names)]


def test_the_service_shows_each_process_and_the_sum(app: App) -> None:
    now = app.asgi.app.state.service.clock()
    app.post("predictions", {"model_name": "m"}, 422)
    app.asgi.app.state.service.metrics.counters.accepted("prediction", 0.003)
    app.tell("host-a:1")
    app.tell("host-b:2", now - 600_000_000)
    text = visit(app, "/ui/service").text
    assert "Processes 2 processes, 1 no longer running, each since its start" in text
    assert re.search(r"host-a:1 running \S+ \d+ s 0 0 1 prediction (2\.8|3|3\.2) ms", text.replace("\u00a0", " ")), text
    assert "host-b:2 silent last report" in text
    assert "Total 0 0 2" in text
    assert "By process" in text


def test_a_key_is_shown_once_and_works_until_it_is_revoked(app: App) -> None:
    answer = send(app, "/ui/keys/create", name="trainer", ingest="yes", read="yes", duration="90d", actor="ann")
    check_headers(answer)
    [text] = re.findall(r"mw_[0-9a-f]{12}_[0-9a-f]{64}", answer.text)
    page = visit(app, "/ui/keys")
    assert text not in page.text
    assert "trainer" in page.text
    assert "in force" in page.text
    with app.store.read() as connection:
        [key] = all_keys(connection)
    assert (key.scopes, key.models) == ({"ingest", "read"}, None)
    assert key.expires_at is not None
    assert key.expires_at - key.created_at == 90 * 86_400_000_000
    assert app.request("GET", "/api/v1/models", headers={"Authorization": f"Bearer {text}"}).status_code == 200
    refused = send(app, f"/ui/keys/{key.id}/revoke", confirm="other")
    assert (refused.status_code, "the name of the key" in refused.text) == (422, True)
    assert send(app, f"/ui/keys/{key.id}/revoke", confirm="trainer", actor="bob").status_code == 303
    assert "revoked" in visit(app, "/ui/keys").text
    assert send(app, f"/ui/keys/{key.id}/revoke", confirm="trainer").status_code == 409
    assert send(app, "/ui/keys/nothing/revoke", confirm="x").status_code == 404
    assert audited(app) == [("key.revoke", "bob"), ("key.create", "ann")]


@pytest.mark.parametrize(
    ("fields", "pointer"),
    [
        ({"ingest": "yes"}, "/name"),
        ({"name": "x" * 101, "ingest": "yes"}, "/name"),
        ({"name": "trainer"}, "/scopes"),
        ({"name": "trainer", "ingest": "yes", "duration": "7y"}, "/duration"),
        ({"name": "trainer", "ingest": "yes", "body_bytes": "1.5"}, "/body_bytes"),
    ],
)
def test_a_key_that_can_not_be_is_refused(app: App, fields: dict[str, str], pointer: str) -> None:
    answer = send(app, "/ui/keys/create", **fields)
    assert answer.status_code == 422
    assert pointer in Page(answer.text).text
    with app.store.read() as connection:
        assert all_keys(connection) == []


def test_a_key_may_be_for_some_models_with_limits_and_an_end(app: App) -> None:
    open_ledger(app.store).commit(traffic(3))
    assert "Known: m ." in visit(app, "/ui/keys").text
    fields = {"models": "m\r\n\r\nfraud, v2\r\n", "requests_per_second": "2.5", "body_bytes": "100000"}
    made = send(app, "/ui/keys/create", name="trainer", ingest="yes", expires_at="2020-01-01T00:00", **fields)
    assert (made.status_code, "Expected an end in the future" in made.text) == (422, True)
    send(app, "/ui/keys/create", name="trainer", ingest="yes", expires_at="2027-01-01T00:00", **fields)
    with app.store.read() as connection:
        [key] = all_keys(connection)
    assert (key.models, key.requests_per_second, key.body_bytes) == ({"m", "fraud, v2"}, 2.5, 100_000)
    assert key.expires_at == 1_798_761_600_000_000
    text = visit(app, "/ui/keys").text
    assert "2.5 requests a second, bodies up to 100,000 bytes" in text
    assert "fraud, v2 , m" in text
    assert "until Fri 1 Jan, 00:00" in text


@pytest.mark.parametrize(
    ("field", "given"),
    [("requests_per_second", "many"), ("requests_per_second", "nan"), ("body_bytes", "1"), ("expires_at", "soon")],
)
def test_a_limit_or_an_end_that_can_not_be_is_named(app: App, field: str, given: str) -> None:
    answer = send(app, "/ui/keys/create", name="x", read="yes", **{field: given})
    assert (answer.status_code, f"/{field}" in answer.text) == (422, True)
    with app.store.read() as connection:
        assert all_keys(connection) == []


def test_a_key_for_one_model_reads_that_model_alone(app: App) -> None:
    send(app, "/ui/keys/create", name="m only", read="yes", models="m")
    with app.store.read() as connection:
        [key] = all_keys(connection)
    assert key.models == {"m"}


def test_the_monitor_shows_each_value_and_where_it_comes_from(with_model: App) -> None:
    text = visit(with_model, MONITOR).text
    assert "not set: the settings of the service apply" in text
    assert "psi_alert 0.25 service" in text
    with_model.request("PUT", "/api/v1/models/m/monitor", json={"drift": {"psi_alert": 0.4}, "owner": "risk"})
    text = visit(with_model, MONITOR).text
    assert "psi_alert 0.4 API" in text
    assert "psi_warning 0.1 service" in text
    assert "owner risk API" in text
    assert "revision 1, by api" in text
    assert "References" in text
    assert "test" in text[text.index("References") :]


def test_a_monitor_is_tried_before_it_is_saved(with_model: App) -> None:
    tried = send(with_model, f"{MONITOR}/preview", monitor="drift: {psi_alert: 5, psi_warning: 4}")
    check_headers(tried)
    text = Page(tried.text).text
    assert re.search(
        r"With this configuration, the last 30 days would have had 0 alerts about drift \(currently \d+\)\.", text
    )
    # What was typed is still there.
    assert "psi_alert: 5" in tried.text
    assert with_model.get("models/m/monitor")["revision"] == 0


def test_a_monitor_that_can_not_be_tried_says_why(with_model: App, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("modelwatch.web.models.monitor_page.MOST_EVALUATIONS", 0)
    text = Page(send(with_model, f"{MONITOR}/preview", monitor="budget: 2").text).text
    assert "The monitor is valid. Even two days of this model need more evaluations" in text


def test_a_monitor_of_a_model_without_data_is_checked_all_the_same(app: App) -> None:
    set_reference(app.store)
    text = Page(send(app, f"{MONITOR}/preview", monitor="budget: 2").text).text
    assert "The monitor is valid. There is no data yet to try it on." in text


def test_a_monitor_is_saved_by_whoever_saw_the_newest_one(with_model: App) -> None:
    done = send(with_model, f"{MONITOR}/save", monitor="budget: 2\nowner: risk", revision="0", actor="ann")
    assert (done.status_code, done.headers["location"]) == (303, "../monitor")
    with with_model.store.read() as connection:
        stored = monitor_of(connection, "m")
    assert stored is not None
    assert (stored.config.budget, stored.config.owner, stored.updated_by) == (2.0, "risk", "ann")
    assert send(with_model, f"{MONITOR}/save", monitor="budget: 3", revision="0").status_code == 409
    assert audited(with_model) == [("monitor.put", "ann")]


@pytest.mark.parametrize(
    ("text", "status", "says"),
    [
        ("drift: {psi_alrt: 1}", 422, "did you mean psi_alert?"),
        ("drift: [", 400, "not YAML"),
        ("alerts: {channels: [nowhere]}", 422, "No channel has this name; there are: slack"),
        ("a: &x 1\nb: *x", 400, "alias"),
    ],
)
@pytest.mark.parametrize("way", ["preview", "save"])
def test_a_wrong_monitor_is_refused_as_over_the_api(
    with_model: App, way: str, text: str, status: int, says: str
) -> None:
    answer = send(with_model, f"{MONITOR}/{way}", monitor=text)
    assert (answer.status_code, says in Page(answer.text).text) == (status, True)
    assert with_model.get("models/m/monitor")["revision"] == 0


def test_a_window_becomes_the_reference_once_it_was_confirmed(with_model: App) -> None:
    asked = send(with_model, f"{MONITOR}/reference", lookback="7d", environment="production", actor="ann")
    page = Page(asked.text)
    assert "400 predictions from" in page.text
    assert "Make this window the new reference?" in page.text
    with with_model.store.read() as connection:
        assert {each.source for each in in_force(connection, "m")} == {"test"}
    fields = {"lookback": "7d", "environment": "production", "actor": "ann", "confirm": "yes"}
    assert send(with_model, f"{MONITOR}/reference", **fields).status_code == 303
    with with_model.store.read() as connection:
        assert any(each.source.startswith("window ") for each in in_force(connection, "m"))
    assert audited(with_model)[0][1] == "ann"
    assert send(with_model, f"{MONITOR}/reference", lookback="soon").status_code == 422


def test_the_pages_show_hostile_names_as_text(app: App) -> None:
    open_ledger(app.store).commit(traffic(3, model=HOSTILE))
    send(app, "/ui/silences/create", model=HOSTILE, duration="1h", comment=HOSTILE, actor=HOSTILE)
    send(app, "/ui/keys/create", name="<b>x</b>", read="yes")
    for path in PAGES:
        page = visit(app, path)
        assert not any(name.startswith("on") for name in page.attributes)
        assert "style" not in page.attributes
        assert page.tags.count("script") <= 1


def test_the_pages_need_the_scope(tmp_path: Path) -> None:
    closed = App(tmp_path, API_KEYS_REQUIRED="true")
    for path in (*PAGES, MONITOR):
        answer = closed.request("GET", path)
        assert answer.status_code in (303, 307, 401), path
    closed.close()


def test_pages_link_to_the_dashboard_that_matches_where_there_is_a_grafana(tmp_path: Path) -> None:
    dashed = App(tmp_path, GRAFANA_URL="https://grafana.example.org/")
    open_ledger(dashed.store).commit(traffic(3, model="a b/c"))
    dashed.desk.take(assessment(0, {"amount": "alert"}, model="a b/c"))
    of_model = "https://grafana.example.org/d/modelwatch-models?var-model=a%20b%2Fc"
    assert visit(dashed, "/ui/models/a%20b%2Fc/monitor").links["Grafana"] == of_model
    assert visit(dashed, f"/ui/alerts/{dashed.desk.alert().id}").links["Grafana"].startswith("https://grafana.")
    service = "https://grafana.example.org/d/modelwatch-service"
    assert visit(dashed, "/ui/service").links["Grafana"] == service
    dashed.close()
