"""Fixtures of the client's tests. They run on the installed client, or on its source where none is installed."""

from __future__ import annotations

import importlib.util
import sys

import pytest
from client_servers import SOURCE, Service, Told

if importlib.util.find_spec("modelwatch_client") is None:
    sys.path.insert(0, str(SOURCE))


@pytest.fixture
def told():
    server = Told()
    yield server
    server.close()


@pytest.fixture
def service(tmp_path):
    folder = tmp_path / "service"
    folder.mkdir()
    running = Service(folder)
    running.start()
    running.wait()
    yield running
    running.kill()
