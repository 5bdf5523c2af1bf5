"""The pages: what they show, what their buttons do, and that they load and run nothing from elsewhere."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urljoin

import httpx
import pytest
from msgspec import structs
from sqlalchemy import update

from modelwatch.alerting.channels import Outcome
from modelwatch.alerting.policy import AlertPolicy
from modelwatch.config.monitors.monitor import parse_monitor
from modelwatch.errors import StoreUnavailable
from modelwatch.storage.alerts.audit import audit_page
from modelwatch.storage.engine import tables
from modelwatch.storage.engine.models import Part
from modelwatch.storage.engine.store import Store
from modelwatch.storage.maintenance.deletion import deletions_under_way
from modelwatch.storage.references.monitors import put_monitor
from modelwatch.storage.references.references import in_force
from modelwatch.storage.verdicts.evaluations import EvaluationProgress, save_progress
from modelwatch.times import iso_of_seconds
from tests.exposition.scraping import RULES, set_reference, traffic
from tests.support.alerts.assessments import Desk, assessment, finding
from tests.support.alerts.delivering import RecordingChannel, delivery
from tests.support.app import App
from tests.support.background import background, run_out
from tests.support.events import NOON, Clock, numbered, open_ledger
from tests.web.reading import Page

BASE = "http://watch:8000"
FORM_TYPE = "application/x-www-form-urlencoded"
HOSTILE = '"><script>alert(1)</script><img src=x onerror=alert(2)>{{ 7*7 }}\u202e'


@pytest.fixture
def app(tmp_path: Path) -> Iterator[App]:
    app = App(tmp_path, channels=("ml-team", "on-call"))
    yield app
    app.close()


def visit(app: App, path: str, status: int = 200) -> Page:
    """The page at an address; every answer must have the headers that keep it closed."""
    answer = app.request("GET", path)
    assert answer.status_code == status, answer.text
    check_headers(answer)
    return Page(answer.text)


def check_headers(answer: httpx.Response) -> None:
    policy = answer.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "script-src 'self';" in policy
    assert "unsafe" not in policy
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["cache-control"] == "no-store"


def press(app: App, path: str, button: str, **fields: str) -> httpx.Response:
    """What the service answers to a button of the page at an address."""
    form = next(each for each in visit(app, path).forms if button in each.buttons and fields.keys() <= set(each.fields))
    target, value = form.buttons[button]
    assert form.method == "post"
    data = dict.fromkeys(form.fields, "") | fields | ({} if value is None else {"duration": value})
    headers = {"Origin": BASE, "Sec-Fetch-Site": "same-origin", "Content-Type": FORM_TYPE}
    return app.request("POST", urljoin(BASE + path, target), data=data, headers=headers)


def firing(app: App, **given: str) -> str:
    """The address of the page of an alert that fires."""
    app.desk.take(assessment(0, {"amount": "alert", "country": "warning"}, **given))  # type: ignore[arg-type]
    return f"/ui/alerts/{app.desk.alerts()[-1].id}"


def real_alert(app: App, version: str = "1") -> str:
    """The address of the page of an alert that an evaluation has opened."""
    set_reference(app.store)
    open_ledger(app.store).commit(traffic(400, shift={"amount": 1.0}, version=version))
    app.desk.clock.now = NOON + 400_000_000
    run_out(background(app.store, RULES, app.desk.clock, sink=app.desk.book, provisional_size=10**9))
    [alert] = [alert for alert in app.desk.alerts() if alert.kind == "feature_drift"]
    return f"/ui/alerts/{alert.id}"


def test_an_alert_says_what_drifts_by_how_much_and_how_sure_that_is(app: App) -> None:
    page = visit(app, firing(app))
    assert "Feature drift: amount and country" in page.text
    assert "amount (version 1): 28 % of values are above 310.5 (reference: 10 %). PSI 0.310" in page.text
    assert (
        "alert amount version 1 · 1 h, bad data Sun 15 Jun 2025, 14:05 to Sun 15 Jun 2025, 15:05 PSI 0.310 0.25"
        " 1 × 10⁻⁹ 1 × 10⁻⁵ 1,200 10,000" in page.text
    )
    assert "warning country version 1 · 1 h, bad data" in page.text
    assert "Bad data Sun 15 Jun 2025, 14:05 to Sun 15 Jun 2025, 15:05 Detected at Sun 15 Jun 2025, 15:05" in page.text


def test_the_cells_of_the_verdict_show_where_a_subject_moved(app: App) -> None:
    page = visit(app, real_alert(app))
    assert "10.0 →" in page.text
    # All cells in order, also those that have hardly moved.
    numbers = page.text[page.text.index("category reference now") :]
    assert [numbers.index(part) for part in ("≤ ", "> ")] == sorted(numbers.index(part) for part in ("≤ ", "> "))


def test_a_finding_that_is_only_held_is_not_said_to_be_found_nor_shown_with_cells_of_another_window(app: App) -> None:
    address = real_alert(app)
    page = visit(app, address)
    assert "Still found by the newest evaluation." in page.text
    assert "10.0 →" in page.text
    [member] = app.desk.alert().members
    held = structs.replace(member.finding, holding=True, window_start=member.finding.window_start - 3_600)
    told = structs.replace(assessment(1, model="m", kinds=("feature_drift",)), verdict_id=member.verdict_id)
    app.desk.take(structs.replace(told, findings=(held,)))
    page = visit(app, address)
    assert ". It has decreased since, but is still in force. How bad" in page.text
    assert "10.0 →" not in page.text
    assert "Still found" not in page.text


def test_every_link_of_a_page_leads_somewhere(app: App) -> None:
    address = real_alert(app, version="a/b ü")
    for path in (address, "/ui/alerts", "/ui/alerts?state=resolved&model=m"):
        page = visit(app, path)
        for target in [*page.links.values(), *page.loaded]:
            assert urljoin(BASE + path, target).startswith(BASE)
            answer = app.request("GET", urljoin(BASE + path, target))
            assert answer.status_code == 200, target


def test_what_is_found_can_be_accepted_as_the_new_normal(app: App) -> None:
    address = real_alert(app)
    assert press(app, address, "Accept as new normal", actor="ann", note="new prices").status_code == 303
    page = visit(app, address)
    assert "Accepted as new normal by ann: “new prices”." in page.text
    assert all("Accept as new normal" not in form.buttons for form in page.forms)
    with app.store.read() as connection:
        sources = {each.subject.name: each.source for each in in_force(connection, "m")}
    assert sources["amount"].startswith("window ")
    assert sources["merchant"] == "test"


def test_an_alert_of_one_version_of_several_is_accepted_for_that_version(app: App) -> None:
    open_ledger(app.store, prefix="other").commit(traffic(400, version="2"))
    address = real_alert(app)
    assert press(app, address, "Accept as new normal").status_code == 303
    assert app.desk.alerts()[0].state == "resolved"
    with app.store.read() as connection:
        renewed = {each.version for each in in_force(connection, "m") if each.source != "test"}
    assert renewed == {"1"}


def test_a_silence_of_the_stream_is_nothing_to_accept(app: App) -> None:
    app.desk.take(structs.replace(assessment(0, kinds=("freshness",)), findings=(finding(kind="freshness"),)))
    address = f"/ui/alerts/{app.desk.alert().id}"
    assert all("Accept as new normal" not in form.buttons for form in visit(app, address).forms)
    headers = {"Origin": BASE, "Sec-Fetch-Site": "same-origin", "Content-Type": FORM_TYPE}
    answer = app.request("POST", f"{address}/accept", data={}, headers=headers)
    assert answer.status_code == 409
    assert "no reference" in answer.text


def test_a_model_is_deleted_by_whoever_types_its_name(app: App) -> None:
    firing(app)
    open_ledger(app.store).commit(traffic(3, model="fraud"))
    address = "/ui/alerts?model=fraud"
    refused = press(app, address, "Delete", confirm="frau")
    assert (refused.status_code, "the name of the model" in refused.text) == (422, True)
    done = press(app, address, "Delete", confirm="fraud", actor="ann")
    assert (done.status_code, done.headers["location"]) == (303, "../../alerts")
    with app.store.read() as connection:
        [deletion] = deletions_under_way(connection)
    assert (deletion.model, deletion.actor, deletion.part.is_whole) == ("fraud", "ann", True)
    assert all("Delete" not in form.buttons for form in visit(app, "/ui/alerts").forms)
    assert "The model is being deleted." in visit(app, address).text


@pytest.mark.parametrize(
    ("part", "what", "deleted"),
    [
        ("version:a b/2", "the version", Part(version="a b/2")),
        ("environment:production", "the environment", Part(environment="production")),
    ],
)
def test_a_version_or_an_environment_is_deleted_by_whoever_types_its_name(
    app: App, part: str, what: str, deleted: Part
) -> None:
    sent = [each for version in ("1", "a b/2") for each in traffic(3, model="fraud", version=version)]
    open_ledger(app.store).commit(sent)
    address, chosen = "/ui/alerts?model=fraud", part.partition(":")[2]
    text = visit(app, address).text
    assert all(f" {choice} " in text for choice in ("version 1", "version a b/2", "environment production"))
    for wrong in ("", "fraud", "1"):
        refused = press(app, address, "Delete", part=part, confirm=wrong)
        assert (refused.status_code, f"the name of {what}" in refused.text) == (422, True)
    done = press(app, address, "Delete", part=part, confirm=chosen, actor="ann")
    assert (done.status_code, done.headers["location"]) == (303, "../../alerts?model=fraud")
    with app.store.read() as connection:
        [deletion] = deletions_under_way(connection)
        entries = audit_page(connection, target="model/fraud", limit=10)
    assert (deletion.part, deletion.actor) == (deleted, "ann")
    assert [entry.action for entry in entries] == [f"{what.removeprefix('the ')}.delete"]
    assert f"{part.partition(':')[0].capitalize()} {chosen} is being deleted." in visit(app, address).text


def test_a_part_that_is_none_is_refused(app: App) -> None:
    open_ledger(app.store).commit(traffic(3, model="fraud"))
    address = "/ui/alerts?model=fraud"
    assert press(app, address, "Delete", part="region:eu", confirm="fraud").status_code == 422
    assert press(app, address, "Delete", part="version:9", confirm="9").status_code == 404
    with app.store.read() as connection:
        assert deletions_under_way(connection) == []


def test_the_life_of_an_alert_is_shown_newest_first_with_its_deliveries(app: App) -> None:
    address = firing(app)
    app.desk.book.acknowledge(app.desk.alert().id, actor="ann", note="provider sends cents")
    table = tables.outbox
    with app.store.write() as connection:
        for channel, sequence, values in (
            ("ml-team", 1, {"state": "delivered", "attempts": 1, "finished_at": NOON}),
            ("on-call", 1, {"state": "dead", "attempts": 20, "finished_at": NOON, "last_error": "HTTP 500"}),
            ("on-call", 2, {"attempts": 3, "last_error": "no connection"}),
        ):
            mine = (table.c.channel == channel) & (table.c.sequence == sequence)
            connection.execute(update(table).where(mine).values(values))
    text = visit(app, address).text
    happened = text[text.index("History") :]
    assert happened.index("Acknowledged by ann") < happened.index("Fired")
    assert "“provider sends cents”" in text
    assert "ml-team: delivered Sun 15 Jun 2025, 15:05" in text
    assert "on-call: given up Sun 15 Jun 2025, 15:05 , 20 attempts, HTTP 500" in text
    assert "on-call: waiting not before Sun 15 Jun 2025, 15:05 , 3 attempts, no connection" in text


def test_why_nothing_was_sent_is_shown(app: App) -> None:
    app.desk.policy = type(app.desk.policy)()
    assert "Not sent: no notification channel is configured." in visit(app, firing(app)).text


def test_the_labels_of_the_monitor_are_shown(app: App) -> None:
    config = parse_monitor({"labels": {"team": "risk"}})
    put_monitor(app.store, "fraud", config, source="api", actor="a", now=NOON, new_id=numbered("audit"))
    assert "team risk" in visit(app, firing(app)).text


def test_acknowledging_takes_the_name_and_the_note_and_leads_back(app: App) -> None:
    address = firing(app)
    answer = press(app, address, "Acknowledge", actor="Ann", note="on it")
    assert answer.status_code == 303
    check_headers(answer)
    assert urljoin(str(answer.url), answer.headers["location"]) == BASE + address
    page = visit(app, address)
    assert "alert acknowledged" in page.text
    assert "Acknowledged by Ann" in page.text
    assert "Acknowledge again" in page.forms[0].buttons


def test_without_a_name_it_was_somebody_on_the_page(app: App) -> None:
    press(app, firing(app), "Acknowledge")
    assert app.desk.alert().acknowledgement is not None
    assert app.desk.alert().acknowledgement.actor == "page"  # type: ignore[union-attr]


def test_resolving_leaves_nothing_to_press_and_shows_what_is_still_found(app: App) -> None:
    address = firing(app)
    assert press(app, address, "Resolve", note="season").status_code == 303
    page = visit(app, address)
    assert page.forms == []
    assert " It ended " in page.text
    assert "Still found when it was resolved" in page.text


def test_what_recovered_is_shown(app: App) -> None:
    address = firing(app)
    app.desk.take(assessment(1))
    text = visit(app, address).text
    assert "Recovered amount version 1, alert, Sun 15 Jun 2025, 15:05 to Sun 15 Jun 2025, 16:05" in text


@pytest.mark.parametrize(("button", "hours"), [("1 h", 1), ("8 h", 8), ("7 d", 168)])
def test_silencing_covers_this_kind_of_alert_and_can_be_ended(app: App, button: str, hours: int) -> None:
    address = firing(app)
    assert press(app, address, button, actor="Ann", note="load test").status_code == 303
    [silence] = app.get("silences")["silences"]
    assert {matcher["name"]: matcher["value"] for matcher in silence["matchers"]} == {
        "model": "fraud",
        "environment": "production",
        "kind": "feature_drift",
    }
    page = visit(app, address)
    assert "by Ann: load test" in page.text
    assert "alert silenced" in page.text
    answer = press(app, address, "End this silence")
    assert urljoin(str(answer.url), answer.headers["location"]) == BASE + address
    assert app.desk.alert().state == "firing"
    lasted = app.get("audit", action="silence.create")["entries"][0]["detail"]
    assert lasted["ends_at"] - lasted["starts_at"] == pytest.approx(hours * 3_600_000_000, abs=10_000_000)


def test_a_silence_without_a_note_says_where_it_comes_from(app: App) -> None:
    address = firing(app)
    press(app, address, "1 h")
    [silence] = app.get("silences")["silences"]
    assert silence["comment"] == f"From the page of alert {app.desk.alert().id}"


@pytest.mark.parametrize(
    ("path", "data", "status"),
    [
        ("{alert}/silence", {"duration": "2h"}, 422),
        ("{alert}/silence", {}, 422),
        ("{alert}/acknowledge", {"actor": "x" * 300}, 422),
        ("{alert}/acknowledge", {f"f{index}": "x" for index in range(30)}, 400),
        ("{alert}/acknowledge", {"note": "x" * 100_000}, 413),
        ("{alert}/silences/nothing/end", {}, 404),
        ("nothing/resolve", {}, 404),
        ("nothing/silence", {"duration": "1h"}, 404),
    ],
)
def test_a_wrong_form_is_refused_on_a_page(app: App, path: str, data: dict[str, str], status: int) -> None:
    address = firing(app)
    target = "/ui/alerts/" + path.format(alert=app.desk.alert().id)
    headers = {"Content-Type": FORM_TYPE}
    answer = app.request("POST", target, data=data, headers=headers)
    assert answer.status_code == status
    check_headers(answer)
    assert urljoin(BASE + target, Page(answer.text).links["All alerts"]) == BASE + "/ui/alerts"
    assert "alert firing" in visit(app, address).text


def test_a_form_of_another_kind_is_refused(app: App) -> None:
    address = firing(app)
    assert app.request("POST", f"{address}/resolve", content=b"{}").status_code == 415
    headers = {"Content-Type": FORM_TYPE}
    assert app.request("POST", f"{address}/resolve", content=b"note=%ff", headers=headers).status_code == 400
    assert app.request("POST", f"{address}/resolve", content=b"\xff", headers=headers).status_code == 400


def test_a_form_on_another_site_does_nothing(app: App) -> None:
    address = firing(app)
    for headers in ({"Origin": "https://evil.example"}, {"Sec-Fetch-Site": "cross-site", "Origin": BASE}):
        answer = app.request("POST", f"{address}/resolve", data={"note": "x"}, headers=headers)
        assert answer.status_code == 403
        form = {"part": "version:1", "confirm": "1"}
        assert app.request("POST", "/ui/models/fraud/delete", data=form, headers=headers).status_code == 403
    assert app.desk.alert().state == "firing"
    with app.store.read() as connection:
        assert deletions_under_way(connection) == []


def test_what_was_resolved_meanwhile_is_a_conflict(app: App) -> None:
    address = firing(app)
    app.desk.take(assessment(1))
    answer = app.request("POST", f"{address}/resolve", data={"note": "x"})
    assert answer.status_code == 409
    assert "The alert is resolved already." in Page(answer.text).text


def test_what_is_not_there_is_said_on_a_page(app: App) -> None:
    for path in ("/ui/alerts/nothing", "/ui/nothing", "/ui/alerts/a%00b", "/ui/assets/nothing.css"):
        visit(app, path, 404)
    visit(app, "/ui/alerts/x/resolve", 405)


def test_names_that_clients_chose_are_shown_as_text(app: App) -> None:
    app.desk.take(assessment(0, {HOSTILE: "alert"}, model=HOSTILE, environment=HOSTILE, version=HOSTILE))
    address = f"/ui/alerts/{app.desk.alert().id}"
    app.desk.book.acknowledge(app.desk.alert().id, actor=HOSTILE, note=HOSTILE)
    for path in (address, "/ui/alerts"):
        page = visit(app, path)
        # The one script is ours, and comes as a file.
        assert page.tags.count("script") == 1
        assert not any(name.startswith("on") for name in page.attributes)
        assert "style" not in page.attributes
        assert "<script>alert(1)</script>" in page.text
        assert "{{ 7*7 }}" in page.text
        assert "\u202e" not in page.text


def test_the_list_has_a_tab_for_each_state_and_the_worst_first(app: App) -> None:
    for model, severity in (("m0", "warning"), ("m1", "alert"), ("m2", "warning"), ("m3", "alert")):
        app.desk.clock.advance(1)
        app.desk.take(assessment(0, {"amount": severity}, model=model))  # type: ignore[dict-item]
    ids = [alert.id for alert in app.desk.alerts()]
    app.desk.book.acknowledge(ids[0], actor="ann", note=None)
    app.desk.take(assessment(1, model="m3"))

    def listed(query: str) -> list[str]:
        links = visit(app, f"/ui/alerts?{query}").links
        return [text.split()[3] for text in links if text.startswith("Feature drift in")]

    assert listed("") == ["m1", "m2", "m0"]
    assert listed("state=firing") == ["m1", "m2"]
    assert listed("state=acknowledged") == ["m0"]
    assert listed("state=silenced") == []
    assert listed("state=resolved") == ["m3"]
    assert listed("model=m2") == ["m2"]
    text = visit(app, "/ui/alerts").text
    assert "Open 3 Firing 2 Acknowledged 1 Silenced 0 Resolved" in text
    assert "by ann" in text


def test_the_list_is_narrowed_by_model_kind_and_severity(app: App) -> None:
    for model, kind, severity in (
        ("m0", "feature_drift", "warning"),
        ("m0", "data_quality", "alert"),
        ("m1", "data_quality", "warning"),
    ):
        found = (finding("amount", severity, kind=kind),)  # type: ignore[arg-type]
        app.desk.take(structs.replace(assessment(0, model=model, kinds=(kind,)), findings=found))  # type: ignore[arg-type]

    def listed(query: str) -> set[str]:
        return {text for text in visit(app, f"/ui/alerts?{query}").links if " in m" in text}

    assert len(listed("")) == 3
    assert listed("kind=data_quality&model=m1") == {"Data quality issue in m1 (production): amount"}
    assert listed("severity=alert") == {"Data quality issue in m0 (production): amount"}
    assert listed("severity=alert&kind=feature_drift") == set()
    page = visit(app, "/ui/alerts?severity=alert&kind=feature_drift")
    assert "No alerts in this list." in page.text
    assert page.links["Firing 0"] == "?state=firing&kind=feature_drift&severity=alert"


def test_an_alert_shows_how_it_went_since_when_and_what_to_do(app: App) -> None:
    page = visit(app, real_alert(app))
    text = page.text
    assert "Over time PSI of the hour before, every" in text
    assert "began " in text
    assert "Estimated from the stored windows" in text
    assert "warning from 0.1" in text
    assert "alert from 0.25" in text
    assert "What to do One feature: find out whether its source is wrong" in text
    assert "What to do Runbook" in text
    assert "Open the page of the alert" not in text
    assert page.links["Runbook"].endswith("ui/runbooks#modeldriftsignificant")


def test_an_empty_list_says_so(app: App) -> None:
    text = visit(app, "/ui/alerts").text
    assert "No data yet" in text
    assert "No open alerts. No predictions have been received yet." in text


def test_an_empty_list_says_what_is_known_of_the_streams_and_up_to_when(app: App) -> None:
    set_reference(app.store)
    open_ledger(app.store).commit(traffic(400))
    text = visit(app, "/ui/alerts").text
    assert "not evaluated yet" in text
    assert "No open alerts. 1 stream not evaluated yet." in text
    app.desk.clock.now = NOON + 400_000_000
    run_out(background(app.store, RULES, app.desk.clock, sink=app.desk.book, provisional_size=10**9))
    text = visit(app, "/ui/alerts").text
    assert "Data up to" in text
    assert "evaluated up to" in text
    assert "No open alerts. 1 stream without drift." in text
    assert "No predictions have been received yet." in visit(app, "/ui/alerts?model=other").text
    assert "No alerts in this list." in visit(app, "/ui/alerts?state=resolved").text


def test_resolved_alerts_are_paged(app: App, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("modelwatch.web.alerts.alerts_pages.RESOLVED_A_PAGE", 2)
    for index in range(3):
        app.desk.clock.advance(1)
        app.desk.take(assessment(0, {"amount": "warning"}, model=f"m{index}"), assessment(1, model=f"m{index}"))
    first = visit(app, "/ui/alerts?state=resolved")
    assert "m2" in first.text
    assert "m0" not in first.text
    second = visit(app, urljoin("/ui/alerts", first.links["Older"]))
    assert "m0" in second.text
    assert "Older" not in second.links


@pytest.mark.parametrize(
    "query",
    [
        "kind=drift",
        "severity=bad",
        "state=closed",
        "state=resolved&before=x",
        "state=resolved&before=1.%00",
        "model=%00",
    ],
)
def test_a_wrong_address_of_a_list_is_refused(app: App, query: str) -> None:
    visit(app, f"/ui/alerts?{query}", 422)


def test_the_start_leads_to_the_list(app: App) -> None:
    for path in ("/ui", "/ui/"):
        answer = app.request("GET", path, follow_redirects=True)
        assert str(answer.url) == BASE + "/ui/models"


def test_without_the_store_a_page_says_to_come_again(app: App, monkeypatch: pytest.MonkeyPatch) -> None:
    def lost(_store: Store) -> None:
        raise StoreUnavailable("The store did not answer: gone", retry_after=3)

    monkeypatch.setattr(Store, "read", lost)
    answer = app.request("GET", "/ui/alerts")
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "3")
    check_headers(answer)
    page = Page(answer.text)
    assert "The store can't be reached" in page.text
    assert "What to do Wait: this page tries again by itself." in page.text
    assert 'data-refresh="5" data-reload' in answer.text
    assert page.links["Runbook"].endswith("ui/runbooks#modelwatchstoreunreachable")
    # The runbooks are read while nothing else can be.
    assert "ModelwatchStoreUnreachable" in visit(app, "/ui/runbooks").text


@pytest.mark.parametrize(
    "path", ["/ui/models", "/ui/models/m", "/ui/alerts", "/ui/silences", "/ui/service", "/ui/keys"]
)
def test_every_page_says_that_evaluations_are_behind(app: App, path: str) -> None:
    open_ledger(app.store).commit(traffic(3))
    now = app.asgi.app.state.service.clock()

    def progress(looked_at: int, waiting: int, since: int | None) -> str:
        with app.store.write() as connection:
            save_progress(connection, app.store, EvaluationProgress(looked_at, waiting, since))
        return visit(app, path).text

    behind, stopped = "Evaluations are catching up", "No process has checked for due evaluations since"
    assert behind not in progress(now, 3, now - 30_000_000)
    text = progress(now, 3, now - 900_000_000)
    assert f"{behind}: 3 streams are due, the first for 15 min. Verdicts and alerts cover older data." in text
    assert f"{behind}: 1 stream has been due for 15 min." in progress(now, 1, now - 900_000_000)
    text = progress(now - 120_000_000, 0, None)
    assert stopped in text
    assert behind not in text
    assert stopped not in progress(now, 0, None)


def test_a_model_that_is_far_behind_is_catching_up_and_not_stable(app: App) -> None:
    set_reference(app.store)
    ledger = open_ledger(app.store)
    ledger.commit(traffic(300))
    clock = Clock(NOON + 2 * 3_600_000_000)
    run_out(background(app.store, RULES, clock, sink=app.desk.book))
    ledger.commit(
        [
            structs.replace(each, prediction_id=f"late-{n}", timestamp=NOON + 12 * 3_600_000_000)
            for n, each in enumerate(traffic(3))
        ]
    )
    assert "catching up" not in visit(app, "/ui/models/m").text
    now = app.asgi.app.state.service.clock()
    with app.store.write() as connection:
        save_progress(connection, app.store, EvaluationProgress(now, 1, now - 1_000_000))
    page = visit(app, "/ui/models/m")
    assert "catching up" in page.text
    assert "of data have not been evaluated yet." in page.text


def test_of_very_many_open_alerts_the_worst_are_shown(app: App) -> None:
    for number in range(60):
        how = "alert" if number == 7 else "warning"
        app.desk.take(assessment(0, {"amount": how}, model=f"m{number:02d}"))  # type: ignore[dict-item]
    page = visit(app, "/ui/alerts")
    assert "50 of 60, worst first." in page.text
    shown = [text for text in page.links if text.startswith("Feature drift in m")]
    assert len(shown) == 50
    assert shown[0].startswith("Feature drift in m07 ")
    whole = visit(app, "/ui/alerts" + page.links["Show all"])
    assert len([text for text in whole.links if text.startswith("Feature drift in m")]) == 60


def test_a_mistake_of_ours_tells_nothing_of_its_cause(app: App, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(_store: Store) -> None:
        raise RuntimeError("password=hunter2")

    monkeypatch.setattr(Store, "read", broken)
    answer = app.request("GET", "/ui/alerts")
    assert answer.status_code == 500
    check_headers(answer)
    assert "hunter2" not in answer.text


def test_styles_and_icon_come_from_the_service(app: App) -> None:
    style = app.request("GET", "/ui/assets/style.css")
    assert style.headers["content-type"].startswith("text/css")
    assert "prefers-color-scheme: dark" in style.text
    assert "url(" not in style.text
    assert app.request("GET", "/ui/assets/icon.svg").headers["content-type"] == "image/svg+xml"


def test_the_runbooks_that_alerts_link_to_are_a_page(app: App) -> None:
    page = visit(app, "/ui/runbooks")
    assert "ModelDriftSignificant" in page.text
    assert 'id="modeldriftsignificant"' in app.request("GET", "/ui/runbooks").text


def test_sizes_of_one_measure_stand_together_and_those_of_others_apart(app: App) -> None:
    precision = finding(
        "precision", "alert", kind="performance", score_name="loss of precision", score=0.118, threshold=0.04
    )
    log_loss = finding("log_loss", "alert", kind="performance", score_name="loss of log_loss", score=0.0657)
    told = structs.replace(assessment(0, kinds=("performance",)), findings=(precision, log_loss))
    app.desk.take(told)
    page = visit(app, f"/ui/alerts/{app.desk.alert().id}")
    assert "Loss of precision 11.8 points , alert from 4 points" in page.text
    assert "Performance loss in fraud (production): precision, log loss" in page.text
    page = visit(app, firing(app, model="other"))
    assert "PSI 0.310 and 0.120 , alert from 0.25" in page.text


@pytest.mark.parametrize(
    ("kind", "subject", "score"),
    [
        ("feature_drift", "amount", "PSI"),
        ("prediction_drift", "score", "PSI"),
        ("prediction_drift", "prediction", "odds ratio"),
        ("latency_drift", "latency", "PSI"),
        ("performance", "accuracy", "loss of accuracy"),
        ("performance", "label_coverage", "missing share of the usual labels"),
        ("label_drift", "ground_truth", "PSI"),
        ("data_quality", "amount: missing", "rise of missing values"),
        ("data_quality", "amount: above_range", "rise of above_range"),
        ("data_quality", "amount: sentinel", "share of one value"),
        ("data_quality", "duplicates", "share of changed repeats"),
        ("volume", "volume of 24h", "change of the volume"),
        ("freshness", "predictions", "silence in seconds"),
    ],
)
@pytest.mark.parametrize("has_data", [True, False])
def test_an_alert_of_every_kind_has_a_page(app: App, kind: str, subject: str, score: str, has_data: bool) -> None:
    if has_data:
        set_reference(app.store)
        open_ledger(app.store).commit(traffic(100))
    found = finding(subject, kind=kind, score_name=score, score=4_000.0, p_value=None, alpha=None)  # type: ignore[arg-type]
    told = assessment(0, model="m", kinds=(kind,))  # type: ignore[arg-type]
    app.desk.take(structs.replace(told, findings=(found,)))
    address = f"/ui/alerts/{app.desk.alert().id}"
    page = visit(app, address)
    assert "Since" in page.text
    assert "amount: above_range" not in page.text
    assert "of above_range" not in page.text
    assert "What to do" in page.text
    press(app, address, "Resolve")
    assert " It ended " in visit(app, address).text


def test_who_has_a_notification_and_who_has_not_is_told_apart(app: App) -> None:
    desk = Desk(app.store, AlertPolicy(channels=("chat", "mail", "old", "pager")), Clock(NOON))
    desk.take(assessment(0, {"amount": "warning"}))
    address = f"/ui/alerts/{desk.alert().id}"
    assert "Waiting to be sent: chat, mail, old, pager." in visit(app, address).text
    down = RecordingChannel("chat", *[Outcome("retry", "HTTP 503")] * 3)
    wrong = RecordingChannel("old", Outcome("permanent", "HTTP 404"))
    delivery(app.store, desk.clock, down, wrong, RecordingChannel("mail"), RecordingChannel("pager")).once()
    told = "Notified: mail, pager. Not delivered yet: chat (HTTP 503). Given up: old (HTTP 404)."
    assert told in visit(app, address).text


def test_a_silence_that_goes_on_is_shown_as_long_as_it_is_by_now(app: App) -> None:
    name, since = "silence in seconds", app.asgi.app.state.service.clock() // 1_000_000 - 36 * 3_600
    found = finding(
        "predictions", "alert", kind="freshness", score_name=name, score=900.0, threshold=900.0, since=since
    )
    told = assessment(0, kinds=("freshness",))
    app.desk.take(structs.replace(told, window_end=since, findings=(found,)))
    address = f"/ui/alerts/{app.desk.alert().id}"
    assert "Silence 1 d 12 h , alert from 15" in visit(app, address).text


def test_a_silence_of_an_alert_that_was_opened_again_is_the_present_one(app: App) -> None:
    now, desk = app.asgi.app.state.service.clock() // 1_000_000, app.desk
    for hours, silent in ((12.0, True), (2.0, False), (0.5, True)):
        since = now - int(hours * 3_600)
        found = finding(
            "predictions", "alert", kind="freshness", score_name="silence in seconds", threshold=900.0, since=since
        )
        told = assessment(0, kinds=("freshness",), verdict_id=f"{hours}")
        desk.take(structs.replace(told, window_end=since, findings=(found,) if silent else ()))
    alert = desk.alert()
    assert (alert.reopenings, alert.started_at) == (1, (now - 12 * 3_600) * 1_000_000)
    desk.take(structs.replace(assessment(0, {"amount": "warning"}), window_end=now))
    text = visit(app, f"/ui/alerts/{alert.id}").text
    # Seconds have passed since, on a slow machine.
    assert re.search(r"Silence 30 min( \d+ s)? , alert from 15", text)
    assert "12 h ago" not in text
    [drift] = app.get("alerts", kind="feature_drift")["alerts"]
    assert drift["silent_since"] == iso_of_seconds(now - 1_800)


def test_a_channel_that_has_not_taken_what_came_before_is_told_of_with_the_newest_reminder(app: App) -> None:
    desk = Desk(app.store, AlertPolicy(channels=("chat", "pager"), repeat_seconds=3_600), Clock(NOON))
    desk.take(assessment(0, {"amount": "alert"}))
    down = RecordingChannel("pager", *[Outcome("retry", "connection refused")] * 9)
    sender = delivery(app.store, desk.clock, down, RecordingChannel("chat"))
    sender.once()
    desk.clock.advance(2 * 3_600)
    desk.book.tick(desk.clock.now)
    sender.once()
    text = visit(app, f"/ui/alerts/{desk.alert().id}").text
    assert desk.events("chat") == ["firing", "reminder"]
    assert "Notified: chat. Not delivered yet: pager (connection refused)." in text


def test_pages_are_compressed_for_those_who_ask(app: App) -> None:
    for path in ("/ui/alerts", "/ui/assets/charts.css"):
        plain = app.request("GET", path, headers={"Accept-Encoding": "identity"})
        packed = app.request("GET", path, headers={"Accept-Encoding": "gzip"})
        assert packed.headers["content-encoding"] == "gzip"
        assert "Accept-Encoding" in packed.headers["vary"]
        # The second may have changed meanwhile.
        without_clock = [re.sub(r'<span class="clock">.*?</span>', "", each.text) for each in (packed, plain)]
        assert without_clock[0] == without_clock[1]
        assert "content-encoding" not in plain.headers
