"""Drift checks: from the store's committed counts to a report. Nothing here depends on which process asks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import msgspec
from sqlalchemy import Connection

from modelwatch.config import parse_lookback
from modelwatch.errors import FieldError, InvalidInput, UnknownResource
from modelwatch.monitoring.reports import (
    DriftReport,
    SubjectReport,
    Summary,
    lookback_report,
    subject_report,
    unreferenced_report,
)
from modelwatch.monitoring.verdicts import PRECEDENCE, DriftRules, judge, tolerance
from modelwatch.monitoring.windows import Window, iso, look_back, watermark
from modelwatch.stats import Profile, benjamini_yekutieli
from modelwatch.stats.compat import compat_scores
from modelwatch.storage import (
    ModelLayouts,
    Slot,
    Store,
    StoredReference,
    Subject,
    carry_over,
    count_streams,
    generation_of,
    in_force,
    last_window_end,
    read_layouts,
    stale_days,
    streams,
    sum_windows,
)


@dataclass(frozen=True, slots=True)
class DriftQuery:
    """What to check. `window` None: the rules' look-backs, or the one named in `lookback`, back from the watermark."""

    model: str
    environment: str
    version: str | None = None
    features: tuple[str, ...] | None = None
    min_samples: int | None = None
    lookback: str | None = None
    window: Window | None = None
    compat: str | None = None


@dataclass(frozen=True, slots=True)
class _Snapshot:
    """Everything that a report is made of, read in one transaction."""

    windows: list[Window]
    references: list[StoredReference]
    layouts: ModelLayouts
    sums: list[dict[str, Slot]]
    watermark: int | None
    streams: int
    environments: list[str]


def check_drift(store: Store, rules: DriftRules, query: DriftQuery, now: int) -> DriftReport:
    """Compares the windows of a query with the references in force, from committed counts.

    Raises UnknownResource for a model that was never heard of and InvalidInput for features that it does not have.
    """
    snapshot = _read(store, rules, query, now)
    chosen = _references_for(snapshot.references, query.version)
    wanted = _wanted(chosen, query.features)
    left_out = _versions_left_out(snapshot, chosen, query.version)
    alpha = rules.alpha(len(chosen), snapshot.streams)
    results = [
        _subject(subject, chosen[subject], snapshot, rules, query, alpha) for subject in wanted if subject in chosen
    ]
    results += [unreferenced_report(subject.name, subject.kind) for subject in wanted if subject not in chosen]
    results = _with_adjusted_p_values(results)
    drifted = [result.feature_name for result in results if result.severity in ("warning", "alert")]
    return DriftReport(
        drift_results=results,
        summary=Summary(
            model_name=query.model,
            model_version=query.version,
            environment=query.environment,
            severity=min((result.severity for result in results), key=PRECEDENCE.index, default="no_reference"),
            checked=len(results),
            drifted=drifted,
            drifted_share=len(drifted) / len(results) if results else 0.0,
            watermark=None if snapshot.watermark is None else iso(snapshot.watermark),
            predictions=max((sum(slot.predictions for slot in sums.values()) for sums in snapshot.sums), default=0),
            provisional=any(result.reference_state == "provisional" for result in results),
            alpha=alpha,
            false_alarm_budget=rules.budget,
            lookbacks=[window.lookback for window in snapshot.windows if window.lookback is not None],
            versions_left_out=left_out,
            reason=_why(snapshot, chosen, query),
        ),
    )


def _read(store: Store, rules: DriftRules, query: DriftQuery, now: int) -> _Snapshot:
    while True:
        with store.read() as connection:
            generation = generation_of(connection, query.model)
            if generation is None:
                raise UnknownResource(f"No model named {query.model!r} has sent predictions or has a reference.")
            newest = last_window_end(connection, query.model, query.environment, query.version)
            mark = None if newest is None else watermark(newest, now)
            windows = _windows(rules, query, mark)
            start = min((window.start for window in windows), default=0)
            end = max((window.end for window in windows), default=0)
            if not stale_days(connection, query.model, generation, start, end):
                layouts = read_layouts(connection, query.model, generation)
                return _Snapshot(
                    windows=windows,
                    references=in_force(connection, query.model, generation),
                    layouts=layouts,
                    sums=sum_windows(
                        connection,
                        query.model,
                        layouts,
                        query.environment,
                        [(window.start, window.end) for window in windows],
                        query.version,
                    )
                    if windows
                    else [],
                    watermark=mark,
                    streams=_streams(connection, rules, query.model, start, end),
                    environments=[]
                    if mark is not None
                    else sorted({stream.environment for stream in streams(connection, query.model)}),
                )
        carry_over(store, query.model, start, end)


def _streams(connection: Connection, rules: DriftRules, model: str, start: int, end: int) -> int:
    """The streams that share the model's budget: those with data in the window, or in the longest look-back."""
    longest = max(parse_lookback(lookback) for lookback in rules.lookbacks)
    return count_streams(connection, model, min(start, end - longest), end)


def _windows(rules: DriftRules, query: DriftQuery, mark: int | None) -> list[Window]:
    if query.window is not None:
        return [query.window]
    if mark is None:
        return []
    return [look_back(mark, name) for name in ((query.lookback,) if query.lookback else rules.lookbacks)]


def _references_for(references: Sequence[StoredReference], version: str | None) -> dict[Subject, StoredReference]:
    """For each subject the reference that applies: the version's own, else the one for all versions.

    Without a version asked for, a reference of one version serves where none is set for all.
    """
    chosen: dict[Subject, StoredReference] = {}
    for reference in references:
        own = reference.version is not None and reference.version == version
        common = reference.version is None
        fallback = version is None and reference.subject not in chosen
        if own or (common and (version is None or reference.subject not in chosen)) or fallback:
            chosen[reference.subject] = reference
    return chosen


def _wanted(chosen: Mapping[Subject, StoredReference], features: tuple[str, ...] | None) -> list[Subject]:
    if features is None:
        return sorted(chosen, key=lambda subject: (subject.kind != "feature", subject))
    unknown = [
        FieldError(f"/features/{index}", f"The model has no reference for a feature named {name!r}", name)
        for index, name in enumerate(features)
        if Subject("feature", name) not in chosen
    ]
    if unknown and chosen:
        raise InvalidInput("Some features are not known for this model.", tuple(unknown))
    return [Subject("feature", name) for name in features]


def _versions_left_out(
    snapshot: _Snapshot, chosen: Mapping[Subject, StoredReference], version: str | None
) -> list[str]:
    """Versions with data whose binnings differ from the chosen references': their counts can't be added."""
    if version is not None:
        return []
    seen = sorted({name for sums in snapshot.sums for name in sums})
    return [
        name
        for name in seen
        if any(not _same_binning(snapshot.layouts, name, subject, reference) for subject, reference in chosen.items())
    ]


def _same_binning(layouts: ModelLayouts, version: str, subject: Subject, reference: StoredReference) -> bool:
    binning = layouts.of(version).binnings.get(subject)
    return binning is not None and binning.id == reference.profile.binning.id


def _current(snapshot: _Snapshot, sums: Mapping[str, Slot], subject: Subject, reference: StoredReference) -> Profile:
    current = Profile.empty(reference.profile.binning)
    for version, slot in sorted(sums.items()):
        if _same_binning(snapshot.layouts, version, subject, reference):
            place = snapshot.layouts.of(version).slices[subject]
            current = current + Profile(reference.profile.binning, slot.counts[place])
    return current


def _subject(
    subject: Subject,
    reference: StoredReference,
    snapshot: _Snapshot,
    rules: DriftRules,
    query: DriftQuery,
    alpha: float,
) -> SubjectReport:
    """The worst look-back speaks for the subject; of equally bad ones the longest, which knows most."""
    if not snapshot.windows:
        return msgspec.structs.replace(
            unreferenced_report(subject.name or subject.kind, subject.kind),
            severity="no_data",
            feature_type=reference.profile.binning.kind,
            reference_size=reference.profile.n,
            reference_state=reference.state,
            reason="No predictions have been received.",
        )
    min_samples = rules.min_samples if query.min_samples is None else query.min_samples
    reports = []
    for window, sums in zip(snapshot.windows, snapshot.sums, strict=True):
        current = _current(snapshot, sums, subject, reference)
        allowed = tolerance(rules, _natural(reference, window, rules))
        judgement = judge(reference.profile, current, allowed, alpha, min_samples)
        compat = None if query.compat is None else compat_scores(query.compat, reference.profile, current)
        reports.append(subject_report(reference, window, current, judgement, allowed, rules, compat))
    spokesman = min(
        zip(reports, snapshot.windows, strict=True),
        key=lambda pair: (PRECEDENCE.index(pair[0].severity), pair[1].start - pair[1].end),
    )[0]
    if len(reports) == 1:
        return spokesman
    return msgspec.structs.replace(spokesman, lookbacks=[lookback_report(report) for report in reports])


def _natural(reference: StoredReference, window: Window, rules: DriftRules) -> float | None:
    if reference.variation is None or not rules.natural_variation:
        return None
    return reference.variation.tolerance(window.end - window.start)


def _with_adjusted_p_values(results: list[SubjectReport]) -> list[SubjectReport]:
    tested = [result for result in results if result.evidence is not None]
    adjusted = benjamini_yekutieli([result.evidence.p_value for result in tested if result.evidence is not None])
    by_id = {id(result): float(value) for result, value in zip(tested, adjusted, strict=True)}
    return [
        msgspec.structs.replace(
            result, evidence=msgspec.structs.replace(result.evidence, adjusted_p_value=by_id[id(result)])
        )
        if result.evidence is not None
        else result
        for result in results
    ]


def _why(snapshot: _Snapshot, chosen: Mapping[Subject, StoredReference], query: DriftQuery) -> str | None:
    if snapshot.watermark is None and snapshot.environments:
        return (
            f"No data in environment {query.environment!r}; the model has data in: {', '.join(snapshot.environments)}."
        )
    if snapshot.watermark is None:
        return "No predictions have been received."
    if not chosen:
        return (
            "No reference is set. POST one to /api/v1/reference, or wait until the first predictions"
            " have become a provisional one."
        )
    return None
