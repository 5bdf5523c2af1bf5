"""Screening many windows says what judging each of them says: of numbers, categories, ids, rare classes and seasons."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Literal

import numpy as np
import pytest

from modelwatch.monitoring.checks.drift.evaluation import results_of
from modelwatch.monitoring.checks.drift.screening import screened
from modelwatch.monitoring.checks.drift.subject_counts import SubjectCounts
from modelwatch.monitoring.checks.windows import Window
from modelwatch.stats.counting.binning import Scalar, numeric_binning
from modelwatch.stats.counting.profile import Profile
from modelwatch.stats.drift.significance.names import split_reference
from modelwatch.stats.drift.variation.natural_variation import variation_of
from modelwatch.storage.references.subjects import StoredReference, Subject
from tests.support.rules import RULES

HOUR = 3_600
WINDOWS = [Window(hour * HOUR, (hour + 1) * HOUR) for hour in range(60)]
Drawn = tuple[StoredReference, list[list[Scalar]]]
SIZES = (0, 5, 40, 60, 100, 150, 400, 3_000)


def numbers() -> Drawn:
    """Numbers that come in days and nights, and windows that are shifted more and less."""
    rng = np.random.default_rng(1)
    times = np.sort(rng.integers(0, 40 * 24 * HOUR, 8_000))
    sample = rng.normal(size=8_000) + 0.4 * np.sin(times / (24 * HOUR) * 2 * np.pi)
    binning = numeric_binning(sample)
    variation = variation_of(binning, sample.tolist(), times.tolist(), rng)
    reference = StoredReference(
        "a", "m", None, Subject("feature", "x"), Profile.of(binning, sample.tolist()), variation, 0, "test", "active"
    )
    shifts = rng.choice([0.0, 0.2, 0.5, 1.0], len(WINDOWS))
    windows = [(rng.normal(size=rng.choice(SIZES)) + shift).tolist() for shift in shifts]
    windows[3] = [None] * 200
    return reference, windows


def categories(names: list[Scalar], shares: list[float], kind: Literal["feature", "prediction"] = "feature") -> Drawn:
    """Names with these shares, and windows in which some of them have other ones."""
    rng = np.random.default_rng(2)
    weights = np.array(shares) / sum(shares)
    sample = [names[place] for place in rng.choice(len(names), 5_000, p=weights)]
    binning, split = split_reference(sample)
    subject = Subject(kind, "c" if kind == "feature" else "")
    reference = StoredReference("b", "m", None, subject, Profile.of(binning, sample), None, 0, "test", "active", split)
    windows: list[list[Scalar]] = []
    for _ in WINDOWS:
        moved = weights * (np.where(rng.random(len(names)) < 0.3, rng.choice([0.2, 3.0]), 1.0))
        chosen = rng.choice(len(names), int(rng.choice(SIZES)), p=moved / moved.sum())
        windows.append([names[place] for place in chosen])
    windows[5] = ["never seen"] * 300
    return reference, windows


CASES: dict[str, Callable[[], Drawn]] = {
    "numbers with seasons": numbers,
    "categories": lambda: categories(list("abcdef"), [40, 30, 15, 10, 4, 1]),
    "a rare class": lambda: categories(["fraud", "fine"], [1, 99], "prediction"),
    "ids": lambda: categories([f"id{number}" for number in range(100_000)], [1.0] * 100_000),
}


@pytest.mark.parametrize("directed", [True, False])
@pytest.mark.parametrize("natural", [True, False])
@pytest.mark.parametrize("odds_ratio", [0.0, 2.0])
@pytest.mark.parametrize("case", list(CASES))
def test_screening_says_what_judging_says(case: str, odds_ratio: float, natural: bool, directed: bool) -> None:
    reference, windows = CASES[case]()
    rules = replace(RULES, odds_ratio=odds_ratio, natural_variation=natural, directed=directed, names_shifted=directed)
    if directed:
        rules = replace(rules, detects_from=30, dispersed=True)
    profiles = tuple(Profile.of(reference.profile.binning, window) for window in windows)
    received = tuple(len(window) for window in windows)
    counts = {reference.subject: SubjectCounts(profiles, received)}
    vectors, seen = np.stack([profile.counts for profile in profiles]), set[str]()
    for alpha in (1e-7, 1e-4, 0.05):
        [judged] = results_of(WINDOWS, {reference.subject: reference}, counts, rules, alpha)
        [found] = screened({reference.subject: reference}, WINDOWS, [vectors], [received], rules, alpha)
        assert found.severity == [each.judgement.severity for each in judged.windows]
        for psi, each in zip(found.psi, judged.windows, strict=True):
            assert psi == pytest.approx(each.judgement.psi)
        seen |= set(found.severity)
    assert seen >= ({"insufficient_data", "no_data"} if case == "ids" else {"stable", "alert", "insufficient_data"})


def test_subjects_are_screened_together_as_each_alone() -> None:
    drawn = [make() for make in CASES.values()]
    references, vectors, received = {}, [], []
    for place, (reference, windows) in enumerate(drawn):
        of_place = replace(reference, subject=Subject("feature", f"f{place}"))
        references[of_place.subject] = of_place
        vectors.append(np.stack([Profile.of(reference.profile.binning, window).counts for window in windows]))
        received.append([len(window) for window in windows])
    for directed in (True, False):
        rules = replace(RULES, directed=directed, names_shifted=directed)
        together = screened(references, WINDOWS, vectors, received, rules, 1e-4)
        for place, (subject, reference) in enumerate(references.items()):
            one = screened({subject: reference}, WINDOWS, [vectors[place]], [received[place]], rules, 1e-4)
            assert one == [together[place]]
