"""Subjects that a report does not judge, listed beside its severity: what is not judged is not stable."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import msgspec

NAMES_SHOWN = 20
KNOWN_STATES = ("alert", "warning", "shifted", "stable")


class NotJudged(msgspec.Struct, frozen=True):
    """Subjects that share a state without a judgement.

    state: such as `insufficient_data`. count: how many there are; subjects: the names of the first 20. reason: why the
    first one is not judged; others may have their own, which stand beside them in the report.
    """

    state: str
    count: int
    subjects: list[str]
    reason: str | None


def not_judged(subjects: Iterable[tuple[str, str, str | None]]) -> list[NotJudged]:
    """By state, in the order in which the states first occur, the subjects whose state is none of `KNOWN_STATES`.

    subjects: name, state, and reason of each.

    >>> found = not_judged([("age", "stable", None), ("fare", "no_data", "No values."), ("sex", "no_data", None)])
    >>> [(each.state, each.count, each.subjects, each.reason) for each in found]
    [('no_data', 2, ['fare', 'sex'], 'No values.')]
    """
    by_state: dict[str, list[tuple[str, str | None]]] = {}
    for name, state, reason in subjects:
        if state not in KNOWN_STATES:
            by_state.setdefault(state, []).append((name, reason))
    return [
        NotJudged(state, len(found), [name for name, _ in found[:NAMES_SHOWN]], found[0][1])
        for state, found in by_state.items()
    ]


def by_reason(groups: Iterable[NotJudged], reasons: Mapping[str, str | None]) -> list[NotJudged]:
    """The groups, those apart whose subjects have several reasons: first by reason, then subjects without a name.

    reasons: of subjects, by name, as the report has them beside these. Subjects that it has none of there have that of
    their group where its first subject is one of them, else none that is known.

    >>> apart = by_reason([NotJudged("no_data", 3, ["age", "fare"], "Gone.")], {"age": "Gone.", "fare": "No numbers."})
    >>> [(each.subjects, each.count, each.reason) for each in apart]
    [(['age'], 1, 'Gone.'), (['fare'], 1, 'No numbers.'), ([], 1, None)]
    """
    found: list[NotJudged] = []
    for group in groups:
        otherwise = group.reason if group.subjects and group.subjects[0] not in reasons else None
        apart: dict[str | None, list[str]] = {}
        for name in group.subjects:
            apart.setdefault(reasons.get(name, otherwise), []).append(name)
        if len(apart) < 2:
            found.append(group)
            continue
        found += [NotJudged(group.state, len(names), names, reason) for reason, names in apart.items()]
        unnamed = group.count - len(group.subjects)
        if unnamed:
            found.append(NotJudged(group.state, unnamed, [], None))
    return found


def listed(names: Sequence[str]) -> str:
    """The first 20 of these names, and how many there are more.

    >>> listed(["age", "fare"])
    'age, fare'
    """
    more = len(names) - NAMES_SHOWN
    return ", ".join(names[:NAMES_SHOWN]) + (f" and {more:,} more" if more > 0 else "")
