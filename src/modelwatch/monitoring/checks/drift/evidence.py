"""Evidence: everything that a drift report is computed from, read in one transaction and kept with the verdict.

The report is a pure function of the evidence and of the references that it names (which never change), so it can be
recomputed later, bit by bit.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING

import msgspec
from sqlalchemy import Connection

from modelwatch.errors import UnknownModel
from modelwatch.monitoring.checks.codec import pack, unpack
from modelwatch.monitoring.checks.drift.subject_counts import SubjectCounts, counts_of_subjects, references_for
from modelwatch.monitoring.checks.rules import DriftRules, rules_for
from modelwatch.monitoring.checks.stored_windows import stored_whole
from modelwatch.monitoring.checks.windows import Window, look_back, reaching_back, watermark
from modelwatch.stats.counting.encoded_counts import decode_counts, encode_counts
from modelwatch.storage.counts.profiles import sum_windows
from modelwatch.storage.counts.streams import count_streams, last_window_end, streams_of
from modelwatch.storage.counts.volumes import received_in
from modelwatch.storage.engine.models import generation_of
from modelwatch.storage.engine.store import Store
from modelwatch.storage.ledger.slots import Slot
from modelwatch.storage.maintenance.backfill_profiles import backfill_profiles, stale_days
from modelwatch.storage.references.layouts import Counts, ModelLayouts
from modelwatch.storage.references.monitors import monitor_of
from modelwatch.storage.references.references import in_force, layouts_of, references_by_id
from modelwatch.storage.references.subjects import State, StoredReference, Subject

if TYPE_CHECKING:
    from modelwatch.monitoring.checks.drift.evaluation import DriftEvaluation

FORMAT = 1


@dataclass(frozen=True, slots=True)
class DriftQuery:
    """Query of a drift check. `window` None: the rules' look-backs, or the one named in `lookback`, back from the
    watermark."""

    model: str
    environment: str
    version: str | None = None
    features: tuple[str, ...] | None = None
    min_samples: int | None = None
    lookback: str | None = None
    window: Window | None = None
    compat: str | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Since:
    """What a subject has shown since the estimated onset of a shift.

    start: of the window with which it began, in seconds; earliest, latest: those between which it did, approximately.
    known: false where there are older windows than were looked at, and it may have begun before. counts: of all windows
    from there on, shape (size of its binning,).
    """

    kind: str
    name: str
    start: int
    earliest: int
    latest: int
    known: bool
    counts: Counts


@dataclass(frozen=True, slots=True)
class Evidence:
    """Query, rules, and the counts that the report is computed from.

    watermark: the end of the newest evaluated window; None without data. streams: how many versions and environments
    share the model's budget. environments: where what was asked for has data, when this environment has none; versions:
    of which others this one has data then. elapsed: seconds of budget that the look may spend; None: those of an
    interval. windows: the look-backs of the rules, and one that reaches further where these hold too little. sums: for
    each window, the summed slot of each version with data in it. references: those that were in force, and whether as
    provisional ones. since: of the subjects in which a shift was detected.
    """

    query: DriftQuery
    rules: DriftRules
    generation: int
    watermark: int | None
    streams: int
    environments: tuple[str, ...]
    elapsed: int | None
    windows: tuple[Window, ...]
    sums: tuple[Mapping[str, Slot], ...]
    references: tuple[tuple[str, State], ...]
    versions: tuple[str, ...] = ()
    since: tuple[Since, ...] = ()

    @property
    def lookbacks(self) -> int:
        """Among how many look-backs the level of an evaluation is divided.

        Those that hold enough predictions for a shift to be seen in them: how many they hold says nothing of their
        values, so the parts that an evaluation gives away make up its level, however the traffic comes and goes. By the
        rules of before, and where one window was asked for, all that are evaluated, and never fewer than usual.
        """
        rules, query = self.rules, self.query
        if rules.detects_from is None or query.window is not None or query.lookback is not None:
            return max(len(rules.lookbacks), len(self.windows))
        least = rules.least_of_any if query.min_samples is None else query.min_samples
        held = [sum(slot.predictions for slot in sums.values()) for sums in self.sums]
        return max(1, sum(each >= least for each in held))


@dataclass(frozen=True)
class Inputs:
    """Evidence with the references that it names, in the state that they had then."""

    evidence: Evidence
    references: list[StoredReference]
    # Of each subject, and of all (None): what was evaluated, which depends on nothing else.
    evaluated: dict[Subject | None, DriftEvaluation] = field(default_factory=dict, repr=False, compare=False)

    @cached_property
    def layouts(self) -> ModelLayouts:
        """The layouts that the references make."""
        return layouts_of(self.evidence.generation, self.references)

    @cached_property
    def chosen(self) -> dict[Subject, StoredReference]:
        """For each subject the reference that applies to what was asked for."""
        return references_for(self.references, self.evidence.query.version)

    @cached_property
    def counts(self) -> dict[Subject, SubjectCounts]:
        """Counts of each subject with a reference, in each window."""
        return counts_of_subjects(self.evidence.sums, self.layouts, self.chosen)


def inputs_of(connection: Connection, evidence: Evidence) -> Inputs:
    """Evidence that was kept, with its references. Raises UnknownResource when one of them is not there any more."""
    found = references_by_id(connection, [identity for identity, _ in evidence.references])
    states = [state for _, state in evidence.references]
    return Inputs(evidence, [replace(reference, state=state) for reference, state in zip(found, states, strict=True)])


def gather(
    store: Store,
    defaults: DriftRules,
    query: DriftQuery,
    now: int,
    *,
    end: int | None = None,
    elapsed: int | None = None,
    rules: DriftRules | None = None,
    complete: Callable[[Connection, Inputs], Inputs] | None = None,
) -> Inputs:
    """Reads what the answer to a query is made of, as of the watermark `end` (None: of the newest data).

    rules: those to judge by; None: those of the model's monitor, over `defaults`. complete: reads in the same
    transaction what the inputs turn out to need. Raises UnknownResource for an unknown
    model. now: microseconds; end: seconds.
    """
    while True:
        with store.read() as connection:
            generation = generation_of(connection, query.model)
            if generation is None:
                raise UnknownModel(query.model)
            chosen = rules or effective_rules(connection, defaults, query.model)
            mark = end if end is not None else _watermark(connection, query, now)
            windows = stored_whole(connection, query, _windows(chosen, query, mark))
            beside = _extent(windows)
            if mark is not None and query.window is None and query.lookback is None:
                windows = _reaching_back(connection, query, windows, mark, chosen)
            start, stop = _extent(windows)
            if not stale_days(connection, query.model, generation, start, stop):
                inputs = _read(connection, chosen, query, generation, mark, windows, beside, elapsed)
                return inputs if complete is None else complete(connection, inputs)
        backfill_profiles(store, query.model, start, stop)


def effective_rules(connection: Connection, defaults: DriftRules, model: str) -> DriftRules:
    """The rules that a model is judged by now."""
    monitor = monitor_of(connection, model)
    return rules_for(defaults, None if monitor is None else monitor.config)


def _watermark(connection: Connection, query: DriftQuery, now: int) -> int | None:
    newest = last_window_end(connection, query.model, query.environment, query.version)
    return None if newest is None else watermark(newest, now)


def _extent(windows: Sequence[Window]) -> tuple[int, int]:
    return min((window.start for window in windows), default=0), max((window.end for window in windows), default=0)


def _windows(rules: DriftRules, query: DriftQuery, mark: int | None) -> tuple[Window, ...]:
    if query.window is not None:
        return (query.window,)
    if mark is None:
        return ()
    return tuple(look_back(mark, name) for name in ((query.lookback,) if query.lookback else rules.lookbacks))


def _reaching_back(
    connection: Connection, query: DriftQuery, windows: tuple[Window, ...], mark: int, rules: DriftRules
) -> tuple[Window, ...]:
    """The look-backs, further back where the traffic is too low for them."""
    enough = rules.min_samples if query.min_samples is None else query.min_samples

    def count(window: Window) -> int:
        return received_in(connection, query.model, query.environment, query.version, (window.start, window.end))

    reached = reaching_back(windows, mark, enough, count)
    return windows if reached == windows else stored_whole(connection, query, reached)


def _read(
    connection: Connection,
    rules: DriftRules,
    query: DriftQuery,
    generation: int,
    mark: int | None,
    windows: tuple[Window, ...],
    beside: tuple[int, int],
    elapsed: int | None,
) -> Inputs:
    """beside: the span in which other streams that have data share the budget, or the longest look-back."""
    references = in_force(connection, query.model, generation)
    start, stop = beside
    sums = (
        sum_windows(
            connection,
            query.model,
            layouts_of(generation, references),
            query.environment,
            [(window.start, window.end) for window in windows],
            query.version,
        )
        if windows
        else []
    )
    environments, versions = ((), ()) if mark is not None else _elsewhere(connection, query)
    evidence = Evidence(
        query=query,
        rules=rules,
        generation=generation,
        watermark=mark,
        # Those with data in the window, or in the longest look-back.
        streams=count_streams(connection, query.model, min(start, stop - rules.longest), stop),
        environments=environments,
        elapsed=elapsed,
        windows=windows,
        sums=tuple(sums),
        references=tuple((reference.id, reference.state) for reference in references),
        versions=versions,
    )
    return Inputs(evidence, references)


def _elsewhere(connection: Connection, query: DriftQuery) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Environments in which the version (without any: the model) has data, and versions with data in the environment;
    sorted."""
    streams = streams_of(connection, query.model)
    with_version = {stream.environment for stream in streams if query.version in (None, stream.version)}
    here = {stream.version for stream in streams if stream.environment == query.environment}
    environments = with_version or {stream.environment for stream in streams} - {query.environment}
    return tuple(sorted(environments)), tuple(sorted(here))


class _Document(msgspec.Struct):
    format: int
    query: DriftQuery
    rules: DriftRules
    generation: int
    watermark: int | None
    streams: int
    environments: tuple[str, ...]
    elapsed: int | None
    windows: tuple[Window, ...]
    sums: tuple[dict[str, tuple[int, bytes]], ...]
    references: tuple[tuple[str, State], ...]
    versions: tuple[str, ...] = ()
    since: tuple[tuple[str, str, int, int, int, bool, bytes], ...] = ()


_decode = msgspec.msgpack.Decoder(_Document).decode


def encode_evidence(evidence: Evidence) -> bytes:
    """Bytes that `decode_evidence` turns back into the same evidence."""
    document = _Document(
        FORMAT,
        evidence.query,
        evidence.rules,
        evidence.generation,
        evidence.watermark,
        evidence.streams,
        evidence.environments,
        evidence.elapsed,
        evidence.windows,
        tuple(
            {version: (slot.predictions, encode_counts(slot.counts)) for version, slot in sorted(sums.items())}
            for sums in evidence.sums
        ),
        evidence.references,
        evidence.versions,
        tuple(
            (each.kind, each.name, each.start, each.earliest, each.latest, each.known, encode_counts(each.counts))
            for each in evidence.since
        ),
    )
    return pack(document)


def decode_evidence(raw: bytes) -> Evidence:
    """The evidence of its bytes. Raises ValueError when they are none, or of a format that this release can't read."""
    document = unpack(raw, _decode, FORMAT)
    return Evidence(
        query=document.query,
        rules=document.rules,
        generation=document.generation,
        watermark=document.watermark,
        streams=document.streams,
        environments=document.environments,
        elapsed=document.elapsed,
        windows=document.windows,
        sums=tuple(
            {version: Slot(predictions, decode_counts(counts)) for version, (predictions, counts) in sums.items()}
            for sums in document.sums
        ),
        references=document.references,
        versions=document.versions,
        since=tuple(Since(*each[:-1], decode_counts(each[-1])) for each in document.since),
    )
