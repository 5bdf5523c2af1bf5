"""Which errors of a store are about the values that it was given, so that the same ones would fail again."""

from __future__ import annotations

from sqlalchemy.exc import DataError, DBAPIError, IntegrityError, StatementError

# PostgreSQL's class "program limit exceeded": such as an index row that is too long. The driver takes it for trouble
# with the server.
LIMIT_EXCEEDED = "54"


def is_about_values(error: BaseException) -> bool:
    """Whether the values of the rows have brought it up; False for trouble with the store, which may pass."""
    if isinstance(error, DataError | IntegrityError):
        return True
    if isinstance(error, DBAPIError):
        return (getattr(error.orig, "sqlstate", None) or "").startswith(LIMIT_EXCEEDED)
    # What the driver, or SQLAlchemy around it, can't write as a parameter.
    cause = error.orig if isinstance(error, StatementError) else error
    return isinstance(cause, OverflowError | UnicodeError)
