"""The shipped rules and dashboards with everything running: a drift, one notice, a replica that dies, the end."""

from __future__ import annotations

import contextlib
import math
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.e2e.conftest import Installation, shortened
from tests.e2e.world import ENVIRONMENT, MODEL, VERSION
from tests.support.alertmanager import alertmanager
from tests.support.doubles import Receiver, eventually
from tests.support.grafana import DASHBOARDS, asked, filled_in, load, variables
from tests.support.prometheus import DISCOVERY_SECONDS, Prometheus, promtool

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
# The unit of a name that is kept is a day, and a number of series that goes up and down is no counter.
KNOWN_LINTS = {'ml_reference_data_age_days use base unit "seconds" instead of "days"'}
# Right to be empty while the store is reached.
EMPTY_WHEN_HEALTHY = {"annotation Store not reached"}

pytestmark = pytest.mark.timeout(150)


def about_amount(installation: Installation) -> list[dict[str, Any]]:
    """What Prometheus holds about the drift of the amount, pending or firing."""
    return [alert for alert in installation.prometheus.alerts(DRIFT) if alert["labels"]["feature_name"] == "amount"]


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
    return installation


@pytest.mark.parametrize("path", DASHBOARDS, ids=lambda path: path.stem)
def test_every_panel_has_something_to_show(path: Path, drifting: Installation) -> None:
    prometheus, document = drifting.prometheus, load(path)
    empty: list[str] = []

    def all_have_values() -> bool:
        end = datetime.now(UTC).timestamp()
        values = {"__rate_interval": "2m", "__range": "5m", **chosen(document, prometheus, end)}
        empty[:] = [
            each.place
            for each in asked(document)
            if not has_values(prometheus, filled_in(each.expression, values), each.instant, end)
            and each.place not in EMPTY_WHEN_HEALTHY
        ]
        return not empty

    # Performance is judged a little later than drift.
    with contextlib.suppress(AssertionError):
        eventually(all_have_values, seconds=15)
    assert empty == []


def chosen(document: Mapping[str, Any], prometheus: Prometheus, at: float) -> dict[str, str]:
    """The values that Grafana chooses at first: all where there may be several, else the first one."""
    values: dict[str, str] = {}
    for variable, each in zip(variables(document), [one for one in asked(document) if one.label], strict=True):
        wanted = {"match[]": filled_in(each.expression, values), "start": at - 300, "end": at + 5}
        found = sorted({labels[each.label] for labels in prometheus.get("series", **wanted)})
        values[variable["name"]] = variable["allValue"] if variable["multi"] else next(iter(found), "")
    return values


def has_values(prometheus: Prometheus, expression: str, instant: bool, end: float) -> bool:
    """Whether anything but NaN comes back."""
    if instant:
        numbers = [each["value"][1] for each in prometheus.query(expression, end)]
    else:
        numbers = [
            number for each in prometheus.query_range(expression, end - 120, end, 2) for _, number in each["values"]
        ]
    return any(not math.isnan(float(number)) for number in numbers)


def test_the_metrics_pass_the_lint_of_prometheus(drifting: Installation) -> None:
    for service in drifting.services:
        checked = promtool("check", "metrics", stdin=httpx.get(f"{service.url}/metrics").text)
        assert set(checked.stdout.splitlines()) == KNOWN_LINTS


def test_a_drift_is_one_alert_that_outlives_a_replica_and_ends_with_the_drift(drifting: Installation) -> None:
    one, other = drifting.services
    prometheus, traffic = drifting.prometheus, drifting.traffic
    [alert] = about_amount(drifting)
    assert alert["state"] == "firing"
    assert alert["labels"] == AMOUNT
    check_annotations(alert["annotations"], one.url, other.url)
    assert len([each for each in drifting.alertmanager.alerts() if each["labels"] == AMOUNT]) == 1
    notice = notices(drifting, "/pager", "firing")[0]
    assert notice["annotations"].keys() == alert["annotations"].keys()

    one.kill()
    down = one.url.removeprefix("http://")
    eventually(lambda: prometheus.up()[down] == "down", "the target being down")
    since = float(prometheus.query("time()")[0]["value"][0])
    eventually(lambda: evaluated_after(prometheus, since + 3), "three evaluations of the rules")
    [still] = about_amount(drifting)
    assert (still["state"], still["activeAt"]) == ("firing", alert["activeAt"])
    [held] = [each for each in drifting.alertmanager.alerts() if each["labels"] == AMOUNT]
    assert held["startsAt"] == notice["startsAt"]

    traffic.services = [other]
    traffic.hours(6)
    eventually(lambda: notices(drifting, "/pager", "resolved"), "the notice of the end", 40)
    eventually(lambda: notices(drifting, "/chat", "resolved"), "the notice of the end in the chat", 10)
    assert about_amount(drifting) == []
    for path in ("/pager", "/chat"):
        assert len(notices(drifting, path, "resolved")) == 1
        # A group that changes is told again with all of its alerts; this one is the same alert each time.
        assert {each["startsAt"] for each in notices(drifting, path, "firing")} == {notice["startsAt"]}


def evaluated_after(prometheus: Prometheus, moment: float) -> bool:
    """Whether every group of rules was evaluated after a moment."""
    groups = prometheus.get("rules")["groups"]
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
