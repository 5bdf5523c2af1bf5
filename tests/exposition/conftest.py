from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from prometheus_client import disable_created_metrics

from modelwatch.storage.engine.store import Store
from tests.support.events import open_store


@pytest.fixture(autouse=True)
def _only_the_series_of_the_service() -> None:
    """As the service has it: for all registries of the process."""
    disable_created_metrics()  # type: ignore[no-untyped-call]


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    folder = tmp_path / "store"
    folder.mkdir()
    store = open_store(folder)
    yield store
    store.close()
