"""Slips are told from other programs' names by edit distance."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from modelwatch.config.misspelling import edit_distance

WORDS = st.text("ABC_", max_size=8)


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
