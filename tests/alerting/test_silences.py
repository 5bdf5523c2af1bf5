"""Matchers, and what a silence must be."""

from __future__ import annotations

import pytest

from modelwatch.alerting.silences import (
    Matcher,
    Silence,
    SilenceRequest,
    matchable_labels,
    matching_silences,
    silence_from_request,
    silence_from_row,
    silence_row,
)
from modelwatch.errors import InvalidInput
from tests.alerting.test_lifecycle import after
from tests.support.alerts.assessments import assessment
from tests.support.events import NOON

HOUR = 3_600 * 1_000_000
ALERT = after(
    after(None, assessment(0, {"amount": "warning"})).alert, assessment(0, {"city": "alert"}, version="2")
).alert


def silence(*matchers: Matcher) -> Silence:
    return silence_from_request(SilenceRequest(matchers, NOON + HOUR, "why"), identity="s", actor="ann", now=NOON)


def fits(*matchers: Matcher, labels: dict[str, str] | None = None) -> bool:
    return silence(*matchers).fits(matchable_labels(ALERT, labels or {}))


@pytest.mark.parametrize(
    ("matcher", "expected"),
    [
        (Matcher("model", "fraud"), True),
        (Matcher("model", "frau"), False),
        (Matcher("model", "frau", is_regex=True), False),
        (Matcher("model", "fr.*", is_regex=True), True),
        (Matcher("environment", "production"), True),
        (Matcher("kind", "feature_drift"), True),
        (Matcher("severity", "alert"), True),
        (Matcher("severity", "warning"), False),
        (Matcher("version", "1"), True),
        (Matcher("version", "2"), True),
        (Matcher("subject", "amount|other", is_regex=True), True),
        (Matcher("subject", "other"), False),
        (Matcher("subject", "amount", is_equal=False), False),
        (Matcher("subject", "other", is_equal=False), True),
        (Matcher("team", "risk"), True),
        (Matcher("team", "", is_equal=False), True),
        (Matcher("absent", "x"), False),
        (Matcher("absent", "x", is_equal=False), True),
    ],
)
def test_what_a_matcher_fits(matcher: Matcher, expected: bool) -> None:
    always = Matcher("model", "fraud")
    assert fits(matcher, always, labels={"team": "risk"}) is expected


def test_all_matchers_must_fit() -> None:
    assert not fits(Matcher("model", "fraud"), Matcher("version", "3"))


def test_an_absent_label_is_empty() -> None:
    assert fits(Matcher("absent", ""), Matcher("model", "fraud"))
    assert fits(Matcher("absent", ".*", is_regex=True), Matcher("model", "fraud"))


def test_the_monitors_labels_do_not_hide_the_alerts_own() -> None:
    assert fits(Matcher("model", "fraud"), labels={"model": "other", "subject": "other"})
    assert not fits(Matcher("subject", "other"), labels={"subject": "other"})


def test_silencing_names_those_that_match() -> None:
    one, other = silence(Matcher("model", "fraud")), silence(Matcher("model", "other"))
    assert matching_silences(ALERT, {}, [one, other]) == ("s",)


def test_a_silence_is_restored_from_its_row() -> None:
    one = silence(Matcher("model", "fr.*", is_regex=True), Matcher("version", "3", is_equal=False))
    assert silence_from_row(silence_row(one)) == one


def test_where_a_silence_stands() -> None:
    one = silence(Matcher("model", "fraud"))
    assert [one.state(NOON - 1), one.state(NOON), one.state(NOON + HOUR)] == ["pending", "active", "expired"]


MODEL = Matcher("model", "fraud")


@pytest.mark.parametrize(
    ("request_", "pointers"),
    [
        (SilenceRequest((), NOON + HOUR, "why"), ["/matchers"]),
        (SilenceRequest((MODEL,) * 21, NOON + HOUR, "why"), ["/matchers"]),
        (SilenceRequest((Matcher("model", "(", is_regex=True),), NOON + HOUR, "why"), ["/matchers/0/value"]),
        (SilenceRequest((MODEL, Matcher("a", r"(a)\1", is_regex=True)), NOON + HOUR, "why"), ["/matchers/1/value"]),
        (SilenceRequest((MODEL, Matcher("a", "x" * 513)), NOON + HOUR, "why"), ["/matchers/1/value"]),
        (SilenceRequest((MODEL, Matcher("a", "x\0")), NOON + HOUR, "why"), ["/matchers/1/value"]),
        (SilenceRequest((MODEL, Matcher("", "x")), NOON + HOUR, "why"), ["/matchers/1/name"]),
        (SilenceRequest((MODEL, Matcher("a\0", "x")), NOON + HOUR, "why"), ["/matchers/1/name"]),
        (SilenceRequest((Matcher("model", ".*", is_regex=True),), NOON + HOUR, "why"), ["/matchers"]),
        (SilenceRequest((Matcher("model", ""), Matcher("a", "x", is_equal=False)), NOON + HOUR, "why"), ["/matchers"]),
        (SilenceRequest((MODEL,), NOON, "why"), ["/ends_at"]),
        (SilenceRequest((MODEL,), NOON + HOUR, "why", starts_at=NOON + HOUR), ["/ends_at"]),
        (SilenceRequest((MODEL,), 1 << 70, "why"), ["/ends_at"]),
        (SilenceRequest((MODEL,), NOON + 24 * 367 * HOUR, "why"), ["/ends_at"]),
        (SilenceRequest((MODEL,), NOON + HOUR, " "), ["/comment"]),
        (SilenceRequest((MODEL,), NOON + HOUR, "x" * 2_001), ["/comment"]),
        (SilenceRequest((), NOON, ""), ["/matchers", "/ends_at", "/comment"]),
    ],
)
def test_what_a_silence_must_not_be(request_: SilenceRequest, pointers: list[str]) -> None:
    with pytest.raises(InvalidInput) as caught:
        silence_from_request(request_, identity="s", actor="ann", now=NOON)
    assert [error.pointer for error in caught.value.errors] == pointers


def test_a_silence_begins_now_or_later() -> None:
    past = SilenceRequest((MODEL,), NOON + HOUR, "why", starts_at=NOON - HOUR)
    assert silence_from_request(past, identity="s", actor="ann", now=NOON).starts_at == NOON
    later = SilenceRequest((MODEL,), NOON + 2 * HOUR, "a\nb", starts_at=NOON + HOUR)
    assert silence_from_request(later, identity="s", actor="ann", now=NOON).starts_at == NOON + HOUR
    assert silence_from_request(later, identity="s", actor="ann", now=NOON).comment == "a b"
