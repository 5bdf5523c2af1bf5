"""Sums of windows over spans that slide: what comes in is added, and what goes out is taken off, exactly.

A history that is evaluated afterwards asks at each of its moments for the sums of the last hour, day and week. In one
snapshot of the store these differ by the windows at their ends.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Generic, NamedTuple, TypeVar

from modelwatch.stats.errors import MalformedProfile
from modelwatch.storage.references.layouts import Counts
from modelwatch.times import SECONDS_PER_HOUR

Span = tuple[int, int]
K = TypeVar("K")
V = TypeVar("V")

# Sums that are kept of one stream.
MOST_BYTES = 32 << 20
# Seconds that a history moves on by in a few of its steps: what is read of it at once, instead of a step at a time.
PAGE_SECONDS = 2 * SECONDS_PER_HOUR
# Bytes of the rows of edges that are kept of one stream, and of those of one page.
MOST_EDGE_BYTES, MOST_PAGE_BYTES = 16 << 20, 4 << 20
ROWS_AT_ONCE = 50


@dataclass(frozen=True, slots=True)
class Total:
    """Sum of stored windows: how many rows, predictions, and their counts."""

    rows: int
    predictions: int
    counts: Counts

    def plus(self, other: Total, sign: int = 1) -> Total:
        """The sum of both, or with a sign of -1 the difference."""
        return Total(
            self.rows + sign * other.rows,
            self.predictions + sign * other.predictions,
            self.counts + other.counts if sign > 0 else self.counts - other.counts,
        )


class Part(NamedTuple):
    """Windows of a version that lie in the same of several spans. inside: the places of these."""

    version: str
    inside: tuple[int, ...]
    total: Total


Totals = dict[str, Total]
ReadParts = Callable[[Sequence[Span]], Iterable[Part]]


class _Step(NamedTuple):
    """A stretch that is added to the sum of a span, or taken off."""

    place: int
    sign: int
    stretch: Span


class SlidingSums:
    """Sums of one stream over spans, by version.

    is_edge: whether no stored window reaches across a moment, in seconds; None where nothing is to be kept for later.
    edges: rows at the ends of spans, for those who read them; None while the spans have not moved twice.
    """

    def __init__(self, is_edge: Callable[[int], bool] | None = None) -> None:
        self.edges: EdgeRows | None = None
        self._is_edge = is_edge
        self._moved = 0
        self._known: OrderedDict[Span, Totals] = OrderedDict()

    def of(self, spans: Sequence[Span], read: ReadParts) -> list[Totals]:
        """Sums of the windows inside each span [start, end), seconds. read: sums of those inside of several spans."""
        nearest = [self._nearest(span) for span in spans]
        self._moved += any(before not in (None, span) for span, before in zip(spans, nearest, strict=True))
        if self._moved > 1 and self.edges is None:
            self.edges = EdgeRows()
        steps = [
            step
            for place, (span, before) in enumerate(zip(spans, nearest, strict=True))
            for step in _steps(place, span, before)
        ]
        sums = [dict[str, Total]() if before is None else dict(self._known[before]) for before in nearest]
        for version, inside, total in read([step.stretch for step in steps]) if steps else ():
            for at in inside:
                step = steps[at]
                _add(sums[step.place], version, total, step.sign)
        for span, totals in zip(spans, sums, strict=True):
            if self._slides(span):
                self._keep(span, totals)
        return sums

    def _slides(self, span: Span) -> bool:
        return self._is_edge is not None and all(map(self._is_edge, span))

    def _nearest(self, span: Span) -> Span | None:
        """The known span that the fewest windows part from this one; None where they have too little in common."""
        if not self._known or not self._slides(span):
            return None
        return min(
            (known for known in self._known if _apart(known, span) < span[1] - span[0]),
            key=lambda known: _apart(known, span),
            default=None,
        )

    def _keep(self, span: Span, totals: Totals) -> None:
        self._known[span] = totals
        self._known.move_to_end(span)
        size = max((total.counts.nbytes for total in totals.values()), default=0) * max(1, len(totals))
        while len(self._known) > 1 and len(self._known) * size > MOST_BYTES:
            self._known.popitem(last=False)


def _apart(one: Span, other: Span) -> int:
    return abs(one[0] - other[0]) + abs(one[1] - other[1])


def _steps(place: int, span: Span, before: Span | None) -> list[_Step]:
    """From the sum of a span to that of another, or to it from nothing.

    >>> _steps(0, (600, 1_200), (300, 900))
    [_Step(place=0, sign=-1, stretch=(300, 600)), _Step(place=0, sign=1, stretch=(900, 1200))]
    """
    if before is None:
        return [_Step(place, 1, span)]
    steps = []
    for old, new, grows in ((before[0], span[0], span[0] < before[0]), (before[1], span[1], span[1] > before[1])):
        if old != new:
            steps.append(_Step(place, 1 if grows else -1, (min(old, new), max(old, new))))
    return steps


def _add(totals: Totals, version: str, added: Total, sign: int) -> None:
    before = totals.get(version)
    after = added if before is None else before.plus(added, sign)
    if after.rows:
        totals[version] = after
    else:
        totals.pop(version, None)


class EdgeRows:
    """Stored rows of windows at the edges of spans. Each window comes in at the end of every span, and goes out at its
    start, so the rows are read by the page and kept; those used longest ago go first.

    A row begins with the start of its window, in seconds, and ends with its encoded counts.
    """

    def __init__(self) -> None:
        self._pages: OrderedDict[int, tuple[Sequence[Any], int]] = OrderedDict()
        self._bytes = 0

    def between(self, span: Span, read: Callable[[Span], Any]) -> list[Any] | None:
        """Rows of the windows that start in a span, [start, end) in seconds. None where it is longer than a page, or a
        page takes too many bytes: then it is to be read as it is. read: result of the statement for a span."""
        if span[1] - span[0] > PAGE_SECONDS:
            return None
        found: list[Any] = []
        for number in range(span[0] // PAGE_SECONDS, (span[1] - 1) // PAGE_SECONDS + 1):
            rows = self._page(number, read)
            if rows is None:
                return None
            found += [row for row in rows if span[0] <= row[0] < span[1]]
        return found

    def _page(self, number: int, read: Callable[[Span], Any]) -> Sequence[Any] | None:
        if number in self._pages:
            self._pages.move_to_end(number)
            return self._pages[number][0]
        rows, size = list[Any](), 0
        with read((number * PAGE_SECONDS, (number + 1) * PAGE_SECONDS)) as result:
            for some in result.partitions(ROWS_AT_ONCE):
                rows += some
                size += sum(len(row[-1]) for row in some)
                if size > MOST_PAGE_BYTES:
                    return None
        self._pages[number] = (rows, size)
        self._bytes += size
        while self._bytes > MOST_EDGE_BYTES:
            _, (_, freed) = self._pages.popitem(last=False)
            self._bytes -= freed
        return rows


class Stretched(Generic[K, V]):
    """Things found in a stretch of time that grows at its ends: each is read once. Where its end moves on, it is read
    a page ahead.

    found: by key, in the order of reading; of more than was asked for.
    """

    def __init__(self) -> None:
        self.found: dict[K, V] = {}
        self._covered: Span | None = None

    def extend(self, stretch: Span, read: Callable[[Span], Mapping[K, V]]) -> None:
        """Reads what is missing of a stretch [start, end), in seconds; what lies apart from it is forgotten."""
        if self._covered is None or stretch[1] < self._covered[0] or stretch[0] > self._covered[1]:
            self.found.clear()
            self._covered, ahead = (stretch[0], stretch[0]), 0
        else:
            ahead = PAGE_SECONDS
        start, end = self._covered
        if stretch[0] < start:
            self.found.update(read((stretch[0], start)))
            start = stretch[0]
        if end < stretch[1]:
            try:
                self.found.update(read((end, stretch[1] + ahead)))
            except MalformedProfile:
                # What lies ahead is of no concern yet.
                ahead = 0
                self.found.update(read((end, stretch[1])))
            end = stretch[1] + ahead
        self._covered = (start, end)


def merged(spans: Sequence[Span]) -> list[Span]:
    """The stretches that spans cover together, in their order.

    >>> merged([(0, 300), (900, 1_200), (300, 600)])
    [(0, 600), (900, 1200)]
    """
    found: list[Span] = []
    for start, end in sorted(spans):
        if found and start <= found[-1][1]:
            found[-1] = (found[-1][0], max(found[-1][1], end))
        else:
            found.append((start, end))
    return found
