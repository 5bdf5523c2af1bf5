"""Windows of event time."""

from __future__ import annotations

from modelwatch.monitoring.checks.windows import Window, covering, look_back, watermark


def test_a_look_back_ends_at_the_watermark() -> None:
    assert look_back(36_000, "6h") == Window(14_400, 36_000, "6h")


def test_a_span_covers_every_base_window_it_touches() -> None:
    assert covering(301_000_000, 600_000_001) == Window(300, 900)
    assert covering(300_000_000, 600_000_000) == Window(300, 600)


def test_the_watermark_is_never_beyond_the_open_window() -> None:
    assert watermark(900, now=1_000_000_000) == 900
    assert watermark(1_500, now=1_000_000_000) == 1_200
