"""Page of the service: what comes in and is refused, how far evaluations are, the store, and the processes."""

from __future__ import annotations

from dataclasses import dataclass

from starlette.requests import Request
from starlette.responses import Response

from modelwatch.charts.drawing.marks import State
from modelwatch.text import span
from modelwatch.views.durations import DurationReport
from modelwatch.views.service import ProcessReport, ProcessState, ServiceReport, service_report
from modelwatch.web.frame.rendering import When, microseconds, when
from modelwatch.web.frame.site import page, site_of

# State and words of how far evaluations are.
EVALUATIONS: dict[str, tuple[State, str]] = {
    "up to date": ("stable", "up to date"),
    "waiting": ("catching_up", "catching up"),
    "failing": ("alert", "failing"),
    "stopped": ("alert", "stopped"),
}
# What of a refusal is to be done, by its reason.
REFUSALS = {
    "invalid-input": "A field is missing or wrong; the response names it. Usually a client that was just released.",
    "malformed-body": "Not valid JSON, Arrow, Parquet or CSV.",
    "unsupported-content": "An unknown content type.",
    "too-large": "Larger than MAX_BODY_BYTES: send smaller batches.",
    "body-timeout": "The body arrived too slowly.",
    "queue-full": "More arrives than can be stored: send batches. Clients that retry lose nothing.",
    "too-many-requests": "One key exceeds RATE_LIMIT_PER_SECOND.",
    "too-many-connections": "More connections than MAX_CONNECTIONS.",
    "store-unavailable": "The store could not be reached. Clients that retry lose nothing.",
    "protection-unavailable": "A monitor requires encryption or hashing; this process has no ENCRYPTION_KEY for it.",
    "unauthenticated": "No key, or one that is unknown, revoked or expired.",
    "forbidden": "The key lacks the scope, or is for other models.",
    "cross-site": "A browser sent it for a page of another site.",
    "not-found": "No such address or model.",
    "method-not-allowed": "The wrong method for this address; the response names the allowed ones.",
    "misdirected": "A request for another host.",
    "conflict": "The request conflicts with the current state.",
    "expired": "Older than PREDICTION_RETENTION_DAYS.",
    "internal-error": "An error in the service: its log has the details.",
}
# What one process does for all of them, by the name of its lease.
LEASES = {"chores": "runs background jobs", "delivery": "sends notifications"}
PROCESSES: dict[ProcessState, tuple[State, str]] = {
    "running": ("stable", "running"),
    "silent": ("alert", "silent"),
    "stopped": ("no_data", "stopped"),
}
MOST_PROCESSES = 50
SIZES = ((1_000_000_000, "GB"), (1_000_000, "MB"), (1_000, "kB"))


@dataclass(frozen=True, slots=True)
class ServicePage:
    """The service as its report has it. now: microseconds."""

    report: ServiceReport
    now: int

    def duration(self, seconds: float) -> str:
        """Seconds as people write short times."""
        return duration(seconds)

    @property
    def evaluations(self) -> tuple[State, str]:
        """State and word of how far evaluations are."""
        return EVALUATIONS[self.report.evaluation.status]

    @property
    def durations(self) -> list[DurationReport]:
        """Durations of accepting requests, and of evaluations, as far as there were any."""
        evaluation = self.report.evaluation_duration
        return self.report.ingest.durations + ([] if evaluation is None else [evaluation])

    @property
    def processes(self) -> list[ProcessReport]:
        """Running processes, then silent ones, then those that have stopped; the newest of the last two."""
        by_state = {state: [each for each in self.report.processes if each.state == state] for state in PROCESSES}
        return [*by_state["running"], *by_state["silent"][::-1], *by_state["stopped"][::-1]][:MOST_PROCESSES]

    @property
    def running(self) -> int:
        """Number of running processes."""
        return sum(each.state == "running" for each in self.report.processes)

    @property
    def counted(self) -> str:
        """In words, what the counts are of."""
        number = len(self.report.processes)
        if number == 1:
            return "1 process, since its start"
        others = number - self.running
        return f"{number} processes{f', {others} no longer running' if others else ''}, each since its start"

    def since(self, at: str | None) -> str:
        """Time since a moment; a dash for none."""
        return "\u2013" if at is None else span((self.now - microseconds(at)) // 1_000_000)

    def ran(self, process: ProcessReport) -> str:
        """Time from its start until it was last heard of; a dash where that is not known."""
        if process.started_at is None or process.heard_at is None:
            return "\u2013"
        return span(max(microseconds(process.heard_at) - microseconds(process.started_at), 0) // 1_000_000)

    def state_of(self, process: ProcessReport) -> tuple[State, str]:
        """State and word of a process."""
        return PROCESSES[process.state]

    def roles_of(self, process: ProcessReport) -> str:
        """Jobs that it does for all of them."""
        return ", ".join(LEASES.get(each.name, each.name) for each in self.report.leases if each.holder == process.name)

    @property
    def waited(self) -> str:
        """Time for which the longest-waiting stream has been due."""
        return span(int(self.report.evaluation.waiting_seconds))

    @property
    def refused(self) -> list[tuple[str, int, str]]:
        """Reasons, how often, and what to do about it."""
        return [(why, number, REFUSALS.get(why, "")) for why, number in self.report.ingest.refused.items()]

    @property
    def refused_by(self) -> list[tuple[ProcessReport, list[int]]]:
        """Processes that have refused something, and how often for each reason, in their order."""
        reasons = self.report.ingest.refused
        return [(each, [each.refused.get(why, 0) for why in reasons]) for each in self.processes if each.refused]

    @property
    def tables(self) -> list[tuple[str, str, str, float]]:
        """Tables with their sizes, their growth a day, and the sizes as per cent of the largest."""
        found = self.report.store.tables
        largest = max((each.bytes for each in found), default=1)
        return [
            (each.name, size(each.bytes), growth(each.bytes_per_day), round(100 * each.bytes / largest, 1))
            for each in found
        ]

    @property
    def left_alone(self) -> list[str]:
        """Jobs that one process does for all, and none does now."""
        return [LEASES.get(each.name, each.name) for each in self.report.leases if each.holder is None]

    @property
    def total(self) -> str:
        """Size of the store."""
        return size(self.report.store.bytes)

    @property
    def growth(self) -> str:
        """Growth of the store a day."""
        return growth(self.report.store.bytes_per_day)

    def when(self, at: str) -> When:
        """Moment of an RFC 3339 text, to the second."""
        return when(at, self.now)


def growth(bytes_per_day: float | None) -> str:
    """Growth a day as people write it; a dash where it is not known.

    >>> growth(12_345_678.0), growth(-2_000.0), growth(0.0), growth(None)
    ('+12.3\xa0MB', '−2.0\xa0kB', '0\xa0B', '–')
    """
    if bytes_per_day is None:
        return "\u2013"
    sign = "" if not round(bytes_per_day) else "+" if bytes_per_day > 0 else "\u2212"
    return f"{sign}{size(abs(round(bytes_per_day)))}"


def duration(seconds: float) -> str:
    """Seconds as people write short times.

    >>> duration(0.000512), duration(0.0183), duration(2.5), duration(95.0)
    ('0.51\xa0ms', '18\xa0ms', '2.5\xa0s', '95\xa0s')
    """
    number, unit = (seconds * 1_000, "ms") if seconds < 1 else (seconds, "s")
    return f"{float(f'{number:.2g}'):g}\u00a0{unit}"


def size(number: int) -> str:
    """Bytes as people write them.

    >>> size(12_345_678), size(640)
    ('12.3\\xa0MB', '640\\xa0B')
    """
    for least, unit in SIZES:
        if number >= least:
            return f"{number / least:.1f}\u00a0{unit}"
    return f"{number}\u00a0B"


async def service(request: Request) -> Response:
    """Page of the service."""
    site = site_of(request)
    state = site.state
    return await site.show(
        request,
        "operations/service.html",
        lambda connection: ServicePage(
            service_report(connection, state.store, state.settings, state.process, state.clock()), state.clock()
        ),
        twin="api/v1/service",
    )


ROUTES = (page("/service", service),)
