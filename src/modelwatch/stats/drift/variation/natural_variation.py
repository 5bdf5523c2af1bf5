"""Natural variation: how far stretches of the reference itself lie from the whole of it.

Data with seasons or daily rhythm differs from its own average all the time. A reference whose rows carry time stamps
knows by how much, and what it does itself is no drift.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from modelwatch.stats.counting.binning import Binning, Scalar, coarse_counts
from modelwatch.stats.counting.columns import Column, column_of
from modelwatch.stats.counting.encoded_counts import decode_counts, encode_counts
from modelwatch.stats.counting.profile import Profile
from modelwatch.stats.drift.odds import log_odds, log_odds_error
from modelwatch.stats.drift.scores import PSI_FLOOR
from modelwatch.stats.drift.variation.overdispersion import Dispersion
from modelwatch.stats.drift.variation.stretches import Stretches, kept
from modelwatch.stats.errors import MalformedProfile

# Lengths, in seconds, that a reference is cut into; the shortest that gives at most MAX_SPANS pieces is taken. In more
# than half a century these are several weeks.
SPAN_SECONDS = (300, 900, 3_600, 21_600, 86_400, 604_800)
MAX_SPANS = 3_000
# Earlier releases cut any time into weeks. As many as these, of 575 years, are taken as they were kept.
MOST_KEPT = 30_000
MIN_STRETCHES = 10
MIN_STRETCH_SAMPLES = 30
QUANTILE = 0.99
# Chance is simulated for this many sizes, with this many draws each, and kept in these parts of one.
SIZES = 14
DRAWS = 500
UNITS = 1_000_000
HEADER = 3
# The normal deviate that chance exceeds in 1 of 100 cases, in either direction.
DEVIATE = 2.5758293035489004


@dataclass(frozen=True, eq=False)
class Variation:
    """The reference's coarse counts over time.

    span: seconds of each piece. counts: shape (pieces, coarse cells), consecutive pieces, empty ones among them.
    sizes, chance: for some sample sizes, ascending, the PSI that chance alone keeps below in 99 of 100 cases. Kept with
    the reference, so that every process subtracts the same.
    """

    span: int
    counts: NDArray[np.int64]
    sizes: NDArray[np.int64]
    chance: NDArray[np.float64]
    _known: dict[int, float | None] = field(default_factory=dict, init=False, repr=False)
    _known_odds: dict[tuple[int, int], float | None] = field(default_factory=dict, init=False, repr=False)
    _lengths: dict[int, int | None] = field(default_factory=dict, init=False, repr=False)
    _stretches_of: dict[str, Stretches] = field(default_factory=dict, init=False, repr=False)

    def tolerance(self, length: int) -> float | None:
        """The PSI that stretches of `length` seconds keep to in 99 of 100 cases when nothing is wrong.

        Each stretch of the reference with at least 30 values is compared with the whole reference, and what chance
        gives samples of its size is subtracted. None when there are fewer than 10 such stretches: then nothing is known
        about the variation.
        """
        return kept(self._known, length, self._tolerance)

    def known_length(self, length: int) -> int | None:
        """The length, or twice, four times, ... the length in seconds, of which there are enough stretches with enough
        values; None when there are not. Shorter stretches vary at least as much as longer ones: what is known of these
        is the least that those may do.
        """
        return kept(self._lengths, length, self._known_length)

    def odds_tolerance(self, length: int, cells: int) -> float | None:
        """The factor within which the odds of the first `cells` cells grow or fall in 99 of 100 stretches.

        As `tolerance`, beyond the chance that the odds of the cell have in each stretch.
        """
        return kept(self._known_odds, (length, cells), self._odds_tolerance)

    def _odds_tolerance(self, length_and_cells: tuple[int, int]) -> float | None:
        length, cells = length_and_cells
        stretches = self._stretches(length)
        if stretches is None:
            return None
        stretches, whole = stretches[:, :cells], self.counts[:, :cells].sum(axis=0)
        stretches = stretches[stretches.sum(axis=1) > 0]
        used = whole > 0
        if not len(stretches) or np.count_nonzero(used) < 2:
            return None
        n = stretches.sum(axis=1, keepdims=True)
        moved = np.abs(log_odds(stretches, n) - log_odds(whole, int(whole.sum())))
        beyond = (moved - DEVIATE * log_odds_error(stretches, n))[:, used].max(axis=1)
        return float(np.exp(max(0.0, np.quantile(beyond, QUANTILE))))

    def dispersion(self, reference: Profile, length: int, n: int) -> Dispersion | None:
        """How much more than by chance the statistics of a window of n values vary that is `length` seconds long.

        reference: the profile that this is the variation of. None where nothing in it is beyond chance, or where it has
        less than ten stretches of any length.
        """
        return self._all_stretches(reference).dispersion(length, n)

    def plausible_psi(self, reference: Profile, length: int, n: int) -> float:
        """The PSI that a window of n values, `length` seconds long, may have by a rhythm of the day that the reference
        does not show. 0 where it shows its rhythm, for windows of whole days, and for those with no more values than it
        has in as much time."""
        return self._all_stretches(reference).plausible_psi(length, n)

    def varies(self, reference: Profile) -> bool:
        """Whether stretches of any length differ by more than chance. reference: as for `dispersion`."""
        return self._all_stretches(reference).vary

    def tells(self, reference: Profile) -> bool:
        """Whether there are ten stretches of some length with several values each, so that it is known how alike values
        of one stretch are. reference: as for `dispersion`."""
        return self._all_stretches(reference).are_known

    def chance_at(self, n: int) -> float:
        """The PSI that 99 of 100 samples of n values of the reference stay below."""
        # It falls as 1/n, so it is read off between the known sizes on that scale.
        return float(np.interp(-1.0 / n, -1.0 / self.sizes, self.chance))

    def _all_stretches(self, reference: Profile) -> Stretches:
        binning = reference.binning.id
        if binning not in self._stretches_of:
            self._stretches_of[binning] = Stretches(reference, self.counts, self.span)
        return self._stretches_of[binning]

    def _stretches(self, length: int) -> NDArray[np.int64] | None:
        """The counts of stretches so long that hold enough; None when there are too few."""
        pieces = max(1, round(length / self.span))
        whole = len(self.counts) // pieces
        if whole < MIN_STRETCHES:
            return None
        stretches = self.counts[: whole * pieces].reshape(whole, pieces, -1).sum(axis=1)
        stretches = stretches[stretches.sum(axis=1) >= MIN_STRETCH_SAMPLES]
        return stretches if len(stretches) >= MIN_STRETCHES else None

    def _known_length(self, length: int) -> int | None:
        longest = len(self.counts) * self.span // MIN_STRETCHES
        while length <= longest and self._stretches(length) is None:
            length *= 2
        return length if length <= longest else None

    def _tolerance(self, length: int) -> float | None:
        stretches = self._stretches(length)
        if stretches is None:
            return None
        shares = self.counts.sum(axis=0) / self.counts.sum()
        chance = np.interp(-1.0 / stretches.sum(axis=1), -1.0 / self.sizes, self.chance)
        return max(0.0, float(np.quantile(_psi_of_rows(shares, stretches) - chance, QUANTILE)))


def chance_psi(shares: NDArray[np.float64], n: int, rng: np.random.Generator) -> float:
    """The PSI that 99 of 100 samples of n values drawn from these shares stay below.

    By simulation: with few values a cell is soon empty, and then the floor of a share makes the score far larger than
    its chi-square approximation.

    >>> round(chance_psi(np.full(10, 0.1), 10_000, np.random.default_rng(0)), 3)
    0.002
    """
    return float(np.quantile(_psi_of_rows(shares, rng.multinomial(n, shares, DRAWS)), QUANTILE))


def _psi_of_rows(shares: NDArray[np.float64], counts: NDArray[np.int64]) -> NDArray[np.float64]:
    p = np.maximum(shares, PSI_FLOOR)
    q = np.maximum(counts / counts.sum(axis=1, keepdims=True), PSI_FLOOR)
    return np.asarray(((q - p) * np.log(q / p)).sum(axis=1))


def variation_of(
    binning: Binning, values: Sequence[Scalar], times: Sequence[int | None], rng: np.random.Generator
) -> Variation | None:
    """The variation of a reference sample over time; `times` in seconds, None where a row has none.

    None when fewer than two values carry a time, or all the same one.

    >>> from modelwatch.stats.counting.binning import numeric_binning
    >>> sample = np.tile(np.arange(100.0), 100)
    >>> times = [index * 36 for index in range(10_000)]
    >>> found = variation_of(numeric_binning(sample), sample.tolist(), times, np.random.default_rng(0))
    >>> found.span, found.counts.shape[0], round(found.tolerance(3_600), 6)
    (300, 1200, 0.0)
    """
    known = [index for index, time in enumerate(times) if time is not None]
    seconds = np.array([times[index] for index in known], dtype=np.int64)
    return variation_of_column(binning, column_of([values[index] for index in known]), seconds, rng)


def variation_of_column(
    binning: Binning, column: Column, seconds: NDArray[np.int64], rng: np.random.Generator
) -> Variation | None:
    """The same of a column, all of whose values have a time; seconds: shape (values,)."""
    if len(seconds) < 2:
        return None
    first, last = int(seconds.min()), int(seconds.max())
    if first == last:
        return None
    span = _span_of(last - first)
    places = binning.cells(column).places
    inside = places < binning.n_fine
    pieces = (seconds - first) // span
    counts = coarse_counts(binning, places[inside], pieces[inside], int(pieces.max()) + 1)
    total = int(counts.sum())
    if not total:
        return None
    sizes = np.unique(np.geomspace(MIN_STRETCH_SAMPLES, max(total, MIN_STRETCH_SAMPLES + 1), SIZES).astype(np.int64))
    chance = [round(chance_psi(counts.sum(axis=0) / total, int(n), rng) * UNITS) / UNITS for n in sizes]
    return Variation(span, counts, sizes, np.array(chance))


def _span_of(seconds: int) -> int:
    """The length in seconds of the at most MAX_SPANS pieces of a time that is so much longer than a second.

    >>> _span_of(86_400), _span_of(8_000 * 365 * 86_400) // 604_800
    (300, 140)
    """
    week = SPAN_SECONDS[-1]
    several = week * (seconds // (week * MAX_SPANS) + 1)
    return next((each for each in SPAN_SECONDS if seconds // each < MAX_SPANS), several)


def encode_variation(variation: Variation) -> bytes:
    """Compact bytes that `decode_variation` turns back into the same variation."""
    header = [variation.span, variation.counts.shape[1], len(variation.sizes)]
    chance = np.rint(variation.chance * UNITS)
    return encode_counts(np.concatenate((header, variation.sizes, chance, variation.counts.ravel())).astype(np.int64))


def decode_variation(raw: bytes) -> Variation:
    """The variation of its bytes. Raises MalformedProfile when they are not one.

    >>> before = Variation(300, np.array([[1, 2], [3, 4]]), np.array([30, 60]), np.array([0.25, 0.125]))
    >>> decode_variation(encode_variation(before)).counts.tolist()
    [[1, 2], [3, 4]]
    """
    numbers = decode_counts(raw)
    span, cells, sizes = (int(number) for number in numbers[:HEADER]) if len(numbers) >= HEADER else (0, 0, 0)
    start = HEADER + 2 * sizes
    if span < 1 or cells < 1 or sizes < 1 or len(numbers) < start or (len(numbers) - start) % cells:
        raise MalformedProfile("these are not the bytes of a reference's variation")
    of_sizes = numbers[HEADER : HEADER + sizes]
    if numbers.min() < 0 or of_sizes[0] < 1 or (np.diff(of_sizes) <= 0).any():
        raise MalformedProfile(
            "counts and chances of a reference's variation are no less than 0, and its sizes ascend from 1 or more"
        )
    counts = numbers[start:].reshape(-1, cells)
    if len(counts) > MOST_KEPT:
        together = -(-len(counts) // MAX_SPANS)
        span, counts = span * together, np.add.reduceat(counts, np.arange(0, len(counts), together))
    return Variation(span, counts, of_sizes, numbers[HEADER + sizes : start] / UNITS)
