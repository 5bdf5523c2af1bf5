"""JSON Schemas of what other programs take, from the shared folder beside the checkout."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from jsonschema import Draft7Validator


def problems(shared_data: Path, schema: str, document: Any) -> list[str]:
    """What is wrong with a document by one of the schemas in `shared/schemas`, with the place of each problem."""
    text = (shared_data.parent / "schemas" / schema).read_text()
    # Flags in the middle of a pattern are Go's.
    validator = Draft7Validator(json.loads(text.replace("^(?i)(abort|warn)?$", "^(?i:abort|warn)?$")))
    return [f"{error.json_path}: {error.message}" for error in validator.iter_errors(document)]
