"""Subjects: what of a model has a reference, is counted, and is judged; and the reference of one, as it is kept."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256
from typing import Literal

from modelwatch.stats.counting.binning import Binning
from modelwatch.stats.counting.profile import Profile
from modelwatch.stats.drift.significance.names import Split
from modelwatch.stats.drift.variation.clusters import Clusters
from modelwatch.stats.drift.variation.natural_variation import Variation

State = Literal["provisional", "active", "retired"]
Kind = Literal["feature", "prediction", "score", "latency", "calls", "outcome", "segments"]


@dataclass(frozen=True, slots=True, order=True)
class Subject:
    """A feature by its name, or the prediction, its score, its latency, or scores by predicted class."""

    kind: Kind
    name: str = ""


PREDICTION = Subject("prediction")
SCORE = Subject("score")
LATENCY = Subject("latency")
PREDICTED_SCORES = Subject("calls")

# The kind under which the reference table keeps the layout of the outcomes, and what the reference's own are.
OUTCOME: Kind = "outcome"
OUTCOMES = Subject(OUTCOME)
# And that under which it keeps what the segments of the model are.
SEGMENTS: Kind = "segments"

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


def binnings_id(binnings: Mapping[Subject, Binning]) -> str:
    """Id of the subjects and their cells: equal where the same is counted in the same cells.

    >>> from modelwatch.stats.counting.binning import categorical_binning
    >>> one, other = (categorical_binning([name]) for name in "ab")
    >>> first = binnings_id({Subject("feature", "x"): one, Subject("score"): other})
    >>> first == binnings_id({Subject("score"): other, Subject("feature", "x"): one}), len(first)
    (True, 32)
    """
    content = (f"{each.kind}\0{each.name}\0{binnings[each].id}" for each in sorted(binnings))
    return sha256("\0\0".join(content).encode("utf-8", "surrogatepass")).hexdigest()[:32]
