"""Monitor documents for tests: the example of the documentation, any that is valid, and what is said of others."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import strategies as st

from modelwatch.config.monitors.monitor import parse_monitor
from modelwatch.errors import InvalidInput

QUIET = {"from": "22:00", "to": "07:00"}


def quiet(**changed: object) -> dict[str, object]:
    """A monitor with quiet hours that are changed like this."""
    return {"alerts": {"quiet_hours": [{**QUIET, **changed}]}}


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


THRESHOLDS = {
    "psi_warning": st.floats(0.01, 0.2),
    "psi_alert": st.floats(0.21, 2),
    "min_samples": st.integers(1, 10_000),
}
PERSISTENCE = st.integers(1, 24).flatmap(
    lambda of: st.fixed_dictionaries({"alarms": st.integers(1, of), "of": st.just(of)})
)
NAME = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), min_size=1, max_size=5)
LABELS = st.dictionaries(st.from_regex(r"[a-z]{1,8}x", fullmatch=True), NAME, max_size=3)
CHANNELS = st.lists(st.sampled_from(["slack", "pagerduty", "x-1"]), max_size=3)
SEVERITIES = st.lists(st.sampled_from(["warning", "alert"]), min_size=1, unique=True)
KINDS = st.lists(st.sampled_from(["feature_drift", "prediction_drift", "latency_drift"]), min_size=1, unique=True)
DURATIONS = st.sampled_from(["90s", "15m", "1h", "60m", "7d", "1w"])
CLOCK = st.sampled_from(["00:00", "07:30", "22:00", "23:59"])


def some(**keys: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    """Some of these keys, or null for them."""
    return st.fixed_dictionaries({}, optional={name: values | st.none() for name, values in keys.items()})


WHEN = some(severity=SEVERITIES, kind=KINDS, environment=st.lists(NAME, min_size=1, max_size=2), labels=LABELS)
ROUTE = st.fixed_dictionaries({"channels": CHANNELS}, optional={"when": WHEN, "continue": st.booleans()})
QUIET_HOURS = st.fixed_dictionaries(
    {"from": CLOCK, "to": CLOCK},
    optional={
        "days": st.lists(st.sampled_from(["mon", "sat", "sun"]), min_size=1, unique=True),
        "timezone": st.sampled_from(["UTC", "Europe/Berlin"]),
        "severity": SEVERITIES,
    },
)
SHARES = st.floats(0.001, 1)
METRICS = st.sampled_from(["accuracy", "f1", "log_loss", "mae", "f1_macro"])
CONFIGS = st.fixed_dictionaries(
    {},
    optional={
        "model": NAME | st.none(),
        "labels": LABELS | st.none(),
        "positive_class": NAME | st.none(),
        "budget": st.floats(0.01, 1_000) | st.integers(1, 1_000) | st.none(),
        "segments": st.none()
        | st.lists(
            NAME | st.fixed_dictionaries({"feature": NAME}, optional={"cuts": st.integers(2, 10) | st.none()}),
            max_size=5,
            unique_by=lambda item: item if isinstance(item, str) else item["feature"],
        ),
        "schedule": some(every=DURATIONS, on_new_data=st.booleans(), grace=st.sampled_from(["0s", "60s", "1d"])),
        "drift": some(
            **THRESHOLDS,
            lookbacks=st.lists(st.sampled_from(["5m", "1h", "6h", "24h", "7d"]), min_size=1, unique=True),
            tolerance=st.sampled_from(["natural", "fixed"]),
            persistence=PERSISTENCE,
            resolve_after=st.integers(1, 100),
            leave_out=st.lists(NAME, max_size=3),
            odds_ratio=st.floats(1.01, 100) | st.just("never"),
            prediction=st.booleans(),
            score=st.booleans(),
            latency=st.booleans(),
            features=st.dictionaries(NAME, some(**THRESHOLDS, odds_ratio=st.floats(1.01, 100)), max_size=3),
        ),
        "performance": some(
            enabled=st.booleans(),
            metrics=st.lists(METRICS, max_size=3),
            tolerance=SHARES,
            relative_tolerance=st.floats(0.01, 100),
            odds_ratio=st.floats(1.01, 100),
            maturity=st.floats(0.5, 0.999),
            label_coverage=st.booleans(),
            early=st.booleans(),
            limits=st.dictionaries(METRICS, st.floats(-1e6, 1e6), max_size=3),
            lookbacks=st.lists(st.sampled_from(["1h", "24h", "7d"]), min_size=1, unique=True),
            min_samples=st.integers(1, 10**9),
            label_drift=st.booleans(),
            persistence=PERSISTENCE,
            resolve_after=st.integers(1, 100),
        ),
        "quality": some(
            enabled=st.booleans(),
            min_rise=SHARES,
            factor=st.floats(1.01, 100),
            min_samples=st.integers(1, 10**9),
            leave_out=st.lists(NAME, max_size=3),
            sentinels=st.booleans(),
            schema=st.booleans(),
            duplicates=SHARES | st.just(False),
            volume=st.booleans(),
            freshness=st.booleans() | st.sampled_from(["15m", "2h", "3d"]),
            persistence=PERSISTENCE,
            resolve_after=st.integers(1, 100),
        ),
        "alerts": some(
            channels=CHANNELS,
            routes=st.lists(ROUTE, max_size=2),
            quiet_hours=st.lists(QUIET_HOURS, max_size=2),
            repeat_every=DURATIONS | st.just("never"),
            repeat_acknowledged_every=DURATIONS | st.just("never"),
            escalation_factor=st.floats(1.01, 100) | st.just("never"),
            flapping=some(window=DURATIONS | st.just("never"), reopenings=st.integers(0, 1_000)),
        ),
    },
)
