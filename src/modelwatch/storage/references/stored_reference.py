"""A reference as it is kept: the distribution of one subject that production is compared with."""

from __future__ import annotations

from dataclasses import dataclass

from modelwatch.stats.counting.profile import Profile
from modelwatch.stats.drift.names import Split
from modelwatch.stats.drift.variation.clusters import Clusters
from modelwatch.stats.drift.variation.natural_variation import Variation
from modelwatch.storage.references.subjects import State, Subject

# The source of a provisional reference.
FIRST_PREDICTIONS = "first predictions"


@dataclass(frozen=True, slots=True)
class StoredReference:
    """A reference as it is kept: `version` None means every version that has none of its own.

    split: of a categorical one, how it was split for its tests; None for those of earlier releases, too. clusters: how
    alike its values are that have the same key; None where no key was known when it was set.
    """

    id: str
    model: str
    version: str | None
    subject: Subject
    profile: Profile
    variation: Variation | None
    created_at: int
    source: str
    state: State
    split: Split | None = None
    clusters: Clusters | None = None
