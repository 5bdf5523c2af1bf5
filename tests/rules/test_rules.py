"""The rules of Prometheus and the example for Alertmanager: right by their own tools, complete, and documented."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from modelwatch.errors import RequestError, ServiceError
from modelwatch.storage.engine.store import Store
from scripts.prometheus_rule import SOURCE, TARGET, prometheus_rule
from scripts.runbooks import SOURCE as RUNBOOKS
from scripts.runbooks import TARGET as RUNBOOKS_PAGE
from scripts.runbooks import runbooks_page
from tests.conftest import REPOSITORY
from tests.exposition.scraping import exposition
from tests.support.schemas import problems
from tests.support.servers.alertmanager import amtool
from tests.support.servers.prometheus import metric_names, promtool
from tests.test_documents import slugs

RULES = SOURCE.parent
RAW = RULES / "modelwatch-raw-score.rules.yaml"
UNIT_TESTS = RULES / "modelwatch.rules.test.yaml"
EXAMPLE = RULES / "alertmanager.example.yaml"
ANNOTATIONS = {"summary", "description", "page_url", "runbook_url", "runbook"}


def rules_in(path: Path) -> list[dict[str, Any]]:
    return [rule for group in yaml.safe_load(path.read_text())["groups"] for rule in group["rules"]]


ALERTS = [rule for path in (SOURCE, RAW) for rule in rules_in(path) if "alert" in rule]
RECORDED = {rule["record"] for rule in rules_in(SOURCE) if "record" in rule}

each_alert = pytest.mark.parametrize("rule", ALERTS, ids=lambda rule: rule["alert"])


def exported(store: Store) -> set[str]:
    """Every name that the service exports, also of families that have no series yet."""
    text = exposition(store).render(None)[0].decode()
    kinds = dict(re.findall(r"^# TYPE (\S+) (\S+)$", text, re.MULTILINE))
    return {
        name + suffix
        for name, kind in kinds.items()
        for suffix in {"histogram": ("_bucket", "_sum", "_count"), "summary": ("_sum", "_count")}.get(kind, ("",))
    }


@pytest.mark.parametrize("path", [SOURCE, RAW], ids=lambda path: path.name)
def test_the_rules_pass_every_lint(path: Path) -> None:
    checked = promtool("check", "rules", "--lint=all", "--lint-fatal", path)
    assert checked.returncode == 0, checked.stdout


def test_the_unit_tests_pass() -> None:
    checked = promtool("test", "rules", UNIT_TESTS)
    assert checked.returncode == 0, checked.stdout


@each_alert
def test_each_alert_has_a_unit_test_in_which_it_fires_and_one_in_which_it_does_not(rule: dict[str, Any]) -> None:
    outcomes = {
        bool(check["exp_alerts"])
        for test in yaml.safe_load(UNIT_TESTS.read_text())["tests"]
        for check in test["alert_rule_test"]
        if check["alertname"] == rule["alert"]
    }
    assert outcomes == {True, False}


@each_alert
def test_each_alert_says_what_to_do(rule: dict[str, Any]) -> None:
    assert rule["labels"]["severity"] in {"critical", "warning"}
    notes = rule["annotations"]
    assert notes.keys() == ANNOTATIONS
    page, _, anchor = notes["runbook"].partition("#")
    assert page == "docs/runbooks.md"
    assert anchor == rule["alert"].lower()
    assert anchor in slugs(RUNBOOKS)
    assert notes["runbook_url"].endswith(f"/ui/runbooks#{anchor}")
    assert f'id="{anchor}"' in RUNBOOKS_PAGE.read_text()


def test_each_section_of_the_runbooks_is_about_an_alert() -> None:
    sections = re.findall(r"^## (.+)$", RUNBOOKS.read_text(), re.MULTILINE)
    assert sorted(sections) == sorted(rule["alert"] for rule in ALERTS)


@pytest.mark.parametrize("path", [SOURCE, RAW], ids=lambda path: path.name)
def test_the_rules_ask_only_for_what_the_service_exports(path: Path, store: Store) -> None:
    for rule in rules_in(path):
        assert metric_names(rule["expr"]) <= exported(store) | RECORDED, rule
    for query in re.findall(r'query "([^"]+)"', path.read_text()):
        assert metric_names(query) <= exported(store)


def test_what_is_recorded_is_one_series_for_all_replicas() -> None:
    for rule in rules_in(SOURCE):
        if "record" in rule:
            counts = any(suffix in rule["expr"] for suffix in ("_total", "_bucket", "_count"))
            assert rule["expr"].startswith("sum by (" if counts else "max by ("), rule


def test_what_the_service_can_not_take_is_an_overload_and_the_rest_is_refused() -> None:
    own_fault, clients_fault = {"internal-error", *slugs_of(ServiceError)}, slugs_of(RequestError)
    overloaded, rejecting = (
        next(rule["expr"] for rule in ALERTS if rule["alert"] == name)
        for name in ("ModelwatchIngestOverloaded", "ModelwatchIngestRejecting")
    )
    [reasons] = re.findall(r'reason=~"([^"]+)"', overloaded)
    assert all(re.fullmatch(reasons, slug) for slug in own_fault)
    assert not any(re.fullmatch(reasons, slug) for slug in clients_fault)
    # What rows are refused for is a share of the rows, and the rest of what is the client's fault of the requests.
    [of_rows] = re.findall(r'reason=~"([^"]+)"', rejecting)
    not_of_requests, not_of_all_requests = re.findall(r'reason!~"([^"]+)"', rejecting)
    assert not_of_all_requests == of_rows
    for slug in own_fault | clients_fault:
        told = bool(re.fullmatch(of_rows, slug)), not re.fullmatch(not_of_requests, slug)
        assert sum(told) == (slug in clients_fault), slug


def slugs_of(kind: type[RequestError | ServiceError]) -> set[str]:
    return {kind.slug}.union(*map(slugs_of, kind.__subclasses__()))


def test_no_shipped_alert_stands_on_a_score_alone() -> None:
    for rule in ALERTS:
        raw = any(name.endswith("_drift_score") for name in metric_names(rule["expr"]))
        assert raw == rule["alert"].startswith("ModelDriftRawScore")


def test_the_prometheus_rule_holds_the_rules_as_they_are(tmp_path: Path) -> None:
    text = TARGET.read_text()
    assert text == prometheus_rule(SOURCE.read_text()), "make rules"
    spec = yaml.safe_load(text)["spec"]
    assert spec == yaml.safe_load(SOURCE.read_text())
    (tmp_path / "spec.yaml").write_text(yaml.safe_dump(spec))
    checked = promtool("check", "rules", "--lint=all", "--lint-fatal", tmp_path / "spec.yaml")
    assert checked.returncode == 0, checked.stdout


def test_what_is_no_rules_file_is_refused() -> None:
    for text in ("", "groups: []\n", "rules: 1\ngroups:\n"):
        with pytest.raises(ValueError, match="begin with comments"):
            prometheus_rule(text)


def test_the_operator_takes_the_prometheus_rule() -> None:
    document = yaml.safe_load(TARGET.read_text())
    schema = "prometheusrule_monitoring.coreos.com_v1.json"
    assert problems(schema, document) == []
    document["spec"]["groups"][1]["rules"][0]["keep_firing"] = "5m"
    assert problems(schema, document) != []


def test_the_page_of_runbooks_is_fresh() -> None:
    assert runbooks_page(RUNBOOKS.read_text()) == RUNBOOKS_PAGE.read_text(), "make rules"


def test_the_example_for_alertmanager_is_right() -> None:
    checked = amtool("check-config", EXAMPLE)
    assert checked.returncode == 0, checked.stdout
    for severity, receivers in {"critical": "pager,chat", "warning": "chat"}.items():
        routed = amtool("config", "routes", "test", f"--config.file={EXAMPLE}", f"severity={severity}")
        assert routed.stdout.splitlines()[-1] == receivers


def test_the_inhibitions_name_alerts_that_there_are() -> None:
    names = {rule["alert"] for rule in ALERTS}
    for rule in yaml.safe_load(EXAMPLE.read_text())["inhibit_rules"]:
        for matcher in (*rule["source_matchers"], *rule["target_matchers"]):
            found = re.fullmatch(r'alertname =~? "?([\w|]+)"?', matcher)
            assert found is not None, matcher
            assert set(found[1].split("|")) <= names


def test_the_documented_configuration_is_right(tmp_path: Path) -> None:
    [block] = re.findall(
        r"```yaml\n# prometheus\.yml\n(.*?)```", (REPOSITORY / "docs" / "prometheus.md").read_text(), re.DOTALL
    )
    (tmp_path / "prometheus.yml").write_text(block)
    (tmp_path / SOURCE.name).write_text(SOURCE.read_text())
    checked = promtool("check", "config", "--lint=all", "--lint-fatal", tmp_path / "prometheus.yml")
    assert checked.returncode == 0, checked.stdout
    assert "SUCCESS: 1 rule files found" in checked.stdout
