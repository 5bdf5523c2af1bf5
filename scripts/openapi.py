"""Writes docs/openapi.json from the code: `make openapi`."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path

from modelwatch.config import load_settings
from modelwatch.server.build import openapi_document

TARGET = Path(__file__).resolve().parents[1] / "docs" / "openapi.json"


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        document = openapi_document(load_settings({"DATA_DIR": folder}, dotenv=None))
    TARGET.write_text(json.dumps(document, indent=1, ensure_ascii=False) + "\n")


if __name__ == "__main__":
    main()
