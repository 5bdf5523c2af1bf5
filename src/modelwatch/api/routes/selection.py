"""Selection of a request: some streams of a model, and a page of the verdicts on them."""

# No postponed annotations: the framework reads those of a class's constructor where they are.
from dataclasses import dataclass
from typing import Annotated

from fastapi import Depends
from sqlalchemy import Connection

from modelwatch.api.routes.common import (
    Cursor,
    Limit,
    Moment,
    Step,
    Text,
    cursor_of,
    position_of,
    seconds_of,
    step_of,
)
from modelwatch.errors import FieldError, InvalidInput
from modelwatch.storage.counts.streams import streams_of
from modelwatch.storage.engine.models import StreamKey
from modelwatch.storage.verdicts.verdicts import StoredVerdict, verdicts_of

# Each stream is computed anew; a model with more versions says which.
MOST_STREAMS = 20


@dataclass(frozen=True)
class StreamSelection:
    """The streams of a version and an environment; None: of each."""

    version: Text = None
    environment: Text = None

    def has(self, version: str, environment: str) -> bool:
        """True when a stream of this version in this environment is among them."""
        return self.version in (None, version) and self.environment in (None, environment)

    def streams(self, connection: Connection, model: str, most: int = MOST_STREAMS) -> list[StreamKey]:
        """Streams of a model, sorted. Raises InvalidInput when there are more than are computed at once, `most`."""
        found = [each for each in streams_of(connection, model) if self.has(each.version, each.environment)]
        if len(found) > most:
            problem = FieldError("/version", f"The model has {len(found)} versions and environments; select some")
            raise InvalidInput(f"At most {most} are computed in one request.", (problem,))
        return found


@dataclass(frozen=True)
class Stretch:
    """A stretch of time, divided into steps. Raises InvalidInput for a time or a length that is none."""

    start: Moment = None
    end: Moment = None
    step: Step = None

    def __post_init__(self) -> None:
        # Named before anything is looked up.
        _ = self.seconds

    @property
    def is_given(self) -> bool:
        """True when anything of it is given."""
        return not (self.start is None and self.end is None and self.step is None)

    @property
    def seconds(self) -> tuple[int | None, int | None, int | None]:
        """Start and end in seconds since 1970, and the length of a step in seconds; None where not given."""
        return *seconds_of(self.start, self.end), step_of(self.step)


@dataclass(frozen=True)
class Page:
    """A page of a list, newest first."""

    limit: Limit = 50
    cursor: Cursor = None

    @property
    def position(self) -> tuple[int, str] | None:
        """Start of the page; None for the start of the list. Raises InvalidInput for a cursor that is none of ours."""
        return None if self.cursor is None else position_of(self.cursor)


Selected = Annotated[StreamSelection, Depends()]
Stretched = Annotated[Stretch, Depends()]
Paged = Annotated[Page, Depends()]


def verdict_page(
    connection: Connection, model: str, check: str, streams: StreamSelection, stretch: Stretch, page: Page
) -> tuple[list[StoredVerdict], str | None]:
    """The stored verdicts of a check on one page, and the cursor of the next page; None when this is the last."""
    start, end, step = stretch.seconds
    found = verdicts_of(
        connection,
        model,
        check=check,
        version=streams.version,
        environment=streams.environment,
        start=start,
        end=end,
        step=step,
        before=page.position,
        limit=page.limit + 1,
    )
    shown = found[: page.limit]
    more = len(found) > page.limit
    return shown, cursor_of((shown[-1].window_end, shown[-1].id)) if more else None
