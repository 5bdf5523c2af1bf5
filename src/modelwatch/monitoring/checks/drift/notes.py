"""What references don't tell about how independent predictions are, and why: said once in the summary of a check."""

from __future__ import annotations

from collections.abc import Iterable

from modelwatch.errors import excerpt
from modelwatch.monitoring.checks.drift.evaluation import DriftEvaluation
from modelwatch.monitoring.checks.not_judged import listed
from modelwatch.stats.drift.variation.overdispersion import MIN_GROUPS
from modelwatch.storage.references.stored_reference import FIRST_PREDICTIONS, StoredReference


def notes_of(evaluation: DriftEvaluation) -> list[str]:
    """A sentence for each reason why something can't be known of some subjects; nothing by rules that don't ask."""
    rules = evaluation.evidence.rules
    named = [
        (each.subject.name or each.subject.kind, each.reference)
        for each in evaluation.subjects
        if each.reference.profile.n and (each.subject.kind, each.subject.name) != ("feature", rules.cluster_by)
    ]
    found = []
    if rules.dispersed and rules.natural_variation:
        found += _sentences("Natural variation", "of", [(name, _why_no_variation(each)) for name, each in named])
    if rules.cluster_by is not None:
        key = excerpt(rules.cluster_by)
        whys = [(name, _why_no_clusters(each, rules.cluster_by)) for name, each in named]
        found += _sentences(f"How alike predictions of one {key!r} are", "in", whys)
    return found


def _sentences(what: str, of: str, whys: Iterable[tuple[str, str | None]]) -> list[str]:
    """whys: by the name of a subject, why it can't be known of it; None where it is."""
    by_reason: dict[str | None, list[str]] = {}
    for name, why in whys:
        by_reason.setdefault(why, []).append(name)
    return [
        f"{what} can't be known: the reference {why}."
        if len(by_reason) == 1
        else f"{what} can't be known {of} {listed(names)}: the reference {why}."
        for why, names in by_reason.items()
        if why is not None
    ]


def _why_no_variation(reference: StoredReference) -> str | None:
    if reference.variation is not None:
        few = f"has no {MIN_GROUPS} stretches of time with several values each"
        return None if reference.variation.tells(reference.profile) else few
    if reference.source == FIRST_PREDICTIONS:
        return "is the first predictions"
    return "has no time stamps, or one alone"


def _why_no_clusters(reference: StoredReference, key: str) -> str | None:
    clusters = reference.clusters
    if clusters is None:
        return "has no such column, came without rows, or was set before drift.cluster_by"
    if clusters.key != key:
        return "was set before drift.cluster_by"
    if clusters.groups < MIN_GROUPS:
        return f"has values of fewer than {MIN_GROUPS} of them"
    return "has one value of each" if clusters.group_size <= 1.0 else None
