"""Detection in a simulated stream: the looks in which a test says more than chance explains, found in one sweep."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from modelwatch.config import BASE_WINDOW_SECONDS
from modelwatch.simulation.streams import FeatureStream
from modelwatch.simulation.traffic import Floats, Integers, Schedule
from modelwatch.stats.counting.profile import Profile
from modelwatch.stats.drift.significance.combined import combined_tests
from modelwatch.stats.drift.significance.homogeneity import WEIGHTS, Homogeneity
from modelwatch.stats.drift.significance.screen import Sums

# Evaluations that are screened at once: of a shift more and more of them, for a large one is found in the first.
FIRST, LARGEST = 32, 8_640
# The tests of before give all cells together so many times the share of the level that they have now.
LARGER_SHARE = 2.5


@dataclass(frozen=True, slots=True)
class Detection:
    """A look with p < alpha. at: the number of its evaluation. span: the place of its look-back. found: by all tests;
    without the directed ones a look may be none, or one that is none by all tests."""

    at: int
    span: int
    found: Homogeneity


def detections(
    stream: FeatureStream, when: Schedule, alphas: Floats, min_samples: int, first: int
) -> Iterator[Detection]:
    """Everything that the tests detect, those of now or those of before, evaluation by evaluation.

    alphas: of each evaluation. min_samples: smallest number of values in a look. first: evaluations that are screened
    at once in the beginning; of what passes half as many looks are tested at once.
    """
    ends = when.ends // BASE_WINDOW_SECONDS + stream.history
    spans = np.array(when.spans, dtype=np.int64) // BASE_WINDOW_SECONDS
    start, size = 0, first
    while start < len(ends):
        some = slice(start, start + size)
        passing = [_passing(stream, ends[some], span, alphas[some], min_samples) for span in spans.tolist()]
        candidates: Integers = np.argwhere(np.stack(passing, axis=1))
        candidates[:, 0] += start
        for place in range(0, len(candidates), first // 2):
            yield from _tested(stream, ends, spans, alphas, candidates[place : place + first // 2])
        start, size = start + size, min(size * 2, LARGEST)


def _passing(stream: FeatureStream, ends: Integers, span: int, alphas: Floats, min_samples: int) -> NDArray[np.bool_]:
    sums = stream.sums(ends, span)
    enough = sums.cells.sum(axis=1) >= max(min_samples, 1)
    found = np.zeros(len(ends), dtype=np.bool_)
    if enough.any():
        of_enough = Sums(*(each[enough] for each in sums))
        found[enough] = stream.screen.passing(of_enough, np.minimum(1.0, LARGER_SHARE * alphas[enough]))[:, 0]
    return found


def _tested(
    stream: FeatureStream, ends: Integers, spans: Integers, alphas: Floats, candidates: Integers
) -> Iterator[Detection]:
    reference, split = stream.feature.reference, stream.feature.split
    pairs = candidates.tolist()
    windows = [Profile(reference.binning, stream.counts(int(ends[at]), int(spans[span]))) for at, span in pairs]
    [tests] = combined_tests([(reference, split, windows)])
    for (at, span), found in zip(pairs, tests, strict=True):
        if min(found.p_value, _of_before(found)) < alphas[at]:
            yield Detection(at, span, found)


def _of_before(found: Homogeneity) -> float:
    """The p-value without the directed tests."""
    return min(found.omnibus_p_value / WEIGHTS["all cells"], found.cell_p_value / WEIGHTS["single cell"])
