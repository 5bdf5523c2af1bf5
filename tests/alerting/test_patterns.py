"""Regular expressions of matchers: as Python's own where both know a pattern, in linear time, Prometheus' syntax."""

from __future__ import annotations

import re
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelwatch.alerting.silences import LONGEST_PATTERN, PatternError, compile_pattern, matches

ATOMS = st.sampled_from(
    ["a", "b", ".", "[ab]", "[^a]", "[a-b_]", r"\w", r"\d", r"\.", "1", "-", r"[\d-]", r"[\]a]", "[]a]"]
)


def grown(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    signs = st.sampled_from(["*", "+", "?", "{2}", "{0}", "{1,}", "{0,2}", "{2,3}", "*?", ""])
    grouped = inner.map("({})".format) | inner.map("(?:{})".format)
    return (
        st.builds("{}{}".format, grouped | ATOMS, signs)
        | st.builds("{}{}".format, inner, inner)
        | st.builds("{}|{}".format, inner, inner)
    )


PATTERNS = st.recursive(ATOMS, grown, max_leaves=6)


@given(PATTERNS, st.lists(st.text("ab1-._]X", max_size=6), min_size=1, max_size=8))
def test_a_pattern_matches_what_re_matches(pattern: str, texts: list[str]) -> None:
    try:
        mine = compile_pattern(pattern)
    except PatternError:
        with pytest.raises(re.error):
            re.compile(pattern)
        return
    theirs = re.compile(pattern)
    for text in texts:
        assert (mine.fullmatch(text) is not None) is (theirs.fullmatch(text) is not None), (pattern, text)


@pytest.mark.parametrize(
    ("pattern", "text", "expected"),
    [
        ("", "", True),
        ("", "a", False),
        ("^fraud$", "fraud", True),
        (r"costs\$", "costs$", True),
        (r"a\\$", "a\\", True),
        ("(?i)Fraud_[A-Z]+", "fRAUD_ab", True),
        ("(?i)[^a]", "A", False),
        ("fraud", "fraud_v2", False),
        ("(a|)b", "b", True),
        ("a{,3}", "a{,3}", True),
        ("a{2}{", "aa{", True),
        ("ab{0}c", "ac", True),
        ("ab{0}c", "abc", False),
        (r"\D\W\S", "a-b", True),
        (r"\t", "\t", True),
        ("[a-]", "-", True),
        ("größe", "größe", True),
        ("[[:alpha:]]+", "abc", True),
        ("[[:alpha:]]+", "a]", False),
        (r"\pL+", "größe", True),
        (".*", "two\nlines", False),
    ],
)
def test_what_people_write(pattern: str, text: str, expected: bool) -> None:
    assert matches(pattern, text) is expected


@pytest.mark.parametrize(
    ("pattern", "said"),
    [
        ("(", "missing \\)"),
        (")", "unexpected \\)"),
        ("[a", "missing ]"),
        ("*a", "no argument for repetition operator"),
        ("a**", "bad repetition operator"),
        ("a{3,2}", "invalid repetition size"),
        ("a{1001}", "invalid repetition size"),
        ("((a{20}){20}){20}", "invalid repetition size|too large"),
        ("(?=a)", "invalid perl operator"),
        (r"(a)\1", "invalid escape sequence"),
        ("a\\", "trailing"),
        ("[b-a]", "invalid character class range"),
        ("(" * 1000 + ")" * 1000, "at most"),
        ("a" * (LONGEST_PATTERN + 1), "at most"),
    ],
)
def test_what_can_not_be_used_is_refused_with_a_reason(pattern: str, said: str) -> None:
    with pytest.raises(PatternError, match=said):
        compile_pattern(pattern)


@pytest.mark.parametrize(
    "pattern", ["(a+)+b", "(a|aa)*b", "(a*)*b", ".*.*.*.*.*.*.*.*.*.*b", "a?" * 80 + "a" * 80, "(.?){120}b", "(a|a?)+b"]
)
def test_no_pattern_takes_long(pattern: str) -> None:
    began = time.process_time()
    compile_pattern(pattern).fullmatch("a" * 100_000)
    assert time.process_time() - began < 5


def test_a_kept_pattern_that_can_not_be_read_matches_nothing_and_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    assert matches("(", "(") is False
    assert "'(' of a silence matches nothing" in caplog.text
