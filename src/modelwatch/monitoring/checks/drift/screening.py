"""Severities of many windows at once: what is nowhere near drift needs no test, and what is near is judged as ever."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from modelwatch.monitoring.checks.drift.evaluation import dispersion_of, results_of
from modelwatch.monitoring.checks.drift.judge import needed_for
from modelwatch.monitoring.checks.drift.reasons import dispersed_out_of_reach, refusal
from modelwatch.monitoring.checks.drift.subject_counts import SubjectCounts
from modelwatch.monitoring.checks.drift.tolerance import ROUNDING, Severity
from modelwatch.monitoring.checks.rules import DriftRules
from modelwatch.monitoring.checks.windows import Window
from modelwatch.stats.counting.profile import Profile
from modelwatch.stats.drift.scores import psi_of_windows
from modelwatch.stats.drift.significance.screen import Screen
from modelwatch.storage.references.layouts import Counts
from modelwatch.storage.references.subjects import StoredReference, Subject


@dataclass(frozen=True, slots=True)
class Screened:
    """PSI and severity of a subject in each window; the PSI is None where it was not compared."""

    psi: list[float | None]
    severity: list[Severity]


def screened(
    references: Mapping[Subject, StoredReference],
    windows: Sequence[Window],
    vectors: Sequence[Counts],
    received: Sequence[Sequence[int]],
    rules: DriftRules,
    alpha: float,
    keys: Sequence[Profile] = (),
) -> list[Screened]:
    """Result of `results_of` for each subject, in a fraction of the time where little has moved.

    vectors: of each subject, shape (windows, size of the binning). received: of each, the predictions of each window.
    alpha, keys: as in `results_of`.
    """
    passing = _passing(references, vectors, rules, alpha)
    return [
        _screened(reference, windows, counts, of_windows, rules, alpha, passing.get(subject), keys)
        for (subject, reference), counts, of_windows in zip(references.items(), vectors, received, strict=True)
    ]


def _passing(
    references: Mapping[Subject, StoredReference], vectors: Sequence[Counts], rules: DriftRules, alpha: float
) -> dict[Subject, NDArray[np.bool_]]:
    """In which windows each subject that is screened needs the tests, shape (windows,)."""
    some = [
        (reference, counts)
        for reference, counts in zip(references.values(), vectors, strict=True)
        if rules.directed and reference.profile.n and not _is_refused(reference, rules)
    ]
    if not some:
        return {}
    screen = Screen.of([(reference.profile, reference.split) for reference, _ in some])
    # Whatever is not stable is beyond chance.
    found = screen.passing(screen.sums(np.concatenate([counts for _, counts in some], axis=1)), alpha)
    return {reference.subject: of_one for (reference, _), of_one in zip(some, found.T, strict=True)}


def _is_refused(reference: StoredReference, rules: DriftRules) -> bool:
    return refusal(reference.profile, reference.split, rules.least_reference) is not None


def _screened(
    reference: StoredReference,
    windows: Sequence[Window],
    counts: Counts,
    received: Sequence[int],
    rules: DriftRules,
    alpha: float,
    passing: NDArray[np.bool_] | None,
    keys: Sequence[Profile],
) -> Screened:
    subject, profile, split = reference.subject, reference.profile, reference.split
    thresholds, binning = rules.thresholds(subject.kind, subject.name), profile.binning
    cells = counts[:, : binning.n_fine]
    n = cells.sum(axis=1)
    empty = n + counts[:, binning.n_fine] + counts[:, binning.n_fine + 1] == 0
    if not profile.n:
        return Screened([None] * len(windows), ["no_data" if each else "no_reference" for each in empty.tolist()])
    coarse = np.add.reduceat(cells, binning.coarse_starts, axis=1)
    scores = psi_of_windows(profile.coarse, coarse)
    found: list[Severity] = ["no_data"] * len(windows)
    needed = needed_for(rules.directed)(profile, alpha, split)
    if _is_refused(reference, rules):
        judged, enough = np.zeros(len(windows), dtype=np.bool_), np.zeros(len(windows), dtype=np.bool_)
    else:
        enough = n >= max(thresholds.min_samples, 1 if needed is None else needed)
        judged = (n >= rules.least(thresholds.min_samples)) & (n > 0)
        if passing is not None:
            judged &= passing
        elif not (rules.names_shifted or thresholds.odds_ratio):
            # Natural variation asks for more than what is configured, never for less.
            judged &= scores >= thresholds.psi_warning - ROUNDING
        enough &= needed is not None
    for place in np.flatnonzero(enough & ~judged).tolist():
        of_keys = keys[place] if keys else None
        dispersion = dispersion_of(reference, windows[place], int(n[place]), rules, of_keys)
        if dispersion is not None:
            enough[place] = dispersed_out_of_reach(profile, alpha, split, dispersion) is None
    for place in np.flatnonzero(n > 0).tolist():
        found[place] = "stable" if enough[place] else "insufficient_data"
    places = np.flatnonzero(judged).tolist()
    if places:
        some = SubjectCounts(
            tuple(Profile(binning, counts[place]) for place in places), tuple(received[place] for place in places)
        )
        chosen, of_places = {subject: reference}, [windows[place] for place in places]
        of_places_keys = [keys[place] for place in places] if keys else ()
        [result] = results_of(of_places, chosen, {subject: some}, rules, alpha, keys=of_places_keys)
        for place, window in zip(places, result.windows, strict=True):
            found[place] = window.judgement.severity
    return Screened([None if each != each else each for each in scores.tolist()], found)
