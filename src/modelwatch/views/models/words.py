"""Words of sentences about models: lists of names, large first letters."""

from __future__ import annotations


def capitalized(sentence: str) -> str:
    """The sentence with a large first letter; the rest as it is."""
    return sentence[:1].upper() + sentence[1:]


def sentence(text: str) -> str:
    """The text as a sentence.

    >>> sentence("there are no labels"), sentence("There are none.")
    ('There are no labels.', 'There are none.')
    """
    return f"{capitalized(text).rstrip('.')}."


def listed(names: list[str], total: int) -> str:
    """Some names of so many in all.

    >>> listed(["a", "b"], 2), listed(["a", "b"], 5), listed(["a"], 1)
    ('a and b', 'a, b and 3 more', 'a')
    """
    left = total - len(names)
    if left > 0:
        return f"{', '.join(names)} and {left:,} more"
    return " and ".join([", ".join(names[:-1]), names[-1]]) if len(names) > 1 else "".join(names)
