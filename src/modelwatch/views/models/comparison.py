"""Two sides of a model beside each other: two versions, two stretches of time, or two segments."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import msgspec
from sqlalchemy import Connection

from modelwatch.errors import FieldError, InvalidInput, UnknownModel
from modelwatch.monitoring.checks.drift.subject_counts import references_for, same_binning
from modelwatch.monitoring.checks.performance.rules import LOSSES, PerformanceRules
from modelwatch.monitoring.checks.rules import DriftRules
from modelwatch.monitoring.checks.stored_windows import stored_whole
from modelwatch.monitoring.checks.windows import Window
from modelwatch.stats.counting.profile import Profile
from modelwatch.stats.drift.scores import psi
from modelwatch.stats.drift.significance.homogeneity import homogeneity
from modelwatch.stats.performance import Estimate
from modelwatch.stats.performance.intervals import difference
from modelwatch.stats.quality.rates import unsound_share
from modelwatch.storage.counts.profiles import sum_windows
from modelwatch.storage.engine.models import generation_of
from modelwatch.storage.engine.store import Store
from modelwatch.storage.maintenance.backfill_profiles import backfill_profiles, stale_days
from modelwatch.storage.references.layouts import Counts, ModelLayouts, read_layouts
from modelwatch.storage.references.references import in_force
from modelwatch.storage.references.subjects import StoredReference, Subject
from modelwatch.times import SECONDS_PER_HOUR, iso_of_seconds
from modelwatch.views.performance.outcomes import MetricChange, MetricValue, metric_change, metric_value
from modelwatch.views.performance.stretch import StretchPart, matured_part
from modelwatch.views.stretches.labelled_stretch import LabelledStretch, StretchQuery, read_stretch
from modelwatch.views.stretches.stretch import segment_feature_of

REFUSED = "The two sides can't be compared."
# Of all comparisons together, the chance that one that is none seems to be one.
CHANCE = 0.05
OTHER_CELLS = "The two versions have their own references, so they are counted in different cells."


class ComparisonSide(msgspec.Struct, frozen=True):
    """One side: [start, end), in whole windows. segment: null for all predictions. matured: the part whose labels
    should have come, which metrics are of; null where there is none."""

    model_version: str
    environment: str
    segment: str | None
    start: str
    end: str
    predictions: int
    predictions_an_hour: float
    matured: StretchPart | None


class MetricComparison(msgspec.Struct, frozen=True):
    """A metric on both sides; change: of the current side less the baseline, with its 95 % interval."""

    name: str
    lower_is_better: bool
    baseline: MetricValue | None
    current: MetricValue | None
    change: MetricChange


class SubjectDifference(msgspec.Struct, frozen=True):
    """A subject on both sides. psi: between them; null where that is unknown, and reason says why.

    p_value: that two samples of one distribution differ as much; adjusted_p_value: times the number of subjects. moved:
    the PSI reaches the threshold of a warning, and adjusted_p_value is below 0.05. psi_to_reference: of each side.
    unsound: the share of values of a feature with an issue. n: valid values. cells: shares by cell of the reference.
    """

    kind: str
    feature_name: str
    psi: float | None
    p_value: float | None
    adjusted_p_value: float | None
    moved: bool
    baseline_psi_to_reference: float | None
    current_psi_to_reference: float | None
    baseline_unsound: float | None
    current_unsound: float | None
    baseline_n: int
    current_n: int
    baseline_cells: list[float]
    current_cells: list[float]
    reason: str | None = None


class ModelComparison(msgspec.Struct, frozen=True):
    """Two sides of one model. shared: whether they have predictions in common; intervals and p-values are for sides
    that have none, and too small a difference may then be found."""

    model_name: str
    task: str | None
    positive_class: str | None
    baseline: ComparisonSide | None
    current: ComparisonSide | None
    shared: bool
    metrics: list[MetricComparison]
    subjects: list[SubjectDifference]
    reason: str | None


def compare_sides(
    store: Store, drift: DriftRules, performance: PerformanceRules, baseline: StretchQuery, current: StretchQuery
) -> ModelComparison:
    """The current side beside the baseline; both are of one model, with start and end. drift, performance: its rules.

    Raises UnknownModel for an unknown model, and InvalidInput for a segment that it has not, an end that is not after
    the start, or two sides that are the same.
    """
    if baseline == current:
        problem = FieldError("/with_start", "Name another version, segment or stretch: both sides are the same")
        raise InvalidInput(REFUSED, (problem,))
    first, second = read_stretch(store, baseline), read_stretch(store, current)
    if first is None or second is None:
        return nothing_to_compare(current.stream.model)
    shared = _share(first, second)
    subjects = _subjects(store, drift, first, second)
    return ModelComparison(
        model_name=current.stream.model,
        task=second.layout.task,
        positive_class=second.layout.positive,
        baseline=_side(first),
        current=_side(second),
        shared=shared,
        metrics=_metrics(first, second, performance),
        subjects=subjects,
        reason=None,
    )


def nothing_to_compare(model: str) -> ModelComparison:
    """The comparison of a model that has sent nothing."""
    return ModelComparison(model, None, None, None, None, False, [], [], "No predictions have been received.")


def _side(found: LabelledStretch) -> ComparisonSide:
    window, query = found.window, found.query
    return ComparisonSide(
        query.stream.version,
        query.stream.environment,
        query.segment or None,
        iso_of_seconds(window.start),
        iso_of_seconds(window.end),
        found.found.predictions,
        found.found.predictions * SECONDS_PER_HOUR / (window.end - window.start),
        matured_part(found),
    )


def _share(first: LabelledStretch, second: LabelledStretch) -> bool:
    """True when predictions can be on both sides. Those of two values of one segment feature never are."""
    one, other = first.query, second.query
    apart = first.window.end <= second.window.start or second.window.end <= first.window.start
    if one.stream != other.stream or apart:
        return False
    if not one.segment or not other.segment or one.segment == other.segment:
        return True
    return one.segment.partition("=")[0] != other.segment.partition("=")[0]


def _metrics(first: LabelledStretch, second: LabelledStretch, rules: PerformanceRules) -> list[MetricComparison]:
    """The watched metrics first, in their order."""
    before = {} if first.measured is None else first.measured.metrics
    now = {} if second.measured is None else second.measured.metrics
    task = second.layout.task
    watched = () if task is None else rules.watched(task)
    names = dict.fromkeys([*(name for name in watched if name in now or name in before), *now, *before])
    nothing = Estimate(None, reason="most labels have not arrived yet")
    return [
        MetricComparison(
            name,
            name in LOSSES or name == "ece",
            metric_value(before[name]) if name in before else None,
            metric_value(now[name]) if name in now else None,
            metric_change(difference(before.get(name, nothing), now.get(name, nothing))),
        )
        for name in names
    ]


def _subjects(
    store: Store, rules: DriftRules, first: LabelledStretch, second: LabelledStretch
) -> list[SubjectDifference]:
    """The watched subjects, those that have moved most first."""
    before, now = _read_profiles(store, first, second)
    names = [each for each in now if rules.watches(each.kind, each.name)]
    found = [_subject(each, before.get(each), now[each], rules, len(names)) for each in names]
    return sorted(found, key=lambda each: (not each.moved, -(each.psi or 0.0), each.kind, each.feature_name))


_Profiles = dict[Subject, tuple[Profile, Profile]]


def _read_profiles(store: Store, first: LabelledStretch, second: LabelledStretch) -> tuple[_Profiles, _Profiles]:
    """Of each side, the reference and the counts of each subject, in one generation."""
    model = second.query.stream.model
    start = min(first.window.start, second.window.start)
    end = max(first.window.end, second.window.end)
    while True:
        with store.read() as connection:
            generation = generation_of(connection, model)
            if generation is None:
                raise UnknownModel(model)
            if not stale_days(connection, model, generation, start, end):
                layouts = read_layouts(connection, model, generation)
                references = in_force(connection, model, generation)
                return (
                    _profiles_of(connection, first, layouts, references),
                    _profiles_of(connection, second, layouts, references),
                )
        backfill_profiles(store, model, start, end)


def _profiles_of(
    connection: Connection, found: LabelledStretch, layouts: ModelLayouts, references: Sequence[StoredReference]
) -> _Profiles:
    query, (model, version, environment) = found.query, found.query.stream
    if query.segment:
        segment_feature_of(layouts.segmentation, query.segment)
    [whole] = stored_whole(connection, query.stream, [Window(found.window.start, found.window.end)])
    span = (whole.start, whole.end)
    [sums] = sum_windows(connection, model, layouts, environment, [span], version, query.segment)
    slot = sums.get(version)
    return _profiles(layouts, version, references_for(references, version), None if slot is None else slot.counts)


def _profiles(
    layouts: ModelLayouts, version: str, chosen: Mapping[Subject, StoredReference], counts: Counts | None
) -> _Profiles:
    """The reference and the counts of each subject that the version counts in its reference's cells."""
    found = {}
    for subject, reference in chosen.items():
        place = layouts.of(version).slices.get(subject)
        if place is None or not same_binning(layouts, version, subject, reference):
            continue
        binning = reference.profile.binning
        own = Profile.of(binning, []) if counts is None else Profile(binning, counts[place])
        found[subject] = (reference.profile, own)
    return found


def _subject(
    subject: Subject,
    before: tuple[Profile, Profile] | None,
    now: tuple[Profile, Profile],
    rules: DriftRules,
    looks: int,
) -> SubjectDifference:
    reference, current = now
    baseline = None if before is None or before[1].binning.id != current.binning.id else before[1]
    score = p_value = None
    reason = OTHER_CELLS if baseline is None else None
    if baseline is not None and baseline.n and current.n:
        score = psi(baseline.coarse, current.coarse)
        p_value = homogeneity(baseline.coarse, current.coarse).p_value
    elif baseline is not None:
        reason = f"No values {'on the baseline side' if current.n else 'on the current side'}."
    adjusted = None if p_value is None else min(1.0, p_value * looks)
    own = before[0] if before is not None else reference
    return SubjectDifference(
        kind=subject.kind,
        feature_name=subject.name or subject.kind,
        psi=score,
        p_value=p_value,
        adjusted_p_value=adjusted,
        moved=score is not None and score >= rules.psi_warning and adjusted is not None and adjusted < CHANCE,
        baseline_psi_to_reference=_to(own, before[1]) if before is not None else None,
        current_psi_to_reference=_to(reference, current),
        baseline_unsound=unsound_share(before[1]) if before is not None and subject.kind == "feature" else None,
        current_unsound=unsound_share(current) if subject.kind == "feature" else None,
        baseline_n=0 if before is None else before[1].n,
        current_n=current.n,
        baseline_cells=[] if baseline is None else _shares(baseline),
        current_cells=[] if baseline is None else _shares(current),
        reason=reason,
    )


def _to(reference: Profile, own: Profile) -> float | None:
    return psi(reference.coarse, own.coarse) if reference.n and own.n else None


def _shares(profile: Profile) -> list[float]:
    shares: list[float] = (profile.coarse / max(profile.n, 1)).round(6).tolist()
    return shares
