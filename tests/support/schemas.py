"""JSON Schemas of what other programs take."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from jsonschema import Draft7Validator

SCHEMAS = Path(__file__).resolve().parents[1] / "data" / "schemas"


def problems(schema: str, document: Any) -> list[str]:
    """Violations of one of the schemas in `tests/data/schemas` by a document, with the place of each."""
    text = (SCHEMAS / schema).read_text()
    # Flags in the middle of a pattern are Go's.
    validator = Draft7Validator(json.loads(text.replace("^(?i)(abort|warn)?$", "^(?i:abort|warn)?$")))
    return [f"{error.json_path}: {error.message}" for error in validator.iter_errors(document)]
