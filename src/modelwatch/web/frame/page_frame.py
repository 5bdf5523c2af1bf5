"""Frame of every page: the menu, the banner, the time and the ways out."""

from __future__ import annotations

from dataclasses import dataclass

from modelwatch.times import MICROS_PER_SECOND, iso_of_micros
from modelwatch.views.service import EvaluationState
from modelwatch.web.frame.rendering import When, about, when

# Shown where there is such a page.
MENU = (
    ("Models", "/models"),
    ("Alerts", "/alerts"),
    ("Silences", "/silences"),
    ("Channels", "/channels"),
    ("Service", "/service"),
    ("Keys", "/keys"),
)


# Evaluations take their turns: only when one has waited for so long are verdicts older than they should be.
BEHIND_SECONDS = 120


@dataclass(frozen=True, slots=True)
class Entry:
    """Entry of a menu. number: shown beside it if there is any."""

    name: str
    address: str
    is_current: bool
    number: int = 0


@dataclass(frozen=True, slots=True)
class Frame:
    """Frame of a page. root: the relative way to the service's root. path: of the page, below /ui. paths: of all pages.

    now: microseconds. twin: the way from the root to the same as JSON; grafana: address of the dashboard that matches;
    empty where there is none. evaluation: progress of the evaluations; None where it is not known.
    """

    root: str
    path: str
    paths: frozenset[str]
    open_alerts: int
    has_channel: bool
    is_signed_in: bool
    now: int
    twin: str
    grafana: str = ""
    evaluation: EvaluationState | None = None

    @property
    def behind(self) -> tuple[str, str] | None:
        """Notice on evaluations that are behind, or that no process makes, and its runbook."""
        state = self.evaluation
        if state is None or state.looked_at is None:
            return None
        if state.status == "stopped":
            since = when(state.looked_at, self.now)
            text = (
                f"No process has checked for due evaluations since {since.text}. Predictions are stored, but not"
                " evaluated."
            )
            return text, "modelwatchevaluationstopped"
        if state.waiting and state.waiting_seconds >= BEHIND_SECONDS:
            streams = "1 stream has been due" if state.waiting == 1 else f"{state.waiting:,} streams are due, the first"
            waited = about(int(state.waiting_seconds) * MICROS_PER_SECOND)
            text = f"Evaluations are catching up: {streams} for {waited}. Verdicts and alerts cover older data."
            return text, "modelwatchevaluationlagging"
        return None

    @property
    def menu(self) -> list[Entry]:
        """Entries of the menu."""
        return [
            Entry(
                name,
                f"{self.root}ui{path}",
                self.path == path or self.path.startswith(f"{path}/"),
                self.open_alerts if path == "/alerts" else 0,
            )
            for name, path in MENU
            if path in self.paths
        ]

    @property
    def channels(self) -> str:
        """Address of the page of channels; empty when there is none."""
        return f"{self.root}ui/channels" if "/channels" in self.paths else ""

    @property
    def as_of(self) -> When:
        """Time of the page, to the second."""
        return when(iso_of_micros(self.now - self.now % MICROS_PER_SECOND), self.now)
