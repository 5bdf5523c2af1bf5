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
from modelwatch.config.monitors import MonitorConfig, as_document, canonical_json, monitor_schema, parse_monitor
from modelwatch.errors import InvalidInput


def example(repository: Path) -> Any:
    """The document that docs/monitors.md begins with."""
    text = (repository / "docs/monitors.md").read_text()
    found = re.search(r"```yaml\n(.*?)```", text, re.DOTALL)
    assert found is not None
    return yaml.safe_load(found[1])


def problems(document: object) -> dict[str, str]:
    """By pointer, what is wrong with a document."""
    with pytest.raises(InvalidInput) as refusal:
        parse_monitor(document)
    return {error.pointer: error.message for error in refusal.value.errors}


def test_the_documents_example_is_taken_as_it_says(repository: Path) -> None:
    config = parse_monitor(example(repository))
    assert (config.model, config.labels, config.budget) == ("fraud_detection_v2", {"team": "risk"}, 1.0)
    assert (config.schedule.every, config.schedule.on_new_data, config.schedule.grace) == (3_600, True, 60)
    assert config.drift.lookbacks == ("1h", "6h", "24h")
    assert config.drift.persistence is not None
    assert (config.drift.persistence.alarms, config.drift.resolve_after) == (1, 2)
    assert config.drift.leave_out == ("request_id", "tmp_*")
    assert config.drift.features is not None
    assert config.drift.features["transaction_amount"].psi_alert == 0.4
    assert config.alerts.channel_names == ("slack", "pagerduty")
    assert config.alerts.quiet_hours is not None
    [quiet] = config.alerts.quiet_hours
    assert (quiet.from_, quiet.to, quiet.timezone) == (time(22), time(7), "Europe/Berlin")
    assert (config.alerts.repeat_every, config.alerts.flapping) is not None


def test_every_key_is_documented_and_in_the_example(repository: Path) -> None:
    text = (repository / "docs/monitors.md").read_text()
    schema = monitor_schema()
    parts = {"": schema, **schema["$defs"]}
    names = {name for part in parts.values() for name in part.get("properties", {})}
    assert {
        name for name in names if f"`{name}`" not in text and f".{name}`" not in text and f"{name}:" not in text
    } == set()
    shown = str(example(repository))
    assert {name for name in names if f"'{name}'" not in shown} == set()


def test_nothing_is_a_monitor_too() -> None:
    assert as_document(parse_monitor({})) == {}
    assert parse_monitor({}).drift.psi_warning is None


CONFIGS = st.fixed_dictionaries(
    {},
    optional={
        "budget": st.floats(0.01, 100),
        "labels": st.dictionaries(st.from_regex(r"[a-z]{1,8}x", fullmatch=True), st.text("ab<&é ", min_size=1)),
        "schedule": st.fixed_dictionaries(
            {}, optional={"every": st.sampled_from(["90s", "15m", "1h", "7d"]), "on_new_data": st.booleans()}
        ),
        "drift": st.fixed_dictionaries(
            {},
            optional={
                "psi_warning": st.floats(0.01, 0.2),
                "psi_alert": st.floats(0.21, 2),
                "lookbacks": st.lists(st.sampled_from(["5m", "1h", "6h", "24h", "7d"]), min_size=1, unique=True),
                "features": st.dictionaries(st.text(min_size=1, max_size=5), st.just({"min_samples": 7}), max_size=3),
            },
        ),
        "alerts": st.fixed_dictionaries(
            {},
            optional={
                "repeat_every": st.sampled_from(["never", "24h"]),
                "quiet_hours": st.just([{"from": "22:00", "to": "07:30"}]),
                "routes": st.just([{"channels": ["a"], "continue": True}]),
            },
        ),
    },
)


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
        ({"drift": {"psi_warnin": 0.1}}, "/drift/psi_warnin", "did you mean psi_warning?"),
        ({"drift": {"features": {"a/b": {"psi": 1}}}}, "/drift/features/a~1b/psi", "Unknown key"),
        (
            {"alerts": {"routes": [{"channels": [], "when": {"severty": []}}]}},
            "/alerts/routes/0/when/severty",
            "severity",
        ),
        ({"alerts": {"routes": [{}]}}, "/alerts/routes/0/channels", "Required"),
        ({"budget": True}, "/budget", "Expected a number"),
        ({"budget": 0}, "/budget", "greater than 0"),
        ({"budget": float("nan")}, "/budget", "finite"),
        ({"drift": {"min_samples": 1.5}}, "/drift/min_samples", "integer"),
        ({"drift": {"prediction": "no"}}, "/drift/prediction", "Expected true or false"),
        ({"drift": {"psi_warning": 0.3, "psi_alert": 0.2}}, "/drift", "psi_warning < psi_alert"),
        (
            {"drift": {"features": {"a": {"psi_warning": 1, "psi_alert": 1}}}},
            "/drift/features/a",
            "psi_warning < psi_alert",
        ),
        ({"drift": {"lookbacks": []}}, "/drift/lookbacks", "list of look-backs"),
        ({"drift": {"lookbacks": ["7m"]}}, "/drift/lookbacks", "multiple of 5 minutes"),
        ({"drift": {"lookbacks": ["60m", "1h"]}}, "/drift/lookbacks", "the same look-back"),
        ({"drift": {"persistence": {"alarms": 3, "of": 2}}}, "/drift/persistence", "alarms <= of"),
        ({"drift": {"persistence": {"alarms": 1, "of": 25}}}, "/drift/persistence/of", "less than or equal to 24"),
        ({"drift": {"tolerance": "none"}}, "/drift/tolerance", "'natural' or 'fixed'"),
        ({"schedule": {"every": "0s"}}, "/schedule/every", "greater than or equal to 1"),
        ({"schedule": {"every": 3600}}, "/schedule/every", "a unit"),
        ({"alerts": {"channels": ["Slack!"]}}, "/alerts/channels/0", "pattern"),
        ({"alerts": {"repeat_every": "soon"}}, "/alerts/repeat_every", "a unit"),
        ({"alerts": {"quiet_hours": [{"from": 1320, "to": "07:00"}]}}, "/alerts/quiet_hours/0/from", "in quotes"),
        ({"alerts": {"quiet_hours": [{"from": "24:00", "to": "07:00"}]}}, "/alerts/quiet_hours/0/from", "07:30"),
        (
            {"alerts": {"quiet_hours": [{"from": "22:00", "to": "07:00", "timezone": "Mars/Base"}]}},
            "/alerts/quiet_hours/0/timezone",
            "IANA",
        ),
        ({"labels": {"severity": "x"}}, "", "belong to every alert"),
        ({"labels": {"a-b": "x"}}, "/labels/a-b", "pattern"),
        ([], "", "Expected an object"),
        ("text", "", "Expected an object"),
    ],
)
def test_what_is_wrong_is_named(document: object, pointer: str, says: str) -> None:
    found = problems(document)
    assert pointer in found
    assert says in found[pointer]


def test_all_problems_are_said_at_once() -> None:
    found = problems({"budgt": 1, "drift": {"psi_alert": -1, "resolve_after": 0}, "schedule": {"every": "x"}})
    assert set(found) == {"/budgt", "/drift/psi_alert", "/drift/resolve_after", "/schedule/every"}


def test_a_configuration_can_not_be_changed() -> None:
    config = MonitorConfig()
    with pytest.raises(ValueError, match="frozen"):
        config.budget = 2.0  # type: ignore[misc]
