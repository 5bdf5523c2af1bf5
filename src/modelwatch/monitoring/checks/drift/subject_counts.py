"""The profiles of all subjects of a stream in all windows of an evaluation, made from the summed counts at once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from modelwatch.stats.counting.profile import Profile
from modelwatch.stats.errors import IncompatibleProfiles
from modelwatch.storage.references.subjects import StoredReference, Subject

if TYPE_CHECKING:
    from modelwatch.storage.ledger.slots import Slot
    from modelwatch.storage.references.layouts import Counts, ModelLayouts


@dataclass(frozen=True, slots=True)
class SubjectCounts:
    """A subject in each window: what the versions that are counted in its reference's cells show together, and how many
    predictions these versions have."""

    profiles: tuple[Profile, ...]
    received: tuple[int, ...]


def references_for(references: Sequence[StoredReference], version: str | None) -> dict[Subject, StoredReference]:
    """For each subject the reference that applies: the version's own, else the one for all versions.

    Without a version asked for, a reference of one version serves where none is set for all.
    """
    chosen: dict[Subject, StoredReference] = {}
    for reference in references:
        exact = reference.version is not None and reference.version == version
        common = reference.version is None
        fallback = version is None and reference.subject not in chosen
        if exact or (common and (version is None or reference.subject not in chosen)) or fallback:
            chosen[reference.subject] = reference
    return chosen


def same_binning(layouts: ModelLayouts, version: str, subject: Subject, reference: StoredReference) -> bool:
    """True when the version counts the subject in the cells of this reference."""
    binning = layouts.of(version).binnings.get(subject)
    return binning is not None and binning.id == reference.profile.binning.id


def counts_of_subjects(
    sums: Sequence[Mapping[str, Slot]], layouts: ModelLayouts, chosen: Mapping[Subject, StoredReference]
) -> dict[Subject, SubjectCounts]:
    """By subject, its counts in each window. sums: of each window, the summed slot of each version with data in it.

    Raises IncompatibleProfiles when counts are negative.
    """
    if not chosen or not sums:
        return {subject: SubjectCounts((), ()) for subject in chosen}
    blocks, of_subject = vectors_of_subjects(sums, layouts, chosen)
    counts = np.concatenate(blocks, axis=1)
    if counts.min() < 0:
        raise IncompatibleProfiles("the counts of a profile are never negative")
    counts.flags.writeable = False
    profiles = _profiles(counts, list(chosen.values()))
    return {
        subject: SubjectCounts(of_one, predictions)
        for subject, of_one, predictions in zip(chosen, profiles, of_subject, strict=True)
    }


def keys_of(
    sums: Sequence[Mapping[str, Slot]],
    layouts: ModelLayouts,
    chosen: Mapping[Subject, StoredReference],
    cluster_by: str | None,
) -> tuple[Profile, ...]:
    """The counts of the feature that groups predictions, in each window; empty where there is none, or no reference of
    it. sums: as in `counts_of_subjects`."""
    subject = None if cluster_by is None else Subject("feature", cluster_by)
    if subject is None or subject not in chosen:
        return ()
    return counts_of_subjects(sums, layouts, {subject: chosen[subject]})[subject].profiles


def vectors_of_subjects(
    sums: Sequence[Mapping[str, Slot]], layouts: ModelLayouts, chosen: Mapping[Subject, StoredReference]
) -> tuple[list[Counts], list[tuple[int, ...]]]:
    """For each subject its counts in each window, shape (windows, size of its binning), and the predictions of the
    versions that are counted in its reference's cells, shape (windows,). sums: as in `counts_of_subjects`."""
    versions = sorted({name for of_window in sums for name in of_window})
    vectors = {name: _stacked(sums, name) for name in versions}
    received = {name: [of[name].predictions if name in of else 0 for of in sums] for name in versions}
    none = (0,) * len(sums)
    blocks: list[Counts] = []
    of_subject: list[tuple[int, ...]] = []
    for subject, reference in chosen.items():
        same = [name for name in versions if same_binning(layouts, name, subject, reference)]
        parts = [vectors[name][:, layouts.of(name).slices[subject]] for name in same]
        if parts:
            blocks.append(sum(parts[1:], start=parts[0]))
        else:
            blocks.append(np.zeros((len(sums), reference.profile.binning.size), dtype=np.int64))
        of_subject.append(tuple(map(sum, zip(*(received[name] for name in same), strict=True))) or none)
    return blocks, of_subject


def _stacked(sums: Sequence[Mapping[str, Slot]], version: str) -> Counts:
    """The counts of a version in each window, shape (windows, size of its layout)."""
    found = [of_window[version].counts if version in of_window else None for of_window in sums]
    size = next(len(each) for each in found if each is not None)
    return np.stack([np.zeros(size, dtype=np.int64) if each is None else each for each in found])


def _profiles(counts: Counts, references: Sequence[StoredReference]) -> list[tuple[Profile, ...]]:
    """The profiles of each reference's subject, of which `counts` holds one after the other: shape (windows, cells)."""
    binnings = [reference.profile.binning for reference in references]
    offsets = np.concatenate(([0], np.cumsum([binning.size for binning in binnings]))).astype(np.intp)
    # The valid values of each, and what is counted beside them; the coarse cells of each, and the same.
    halves = np.stack([offsets[:-1], offsets[:-1] + [binning.n_fine for binning in binnings]], axis=1).ravel()
    valid = np.add.reduceat(counts, halves, axis=1)[:, ::2].T.tolist()
    starts: list[NDArray[np.intp]] = [
        np.append(binning.coarse_starts, binning.n_fine) + offset
        for binning, offset in zip(binnings, offsets[:-1], strict=True)
    ]
    coarse = np.add.reduceat(counts, np.concatenate(starts), axis=1)
    coarse.flags.writeable = False
    coarse_offsets = np.concatenate(([0], np.cumsum([len(each) for each in starts]))).tolist()
    found = []
    for place, binning in enumerate(binnings):
        of_all = counts[:, offsets[place] : offsets[place + 1]]
        of_coarse = coarse[:, coarse_offsets[place] : coarse_offsets[place + 1] - 1]
        found.append(tuple(Profile.known(binning, *row) for row in zip(of_all, of_coarse, valid[place], strict=True)))
    return found
