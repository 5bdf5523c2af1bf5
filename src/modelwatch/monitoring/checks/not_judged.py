"""Subjects that a report does not judge, listed beside its severity: what is not judged is not stable."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import msgspec

NAMES_SHOWN = 20
KNOWN_STATES = ("alert", "warning", "shifted", "stable")


class NotJudged(msgspec.Struct, frozen=True):
    """Subjects that share a state without a judgement.

    state: such as `insufficient_data`. count: how many there are; subjects: the names of the first 20. reason: why the
    first one is not judged.
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


def listed(names: Sequence[str]) -> str:
    """The first 20 of these names, and how many there are more.

    >>> listed(["age", "fare"])
    'age, fare'
    """
    more = len(names) - NAMES_SHOWN
    return ", ".join(names[:NAMES_SHOWN]) + (f" and {more:,} more" if more > 0 else "")
