from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from modelwatch.storage.engine.store import Store
from tests.support.events import open_store


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    folder = tmp_path / "store"
    folder.mkdir()
    store = open_store(folder)
    yield store
    store.close()
