"""The command line: `modelwatch serve`, `demo`, `replay` and the rest.

Exit codes: 0 fine; 1 the command found something (drift with `--fail-on`, rejected rows, a failed check, a demo that
went wrong); 2 wrong usage, settings, input or key, or a package of the service is missing; 3 the service or the store
can't be reached; 4 no verdict, with `--fail-on`; 5 a verdict that newer rules would not give; 130 interrupted.
"""

from __future__ import annotations


def main(argv: list[str] | None = None) -> int:
    """Runs one command and returns its exit code. argv: the words after the program's name; sys.argv's if None."""
    # Workers import this package for its log format alone, and must not wait for the rest.
    from modelwatch.cli.app import run

    return run(argv)


__all__ = ["main"]
