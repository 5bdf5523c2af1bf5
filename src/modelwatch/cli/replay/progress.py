"""Progress of a replay and of the evaluation of its rows: bars on a terminal, and the state at the end."""

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from modelwatch.cli.base import CliError
from modelwatch.cli.client import ServiceClient
from modelwatch.cli.replay.rows import Rows

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

POLL_SECONDS = 1.0
# Windows of a stream that nothing comes for any more close by the clock, after half a minute.
QUIET_SECONDS = 40.0


@dataclass(frozen=True, slots=True)
class Evaluated:
    """Progress of the evaluation of a model: RFC 3339 texts, None where there is nothing yet."""

    first: str | None
    data_until: str | None
    until: str | None

    @property
    def share(self) -> float:
        """The share of the time from the first data to the newest that has been evaluated."""
        if self.first is None or self.data_until is None or self.until is None:
            return 0.0
        first, last, until = (datetime.fromisoformat(text) for text in (self.first, self.data_until, self.until))
        return 1.0 if until >= last else max(0.0, (until - first) / (last - first))


def evaluated_of(service: ServiceClient, model: str) -> Evaluated:
    """The progress of the evaluation of a model. Raises Refused and Unreachable."""
    answer: dict[str, Any] = service.get(f"/api/v1/models/{quote(model, safe='')}")
    first = min((stream["first_window"] for stream in answer["streams"]), default=None)
    return Evaluated(first, answer["data_until"], answer["evaluated_until"])


class Bars:
    """The progress bars of a replay. Without a terminal nothing is shown."""

    def __init__(self, progress: Progress | None, service: ServiceClient, model: str | None, rows: int) -> None:
        self._progress = progress
        self._service = service
        self._model = model
        self._found = rows
        self._asked_at = float("-inf")
        self._sent: TaskID | None = None
        self._evaluated: TaskID | None = None
        if progress is not None:
            self._sent = progress.add_task("sent", total=rows)
            if model is not None:
                self._evaluated = progress.add_task("evaluated", total=1_000)

    def sent(self, rows: Rows) -> None:
        """These rows are settled. Labels are counted as they are found."""
        if self._progress is None or self._sent is None:
            return
        self._found += sum(label is not None for label in rows.labels)
        self._progress.update(self._sent, advance=len(rows), total=self._found)
        self.look()

    def look(self) -> None:
        """Asks for the progress of the evaluation, at most once in POLL_SECONDS."""
        if self._progress is None or self._evaluated is None or self._model is None:
            return
        if time.monotonic() - self._asked_at < POLL_SECONDS:
            return
        # A bar is no reason to end a replay.
        with contextlib.suppress(CliError):
            share = evaluated_of(self._service, self._model).share
            self._progress.update(self._evaluated, completed=round(1_000 * share))
        self._asked_at = time.monotonic()


@contextlib.contextmanager
def bars(service: ServiceClient, model: str | None, rows: int) -> Iterator[Bars]:
    """Bars on stderr, if that is a terminal: what was sent, and of a model that is named, what was evaluated."""
    if not sys.stderr.isatty():
        yield Bars(None, service, model, rows)
        return
    from rich.console import Console
    from rich.progress import BarColumn, Progress, ProgressColumn, TaskProgressColumn, TextColumn, TimeRemainingColumn

    columns: Iterable[ProgressColumn] = (
        TextColumn("{task.description:<9}"),
        BarColumn(),
        TaskProgressColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        yield Bars(progress, service, model, rows)
