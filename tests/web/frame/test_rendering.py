"""Names, numbers and times as the pages show them."""

from __future__ import annotations

from modelwatch.charts.drawing.marks import STATES
from modelwatch.web.frame.rendering import EXPLAINED, templates, when
from tests.support.events import NOON


def test_what_is_to_come_was_not_long_ago() -> None:
    assert when("2025-06-15T15:05:00Z", NOON + 90_000_000).ago == "1\xa0min ago"
    assert when("2025-06-15T15:05:01Z", NOON).ago == ""


def test_the_mark_of_each_state_says_what_it_means() -> None:
    assert list(EXPLAINED) == list(STATES)
    state = templates().get_template("parts.html").module.state
    assert 'title="A real shift, not shown to matter: no alert is sent for it"' in state("shifted")
    assert "title" not in state("stable", "running"), "another word has another meaning"
