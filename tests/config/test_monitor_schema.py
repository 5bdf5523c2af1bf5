"""The JSON Schema of a monitor takes what is taken and refuses what is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import jsonschema_rs
import pytest
from hypothesis import given

from modelwatch.config.monitors.monitor import as_document, monitor_schema, parse_monitor
from tests.support.monitors import CONFIGS, example, problems, quiet


class TestSchema:
    schema = jsonschema_rs.validator_for(monitor_schema())

    def test_it_takes_the_example(self, repository: Path) -> None:
        self.schema.validate(example(repository))

    @given(CONFIGS)
    def test_it_takes_what_is_taken(self, document: dict[str, Any]) -> None:
        self.schema.validate(document)
        self.schema.validate(as_document(parse_monitor(document)))

    @pytest.mark.parametrize(
        "document",
        [
            {"budgt": 1},
            {"drift": {"psi": 1}},
            {"drift": {"features": {"a": {"psi": 1}}}},
            {"alerts": {"routes": [{"channels": [], "wen": {}}]}},
            {"budget": 0},
            {"budget": True},
            {"schedule": {"every": 3600}},
            {"schedule": {"every": "never"}},
            {"alerts": {"repeat_every": 0}},
            {"alerts": {"escalation_factor": 1}},
            {"alerts": {"escalation_factor": False}},
            {"drift": {"lookbacks": []}},
            {"drift": {"min_samples": 1.5}},
            quiet(to="7:00"),
            {"labels": {"a-b": "x"}},
            {"labels": {"model": "x"}},
        ],
    )
    def test_it_refuses_what_is_refused(self, document: dict[str, Any]) -> None:
        assert problems(document)
        assert not self.schema.is_valid(document)
