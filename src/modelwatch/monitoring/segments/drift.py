"""The drift of every feature divided among the segments of another."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from modelwatch.monitoring.checks.rules import DriftRules
from modelwatch.monitoring.segments.evidence import SegmentInputs, Stretch
from modelwatch.monitoring.segments.report import SegmentDrift
from modelwatch.stats.counting.profile import Profile
from modelwatch.stats.segments.decomposition import psi_by_segment
from modelwatch.stats.segments.segmentation import SegmentFeature
from modelwatch.storage.references.layouts import Counts
from modelwatch.storage.references.subjects import StoredReference, Subject


def divided_drift(inputs: SegmentInputs, rules: DriftRules, feature: SegmentFeature) -> list[SegmentDrift]:
    """Every watched subject with its PSI and what each segment contributes; the largest first.

    Compared with the reference where its segments are known, else with the earlier stretch.
    """
    found = []
    for subject, reference in inputs.references.items():
        place = inputs.layouts.of(inputs.stream.version).slices.get(subject)
        if place is None or inputs.now is None or not rules.watches(subject.kind, subject.name):
            continue
        current = _coarse(inputs.now, feature, reference, place)
        known = inputs.parts.get((reference.id, feature.id))
        if known is not None:
            before = _of_reference(known, feature, reference)
        elif inputs.earlier is not None:
            before = _coarse(inputs.earlier, feature, reference, place)
        else:
            before = {}
        if not _any(before) or not _any(current):
            continue
        cells = psi_by_segment(before, current)
        contributions = {segment: float(parts.sum()) for segment, parts in cells.items()}
        found.append(
            SegmentDrift(
                subject.name or subject.kind,
                float(np.sum(list(cells.values()))),
                "earlier" if known is None else "reference",
                contributions,
            )
        )
    return sorted(found, key=lambda each: (-each.psi, each.feature_name))


def soundness_profiles(inputs: SegmentInputs, stretch: Stretch, segment: str) -> list[Profile]:
    """The profiles of the features in one segment."""
    slot = stretch.profiles.get(segment)
    if slot is None:
        return []
    slices = inputs.layouts.of(inputs.stream.version).slices
    return [
        Profile(reference.profile.binning, slot.counts[slices[subject]])
        for subject, reference in inputs.references.items()
        if subject.kind == "feature" and subject in slices
    ]


def _coarse(stretch: Stretch, feature: SegmentFeature, reference: StoredReference, place: slice) -> dict[str, Counts]:
    binning = reference.profile.binning
    return {
        segment: Profile(binning, stretch.profiles[segment].counts[place]).coarse
        for segment in feature.texts
        if segment in stretch.profiles
    }


def _of_reference(known: Counts, feature: SegmentFeature, reference: StoredReference) -> dict[str, Counts]:
    binning = reference.profile.binning
    rows = known.reshape(len(feature.texts), binning.size)
    return {
        segment: Profile(binning, row).coarse for segment, row in zip(feature.texts, rows, strict=True) if row.any()
    }


def _any(side: Mapping[str, Counts]) -> bool:
    return any(counts.any() for counts in side.values())


def shares_before(inputs: SegmentInputs, feature: SegmentFeature) -> dict[str, float]:
    """The share of the rows that each segment had before: in the reference of the feature itself, else earlier."""
    subject = Subject("feature", feature.feature)
    reference = inputs.references.get(subject)
    known = None if reference is None else inputs.parts.get((reference.id, feature.id))
    if known is not None and reference is not None:
        size = reference.profile.binning.size
        # Fine cells, missing and invalid; what is below and above is in the cells already.
        inside = reference.profile.binning.n_fine + 2
        counts = known.reshape(len(feature.texts), size)[:, :inside].sum(axis=1).tolist()
        numbers = dict(zip(feature.texts, counts, strict=True))
    elif inputs.earlier is not None:
        profiles = inputs.earlier.profiles
        numbers = {segment: profiles[segment].predictions for segment in feature.texts if segment in profiles}
    else:
        numbers = {}
    total = sum(numbers.values())
    return {segment: number / total for segment, number in numbers.items() if number} if total else {}
