"""Form that compares two windows of a subject: its fields, and the windows that they name."""

from __future__ import annotations

from dataclasses import dataclass

from modelwatch.errors import FieldError, InvalidInput, excerpt
from modelwatch.monitoring.checks.windows import Window
from modelwatch.web.frame.selection import moment_of_text

NOT_VALID = "The windows can't be compared."


@dataclass(frozen=True, slots=True)
class ComparedWindows:
    """Windows of the form, as entered: the window, and the one to compare it with. Empty: not given."""

    window_from: str = ""
    window_to: str = ""
    baseline_from: str = ""
    baseline_to: str = ""

    @property
    def is_given(self) -> bool:
        """True when anything is asked for."""
        return any((self.window_from, self.window_to, self.baseline_from, self.baseline_to))

    def windows(self) -> tuple[Window, Window]:
        """The window, and what it is compared with. Raises InvalidInput naming each field that is no time."""
        return (
            _window("window_from", self.window_from, "window_to", self.window_to),
            _window("baseline_from", self.baseline_from, "baseline_to", self.baseline_to),
        )


def _window(since: str, first: str, until: str, last: str) -> Window:
    start, end = moment_of_text(first, since, NOT_VALID), moment_of_text(last, until, NOT_VALID)
    if start >= end:
        raise InvalidInput(NOT_VALID, (FieldError(f"/{until}", "Expected a time after its start", excerpt(last)),))
    return Window(start - start % 300, end + -end % 300)
