"""Numbers as people read them: the same in a page, a notification, the command line and a report."""

from __future__ import annotations

import math

import pytest

from modelwatch.measures import chance, from_to, metric_change, p_needed, plain, psi_text, score_limit, score_value


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "–"),
        (math.nan, "–"),
        (1.0, "1"),
        (0.0512, "0.051"),
        (1e-3, "0.001"),
        (9.99e-5, "1 × 10⁻⁴"),
        (1.84e-5, "1.8 × 10⁻⁵"),
        (1e-12, "1 × 10⁻¹²"),
        (9.9e-13, "< 10⁻¹²"),
        (0.0, "< 10⁻¹²"),
    ],
)
def test_a_chance_is_a_number_or_a_power_of_ten(value: float | None, text: str) -> None:
    assert plain(chance(value)) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "–"),
        (math.nan, "–"),
        (0.0, "0"),
        (0.00099, "< 0.001"),
        (0.1, "0.100"),
        (0.99949, "0.999"),
        (0.9996, "1.00"),
        (9.994, "9.99"),
        (9.996, "10.0"),
        (999.94, "999.9"),
        (999.96, "1,000"),
        (18_420.7, "18,421"),
    ],
)
def test_a_psi_has_three_digits(value: float | None, text: str) -> None:
    assert plain(psi_text(value)) == text


def test_a_threshold_is_written_as_it_was_set() -> None:
    assert (score_value("PSI", 0.25), score_limit("PSI", 0.25)) == ("0.250", "0.25")
    assert score_limit("loss of accuracy", 0.02) == score_value("loss of accuracy", 0.02) == "2\xa0points"


def test_shares_and_chances_in_sentences() -> None:
    assert from_to(0.0, 0.00001) == "0 → <\xa00.01\xa0%"
    assert (from_to(0.9995, 1), from_to(0.9996, 0.99999)) == (">\xa099.9 → 100\xa0%", "99.960 → 99.999\xa0%")
    assert from_to(0.5, 0.50001) == "50.0 → 50.0\xa0%"
    assert p_needed(1e-20, 4e-6) == "p < 10⁻¹² (needs 4 × 10⁻⁶)"


@pytest.mark.parametrize(
    ("p_value", "alpha", "text"),
    [
        (0.0213, 0.0209, "p = 0.0213 (needs 0.0209)"),
        (0.0500001, 0.05, "p = 0.0500001 (needs 0.05)"),
        (0.05, 0.05, "p = 0.05 (needs less than 0.05)"),
        (3e-13, 2e-14, "p = 3 × 10⁻¹³ (needs 2 × 10⁻¹⁴)"),
        (0.2, 2e-14, "p = 0.2 (needs 2 × 10⁻¹⁴)"),
    ],
)
def test_a_chance_beside_its_limit_is_seen_to_be_above_it(p_value: float, alpha: float, text: str) -> None:
    assert p_needed(p_value, alpha) == text


@pytest.mark.parametrize(
    ("change", "text"),
    [
        (1e-9, "< +0.01 points"),
        (-1e-9, "> −0.01 points"),
        (0.00006, "+0.01 points"),
        (0.9996, "+99.96 points"),
        (-1.0, "−100 points"),
        (0.0, "0 points"),
        (math.inf, "+∞ points"),
        (-math.inf, "−∞ points"),
    ],
)
def test_a_change_has_one_sign(change: float, text: str) -> None:
    assert plain(metric_change("accuracy", change)) == text
