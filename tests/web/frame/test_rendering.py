"""Names, numbers and times as the pages show them."""

from __future__ import annotations

import pytest

from modelwatch.charts.drawing.marks import STATES
from modelwatch.web.frame.rendering import EXPLAINED, chance, percent, templates, when
from tests.support.events import NOON


@pytest.mark.parametrize(
    ("value", "text"),
    [(None, "–"), (0.05, "0.05"), (1e-3, "0.001"), (9.99e-4, "1.0 × 10⁻³"), (2e-301, "< 10⁻³⁰⁰"), (0.0, "< 10⁻³⁰⁰")],
)
def test_a_chance_is_a_number_or_a_power_of_ten(value: float | None, text: str) -> None:
    assert chance(value) == text


@pytest.mark.parametrize(
    ("share", "text"), [(0.0, "0.0 %"), (1.0, "100.0 %"), (0.0499, "5.0 %"), (0.000123, "0.012 %")]
)
def test_a_share_keeps_what_counts(share: float, text: str) -> None:
    assert percent(share) == text


def test_what_is_to_come_was_not_long_ago() -> None:
    assert when("2025-06-15T15:05:00Z", NOON + 90_000_000).ago == "1\xa0min ago"
    assert when("2025-06-15T15:05:01Z", NOON).ago == ""


def test_the_mark_of_each_state_says_what_it_means() -> None:
    assert list(EXPLAINED) == list(STATES)
    state = templates().get_template("parts.html").module.state
    assert 'title="A real shift, smaller than what matters: no alert is sent for it"' in state("shifted")
    assert "title" not in state("stable", "running"), "another word has another meaning"
