"""What to do about an alert: every kind and severity has steps, and a section of the runbooks."""

from __future__ import annotations

import json
from pathlib import Path
from typing import get_args

import pytest

from modelwatch.alerting.views.runbook import runbook_for
from modelwatch.findings import FindingSeverity, Kind
from scripts.runbooks import SOURCE, STEPS, runbook_steps


@pytest.mark.parametrize("kind", get_args(Kind))
@pytest.mark.parametrize("severity", get_args(FindingSeverity))
def test_every_alert_has_steps_and_a_section(kind: Kind, severity: FindingSeverity, repository: Path) -> None:
    found = runbook_for(kind, severity, "amount")
    assert len(found.steps) >= 2
    assert f"## {found.name}\n" in (repository / "docs" / "runbooks.md").read_text()
    assert found.page == f"/ui/runbooks#{found.name.lower()}"


def test_data_that_are_missing_and_data_that_are_wrong_are_different_things() -> None:
    subjects = ("x: missing", "x: disappeared", "x: sentinel")
    names = [runbook_for("data_quality", "warning", subject).name for subject in subjects]
    assert names == ["ModelDataMissing", "ModelDataMissing", "ModelDataUnsound"]


def test_steps_name_the_model() -> None:
    step = runbook_for("performance", "warning", "accuracy", "fraud").steps[0]
    assert step.startswith("GET /api/v1/models/fraud/performance has the value")


def test_the_steps_are_those_of_the_runbooks() -> None:
    assert runbook_steps(SOURCE.read_text()) == json.loads(STEPS.read_text()), "make rules"


def test_steps_are_plain_text_of_one_line() -> None:
    text = "# Title\n\n## One\n\nWhy.\n\n1. Do `this`, *then*\n   [that](#two).\n2. Rest.\n\n## Two\n\nNothing.\n"
    assert runbook_steps(text) == {"one": ["Do this, then that.", "Rest."]}
