"""Durable ingest of single predictions with an API key, against the same service that asks for none.

Two services on core 0, each with a SQLite store of its own; wrk sends from core 1, in alternating rounds. Both are
warmed up past the provisional reference.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from contextlib import ExitStack
from pathlib import Path

from benchmarks.report import Row, compared
from benchmarks.servers import are_possible, service
from benchmarks.service.ingest import FEATURES, PATH, SECONDS, requests_per_second
from tests.support.servers.live_service import REPOSITORY

ROUNDS = 7
KINDS = ("with", "without")


def run(*, quick: bool = False) -> list[Row]:
    """Both services side by side, in alternating rounds; `quick`: one round."""
    if not are_possible("keys", "wrk"):
        return []
    with tempfile.TemporaryDirectory() as name:
        folders = {kind: Path(name) / kind for kind in KINDS}
        for folder in folders.values():
            folder.mkdir()
        headers = {"with": {"authorization": f"Bearer {_key(folders['with'])}"}, "without": {}}

        with ExitStack() as stack:
            urls = {}
            for kind, folder in folders.items():
                settings = {"API_KEYS_REQUIRED": str(kind == "with").lower()}
                urls[kind] = f"{stack.enter_context(service(folder, settings)).url}{PATH}"

            def rate(kind: str, prefix: str) -> float:
                return requests_per_second(urls[kind], prefix, folders[kind], headers[kind])

            for kind in KINDS:
                rate(kind, "warm")
            found: dict[str, list[float]] = {kind: [] for kind in KINDS}
            for number in range(1 if quick else ROUNDS):
                # Whoever is second in a round is first in the next.
                for kind in sorted(KINDS, reverse=bool(number % 2)):
                    found[kind].append(rate(kind, f"r{number}"))
    title = f"durable single-prediction ingest with an API key, {FEATURES} features"
    note = f"baseline: the same without keys; one core; {SECONDS} s a round"
    return [compared(title, "requests/s", found["with"], found["without"], note)]


def _key(folder: Path) -> str:
    """A key that may send predictions, in the store of a service that has not begun."""
    made = subprocess.run(
        [sys.executable, "-m", "modelwatch", "keys", "create", "bench", "--scope", "ingest", "--json"],
        env={**os.environ, "PYTHONPATH": str(REPOSITORY / "src"), "DATA_DIR": str(folder)},
        cwd=folder,
        check=True,
        capture_output=True,
        text=True,
    )
    key: str = json.loads(made.stdout)["key"]
    return key
