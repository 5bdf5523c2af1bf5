"""The dashboards as files: fresh, complete, and right by the rules of Grafana's linter and our own."""

from __future__ import annotations

import copy
import itertools
import re
from collections.abc import Iterator
from pathlib import Path

import promql_parser
import pytest
from prometheus_client.parser import text_string_to_metric_families

from modelwatch.storage.engine.store import Store
from scripts.dashboards import dashboards
from tests.exposition.scraping import exposition, set_reference, traffic
from tests.support.app import App
from tests.support.events import open_ledger
from tests.support.grafana import DASHBOARDS, Asked, asked, filled_in, load, panels, variables
from tests.support.schemas import problems
from tests.support.servers.prometheus import metric_names, nodes

SCHEMA = "grafana-dashboard-classic-v42.schema.json"
# What Grafana's Prometheus plugin keeps with an annotation; the schema is that of the core.
OF_THE_PLUGIN = {"expr", "step", "titleFormat", "tagKeys", "useValueForTime"}
UNITS = {"none", "short", "percentunit", "s", "bytes", "cps"}
NAMES = dict.fromkeys(("environment", "model", "version", "feature", "metric", "window", "job", "instance", "url"), "x")
INTERVALS = {"__rate_interval": "5m", "__range": "1h", "__interval": "1m"}
# Prometheus itself makes these for every target.
OF_PROMETHEUS = {"scrape_duration_seconds"}

each_dashboard = pytest.mark.parametrize("path", DASHBOARDS, ids=lambda path: path.stem)


def expressions(path: Path) -> Iterator[Asked]:
    for each in asked(load(path)):
        yield Asked(each.place, filled_in(each.expression, NAMES | INTERVALS), each.instant, each.label)


def families(store: Store) -> dict[str, str]:
    """Every name that the service exports, with its type, also of families that have no series yet."""
    text = exposition(store, channels=("chat",)).render(None)[0].decode()
    kinds = {family.name: family.type for family in text_string_to_metric_families(text)}
    suffixes = {"histogram": ("_bucket", "_sum", "_count"), "summary": ("_sum", "_count"), "counter": ("_total",)}
    return {name + suffix: kind for name, kind in kinds.items() for suffix in suffixes.get(kind, ("",))}


def test_the_files_are_what_the_code_makes() -> None:
    made = dashboards()
    assert {path.name for path in DASHBOARDS} == made.keys()
    for path in DASHBOARDS:
        assert path.read_text() == made[path.name], "make dashboards"


def test_the_outcomes_of_deliveries_that_are_no_answers_are_explained() -> None:
    of_service = load(next(path for path in DASHBOARDS if path.stem == "modelwatch-service"))
    [panel] = [each for each in panels(of_service) if each["title"] == "Delivery attempts"]
    assert all(f"`{outcome}`" in panel["description"] for outcome in ("dead", "refresh_failed"))


@each_dashboard
def test_the_schema_of_classic_dashboards_takes_it(path: Path) -> None:
    document = load(path)
    assert document["schemaVersion"] == 42
    for annotation in document["annotations"]["list"]:
        assert annotation.keys() >= OF_THE_PLUGIN
        for name in OF_THE_PLUGIN:
            del annotation[name]
    assert problems(SCHEMA, document) == []
    broken = copy.deepcopy(document)
    broken["panels"][1]["gridpos"] = {}
    assert problems(SCHEMA, broken) != []


@each_dashboard
def test_it_is_one_that_can_be_provisioned(path: Path) -> None:
    document = load(path)
    assert re.fullmatch(r"[\w-]{1,40}", document["uid"])
    assert document["editable"] is False
    assert "id" not in document
    assert document["title"]
    assert document["description"]


@each_dashboard
def test_the_source_of_all_data_can_be_chosen(path: Path) -> None:
    document = load(path)
    first = document["templating"]["list"][0]
    assert (first["type"], first["name"], first["query"]) == ("datasource", "datasource", "prometheus")
    chosen = {"type": "prometheus", "uid": "${datasource}"}
    sources = [panel["datasource"] for panel in panels(document)]
    sources += [target["datasource"] for panel in panels(document) for target in panel["targets"]]
    sources += [each["datasource"] for each in (*variables(document), *document["annotations"]["list"])]
    assert all(source == chosen for source in sources)
    assert path.read_text().count('"uid": "$') + path.read_text().count('"uid": "modelwatch') == (
        path.read_text().count('"uid":')
    )


@each_dashboard
def test_each_panel_says_what_it_shows_and_when_there_is_nothing_to_show(path: Path) -> None:
    found = panels(load(path))
    for panel in found:
        defaults = panel["fieldConfig"]["defaults"]
        assert panel["title"]
        assert panel["description"].endswith("."), panel["title"]
        assert defaults["unit"] in UNITS, panel["title"]
        assert defaults["noValue"], panel["title"]
        assert panel["targets"], panel["title"]
        references = [target["refId"] for target in panel["targets"]]
        assert len(set(references)) == len(references), panel["title"]
    titles = [panel["title"] for panel in found]
    assert len(set(titles)) == len(titles)


@each_dashboard
def test_panels_have_their_own_ids_and_places(path: Path) -> None:
    everything = load(path)["panels"]
    ids = [panel["id"] for panel in everything]
    assert len(set(ids)) == len(ids)
    for panel in everything:
        place = panel["gridPos"]
        assert place["x"] >= 0
        assert place["x"] + place["w"] <= 24, panel["title"]
    for one, other in itertools.combinations(everything, 2):
        assert not overlap(one["gridPos"], other["gridPos"]), (one["title"], other["title"])


def overlap(one: dict[str, int], other: dict[str, int]) -> bool:
    return all(
        one[start] < other[start] + other[size] and other[start] < one[start] + one[size]
        for start, size in (("x", "w"), ("y", "h"))
    )


@each_dashboard
def test_variables_follow_the_time_range(path: Path) -> None:
    for variable in variables(load(path)):
        assert variable["refresh"] == 2, variable["name"]
        assert variable["label"], variable["name"]


@each_dashboard
def test_every_expression_is_promql_about_what_the_service_exports(path: Path, store: Store) -> None:
    known = families(store).keys() | OF_PROMETHEUS
    for each in expressions(path):
        assert metric_names(each.expression), each
        missing = metric_names(each.expression) - known
        assert not {name for name in missing if not name.startswith("process_")}, each


@each_dashboard
def test_counters_are_asked_for_as_rates_over_the_interval_of_the_panel(path: Path, store: Store) -> None:
    kinds = families(store)
    for panel in panels(load(path)):
        for target in panel["targets"]:
            for window in re.findall(r"\[([^\]]+)\]", target["expr"]):
                assert window in {"$__rate_interval", "$__range"}, target
            expression = filled_in(target["expr"], NAMES | INTERVALS)
            for parents, node in nodes(expression):
                if isinstance(node, promql_parser.VectorSelector) and counts(kinds, node.name):
                    calls = {parent.func.name for parent in parents if isinstance(parent, promql_parser.Call)}
                    assert calls & {"rate", "irate", "increase"}, target


def counts(kinds: dict[str, str], name: str) -> bool:
    return kinds.get(name) in {"counter", "histogram", "summary"} or name == "process_cpu_seconds_total"


@each_dashboard
def test_no_panel_shows_a_replica_twice(path: Path) -> None:
    for panel in panels(load(path)):
        for target in panel["targets"]:
            for parents, node in nodes(filled_in(target["expr"], NAMES | INTERVALS)):
                if isinstance(node, promql_parser.VectorSelector):
                    assert any(isinstance(parent, promql_parser.AggregateExpr) for parent in parents), target


@each_dashboard
def test_the_links_lead_somewhere(path: Path, tmp_path: Path) -> None:
    document = load(path)
    links = [*document["links"]]
    for panel in panels(document):
        links += panel["fieldConfig"]["defaults"].get("links", [])
    targets = {link["url"] for link in links}
    own = {target.removeprefix("${url:raw}") for target in targets if target.startswith("${url:raw}/")}
    other = {target.removeprefix("/d/") for target in targets if target.startswith("/d/")}
    assert len(own) + len(other) == len(targets)
    assert other <= {load(each)["uid"] for each in DASHBOARDS}
    app = App(tmp_path)
    set_reference(app.store)
    open_ledger(app.store).commit(traffic(3))
    try:
        for target in own:
            of_feature = target.replace("${__field.labels.feature_name:percentencode}", "amount")
            answer = app.request("GET", filled_in(of_feature, NAMES | {"model": "m"}), headers={"accept": "text/html"})
            if target == "/":  # leads a browser to the list of models
                answer = app.request("GET", f"/{answer.headers['location']}")
            assert answer.status_code == 200, target
    finally:
        app.close()


def test_the_models_can_be_told_apart() -> None:
    [models] = [load(path) for path in DASHBOARDS if path.stem == "model-monitoring"]
    assert [each["name"] for each in variables(models)] == [
        "url",
        "environment",
        "model",
        "version",
        "feature",
        "metric",
        "window",
    ]
