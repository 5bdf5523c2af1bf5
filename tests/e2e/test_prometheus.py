"""The shipped rules and dashboards with everything running: a drift, one notice, a replica that dies, the end."""

from __future__ import annotations

import contextlib
import re
import time
from collections.abc import Iterator, Mapping
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.e2e.conftest import Installation, shortened
from tests.e2e.history import DAYS, EVERY_SECONDS, backfilled
from tests.e2e.panels import TimeRange, chosen, empty_places
from tests.e2e.world import ENVIRONMENT, MODEL, VERSION
from tests.support.grafana import DASHBOARDS, filled_in, load, panels
from tests.support.servers.alertmanager import alertmanager
from tests.support.servers.doubles import Receiver, eventually
from tests.support.servers.live_service import LiveService
from tests.support.servers.prometheus import DISCOVERY_SECONDS, Prometheus, prometheus, promtool

DRIFT = "ModelDriftSignificant"
AMOUNT = {
    "alertname": DRIFT,
    "model_name": MODEL,
    "model_version": VERSION,
    "environment": ENVIRONMENT,
    "kind": "feature_drift",
    "feature_name": "amount",
    "severity": "critical",
}
# The unit of a name that is kept is a day.
KNOWN_LINTS = {'ml_reference_data_age_days use base unit "seconds" instead of "days"'}
# Right to be empty while the store is reached.
EMPTY_WHEN_HEALTHY = {"annotation Store unreachable"}

[MODELS] = [path for path in DASHBOARDS if path.stem == "model-monitoring"]

each_dashboard = pytest.mark.parametrize("path", DASHBOARDS, ids=lambda path: path.stem)
pytestmark = pytest.mark.timeout(150)


def about_amount(installation: Installation) -> list[dict[str, Any]]:
    """What Prometheus holds about the drift of the amount, pending or firing."""
    return [alert for alert in installation.prometheus.alerts(DRIFT) if alert["labels"]["feature_name"] == "amount"]


def began(alert: dict[str, Any]) -> datetime:
    """When an alert began; Alertmanager writes the same time with and without a zero at its end."""
    return datetime.fromisoformat(alert["startsAt"])


def notices(installation: Installation, path: str, status: str) -> list[dict[str, Any]]:
    """The alerts about the amount in the notices that Alertmanager has sent."""
    return [
        alert
        for request in installation.told.requests
        if request.path == path
        for alert in request.json["alerts"]
        if alert["labels"] == AMOUNT and alert["status"] == status
    ]


def scraped(installation: Installation) -> None:
    """Waits until Prometheus has seen everything that was sent."""
    sent = str(installation.traffic.sent)
    asked_for = "sum(ml_predictions_total)"
    eventually(
        lambda: [each["value"][1] for each in installation.prometheus.query(asked_for)] == [sent], "a scrape of it all"
    )


@pytest.fixture(scope="module")
def drifting(installation: Installation) -> Installation:
    """The amounts have drifted, and people were told."""
    traffic = installation.traffic
    targets = installation.prometheus.up
    eventually(lambda: list(targets().values()) == ["up", "up"], "both targets being up", DISCOVERY_SECONDS)
    traffic.reference()
    traffic.hours(4)
    traffic.mistakes()
    scraped(installation)
    assert installation.prometheus.alerts(DRIFT) == []
    traffic.hours(4, shift=2.0)
    traffic.mistakes()
    scraped(installation)
    eventually(lambda: notices(installation, "/pager", "firing"), "the notice", 30)
    eventually(lambda: installation.notified.requests, "the notice of the service itself")
    # Performance is judged a little later than drift.
    judged = "ml_model_performance_severity{"
    for service in installation.services:
        eventually(partial(exposes, service, judged), "verdicts on performance", 30)
    return installation


def exposes(service: LiveService, text: str) -> bool:
    return text in httpx.get(f"{service.url}/metrics", timeout=10).text


@each_dashboard
def test_every_panel_has_something_to_show(path: Path, drifting: Installation) -> None:
    document = load(path)
    empty: set[str] = set()

    def all_have_values() -> bool:
        end = time.time()
        span = TimeRange(end - 120, end, 2, "2m")
        empty.clear()
        empty.update(empty_places(document, drifting.prometheus, span) - EMPTY_WHEN_HEALTHY)
        return not empty

    # What was exposed last must be scraped.
    with contextlib.suppress(AssertionError):
        eventually(all_have_values)
    assert empty == set()


@pytest.fixture(scope="module")
def history(drifting: Installation, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Prometheus, TimeRange]]:
    """A Prometheus with thirty days in it, and those days."""
    folder = tmp_path_factory.mktemp("history")
    end = int(time.time()) // EVERY_SECONDS * EVERY_SECONDS
    scrapes = {service.url: httpx.get(f"{service.url}/metrics").text for service in drifting.services}
    backfilled(folder, scrapes, end)
    with prometheus(folder) as running:
        yield running, TimeRange(end - (DAYS - 1) * 86_400, end, EVERY_SECONDS, "7230s")


@each_dashboard
def test_every_panel_shows_thirty_days(path: Path, history: tuple[Prometheus, TimeRange]) -> None:
    asked_of, span = history
    assert empty_places(load(path), asked_of, span) == set()


def test_the_features_are_there_at_every_step_of_thirty_days(history: tuple[Prometheus, TimeRange]) -> None:
    asked_of, span = history
    [cells] = [panel for panel in panels(load(MODELS)) if panel["type"] == "heatmap"]
    values = {**chosen(load(MODELS), asked_of, span), **span.intervals}
    rows = asked_of.query_range(filled_in(cells["targets"][0]["expr"], values), span.start, span.end, span.step)
    assert {row["metric"]["feature_name"] for row in rows} == {"amount", "merchant"}
    assert {len(row["values"]) for row in rows} == {int((span.end - span.start) // span.step) + 1}


def test_the_metrics_pass_the_lint_of_prometheus(drifting: Installation) -> None:
    for service in drifting.services:
        checked = promtool("check", "metrics", stdin=httpx.get(f"{service.url}/metrics").text)
        assert set(checked.stdout.splitlines()) == KNOWN_LINTS


def test_a_drift_is_one_alert_that_outlives_a_replica_and_ends_with_the_drift(drifting: Installation) -> None:
    one, other = drifting.services
    watching, traffic = drifting.prometheus, drifting.traffic
    [alert] = about_amount(drifting)
    assert alert["state"] == "firing"
    assert alert["labels"] == AMOUNT
    check_annotations(alert["annotations"], one.url, other.url)
    assert len([each for each in drifting.alertmanager.alerts() if each["labels"] == AMOUNT]) == 1
    notice = notices(drifting, "/pager", "firing")[0]
    assert notice["annotations"].keys() == alert["annotations"].keys()

    one.kill()
    down = one.url.removeprefix("http://")
    eventually(lambda: watching.up()[down] == "down", "the target being down")
    since = float(watching.query("time()")[0]["value"][0])
    eventually(lambda: evaluated_after(watching, since + 3), "three evaluations of the rules")
    [still] = about_amount(drifting)
    assert (still["state"], still["activeAt"]) == ("firing", alert["activeAt"])
    [held] = [each for each in drifting.alertmanager.alerts() if each["labels"] == AMOUNT]
    assert began(held) == began(notice)

    traffic.services = [other]
    traffic.hours(6)
    eventually(lambda: notices(drifting, "/pager", "resolved"), "the notice of the end", 40)
    eventually(lambda: notices(drifting, "/chat", "resolved"), "the notice of the end in the chat", 10)
    assert about_amount(drifting) == []
    for path in ("/pager", "/chat"):
        assert len(notices(drifting, path, "resolved")) == 1
        # A group that changes is told again with all of its alerts; this one is the same alert each time.
        assert {began(each) for each in notices(drifting, path, "firing")} == {began(notice)}


def evaluated_after(watching: Prometheus, moment: float) -> bool:
    """Whether every group of rules was evaluated after a moment."""
    groups = watching.get("rules")["groups"]
    times = [datetime.fromisoformat(re.sub(r"\.\d+", "", group["lastEvaluation"])).timestamp() for group in groups]
    return min(times) >= moment


def check_annotations(notes: Mapping[str, str], *addresses: str) -> None:
    assert notes["summary"] == f"{MODEL}: amount has drifted significantly"
    assert "PSI" in notes["description"]
    assert notes["page_url"] in {f"{address}/ui/alerts?model={MODEL}" for address in addresses}
    assert notes["runbook_url"].endswith("/ui/runbooks#modeldriftsignificant")


def test_a_moderate_drift_is_held_back_while_the_model_drifts_significantly(tmp_path: Path) -> None:
    def drift(name: str, environment: str, feature: str) -> dict[str, Any]:
        return {"labels": {"alertname": name, "model_name": MODEL, "environment": environment, "feature_name": feature}}

    pushed = [
        drift("ModelDriftModerate", "production", "country"),
        drift("ModelDriftModerate", "staging", "country"),
        drift(DRIFT, "production", "amount"),
    ]
    with (
        Receiver() as told,
        alertmanager(tmp_path, told.url, configuration=shortened("alertmanager.example.yaml")) as manager,
    ):
        httpx.post(f"{manager.url}/api/v2/alerts", json=pushed).raise_for_status()
        eventually(lambda: len(manager.alerts()) == 3, "the alerts")
        held_back = {
            (each["labels"]["alertname"], each["labels"]["environment"])
            for each in manager.alerts()
            if each["status"]["inhibitedBy"]
        }
    assert held_back == {("ModelDriftModerate", "production")}
