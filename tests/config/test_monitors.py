"""The monitor configuration: what is taken, what is refused and how that is said."""

from __future__ import annotations

import re
from datetime import time
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from modelwatch.config.durations import SECONDS, duration_text, parse_duration
from modelwatch.config.monitors.monitor import MonitorConfig, as_document, canonical_json, monitor_schema, parse_monitor
from modelwatch.errors import FieldError, InvalidInput
from tests.support.monitors import CONFIGS, example, problems, quiet


def test_the_documents_example_is_taken_as_it_says(repository: Path) -> None:
    config = parse_monitor(example(repository))
    assert (config.model, config.labels, config.budget) == ("fraud_detection_v2", {"team": "risk"}, 1.0)
    assert (config.owner, config.tags) == ("risk-team", ("payments", "tier-1"))
    assert config.importance == {"transaction_amount": 0.41, "merchant_category": 0.22}
    assert (config.schedule.every, config.schedule.on_new_data, config.schedule.grace) == (3_600, True, 60)
    assert config.drift.lookbacks == ("1h", "6h", "24h")
    assert config.drift.persistence is not None
    assert (config.drift.persistence.alarms, config.drift.resolve_after) == (1, 2)
    assert config.drift.leave_out == ("request_id", "tmp_*")
    assert config.drift.features is not None
    assert config.drift.features["transaction_amount"].psi_alert == 0.4
    assert config.drift.features["transaction_amount"].min_samples == 500
    assert (config.drift.psi_warning, config.drift.psi_alert, config.drift.min_samples) == (0.1, 0.25, 100)
    assert (config.drift.tolerance, config.drift.persistence.of, config.positive_class) == ("natural", 1, "fraud")
    assert (config.drift.prediction, config.drift.score, config.drift.latency) == (True, True, True)
    assert list(config.alerts.named_channels()) == [
        ("/alerts/channels/0", "slack"),
        ("/alerts/routes/0/channels/0", "pagerduty"),
        ("/alerts/routes/0/channels/1", "slack"),
    ]
    assert config.alerts.routes is not None
    [route] = config.alerts.routes
    assert (route.when.severity, route.when.kind, route.when.environment) == (
        ("alert",),
        ("feature_drift",),
        ("production",),
    )
    assert (route.when.labels, route.continue_) == ({"team": "risk"}, False)
    assert config.alerts.quiet_hours is not None
    [quiet] = config.alerts.quiet_hours
    assert (quiet.from_, quiet.to, quiet.timezone) == (time(22), time(7), "Europe/Berlin")
    assert (quiet.days, quiet.severity) == (("sat", "sun"), ("warning",))
    assert config.alerts.flapping is not None
    assert (config.alerts.repeat_every, config.alerts.flapping.window, config.alerts.flapping.reopenings) == (
        86_400,
        86_400,
        3,
    )


def test_every_key_is_documented_and_in_the_example(repository: Path) -> None:
    text = (repository / "docs/monitors.md").read_text()
    schema = monitor_schema()
    parts = {"": schema, **schema["$defs"]}
    names = {name for part in parts.values() for name in part.get("properties", {})}
    sections = {
        "schedule": "ScheduleConfig",
        "drift": "DriftConfig",
        "performance": "PerformanceConfig",
        "quality": "QualityConfig",
        "alerts": "AlertsConfig",
        "privacy": "PrivacyConfig",
    }
    rows = set(re.findall(r"`([a-z_.]+)`", "".join(re.findall(r"^\| (`.*?) \|", text, re.MULTILINE))))
    assert rows == {
        *(schema["properties"].keys() - sections.keys()),
        *(f"{section}.{name}" for section, part in sections.items() for name in schema["$defs"][part]["properties"]),
    }
    assert {
        name for name in names if f"`{name}`" not in text and f"{name}:" not in text and name not in str(rows)
    } == set()
    shown = str(example(repository))
    assert {name for name in names if f"'{name}'" not in shown} == set()


def test_nothing_is_a_monitor_too() -> None:
    assert as_document(parse_monitor({})) == {}
    assert parse_monitor({}).drift.psi_warning is None


@given(CONFIGS)
def test_a_document_comes_back_as_it_was(document: dict[str, Any]) -> None:
    config = parse_monitor(document)
    again = parse_monitor(as_document(config))
    assert again == config
    assert canonical_json(again) == canonical_json(config)


@given(st.integers(1, 9_999_999), st.sampled_from(sorted(SECONDS)))
def test_durations_come_back_as_they_were(number: int, unit: str) -> None:
    seconds = parse_duration(f"{number}{unit}")
    assert seconds == number * SECONDS[unit]
    if len(duration_text(seconds)) <= 8:
        assert parse_duration(duration_text(seconds)) == seconds


@pytest.mark.parametrize(
    ("document", "pointer", "says"),
    [
        ({"drfit": {}}, "/drfit", "did you mean drift?"),
        (
            {"zzz": {}},
            "/zzz",
            "known here: alerts, budget, drift, importance, labels, model, owner, performance, positive_class",
        ),
        ({"schedule": {"evry": "1h"}}, "/schedule/evry", "did you mean every?"),
        ({"drift": {"psi_warnin": 0.1}}, "/drift/psi_warnin", "did you mean psi_warning?"),
        ({"drift": {"persistence": {"alarm": 1, "of": 1}}}, "/drift/persistence/alarm", "did you mean alarms?"),
        (
            {"drift": {"features": {"a/b": {"psi": 1}}}},
            "/drift/features/a~1b/psi",
            "known here: min_samples, odds_ratio, psi",
        ),
        ({"drift": {"features": {"function-x": {"x": 1}}}}, "/drift/features/function-x/x", "Unknown key"),
        ({"drift": {"features": {"[key]": {"min_sample": 1}}}}, "/drift/features/[key]/min_sample", "min_samples?"),
        ({"alerts": {"chanels": []}}, "/alerts/chanels", "did you mean channels?"),
        ({"alerts": {"flapping": {"windw": "1h"}}}, "/alerts/flapping/windw", "did you mean window?"),
        ({"alerts": {"routes": [{"channels": [], "continue_": True}]}}, "/alerts/routes/0/continue_", "mean continue?"),
        (
            {"alerts": {"routes": [{"channels": [], "when": {"severty": []}}]}},
            "/alerts/routes/0/when/severty",
            "did you mean severity?",
        ),
        (quiet(from_="22:00"), "/alerts/quiet_hours/0/from_", "did you mean from?"),
        ({1: 2}, "/1", "Expected text; put it in quotes"),
        ({"drift": None}, "/drift", "Expected an object of names and values"),
        ({"alerts": {"flapping": []}}, "/alerts/flapping", "Expected an object"),
        ({"alerts": {"routes": [{}]}}, "/alerts/routes/0/channels", "Required"),
        ({"alerts": {"quiet_hours": [{"from": "22:00"}]}}, "/alerts/quiet_hours/0/to", "Required"),
        ({"model": ""}, "/model", "not empty"),
        ({"model": 7}, "/model", "Expected text; put it in quotes"),
        ({"model": "a\0b"}, "/model", "without NUL"),
        ({"positive_class": False}, "/positive_class", "put it in quotes"),
        ({"owner": ["risk"]}, "/owner", "Expected text"),
        ({"owner": ""}, "/owner", "not empty"),
        ({"owner": 7}, "/owner", "put it in quotes"),
        ({"tags": "payments"}, "/tags", "Expected a list"),
        ({"tags": [7]}, "/tags/0", "put it in quotes"),
        ({"tags": [""]}, "/tags/0", "not empty"),
        ({"tags": ["x" * 65]}, "/tags/0", "at most 64 characters"),
        ({"tags": [f"tag-{number}" for number in range(21)]}, "/tags", "at most 20"),
        ({"tags": ["a", "b", "a"]}, "/tags", "Expected each tag once; 'a' is there 2 times"),
        ({"importance": [0.1]}, "/importance", "Expected an object"),
        ({"importance": {"amount": -0.1}}, "/importance/amount", "at least 0"),
        ({"importance": {"amount": True}}, "/importance/amount", "Expected a number"),
        ({"importance": {"amount": "0.1"}}, "/importance/amount", "Expected a number"),
        ({"importance": {"amount": float("nan")}}, "/importance/amount", "finite number"),
        ({"importance": {"": 0.1}}, "/importance/", "not empty"),
        ({"labels": []}, "/labels", "Expected an object"),
        ({"labels": {"a": 42}}, "/labels/a", "put it in quotes"),
        ({"labels": {"a": "x" * 513}}, "/labels/a", "at most 512 characters"),
        ({"labels": {"a-b": "x"}}, "/labels/a-b", "letters, digits and _"),
        ({"labels": {"severity": "x"}}, "/labels/severity", "choose another name"),
        (
            {"alerts": {"routes": [{"channels": [], "when": {"labels": {"model": "x"}}}]}},
            "/alerts/routes/0/when/labels/model",
            "choose another name",
        ),
        ({"budget": True}, "/budget", "Expected a number"),
        ({"budget": "1"}, "/budget", "Expected a number"),
        ({"budget": 0}, "/budget", "Expected more than 0"),
        ({"budget": 1_001}, "/budget", "Expected at most 1000"),
        ({"budget": float("nan")}, "/budget", "finite"),
        ({"budget": float("inf")}, "/budget", "finite"),
        ({"budget": 10**400}, "/budget", "Expected a number"),
        ({"drift": {"psi_alert": 101}}, "/drift/psi_alert", "at most 100"),
        ({"drift": {"psi_alert": float("nan")}}, "/drift/psi_alert", "finite"),
        ({"drift": {"min_samples": 1.5}}, "/drift/min_samples", "Expected a whole number"),
        ({"drift": {"min_samples": True}}, "/drift/min_samples", "Expected a whole number"),
        ({"drift": {"min_samples": 0}}, "/drift/min_samples", "Expected at least 1"),
        ({"drift": {"prediction": "no"}}, "/drift/prediction", "Expected true or false"),
        ({"drift": {"latency": 1}}, "/drift/latency", "Expected true or false"),
        ({"schedule": {"on_new_data": "yes"}}, "/schedule/on_new_data", "Expected true or false"),
        ({"drift": {"psi_warning": 0.3, "psi_alert": 0.2}}, "/drift/psi_alert", "than psi_warning, which is 0.3"),
        (
            {"drift": {"features": {"a": {"psi_warning": 1, "psi_alert": 1}}}},
            "/drift/features/a/psi_alert",
            "more than",
        ),
        ({"drift": {"lookbacks": []}}, "/drift/lookbacks", "list of look-backs"),
        ({"drift": {"lookbacks": "1h"}}, "/drift/lookbacks", "list of look-backs"),
        ({"drift": {"lookbacks": [1]}}, "/drift/lookbacks", "list of look-backs"),
        ({"drift": {"lookbacks": ["1y"]}}, "/drift/lookbacks", "a number and a unit"),
        ({"drift": {"lookbacks": ["7m"]}}, "/drift/lookbacks", "multiple of 5 minutes"),
        ({"drift": {"lookbacks": ["60m", "1h"]}}, "/drift/lookbacks", "60m and 1h are the same look-back"),
        ({"drift": {"lookbacks": [f"{hour}h" for hour in range(1, 10)]}}, "/drift/lookbacks", "at most 8"),
        ({"drift": {"persistence": {"alarms": 3, "of": 2}}}, "/drift/persistence/of", "at least 3, as many as alarms"),
        ({"drift": {"persistence": {"alarms": 1, "of": 25}}}, "/drift/persistence/of", "Expected at most 24"),
        ({"drift": {"persistence": {"alarms": 0, "of": 1}}}, "/drift/persistence/alarms", "Expected at least 1"),
        ({"drift": {"resolve_after": 101}}, "/drift/resolve_after", "Expected at most 100"),
        ({"drift": {"tolerance": "none"}}, "/drift/tolerance", "Expected 'natural' or 'fixed'"),
        ({"drift": {"alert_on": "stable"}}, "/drift/alert_on", "Expected 'warning' or 'shifted'"),
        ({"drift": {"leave_out": "tmp_*"}}, "/drift/leave_out", "Expected a list"),
        ({"drift": {"leave_out": ["x"] * 1_001}}, "/drift/leave_out", "Expected at most 1000"),
        ({"schedule": {"every": "0s"}}, "/schedule/every", "Expected 1s to 1w"),
        ({"schedule": {"every": "8d"}}, "/schedule/every", "Expected 1s to 1w"),
        ({"schedule": {"grace": "25h"}}, "/schedule/grace", "Expected 0s to 1d"),
        ({"schedule": {"every": 3600}}, "/schedule/every", "a unit"),
        ({"schedule": {"every": "1.5h"}}, "/schedule/every", "a unit"),
        ({"schedule": {"every": "never"}}, "/schedule/every", "a unit"),
        ({"alerts": {"channels": "slack"}}, "/alerts/channels", "Expected a list"),
        ({"alerts": {"channels": ["Slack!"]}}, "/alerts/channels/0", "small letters, digits and -"),
        ({"alerts": {"channels": ["slack", 1]}}, "/alerts/channels/1", "put it in quotes"),
        ({"alerts": {"repeat_every": "soon"}}, "/alerts/repeat_every", "a unit"),
        ({"alerts": {"repeat_every": False}}, "/alerts/repeat_every", "a unit"),
        ({"alerts": {"repeat_acknowledged_every": 7}}, "/alerts/repeat_acknowledged_every", "a unit"),
        ({"alerts": {"escalation_factor": 1}}, "/alerts/escalation_factor", "above 1, or never"),
        ({"alerts": {"escalation_factor": True}}, "/alerts/escalation_factor", "above 1, or never"),
        ({"alerts": {"escalation_factor": 1e9}}, "/alerts/escalation_factor", "1000000"),
        ({"alerts": {"flapping": {"reopenings": -1}}}, "/alerts/flapping/reopenings", "Expected at least 0"),
        (quiet(**{"from": 1320}), "/alerts/quiet_hours/0/from", "in quotes"),
        (quiet(to="24:00"), "/alerts/quiet_hours/0/to", "07:30"),
        (quiet(to="7:00"), "/alerts/quiet_hours/0/to", "07:30"),
        (quiet(to=True), "/alerts/quiet_hours/0/to", "07:30"),
        (quiet(days=["monday"]), "/alerts/quiet_hours/0/days/0", "Expected 'mon', 'tue'"),
        (quiet(severity=[]), "/alerts/quiet_hours/0/severity", "at least 1"),
        (quiet(timezone="Mars/Base"), "/alerts/quiet_hours/0/timezone", "IANA"),
        (quiet(timezone="Europe"), "/alerts/quiet_hours/0/timezone", "IANA"),
        (quiet(timezone="../../etc/passwd"), "/alerts/quiet_hours/0/timezone", "IANA"),
        (quiet(timezone=2), "/alerts/quiet_hours/0/timezone", "IANA"),
        ({"performance": {"metrics": ["acuracy"]}}, "/performance/metrics/0", "Expected 'accuracy'"),
        ({"performance": {"limits": {"auc": 0.5}}}, "/performance/limits/auc", "Expected 'accuracy'"),
        ({"performance": {"limits": {"mae": "3"}}}, "/performance/limits/mae", "Expected a number"),
        ({"performance": {"tolerance": 0}}, "/performance/tolerance", "Expected more than 0"),
        ({"quality": {"duplicates": True}}, "/quality/duplicates", "or false"),
        ({"quality": {"duplicates": 2}}, "/quality/duplicates", "at most 1"),
        ({"quality": {"freshness": "5m"}}, "/quality/freshness", "Expected 15m to"),
        ({"quality": {"freshness": 900}}, "/quality/freshness", "a unit"),
        ({"quality": {"factor": 1}}, "/quality/factor", "Expected more than 1"),
        ([], "", "Expected an object"),
        ("text", "", "Expected an object"),
        (None, "", "Expected an object"),
    ],
)
def test_what_is_wrong_is_named(document: object, pointer: str, says: str) -> None:
    found = problems(document)
    assert pointer in found
    assert says in found[pointer]


def test_what_yaml_makes_of_words_without_quotes_is_explained() -> None:
    text = "drift: {latency: no, score: 'no'}\nalerts: {quiet_hours: [{from: 22:00, to: 07:00}]}\n"
    assert problems(yaml.safe_load(text)) == {
        "/drift/score": "Expected true or false",
        "/alerts/quiet_hours/0/from": (
            'Expected a time such as "22:00", in quotes: YAML reads it as a number without them'
        ),
    }


def test_all_problems_are_said_at_once() -> None:
    wrong = {
        "budgt": 1,
        "labels": {"kind": "x"},
        "drift": {"psi_warning": 1, "psi_alert": 0.5, "resolve_after": 0, "features": {"a": {"psi_alert": -1}}},
        "schedule": {"every": "x"},
        "alerts": {"routes": [{"channels": ["a"], "when": {"kind": ["loudness"]}}]},
    }
    # A list whose only item is wrong is not said to be too short as well.
    assert set(problems(wrong)) == {
        "/budgt",
        "/labels/kind",
        "/drift/psi_alert",
        "/drift/resolve_after",
        "/drift/features/a/psi_alert",
        "/schedule/every",
        "/alerts/routes/0/when/kind/0",
    }


def test_a_part_of_a_larger_document_is_pointed_at_in_it() -> None:
    for wrong, pointer in (({"budget": 0}, "/monitors/3/budget"), ([], "/monitors/3")):
        with pytest.raises(InvalidInput) as refusal:
            parse_monitor(wrong, "/monitors/3")
        assert [error.pointer for error in refusal.value.errors] == [pointer]


def test_what_was_given_is_shown_shortened() -> None:
    with pytest.raises(InvalidInput) as refusal:
        parse_monitor({"budget": "x" * 500})
    [error] = refusal.value.errors
    assert error.value_excerpt == "x" * 80 + "…"


NAMES = st.one_of(
    st.sampled_from(
        ["model", "labels", "drift", "alerts", "schedule", "routes", "quiet_hours", "when", "from", "days"]
    ),
    st.text(max_size=5),
    st.integers(),
)
ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8) | st.sampled_from(["1h", "22:00"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=4),
    max_leaves=20,
)


@given(st.dictionaries(NAMES, ANYTHING, max_size=5))
def test_anything_else_is_refused_with_pointers_into_it(document: dict[Any, Any]) -> None:
    refusals: tuple[FieldError, ...] = ()
    config = MonitorConfig()
    try:
        config = parse_monitor(document)
    except InvalidInput as refusal:
        refusals = refusal.errors or (FieldError("nothing is named", ""),)
    assert all(error.pointer.startswith("/") and error.message for error in refusals)
    assert parse_monitor(as_document(config)) == config


def test_a_configuration_can_not_be_changed() -> None:
    config = MonitorConfig()
    with pytest.raises(ValueError, match="frozen"):
        config.budget = 2.0  # type: ignore[misc]


class TestSegments:
    def test_a_name_stands_for_a_feature_with_the_usual_cuts(self) -> None:
        config = parse_monitor({"segments": ["country", {"feature": "amount", "cuts": 3}, {"feature": "age"}]})
        assert config.segments is not None
        assert [(each.feature, each.parts) for each in config.segments] == [("country", 4), ("amount", 3), ("age", 4)]
        assert parse_monitor(as_document(config)) == config

    @pytest.mark.parametrize(
        ("segments", "pointer", "message"),
        [
            (list("abcdef"), "/segments", "Expected at most 5"),
            (["a", {"feature": "a"}], "/segments", "Expected each feature once; a is named 2 times"),
            ([{"feature": "a", "cuts": 1}], "/segments/0/cuts", "Expected at least 2"),
            ([{"feature": "a", "cuts": 11}], "/segments/0/cuts", "Expected at most 10"),
            ([{"feature": "a", "cuts": 2.5}], "/segments/0/cuts", "Expected a whole number"),
            ([{"cuts": 3}], "/segments/0/feature", "Required"),
            ([{"feature": "a", "cut": 3}], "/segments/0/cut", "Unknown key; did you mean cuts?"),
            (["a" * 129], "/segments/0/feature", "Expected at most 128 characters"),
            ([""], "/segments/0/feature", "Expected text that is not empty"),
            ([7], "/segments/0", "Expected the name of a feature, or an object with feature and cuts"),
            ("country", "/segments", "Expected a list"),
        ],
    )
    def test_what_can_not_be_a_segment_is_named(self, segments: object, pointer: str, message: str) -> None:
        assert problems({"segments": segments}) == {pointer: message}

    def test_a_feature_that_privacy_protects_is_no_segment(self) -> None:
        protected = {"privacy": {"features": {"iban": "drop"}}, "segments": ["iban"]}
        expected = "Expected features that are kept, because rows name their segments; iban is not: privacy says drop"
        assert problems(protected) == {"/segments": expected}
        open_again = {"privacy": {"default": "drop", "features": {"country": "keep"}}, "segments": ["country"]}
        assert parse_monitor(open_again).segments is not None
