"""Regular expressions that are matched in linear time, whatever they look like.

Matchers come from people, and `re` backtracks: a pattern such as `(a+)+b` keeps it busy for years. Here a pattern is a
set of states that are followed side by side, so the work is at most states × characters. Back references and
look-around can't be had that way and are refused, as they are by Prometheus and Alertmanager.
Source: Thompson, Regular expression search algorithm (1968).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import lru_cache, partial

LONGEST_PATTERN = 256
LONGEST_VALUE = 512
MOST_STATES = 1_000
DEEPEST_GROUP = 20

Accepts = Callable[[str], bool]
Fragment = tuple[int, int]

_CLASSES: dict[str, Accepts] = {
    "d": str.isdecimal,
    "w": lambda char: char.isalnum() or char == "_",
    "s": str.isspace,
}
_ESCAPES = {"n": "\n", "t": "\t", "r": "\r", "f": "\f", "v": "\v"}


class PatternError(ValueError):
    """The pattern can't be read; the message says why, in words for the person who wrote it."""


@dataclass(slots=True)
class Pattern:
    """A compiled pattern: from each state one character leads on, or none is needed to be in others too."""

    accepts: list[Accepts | None] = field(default_factory=list)
    follows: list[list[int]] = field(default_factory=list)
    start: int = 0
    end: int = 0

    def matches(self, text: str) -> bool:
        """Whether the whole text matches; of a longer text, its first 512 characters are looked at.

        >>> compile_pattern("fraud_.*|risk").matches("fraud_v2"), compile_pattern("raud").matches("fraud")
        (True, False)
        """
        states = self._closure({self.start})
        for char in text[:LONGEST_VALUE]:
            if not states:
                return False
            after = set()
            for state in states:
                accepts = self.accepts[state]
                if accepts is not None and accepts(char):
                    after.update(self.follows[state])
            states = self._closure(after)
        return self.end in states

    def add(self, accepts: Accepts | None) -> int:
        """A new state; None accepts no character: its followers are entered at once."""
        if len(self.accepts) >= MOST_STATES:
            raise PatternError("The pattern is too large; use smaller repetitions")
        self.accepts.append(accepts)
        self.follows.append([])
        return len(self.accepts) - 1

    def _closure(self, states: set[int]) -> set[int]:
        reached, waiting = set(states), list(states)
        while waiting:
            state = waiting.pop()
            if self.accepts[state] is None:
                fresh = [each for each in self.follows[state] if each not in reached]
                reached.update(fresh)
                waiting.extend(fresh)
        return reached


@lru_cache(maxsize=4_096)
def matches(pattern: str, text: str) -> bool:
    """Whether the whole text matches the pattern. Raises PatternError."""
    return compile_pattern(pattern).matches(text)


@lru_cache(maxsize=512)
def compile_pattern(text: str) -> Pattern:
    """The pattern of a text. It is matched from the first character to the last.

    Known: characters, `.`, classes such as `[a-z]` and `\\d`, groups, `|`, `*`, `+`, `?` and `{2,3}`; at the very start
    `(?i)` and `^`, at the end `$`. Raises PatternError.
    """
    if len(text) > LONGEST_PATTERN:
        raise PatternError(f"Expected at most {LONGEST_PATTERN} characters, got {len(text)}")
    pattern = Pattern()
    reader = _Reader(text, pattern)
    pattern.start, pattern.end = reader.whole()
    return pattern


class _Reader:
    """Reads a pattern by recursive descent; each part becomes states, from its first to its last."""

    def __init__(self, text: str, pattern: Pattern) -> None:
        self._text = text
        self._at = 0
        self._pattern = pattern
        self._depth = 0
        self._ignore_case = False

    def whole(self) -> Fragment:
        self._ignore_case = self._took("(?i)")
        self._took("^")
        if self._text.endswith("$") and not self._ends_in_escape():
            self._text = self._text[:-1]
        fragment = self._alternatives()
        if self._at < len(self._text):
            raise PatternError(f"Unexpected {self._text[self._at]!r} at position {self._at}")
        return fragment

    def _ends_in_escape(self) -> bool:
        before = self._text[:-1]
        return (len(before) - len(before.rstrip("\\"))) % 2 == 1

    def _alternatives(self) -> Fragment:
        branches = [self._sequence()]
        while self._took("|"):
            branches.append(self._sequence())
        return branches[0] if len(branches) == 1 else self._either(branches)

    def _sequence(self) -> Fragment:
        first = last = self._pattern.add(None)
        while self._at < len(self._text) and self._text[self._at] not in "|)":
            began = self._at
            part = self._repeated(self._atom(), began)
            self._link(last, part[0])
            last = part[1]
        return first, last

    def _repeated(self, fragment: Fragment, began: int) -> Fragment:
        after_atom = self._at
        bounds = self._bounds()
        if bounds is None:
            return fragment
        self._took("?")  # lazy or not is the same for a match of the whole
        if self._at < len(self._text) and (self._text[self._at] in "*+?" or self._bounds() is not None):
            raise PatternError(f"Nothing to repeat at position {self._at}")
        least, most = bounds
        resume = self._at
        copies = [fragment]

        def copy() -> Fragment:
            """The same atom once more, read again from its text."""
            self._at = began
            again = self._atom()
            assert self._at == after_atom, "an atom ends where it ended before"
            return again

        while len(copies) < max(least, most or 0, 1):
            copies.append(copy())
        self._at = resume
        return self._chained(copies, least, most)

    def _chained(self, copies: list[Fragment], least: int, most: int | None) -> Fragment:
        first, end = self._pattern.add(None), self._pattern.add(None)
        last = first
        for index, (start, finish) in enumerate(copies):
            if index >= least:
                self._link(last, end)
            if most == 0:
                break
            self._link(last, start)
            last = finish
            if most is None and index == len(copies) - 1:
                self._link(finish, start)
        self._link(last, end)
        return first, end

    def _bounds(self) -> tuple[int, int | None] | None:
        for sign, bounds in (("*", (0, None)), ("+", (1, None)), ("?", (0, 1))):
            if self._took(sign):
                return bounds
        close = self._text.find("}", self._at)
        if close < 0 or self._text[self._at : self._at + 1] != "{":
            return None
        low, comma, high = self._text[self._at + 1 : close].partition(",")
        if not low.isdecimal() or (high and not high.isdecimal()):
            return None
        self._at = close + 1
        least = int(low)
        most = (int(high) if high else None) if comma else least
        if most is not None and most < least:
            raise PatternError("A repetition must not have its smaller bound last")
        if max(least, most or 0) > MOST_STATES:
            raise PatternError("The pattern is too large; use smaller repetitions")
        return least, most

    def _atom(self) -> Fragment:
        char = self._text[self._at]
        if char == "(":
            return self._group()
        if char in "*+?":
            raise PatternError(f"Nothing to repeat at position {self._at}")
        if char in "^$":
            raise PatternError(f"{char!r} at position {self._at}: a matcher always looks at the whole value")
        self._at += 1
        if char == "[":
            return self._one(self._set())
        if char == "\\":
            return self._one(self._escape())
        return self._one((lambda _: True) if char == "." else self._in_either_case(char.__eq__))

    def _group(self) -> Fragment:
        self._at += 1
        if self._text.startswith("?", self._at) and not self._took("?:"):
            raise PatternError(f"(?… at position {self._at - 1} is not supported; (?i) only at the very start")
        self._depth += 1
        if self._depth > DEEPEST_GROUP:
            raise PatternError(f"Groups must not be nested deeper than {DEEPEST_GROUP}")
        fragment = self._alternatives()
        self._depth -= 1
        if not self._took(")"):
            raise PatternError("A group is not closed")
        return fragment

    def _set(self) -> Accepts:
        negated = self._took("^")
        tests: list[Accepts] = []
        while tests == [] or not self._took("]"):
            low = self._member()
            if self._text.startswith("-", self._at) and self._text[self._at + 1 : self._at + 2] not in ("", "]"):
                self._at += 1
                high = self._member()
                if not isinstance(low, str) or not isinstance(high, str) or high < low:
                    raise PatternError("A range in [] must go from a smaller to a larger character")
                tests.append(self._in_either_case(partial(_between, low, high)))
            else:
                tests.append(self._in_either_case(low.__eq__) if isinstance(low, str) else low)
        return lambda char: any(test(char) for test in tests) is not negated

    def _member(self) -> str | Accepts:
        if self._at >= len(self._text):
            raise PatternError("A [ is not closed")
        char = self._text[self._at]
        self._at += 1
        if char != "\\":
            return char
        following = self._text[self._at : self._at + 1]
        if following in _CLASSES or following.lower() in _CLASSES:
            return self._escape()
        return self._escaped()

    def _escape(self) -> Accepts:
        following = self._text[self._at : self._at + 1]
        if following in _CLASSES:
            self._at += 1
            return _CLASSES[following]
        if following.lower() in _CLASSES:
            self._at += 1
            accepts = _CLASSES[following.lower()]
            return lambda char: not accepts(char)
        return self._in_either_case(self._escaped().__eq__)

    def _in_either_case(self, accepts: Accepts) -> Accepts:
        return (lambda char: accepts(char.lower()) or accepts(char.upper())) if self._ignore_case else accepts

    def _escaped(self) -> str:
        following = self._text[self._at : self._at + 1]
        if following in _ESCAPES:
            self._at += 1
            return _ESCAPES[following]
        if not following or following.isalnum():
            raise PatternError(f"\\{following} is not supported")
        self._at += 1
        return following

    def _took(self, expected: str) -> bool:
        found = self._text.startswith(expected, self._at)
        self._at += len(expected) * found
        return found

    def _one(self, accepts: Accepts) -> Fragment:
        state, end = self._pattern.add(accepts), self._pattern.add(None)
        self._link(state, end)
        return state, end

    def _either(self, branches: list[Fragment]) -> Fragment:
        first, end = self._pattern.add(None), self._pattern.add(None)
        for start, finish in branches:
            self._link(first, start)
            self._link(finish, end)
        return first, end

    def _link(self, state: int, following: int) -> None:
        self._pattern.follows[state].append(following)


def _between(low: str, high: str, char: str) -> bool:
    return low <= char <= high
