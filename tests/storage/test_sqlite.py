"""What is particular to the embedded store."""

from __future__ import annotations

from pathlib import Path

import pytest
from sqlalchemy import text

from modelwatch.errors import StoreUnavailable
from modelwatch.storage import Store


def test_the_embedded_store_is_durable_and_lets_readers_in(store: Store) -> None:
    with store.engine.connect() as connection:
        assert connection.execute(text("PRAGMA journal_mode")).scalar() == "wal"
        assert connection.execute(text("PRAGMA synchronous")).scalar() == 2


def test_a_store_that_can_not_be_opened_is_unavailable(tmp_path: Path) -> None:
    (tmp_path / "modelwatch.db").mkdir()
    with pytest.raises(StoreUnavailable, match="unable to open"):
        Store(f"sqlite:///{tmp_path / 'modelwatch.db'}").ping()
