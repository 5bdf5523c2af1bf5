"""GET /models: the models, in pages."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from modelwatch.storage.counts.streams import all_streams, streams
from modelwatch.storage.engine.store import Store
from tests.support.app import App
from tests.support.events import event, open_ledger

# In English: _x, 1, a, a-b, B, é, z.
NAMES = ["z", "a", "B", "_x", "1", "é", "a-b", "a b"]


@pytest.mark.both_engines
def test_pages_of_models_have_each_model_once_whatever_the_language_of_the_database(
    store_url: str, tmp_path: Path
) -> None:
    app = App(tmp_path, DATABASE_URL=store_url)
    try:
        open_ledger(app.store).commit([event(name, model=name) for name in NAMES])
        names: list[str] = []
        cursor: dict[str, Any] = {}
        while True:
            view = app.get("models", limit=3, **cursor)
            names += [each["model_name"] for each in view["models"]]
            if view["next_cursor"] is None:
                break
            cursor = {"cursor": view["next_cursor"]}
        assert names == sorted(NAMES)
    finally:
        app.close()


@pytest.mark.both_engines
def test_streams_are_in_the_order_of_their_bytes_whatever_the_language_of_the_database(store: Store) -> None:
    open_ledger(store).commit([event(name, model="m", version=name) for name in NAMES])
    with store.read() as connection:
        assert [each.version for each in all_streams(connection)] == sorted(NAMES)
        assert [each.version for each in streams(connection)] == sorted(NAMES)
