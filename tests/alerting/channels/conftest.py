"""What the tests of channels share."""

from __future__ import annotations

import pytest

from tests.support.servers.tls import Certificate, make_certificate


@pytest.fixture(scope="session")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Certificate:
    """A certificate of 127.0.0.1 that nobody knows."""
    return make_certificate(tmp_path_factory.mktemp("tls"))
