"""The service in this process, for the tests of its pages."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.app import App


@pytest.fixture
def app(tmp_path: Path) -> Iterator[App]:
    """A service whose alerts go to one channel."""
    app = App(tmp_path, channels=("ml-team",))
    yield app
    app.close()
