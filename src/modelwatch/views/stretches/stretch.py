"""A stretch of a model's event time, divided into steps that the stored windows fill."""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TypeVar

import numpy as np
from sqlalchemy import Connection

from modelwatch.config import BASE_WINDOW_SECONDS
from modelwatch.errors import FieldError, InvalidInput, excerpt
from modelwatch.monitoring.checks.not_judged import KNOWN_STATES
from modelwatch.monitoring.checks.rules import DriftRules
from modelwatch.monitoring.checks.windows import watermark
from modelwatch.stats.drift.onset import onset
from modelwatch.stats.segments.segmentation import Segmentation, SegmentFeature
from modelwatch.storage.counts.rolled_windows import rolled_windows
from modelwatch.storage.counts.rollup_levels import whole
from modelwatch.storage.counts.streams import count_streams, last_window_end
from modelwatch.storage.engine.models import require_model
from modelwatch.storage.engine.store import Store
from modelwatch.storage.maintenance.backfill_outcomes import stale_outcome_days
from modelwatch.storage.maintenance.backfill_profiles import backfill_profiles, stale_days
from modelwatch.storage.references.layouts import Counts, ModelLayouts, read_layouts
from modelwatch.storage.references.subjects import Subject

MOST_NAMED = 10

MOST_STEPS = 1_500
# A step is one of these unless it is given: the shortest that gives no more than so many.
STEPS = (300, 900, 1_800, 3_600, 7_200, 10_800, 21_600, 43_200, 86_400, 604_800)
USUAL_STEPS = 120
# One step that is as the reference by chance ends nothing.
NEWEST = 3
USUAL_LENGTH = 48 * 3_600
LONGEST_WINDOW = 30 * 86_400
_LONGEST = f"{LONGEST_WINDOW // 86_400}d"
LONGEST_USUAL_WINDOW = 86_400
REFUSED = "The series is not valid."

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class SeriesQuery:
    """A stretch of a model in an environment, of one version or of all (None), and of one segment or of all ("").

    start, end: seconds since 1970; None: 48 hours up to the newest data. step: seconds; None: what suits the length.
    window: how far back each step looks from its end, in seconds; None: the step itself.
    """

    model: str
    environment: str
    version: str | None = None
    start: int | None = None
    end: int | None = None
    step: int | None = None
    segment: str = ""
    window: int | None = None


@dataclass(frozen=True, slots=True)
class Divided:
    """A stretch as it is in the store, read in one transaction.

    boundaries: of the steps, ascending, in seconds; those of the first window begin before the stretch. None where
    there is no data to look back from. step, window: the lengths that were asked for, in seconds; where windows were
    rolled up, steps are longer. shown: the first step of the stretch.
    """

    query: SeriesQuery
    connection: Connection
    generation: int
    layouts: ModelLayouts
    boundaries: tuple[int, ...]
    step: int
    window: int
    shown: int

    def first_of(self, step: int) -> int:
        """The first of the steps that a step looks back over: whole ones, at least as long as the window."""
        whole_end = -(-self.boundaries[step + 1] // self.step) * self.step
        return max(bisect_right(self.boundaries, min(self.boundaries[step], whole_end - self.window)) - 1, 0)

    def read_steps(self, read: Callable[..., Iterator[T]]) -> Iterator[T]:
        """The steps of `profile_steps` or `outcome_steps` of the version and segment, with data, those before the
        stretch that its first window looks back over among them; none where there are no boundaries."""
        if not self.boundaries:
            return iter(())
        asked = self.query
        return read(
            self.connection,
            asked.model,
            self.layouts,
            asked.environment,
            self.boundaries,
            asked.version,
            asked.segment,
        )

    @property
    def spans(self) -> list[tuple[int, int]]:
        """The steps that are shown, [start, end) in seconds."""
        return list(pairwise(self.boundaries[self.shown :]))

    def step_at(self, moment: int) -> int:
        """Place, among the steps that are shown, of the one that a moment of the stretch is in."""
        return bisect_right(self.boundaries, moment) - 1 - self.shown

    @property
    def span(self) -> tuple[int, int] | None:
        """The stretch that is shown, [start, end) in seconds; None without data."""
        return (self.boundaries[self.shown], self.boundaries[-1]) if self.boundaries else None


def read_divided(
    store: Store, query: SeriesQuery, now: int, read: Callable[[Divided], T], *, counted: bool = True
) -> T:
    """Result of `read` for the steps of a stretch, all of them counted in the model's present cells.

    now: microseconds. counted: False where numbers of predictions are enough, which no cells change.
    Raises UnknownModel for an unknown model, and InvalidInput that names each field of the stretch that can't be had.
    """
    while True:
        with store.read() as connection:
            generation = require_model(connection, query.model)
            layouts = read_layouts(connection, query.model, generation)
            if query.segment:
                segment_feature_of(layouts.segmentation, query.segment)
            divided = _divided(connection, query, generation, layouts, now)
            first, last = (divided.boundaries[0], divided.boundaries[-1]) if divided.boundaries else (0, 0)
            if not counted or not (
                stale_days(connection, query.model, generation, first, last)
                or stale_outcome_days(connection, query.model, layouts.outcome_generation, first, last)
            ):
                return read(divided)
        backfill_profiles(store, query.model, first, last)


def _divided(connection: Connection, query: SeriesQuery, generation: int, layouts: ModelLayouts, now: int) -> Divided:
    stretch = _stretch(connection, query, now)
    start, end = stretch or (0, USUAL_LENGTH)
    step, window = _step_and_window(query, start, end)
    boundaries = () if stretch is None else _boundaries(connection, query, start - window + step, end, step)
    shown = max(bisect_right(boundaries, start) - 1, 0)
    return Divided(query, connection, generation, layouts, boundaries, step, window, shown)


def usual_step(length: int) -> int:
    """The step, in seconds, of a stretch of this length where none is asked for.

    >>> [usual_step(hours * 3_600) for hours in (6, 24, 48, 7 * 24, 30 * 24)]
    [300, 900, 1800, 7200, 21600]
    """
    return next((step for step in STEPS if length <= USUAL_STEPS * step), STEPS[-1])


def alpha_of_steps(divided: Divided, rules: DriftRules, subjects: Collection[Subject]) -> float:
    """The chance of a false alarm that a check of one step takes, as one that asks for this stretch of time does."""
    watched = sum(rules.watches(subject.kind, subject.name) for subject in subjects)
    first, last = divided.span or (0, 0)
    streams = count_streams(divided.connection, divided.query.model, min(first, last - rules.longest), last)
    return rules.alpha(watched, streams)


def _stretch(connection: Connection, query: SeriesQuery, now: int) -> tuple[int, int] | None:
    """Start and end in seconds; None where there is no data to look back from."""
    end = query.end
    if end is None:
        newest = last_window_end(connection, query.model, query.environment, query.version)
        if newest is None:
            return None
        end = watermark(newest, now)
    start = end - USUAL_LENGTH if query.start is None else query.start
    if start >= end:
        named = "/start" if query.end is None else "/end"
        expected = "a time before the newest data" if query.end is None else "a time after start"
        raise InvalidInput(REFUSED, (FieldError(named, f"Expected {expected}"),))
    return start, end


def _step_and_window(query: SeriesQuery, start: int, end: int) -> tuple[int, int]:
    """The lengths of a step and of what it looks back over, in seconds."""
    step = usual_step(end - start) if query.step is None else query.step
    if not 0 < step <= LONGEST_WINDOW or step % BASE_WINDOW_SECONDS:
        expected = f"Expected a multiple of {BASE_WINDOW_SECONDS // 60} minutes, the base window, up to {_LONGEST}"
        raise InvalidInput(REFUSED, (FieldError("/step", expected, f"{step} s"),))
    number = -(-(end - start) // step)
    if number > MOST_STEPS:
        least = -(-(end - start) // (MOST_STEPS - 1) // BASE_WINDOW_SECONDS) * BASE_WINDOW_SECONDS
        possible = f"at most {MOST_STEPS:,} are possible"
        if least > LONGEST_WINDOW:
            problem = f"The stretch is too long: its steps are at most {_LONGEST}, and {possible}"
            raise InvalidInput(REFUSED, (FieldError("/start", problem),))
        problem = f"{number:,} steps, but {possible}: expected {least // 60:,}m or longer"
        raise InvalidInput(REFUSED, (FieldError("/step", problem, f"{step} s"),))
    window = step if query.window is None else query.window
    if window < step or window % step or window > LONGEST_WINDOW:
        expected = f"Expected a multiple of the step, {step // 60}m, up to {_LONGEST}"
        raise InvalidInput(REFUSED, (FieldError("/window", expected, f"{window} s"),))
    return step, window


def _boundaries(connection: Connection, query: SeriesQuery, start: int, end: int, step: int) -> tuple[int, ...]:
    """The edges of steps from a whole step to the end of a base window, none inside of a rolled-up one."""
    start, end = start // step * step, -(-end // BASE_WINDOW_SECONDS) * BASE_WINDOW_SECONDS
    rolled = rolled_windows(connection, query.model, query.environment, start, end, query.version)
    return tuple(whole([*range(start, end, step), end], rolled))


def began(reference: Counts, counts: Counts, starts: Sequence[str], severities: Sequence[str | None]) -> str | None:
    """Start of the step with which it began that a subject is not as its reference: an estimate from all steps. None
    where none of the newest judged steps has a finding, or nothing stands out.

    reference: shape (cells,). counts: shape (steps, cells).
    """
    judged = [each for each in severities if each in KNOWN_STATES]
    if not any(each != "stable" for each in judged[-NEWEST:]):
        return None
    place = onset(reference, counts)
    return None if place is None else starts[place]


def window_for(predictions: Sequence[int], step: int, least: int) -> int:
    """Length of a step's look-back, in seconds, so that most hold at least half as many again as `least`: itself where
    that is enough, else whole steps, up to a day. predictions: of each step.

    >>> window_for([40, 0, 60], 1_800, 100), window_for([400], 1_800, 100), window_for([], 1_800, 100)
    (5400, 1800, 1800)
    """
    some = [each for each in predictions if each]
    typical = float(np.median(some)) if some else float(least)
    if typical >= least:
        return step
    return max(step, min(math.ceil(1.5 * least / typical), LONGEST_USUAL_WINDOW // step) * step)


def segment_feature_of(segmentation: Segmentation, text: str, pointer: str = "/segment") -> SegmentFeature:
    """The feature that a segment, such as `country=DE`, belongs to.

    Raises InvalidInput when the model has no such segment.
    """
    feature = segmentation.feature_of(text)
    if feature is not None and text in feature.texts:
        return feature
    if feature is not None:
        named = ", ".join(feature.texts[:MOST_NAMED])
        more = ", …" if len(feature.texts) > MOST_NAMED else ""
        expected = f"Expected one of {named}{more}"
    elif segmentation:
        expected = f"Expected a segment by {', '.join(each.feature for each in segmentation.features)}"
    else:
        expected = "The model has no segments: name features under `segments` in its monitor; they need references"
    raise InvalidInput("There is no such segment.", (FieldError(pointer, expected, excerpt(text)),))
