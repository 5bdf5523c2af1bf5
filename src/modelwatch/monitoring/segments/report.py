"""Segments report, as it is shown."""

from __future__ import annotations

from typing import Literal

import msgspec


class SpanReport(msgspec.Struct, frozen=True):
    """A stretch of event time."""

    start: str
    end: str


class BaselineReport(msgspec.Struct, frozen=True):
    """Baseline of the segments: those of the reference, or of an earlier stretch of event time.

    n: number of rows; 0 when there is nothing to compare with.
    """

    kind: Literal["reference", "earlier"]
    start: str | None
    end: str | None
    n: int


class ValueReport(msgspec.Struct, frozen=True):
    """A metric with its 95 % interval; null where it is undefined, and `reason` says why."""

    value: float | None
    low: float | None
    high: float | None
    n: int
    reason: str | None


class Contribution(msgspec.Struct, frozen=True):
    """Contribution of a segment to the change of a metric: mix and level add up to the total, and the totals of all
    segments of a feature to the change of the metric.

    mix: because its share of the rows changed. level: because its own value changed.
    """

    total: float
    mix: float
    level: float


class FeatureDrift(msgspec.Struct, frozen=True):
    """Contribution of a segment to the PSI of a feature."""

    feature_name: str
    contribution: float


class SegmentLine(msgspec.Struct, frozen=True):
    """One segment. share, share_before: of the predictions. p_value: one-sided, that its own value got worse by
    chance; of mean_error, that it moved by chance, the way of all rows. adjusted_p_value: times the number of segments
    that were compared. drift: the features to whose drift it contributes most. quality_score: 1 minus the mean share of
    values with an issue.
    """

    segment: str
    value: str
    predictions: int
    share: float | None
    share_before: float | None
    metric: ValueReport | None
    before: ValueReport | None
    change: float | None
    contribution: Contribution | None
    p_value: float | None
    adjusted_p_value: float | None
    drift: list[FeatureDrift]
    quality_score: float | None


class SegmentDrift(msgspec.Struct, frozen=True):
    """The PSI of a feature and the contribution of each segment; the contributions add up to it."""

    feature_name: str
    psi: float
    baseline: Literal["reference", "earlier"]
    contributions: dict[str, float]


class SegmentFeatureReport(msgspec.Struct, frozen=True):
    """A segment feature: its segments, the worst first, and the features that drift most, divided among them.

    baseline: baseline of its segments' metric. change: of the metric over all segments; mix: of it by a shift of their
    shares, level: by their own values; null where it can't be divided.
    """

    feature_name: str
    feature_type: Literal["categorical", "continuous"]
    baseline: BaselineReport | None
    before: ValueReport | None
    change: float | None
    segments: list[SegmentLine]
    drift: list[SegmentDrift]
    reason: str | None
    mix: float | None = None
    level: float | None = None


class WorseSegment(msgspec.Struct, frozen=True):
    """A segment whose own metric got worse. loss: its part in the loss of the metric, the sum of mix (a shift of its
    share) and level (its own values); for a metric that can't be divided, how much worse the segment itself is."""

    segment: str
    feature_name: str
    loss: float
    mix: float | None
    level: float | None
    n: int
    value: float | None
    before: float | None
    p_value: float | None
    adjusted_p_value: float | None

    @property
    def own(self) -> float:
        """Loss by its own values: the level, or where nothing is divided how much worse the segment is."""
        return self.loss if self.level is None else self.level


class SegmentReport(msgspec.Struct, frozen=True):
    """The segments of one version in one environment.

    metric: null while nothing is known about labels. divides: whether its change is divided among the segments. window:
    of predictions; labelled: the one whose labels should have come. worst: over all segment features, worst first.
    """

    model_version: str
    environment: str
    window: SpanReport | None
    labelled: SpanReport | None
    metric: str | None
    divides: bool
    now: ValueReport | None
    worst: list[WorseSegment]
    features: list[SegmentFeatureReport]
    reason: str | None
