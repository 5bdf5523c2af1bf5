"""Page of the service: what comes in and is refused, how far evaluations are, the store, and the processes."""

from __future__ import annotations

from dataclasses import dataclass

from starlette.requests import Request
from starlette.responses import Response

from modelwatch.alerting.text import span
from modelwatch.charts.drawing.marks import State
from modelwatch.views.service import ServiceReport, service_report
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
    "invalid-input": "A field is missing or wrong; the answer names it. Usually a client that was just released.",
    "malformed-body": "No JSON, Arrow, Parquet or CSV: not the format of this service.",
    "unsupported-content": "A content type that the service does not know.",
    "too-large": "Larger than MAX_BODY_BYTES: send smaller batches.",
    "body-timeout": "The body arrived too slowly.",
    "queue-full": "More arrives than is stored: send batches. Clients that retry lose nothing.",
    "too-many-requests": "More than RATE_LIMIT_PER_SECOND of one key.",
    "too-many-connections": "More clients at once than the service takes.",
    "store-unavailable": "The store could not be reached. Clients that try again lose nothing.",
    "protection-unavailable": "A monitor asks for encryption, and this process has no ENCRYPTION_KEY.",
    "unauthenticated": "No key, or one that is unknown, revoked or expired.",
    "forbidden": "The key has not the scope, or is for other models.",
    "cross-site": "A form of another site.",
    "not-found": "An address or a model that there is not.",
    "conflict": "Something else was changed or is under way.",
    "expired": "Older than what is kept (PREDICTION_RETENTION_DAYS).",
    "internal-error": "A fault of the service: its log has the details.",
}
# What one process does for all of them, by the name of its lease.
LEASES = {"chores": "evaluates and cleans up", "delivery": "sends notifications"}
SIZES = ((1_000_000_000, "GB"), (1_000_000, "MB"), (1_000, "kB"))


@dataclass(frozen=True, slots=True)
class ServicePage:
    """The service as its report tells of it. now: microseconds."""

    report: ServiceReport
    now: int

    @property
    def evaluations(self) -> tuple[State, str]:
        """State and word of how far evaluations are."""
        return EVALUATIONS[self.report.evaluation.status]

    @property
    def running(self) -> str:
        """Time for which the answering process has been running."""
        return span((self.now - microseconds(self.report.started_at)) // 1_000_000)

    @property
    def waited(self) -> str:
        """Time for which the longest-waiting stream has been due."""
        return span(int(self.report.evaluation.waiting_seconds))

    @property
    def refused(self) -> list[tuple[str, int, str]]:
        """Reasons, how often, and what to do about it."""
        return [(why, number, REFUSALS.get(why, "")) for why, number in self.report.ingest.refused.items()]

    @property
    def tables(self) -> list[tuple[str, str, float]]:
        """Tables with their sizes, and these as per cent of the largest."""
        found = self.report.store.tables
        largest = max((each.bytes for each in found), default=1)
        return [(each.name, size(each.bytes), round(100 * each.bytes / largest, 1)) for each in found]

    @property
    def leases(self) -> list[tuple[str, str | None]]:
        """Work that one process does for all, and its holder; None while there is none."""
        return [(LEASES.get(each.name, each.name), each.holder) for each in self.report.leases]

    @property
    def total(self) -> str:
        """Size of the store."""
        return size(self.report.store.bytes)

    def when(self, at: str) -> When:
        """Moment of an RFC 3339 text, to the second."""
        return when(at, self.now)


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
