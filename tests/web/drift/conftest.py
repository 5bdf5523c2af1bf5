"""Histories that several tests only read."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.support.app import App
from tests.web.drift.histories import filled


@pytest.fixture(scope="package")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Iterator[App]:
    """Both days are as the reference."""
    app = App(tmp_path_factory.mktemp("plain"))
    filled(app)
    yield app
    app.close()


@pytest.fixture(scope="package")
def mixed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[App]:
    """Countries are mixed otherwise on the second day."""
    app = App(tmp_path_factory.mktemp("mixed"))
    filled(app, mixed=True)
    yield app
    app.close()


@pytest.fixture(scope="package")
def moved(tmp_path_factory: pytest.TempPathFactory) -> Iterator[App]:
    """Amounts are two and a half times as large on the second day."""
    app = App(tmp_path_factory.mktemp("moved"))
    filled(app, factor=2.5)
    yield app
    app.close()
