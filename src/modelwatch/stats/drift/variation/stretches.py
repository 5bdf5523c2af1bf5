"""Overdispersion between stretches of a reference: how alike the values of an hour, or of a day, are.

What a reference varies by itself from stretch to stretch, windows do, too: it is part of what the tests take for
chance.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator
from dataclasses import replace
from functools import cached_property
from typing import TypeVar

import numpy as np

from modelwatch.stats.counting.profile import Profile
from modelwatch.stats.drift.variation.overdispersion import (
    AT_MOST,
    MIN_GROUPS,
    USUAL,
    CellScores,
    Dispersion,
    Integers,
    Overdispersion,
    overdispersion,
    tells,
    varies,
)
from modelwatch.stats.special import special

# A reference is cut at so many phases: of a daily rhythm, stretches that begin at noon show another part.
PHASES = 4
# Of windows with so many times the reference's values in as much time, what it does not show of itself counts in full.
MUCH_MORE = 3.0
# Stretches of so many seconds show nearly all of the rhythm of a day, 98 % of the variance of a sine; windows of a day
# have all of it.
RHYTHM, WHOLE_RHYTHM = 7_200, 86_400
# A PSI that rhythms of real data reach. A reference that leaves more likely says nothing of them.
MOST_PLAUSIBLE = 0.6
# Which lengths there are, requests choose: so many are remembered, more than a monitor has look-backs.
MOST_LENGTHS = 64

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


class Stretches:
    """The stretches of one reference.

    reference: the profile of all its values. counts: those with a time, in consecutive pieces of `span` seconds, shape
    (pieces, coarse cells).
    """

    def __init__(self, reference: Profile, counts: Integers, span: int) -> None:
        self._n = reference.n
        self._scores = CellScores.of(reference)
        self._counts = counts
        self._span = span
        self._known: dict[int, Overdispersion | None] = {}
        self._of_lengths: dict[int, Overdispersion | None] = {}
        self._plausible: dict[int, float] = {}

    def dispersion(self, length: int, n: int) -> Dispersion | None:
        """As `Variation.dispersion`."""
        if length <= 0 or not n:
            return None
        found = kept(self._of_lengths, length, self._of_length) if self.vary else None
        # With fewer values than there were, those that are left may be as alike as they were together.
        if found is None:
            return None
        size = max(float(n), found.size)
        dispersion = found.dispersion(n, self._n, size)
        return replace(dispersion, freedom=found.careful_with_squares(dispersion.freedom, n, size))

    def plausible_psi(self, length: int, n: int) -> float:
        """The PSI that stretches of this length may have by themselves, by a rhythm of the day that the reference does
        not show: of a window of n values that holds much more than such a stretch of the reference, and less of one
        that holds somewhat more. 0 for windows of whole days, and where the reference shows its rhythm."""
        if not 0 < length < WHOLE_RHYTHM or self.vary:
            return 0.0
        in_stretch = self._n * length / (self._span * len(self._counts))
        part = min(1.0, (n / in_stretch - 1.0) / (MUCH_MORE - 1.0))
        if part <= 0.0:
            return 0.0
        return part * min(MOST_PLAUSIBLE, kept(self._plausible, length, self._plausible_psi))

    def _plausible_psi(self, length: int) -> float:
        """Longer stretches never vary more than shorter ones: so the least counts that any length leaves likely, up to
        this one; and up to two hours, for what is looked for is the rhythm of a day."""
        found: list[float] = []
        pieces = 1
        longest = max(length, RHYTHM) // self._span
        while len(self._counts) >= MIN_GROUPS * pieces and (not found or pieces <= longest):
            known = self._of_pieces(pieces)
            if known is not None:
                found.append(known.plausible_psi())
            pieces *= 2
        return min(found, default=0.0)

    @cached_property
    def are_known(self) -> bool:
        """Whether stretches of any length tell how alike their values are."""
        return any(tells(counts) for counts in self._by_length())

    @cached_property
    def vary(self) -> bool:
        """Whether stretches of any length differ by more than chance."""
        return any(varies(counts, self._scores) for counts in self._by_length())

    def _by_length(self) -> Iterator[Integers]:
        """The counts of pieces, of pairs of them, of four, ...; each of shape (stretches, cells)."""
        counts = self._counts
        while len(counts) >= MIN_GROUPS:
            yield counts
            counts = counts[: len(counts) // 2 * 2].reshape(-1, 2, counts.shape[1]).sum(axis=1)

    def _of_length(self, length: int) -> Overdispersion | None:
        """The overdispersion between stretches of this length, or as much at least.

        The mean of a longer stretch never varies more than that of a shorter one. So a half, a quarter, ... of the
        length say what the length may do at most; there are more of them, and where there are few of the length itself
        they say it more surely. What is shorter than the pieces that are known varies more than these, by as much as
        these do more than pairs of them.
        """
        halved = {max(1, round(length / self._span / 2**power)) for power in range(len(self._counts).bit_length())}
        known = [found for pieces in sorted(halved, reverse=True) if (found := self._of_pieces(pieces)) is not None]
        if not known:
            return None
        n = self._n * min(1.0, length / (self._span * len(self._counts)))
        chosen = min(known, key=lambda found: self._difficulty(found, n))
        return chosen if length >= self._span else _of_shorter(chosen, self._of_pieces(2), self._span / length)

    def _of_pieces(self, pieces: int) -> Overdispersion | None:
        return kept(self._known, pieces, lambda pieces: overdispersion(self._cuts(pieces), self._scores))

    def _cuts(self, pieces: int) -> list[Integers]:
        """The counts of stretches of so many pieces, cut at several phases; each of shape (stretches, cells)."""
        found = []
        for shift in sorted({pieces * phase // PHASES for phase in range(PHASES)}):
            whole = (len(self._counts) - shift) // pieces
            if whole >= MIN_GROUPS:
                part = self._counts[shift : shift + whole * pieces]
                found.append(part.reshape(whole, pieces, -1).sum(axis=1))
        return found

    def _difficulty(self, known: Overdispersion, n: float) -> float:
        found = known.dispersion(max(1, round(n)), self._n, max(n, known.size))
        return float((special().stdtrit(found.freedom, USUAL) ** 2 / found.effective)[:AT_MOST].max())


def kept(known: dict[K, V], length: K, make: Callable[[K], V]) -> V:
    """What is known of a length, or of one and what else is asked of it, made when it is not; then the oldest ones go
    that are too many.

    >>> known = {}
    >>> [kept(known, length, lambda length: -length) for length in (1, 2, 1)], known
    ([-1, -2, -1], {1: -1, 2: -2})
    """
    try:
        return known[length]
    except KeyError:
        found = make(length)
    for oldest in list(known)[: max(0, len(known) + 1 - MOST_LENGTHS)]:
        known.pop(oldest, None)
    known[length] = found
    return found


def _of_shorter(known: Overdispersion, of_pairs: Overdispersion | None, times: float) -> Overdispersion:
    """Of stretches so many times as short as those that are known. of_pairs: of pairs of these."""
    of_one, growth = np.concatenate((known.statistics, known.cells)), np.full(4 + len(known.cells), times)
    if of_pairs is not None:
        of_two = np.concatenate((of_pairs.statistics, of_pairs.cells))
        ratios = np.divide(of_one, of_two, out=np.full(len(of_one), 2.0), where=of_two > 0.0)
        growth = times ** np.log2(np.clip(ratios, 1.0, 2.0))
    correlations = np.minimum(of_one * growth, 1.0)
    return Overdispersion(known.groups, max(known.size / times, 2.0), correlations[:4], correlations[4:], known.varies)
