"""Look-backs of the steps of a stretch, summed in one pass over the stored windows."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from itertools import islice

from modelwatch.storage.counts.steps import profile_steps
from modelwatch.storage.ledger.slots import Slot
from modelwatch.views.stretches.stretch import Divided

# That are in memory at once, as 64-bit integers; those of a wide model are tens of thousands a window.
COUNTS_AT_ONCE = 4_000_000

Sums = dict[str, Slot]
"""Summed slots by version, of those with data."""


def blocks_of_windows(divided: Divided) -> Iterator[list[tuple[tuple[int, int], Sums]]]:
    """By step of the stretch what it looks back over, [start, end) in seconds, and what is counted there; some steps
    at a time."""
    windows = _windows(divided)
    widest = max(each.size for each in (divided.layouts.common, *divided.layouts.by_version.values()))
    size = max(1, COUNTS_AT_ONCE // max(widest, 1))
    while block := list(islice(windows, size)):
        yield block


def _windows(divided: Divided) -> Iterator[tuple[tuple[int, int], Sums]]:
    held: deque[Sums] = deque()
    total: Sums = {}
    for step, sums in enumerate(_steps(divided)):
        first = divided.first_of(step)
        held.append(sums)
        if first == step:
            held.clear()
            held.append(sums)
            total = sums
        else:
            total = _added(total, sums)
            while len(held) > step - first + 1:
                total = _taken(total, held.popleft())
        if step >= divided.shown:
            yield (divided.boundaries[first], divided.boundaries[step + 1]), total


def _steps(divided: Divided) -> Iterator[Sums]:
    found = divided.read_steps(profile_steps)
    following = next(found, None)
    for place in range(len(divided.boundaries) - 1):
        if following is not None and following[0] == place:
            yield following[1]
            following = next(found, None)
        else:
            yield {}


def _added(total: Sums, sums: Sums) -> Sums:
    return {**total, **{name: total[name] + slot if name in total else slot for name, slot in sums.items()}}


def _taken(total: Sums, sums: Sums) -> Sums:
    left = {
        name: Slot(slot.predictions - sums[name].predictions, slot.counts - sums[name].counts) if name in sums else slot
        for name, slot in total.items()
    }
    return {name: slot for name, slot in left.items() if slot.predictions}
