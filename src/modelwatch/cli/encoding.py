"""Characters that the encoding of stdout does not have, spelled with those that it has."""

from __future__ import annotations

import codecs
import sys

HANDLER = "modelwatch.spelled"
_SPELLED = {"−": "-", "–": "-", "→": "->", "…": "...", "×": "x", "∞": "inf", "σ": "sigma"}
_RAISED = dict(zip("⁻⁰¹²³⁴⁵⁶⁷⁸⁹", "-0123456789", strict=True))


def never_fail_at_a_character() -> None:
    """Prints on stdout what is near to a character that its encoding lacks, and "?" where nothing is.

    A handler that PYTHONIOENCODING names stays, and so does that of stderr, which writes escapes.
    """
    codecs.register_error(HANDLER, spelled)
    # A stand-in, as of a notebook, takes any text; None: there is none. Python's own in the locale C: surrogateescape.
    if getattr(sys.stdout, "errors", None) in ("strict", "surrogateescape") and hasattr(sys.stdout, "reconfigure"):
        sys.stdout.reconfigure(errors=HANDLER)


def spelled(error: UnicodeError) -> tuple[str, int]:
    """What is printed for the first character that can't be encoded, and where to go on: a handler of `codecs`.

    An exponent is spelled whole, also where the encoding has some of its digits, as Latin-1 has ¹, ² and ³.
    """
    if not isinstance(error, UnicodeEncodeError):
        raise error
    text, start = error.object, error.start
    end = start
    while end < len(text) and text[end] in _RAISED:
        end += 1
    if end == start:
        return _SPELLED.get(text[start], " " if text[start].isspace() else "?"), start + 1
    begins = start == 0 or text[start - 1] not in _RAISED
    return ("^" if begins else "") + "".join(_RAISED[each] for each in text[start:end]), end


def fits_stdout(text: str) -> bool:
    """Whether the encoding of stdout has all characters of the text."""
    try:
        text.encode(getattr(sys.stdout, "encoding", None) or "utf-8")
    except UnicodeEncodeError:
        return False
    return True
