"""Everything that a report on data quality is computed from, kept with the verdict."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from typing import Any

import msgspec
from sqlalchemy import Connection

from modelwatch.monitoring.checks.codec import EvidenceCodec
from modelwatch.monitoring.checks.drift.evaluation import new_names_p_value
from modelwatch.monitoring.checks.drift.evidence import DriftQuery, Inputs, gather
from modelwatch.monitoring.checks.drift.subject_counts import keys_of
from modelwatch.monitoring.checks.quality.classes import ClassUse, gather_classes
from modelwatch.monitoring.checks.quality.extremes import Outside, search_outside
from modelwatch.monitoring.checks.quality.rules import QualityRules
from modelwatch.monitoring.checks.rules import DriftRules
from modelwatch.monitoring.checks.windows import Window
from modelwatch.stats.counting.binning import NumericBinning
from modelwatch.stats.counting.datatypes import is_finite_number
from modelwatch.stats.counting.profile import Profile
from modelwatch.stats.quality.codes import (
    SENTINEL_SHARE,
    Sentinel,
    known_codes,
    new_text_codes,
    sentinel_sides,
    sentinels,
)
from modelwatch.stats.quality.extremes import Extreme
from modelwatch.stats.quality.rates import DIMENSION_OF, Rule, reference_rates, unsound_counts
from modelwatch.storage.counts.stored_values import recent_values
from modelwatch.storage.counts.volumes import duplicates_by_span, first_window, has_taken_provisional, hourly_volumes
from modelwatch.storage.engine.models import StreamKey
from modelwatch.storage.engine.store import Store
from modelwatch.storage.references.subjects import StoredReference
from modelwatch.times import SECONDS_PER_HOUR

FORMAT = 1
SECONDS_PER_WEEK = 7 * 86_400
WEEKS_LOOKED_AT = 8
# Stored rows that are looked at for features and values that no profile names.
ROWS_LOOKED_AT = 1_000
RANGE: tuple[Rule, ...] = ("below_range", "above_range")

Counts = dict[Rule, tuple[int, int]]


class WindowQuality(msgspec.Struct, frozen=True):
    """One window: by feature, what breaks which rule, of how many values.

    duplicates: predictions that came again; changed_duplicates: those that said something else than the first time.
    new_names: by feature with unseen categories, the chance of as many, where predictions that are alike are known.
    """

    lookback: str | None
    start: int
    end: int
    predictions: int
    duplicates: int
    features: dict[str, Counts]
    changed_duplicates: int = 0
    new_names: dict[str, float] = {}


class Volumes(msgspec.Struct, frozen=True):
    """Predictions by hour of the last whole weeks, oldest week first, each of 168 hours that end where now does.

    week: the hours of the present week. Shape of earlier: (weeks, 168).
    """

    earlier: tuple[tuple[int, ...], ...]
    week: tuple[int, ...]


class Sample(msgspec.Struct, frozen=True):
    """Facts from a bounded number of recent rows: how many give each feature, and values that stand out.

    given: 0 of a feature that had appeared and is not there any more.
    """

    rows: int
    given: dict[str, int]
    sentinels: dict[str, tuple[Sentinel, ...]]


class QualityEvidence(msgspec.Struct, frozen=True):
    """Stream, rules, and the counts that the report is computed from.

    reference: by feature, the same counts of the reference, and its id; elapsed: seconds of budget that the look may
    spend, those of an interval if None. complete: whether every feature that the model has sent has a reference, so
    that another one is new. codes: by feature, the values of its reference that look like codes for missing ones, with
    their shares then and in the longest window. extremes: by feature, what is far outside of its reference among the
    rows of the last day; extremes_since: start of the first window with one, in seconds; outside_unknown: reason why
    values outside could not be checked.
    """

    stream: tuple[str, str, str]
    rules: QualityRules
    generation: int
    watermark: int | None
    streams: int
    elapsed: int | None
    reference: dict[str, Counts]
    reference_ids: dict[str, str]
    complete: bool
    windows: tuple[WindowQuality, ...]
    volumes: Volumes | None
    sample: Sample
    codes: dict[str, tuple[Sentinel, ...]] = {}
    classes: tuple[ClassUse, ...] = ()
    extremes: dict[str, tuple[Extreme, ...]] = {}
    outside_unknown: dict[str, str] = {}
    extremes_since: dict[str, int] = {}


def gather_quality(
    store: Store,
    defaults: DriftRules,
    rules: QualityRules,
    stream: StreamKey,
    now: int,
    *,
    end: int | None = None,
    elapsed: int | None = None,
) -> QualityEvidence:
    """Reads what the stream's data quality is judged by, over the look-backs of its drift rules.

    Raises UnknownResource for an unknown model. now: microseconds; end: seconds.
    """
    query = DriftQuery(stream.model, stream.environment, stream.version)
    return quality_evidence(store, gather(store, defaults, query, now, end=end, elapsed=elapsed), rules, known_by=end)


def quality_evidence(
    store: Store, inputs: Inputs, rules: QualityRules, *, known_by: int | None, appeared: Collection[str] = ()
) -> QualityEvidence:
    """The same from what the drift of one version is judged by. known_by: seconds; labels of later times do not count.
    appeared: features that were found to be new; they are counted also when no row has them any more.

    Raises ValueError for the inputs of all versions together.
    """
    query, watermark = inputs.evidence.query, inputs.evidence.watermark
    if query.version is None:
        raise ValueError("The quality of data is judged for one version at a time.")
    stream = StreamKey(query.model, query.version, query.environment)
    with store.read() as connection:
        windows, reference, codes = _windows(connection, inputs, stream)
        volumes = None if watermark is None else _volumes(connection, stream, watermark)
        complete = has_taken_provisional(connection, stream.model)
        longest = max(windows, key=lambda window: window.end - window.start, default=None)
        chosen = {each.subject.name: each for each in reference}
        sample = Sample(0, {}, {})
        if watermark is not None and longest is not None:
            # Also what no rule judges, such as new values of the feature that groups predictions.
            place = windows.index(longest)
            counted = {
                name: unsound_counts(inputs.counts[each.subject].profiles[place]) for name, each in chosen.items()
            }
            key = inputs.evidence.rules.cluster_by
            sample = _sample(connection, stream, chosen, longest, counted, appeared, key)
        classes = _classes(connection, store, inputs, stream, rules.min_samples, known_by)
    outside = Outside({}, {}, {})
    if longest is not None:
        suspects = [each for name, each in chosen.items() if _count(longest.features[name], *RANGE)]
        outside = search_outside(store, inputs, stream, suspects, (longest.start, longest.end))
    return QualityEvidence(
        stream=(stream.model, stream.version, stream.environment),
        rules=rules,
        generation=inputs.evidence.generation,
        watermark=watermark,
        streams=inputs.evidence.streams,
        elapsed=inputs.evidence.elapsed,
        reference={name: _rates(each, inputs.evidence.rules.cluster_by) for name, each in chosen.items()},
        reference_ids={name: each.id for name, each in chosen.items()},
        complete=complete,
        windows=tuple(windows),
        volumes=volumes,
        sample=sample,
        codes=codes,
        classes=classes,
        extremes=outside.extremes,
        outside_unknown=outside.unknown,
        extremes_since=outside.since,
    )


def _classes(
    connection: Connection, store: Store, inputs: Inputs, stream: StreamKey, enough: int, known_by: int | None
) -> tuple[ClassUse, ...]:
    """Labels and probabilities that match no class, in the longest look-back."""
    evidence = inputs.evidence
    windows = zip(evidence.windows, evidence.sums, strict=True)
    window, sums = max(windows, key=lambda each: each[0].end - each[0].start, default=(None, None))
    if window is None or sums is None:
        return ()
    span = (window.start, window.end, window.lookback)
    slot = sums.get(stream.version)
    return gather_classes(connection, store, stream, evidence.generation, span, slot, enough=enough, known_by=known_by)


def _windows(
    connection: Connection, inputs: Inputs, stream: StreamKey
) -> tuple[list[WindowQuality], list[StoredReference], dict[str, tuple[Sentinel, ...]]]:
    """The windows, the references of the features, and the codes that these have, with their shares in the longest."""
    evidence = inputs.evidence
    features = {subject: reference for subject, reference in inputs.chosen.items() if subject.kind == "feature"}
    judged = {
        subject: frozenset(_rates(reference, evidence.rules.cluster_by)) for subject, reference in features.items()
    }
    found = []
    longest = max((window.end - window.start for window in evidence.windows), default=0)
    codes: dict[str, tuple[Sentinel, ...]] = {}
    spans = [(window.start, window.end) for window in evidence.windows]
    cluster_by = evidence.rules.cluster_by
    keys = keys_of(evidence.sums, inputs.layouts, inputs.chosen, cluster_by) or [None] * len(evidence.windows)
    of_windows = zip(evidence.windows, evidence.sums, duplicates_by_span(connection, stream, spans), strict=True)
    for place, (window, sums, repeats) in enumerate(of_windows):
        counts: dict[str, Counts] = {}
        new_names: dict[str, float] = {}
        for subject, reference in sorted(features.items(), key=lambda item: item[0]):
            current = inputs.counts[subject].profiles[place]
            # What breaks each rule that the reference is judged by.
            counts[subject.name] = {
                rule: of_rule for rule, of_rule in unsound_counts(current).items() if rule in judged[subject]
            }
            if current.unseen and "unseen_category" in judged[subject]:
                p_value = new_names_p_value(reference, current, cluster_by, keys[place])
                if p_value is not None:
                    new_names[subject.name] = p_value
            if window.end - window.start == longest and (known := known_codes(reference.profile, current)):
                codes[subject.name] = known
        found.append(
            WindowQuality(
                window.lookback,
                window.start,
                window.end,
                sum(slot.predictions for slot in sums.values()),
                repeats.total,
                counts,
                repeats.changed,
                new_names,
            )
        )
    return found, list(features.values()), codes


def _rates(reference: StoredReference, cluster_by: str | None) -> Counts:
    """The rates that windows are compared with. Of the feature that groups predictions a new value is no news: clients
    come and go. A code for a missing one is: see `_standing_out`."""
    counts = reference_rates(reference.profile, reference.split)
    if reference.subject.name != cluster_by:
        return counts
    return {rule: of_rule for rule, of_rule in counts.items() if DIMENSION_OF[rule] != "consistency"}


def _volumes(connection: Connection, stream: StreamKey, end: int) -> Volumes | None:
    """The hours of the weeks before `end`; None before there are enough of them."""
    last = end // SECONDS_PER_HOUR * SECONDS_PER_HOUR
    first = first_window(connection, stream)
    weeks = 0 if first is None else weeks_before(last, first)
    if weeks < 1:
        return None
    return volumes_of(hourly_volumes(connection, stream, last - (weeks + 1) * SECONDS_PER_WEEK, last), last, weeks)


def weeks_before(last: int, first: int) -> int:
    """Number of weeks to compare with the one that ends at `last`, of a stream that began at `first`."""
    return min(WEEKS_LOOKED_AT, (last - first) // SECONDS_PER_WEEK - 1)


def volumes_of(by_hour: Mapping[int, int], last: int, weeks: int) -> Volumes:
    """The hours of the week that ends at `last`, and of so many weeks before. by_hour: predictions by start of hour."""
    start = last - (weeks + 1) * SECONDS_PER_WEEK
    rows = [
        tuple(by_hour.get(start + week * SECONDS_PER_WEEK + hour * SECONDS_PER_HOUR, 0) for hour in range(168))
        for week in range(weeks + 1)
    ]
    return Volumes(tuple(rows[:-1]), rows[-1])


def _sample(
    connection: Connection,
    stream: StreamKey,
    references: Mapping[str, StoredReference],
    longest: WindowQuality,
    counted: Mapping[str, Counts],
    appeared: Collection[str],
    key: str | None,
) -> Sample:
    """Facts from rows of the longest window. Values are read only of features whose counts say that one value may stand
    out. counted: by feature, what breaks any rule in that window; key: the feature that groups predictions."""
    suspects = {name: (each, counted[name]) for name, each in references.items() if _may_stand_out(counted[name])}
    seen = recent_values(connection, stream, longest.end, ROWS_LOOKED_AT, longest.start, list(suspects))
    given = dict.fromkeys(appeared, 0) | seen.given
    found = {
        name: _standing_out(*suspect, seen.values[name], codes_only=name == key) for name, suspect in suspects.items()
    }
    return Sample(seen.rows, dict(sorted(given.items())), {name: each for name, each in found.items() if each})


def _may_stand_out(counts: Counts) -> bool:
    """True when so many values have no cell that one of them may stand for missing ones."""
    total = counts["missing"][1]
    return _many(counts, total, *RANGE) or _many(counts, total, "invalid_type", "unseen_category")


def _count(counts: Counts, *rules: Rule) -> int:
    """Number of values that break one of these rules."""
    return sum(counts[rule][0] for rule in rules if rule in counts)


def _standing_out(
    reference: StoredReference, counts: Counts, values: Sequence[Any], *, codes_only: bool
) -> tuple[Sentinel, ...]:
    """The values of a feature that no cell has and that seem to stand for missing ones. Only where the counts say that
    there are enough of them values are read. codes_only: whether other frequent numbers are none, but large clients."""
    total = counts["missing"][1]
    found: tuple[Sentinel, ...] = ()
    binning = reference.profile.binning
    if _many(counts, total, *RANGE) and isinstance(binning, NumericBinning):
        sample = Profile.of(binning, values)
        if sentinel_sides(sample):
            numbers = Counter(float(value) for value in values if is_finite_number(value))
            found = sentinels(reference.profile, sample, numbers, codes_only=codes_only)
    if _many(counts, total, "invalid_type", "unseen_category"):
        found += new_text_codes(reference.profile, values)
    return found


def _many(counts: Counts, total: int, *rules: Rule) -> bool:
    """True when these rules are broken often enough for one value to be a sentinel."""
    return _count(counts, *rules) > SENTINEL_SHARE * total


_codec = EvidenceCodec(QualityEvidence, FORMAT)
encode_quality, decode_quality = _codec.encode, _codec.decode


def window_of(window: WindowQuality) -> Window:
    """The window as others know it."""
    return Window(window.start, window.end, window.lookback)
