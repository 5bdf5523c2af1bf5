"""Misspelt settings are told from other programs' names."""

from __future__ import annotations

import string

from hypothesis import given
from hypothesis import strategies as st

from modelwatch.config.loading import (
    HONOURED,
    SHORTEST_NAME,
    SHORTEST_NAME_FOR_TWO_SLIPS,
    edit_distance,
    misspelt_setting,
)

WORDS = st.text("ABC_", max_size=8)
SETTINGS = st.sampled_from([name for name in HONOURED if len(name) >= SHORTEST_NAME])
LONG_SETTINGS = st.sampled_from([name for name in HONOURED if len(name) >= SHORTEST_NAME_FOR_TWO_SLIPS])
LETTERS = st.sampled_from(string.ascii_letters)
PLACES = st.integers(0, SHORTEST_NAME - 1)


def slips(name: str, place: int, letter: str) -> tuple[str, ...]:
    """The name with a letter missing, added or wrong, and with two that changed places."""
    before, after = name[:place], name[place:]
    return (
        before + after[1:],
        before + letter + after,
        before + letter + after[1:],
        before + after[:2][::-1] + after[2:],
    )


@given(SETTINGS, PLACES, LETTERS)
def test_a_name_with_one_slip_is_a_misspelling(name: str, place: int, letter: str) -> None:
    for slip in slips(name, place, letter):
        assert slip in HONOURED or misspelt_setting(slip) is not None, slip


@given(LONG_SETTINGS, PLACES, LETTERS)
def test_so_is_a_long_name_with_a_slip_at_each_end(name: str, place: int, letter: str) -> None:
    for slip in slips(name, place // 2, letter):
        assert misspelt_setting(slip[:-1]) is not None, slip


@given(SETTINGS, st.sampled_from(["_TEST", "_OLD", "_2", "OLD_", "MY_", "X_Y_"]))
def test_a_name_with_another_word_is_another_programs(name: str, word: str) -> None:
    assert misspelt_setting(word + name if word.endswith("_") else name + word) is None


def test_short_names_are_other_programs() -> None:
    assert all(misspelt_setting(name) is None for name in ("HOSTS", "PORTS", "HOSTNAME", "SFTP_URL", "DEBUGS"))


def test_a_very_long_name_is_another_programs_and_costs_nothing() -> None:
    assert misspelt_setting("DATABASE_URL_" * 100_000) is None


@given(WORDS, WORDS)
def test_the_distance_is_symmetric_and_zero_only_for_the_same_text(left: str, right: str) -> None:
    distance = edit_distance(left, right)
    assert distance == edit_distance(right, left)
    assert (distance == 0) == (left == right)
    assert abs(len(left) - len(right)) <= distance <= max(len(left), len(right))


@given(WORDS, st.integers(0, 7), st.sampled_from("ABC_"))
def test_one_slip_is_at_most_one_away(word: str, place: int, letter: str) -> None:
    place = min(place, len(word))
    assert edit_distance(word, word[:place] + letter + word[place:]) == 1
    assert edit_distance(word, word[:place] + word[place + 1 :]) <= 1
    swapped = word[:place] + word[place : place + 2][::-1] + word[place + 2 :]
    assert edit_distance(word, swapped) <= 1
