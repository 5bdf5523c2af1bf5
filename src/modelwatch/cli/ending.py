"""How a command ends when it can't go on: one clear message and an exit code."""

from __future__ import annotations

OK = 0
FOUND = 1
USAGE = 2
UNREACHABLE = 3
NO_VERDICT = 4
OTHER_RULES = 5
INTERRUPTED = 130


class Stop(Exception):
    """Ends the command. `message` goes to stderr; it says what was expected and what to do."""

    def __init__(self, message: str, code: int = USAGE) -> None:
        super().__init__(message)
        self.message = message
        self.code = code


class Refused(Stop):
    """The service answered with an error. `problem` is its problem document, as far as it sent one."""

    def __init__(self, message: str, status: int, problem: dict[str, object]) -> None:
        super().__init__(message, USAGE)
        self.status = status
        self.problem = problem


class Unreachable(Stop):
    """The service does not answer, or not with something that can be understood."""

    def __init__(self, message: str) -> None:
        super().__init__(message, UNREACHABLE)
