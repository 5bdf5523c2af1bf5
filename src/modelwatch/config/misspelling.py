"""Whether a name in the environment is a slip of the pen for one of ours."""

from __future__ import annotations

SHORTEST_NAME = 10
SHORTEST_NAME_FOR_TWO_SLIPS = 16


def is_misspelling_of(given: str, name: str) -> bool:
    """Whether `given` is `name` with one slip, or two in a long name.

    A slip is a letter that is missing, added or wrong, or two letters that changed places. Short names and names that
    differ in a digit never count: HOSTNAME, PORTS, SFTP_URL or DATABASE_URL_2 are other programs' own.

    >>> is_misspelling_of("PSI_WARNNG_THRESHOLD", "PSI_WARNING_THRESHOLD")
    True
    >>> is_misspelling_of("DATABASE_URL_TEST", "DATABASE_URL")
    False
    """
    if len(name) < SHORTEST_NAME or given == name:
        return False
    if [c for c in given if c.isdigit()] != [c for c in name if c.isdigit()]:
        return False
    allowed = 2 if len(name) >= SHORTEST_NAME_FOR_TWO_SLIPS else 1
    given = given.upper().replace("-", "_")
    return abs(len(given) - len(name)) <= allowed and edit_distance(given, name) <= allowed


def edit_distance(left: str, right: str) -> int:
    """Insertions, deletions, substitutions and swaps of neighbours that turn one text into the other.

    Source: Boytsov, Indexing methods for approximate dictionary searching (2011), optimal string alignment.

    >>> edit_distance("LOG_FORMAT", "LOG_FROMAT"), edit_distance("", "abc")
    (1, 3)
    """
    before: list[int] = []
    row = list(range(len(right) + 1))
    for i, a in enumerate(left, start=1):
        before, last, row = row, before, [i]
        for j, b in enumerate(right, start=1):
            cost = min(before[j] + 1, row[j - 1] + 1, before[j - 1] + (a != b))
            if i > 1 and j > 1 and a == right[j - 2] and left[i - 2] == b:
                cost = min(cost, last[j - 2] + 1)
            row.append(cost)
    return row[-1]
