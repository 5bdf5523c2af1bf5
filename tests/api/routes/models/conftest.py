from __future__ import annotations

import pytest

from tests.support.app import App
from tests.support.data.streams import HOUR, normal, send_hours, set_reference
from tests.support.events import NOON, Clock


@pytest.fixture
def watched(app: App) -> App:
    """A model with twelve hours, shifted from hour 8 on."""
    set_reference(app.store, normal(5_000, seed=99))
    send_hours(app.store, Clock(NOON + 100 * HOUR), 12, shift_from=8)
    return app
