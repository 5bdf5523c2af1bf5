from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.app import App
from tests.support.servers.live_service import free_port


@pytest.fixture
def app(tmp_path: Path) -> Iterator[App]:
    """A service with a Slack channel that nobody answers at."""
    url = f"http://127.0.0.1:{free_port()}/services/T0/B0/secret"
    app = App(tmp_path, channels=("slack",), SLACK_WEBHOOK_URL=url)
    yield app
    app.close()
