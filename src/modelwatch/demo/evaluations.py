"""The evaluations, alerts and page of the demo's stream, once the service has caught up with it."""

from __future__ import annotations

import html
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from modelwatch.demo.generator import MODEL
from modelwatch.demo.report import clock_time
from modelwatch.demo.story import EXPECTED, Plan, Service, iso

VERDICTS_PATH = f"/api/v1/models/{MODEL}/drift"
ALERTS_PATH = "/api/v1/alerts"
PAGE_PATH = f"/ui/alerts?model={MODEL}"
LONGEST_SECONDS = 300.0
PAGE_SIZE = "200"
# An alert of another kind would be noise.
KINDS = frozenset(("feature_drift", "prediction_drift", "performance"))
NEEDED_KINDS = frozenset(("feature_drift", "prediction_drift"))


@dataclass(frozen=True, slots=True)
class Evaluated:
    """Verdicts, alerts and page when nothing is due any more.

    caught_up: whether that was reached in time. until: seconds; None when nothing was evaluated. verdicts: window end
    in seconds and names of what drifted, oldest first. alerts: those that are firing, kind and title. page: the text of
    the page of the model's alerts.
    """

    caught_up: bool
    until: int | None
    verdicts: list[tuple[int, frozenset[str]]]
    alerts: list[tuple[str, str]]
    page: str

    def found_at(self, plan: Plan) -> int | None:
        """The end of the window of the first evaluation that found what was shifted, in seconds."""
        return next((end for end, drifted in self.verdicts if end > plan.shift and drifted >= EXPECTED), None)

    def as_data(self, plan: Plan) -> dict[str, Any]:
        """The same for programs."""
        found = self.found_at(plan)
        return {
            "evaluations": len(self.verdicts),
            "evaluated_until": None if self.until is None else iso(self.until),
            "found_at": None if found is None else iso(found),
            "alerts": [title for _, title in self.alerts],
        }


def watch_evaluations(service: Service, plan: Plan, announce: Callable[[int], object]) -> Evaluated:
    """Verdicts and alerts once the service has evaluated all that is due, or after five minutes.

    announce: takes the end of the newest evaluated window (seconds) each time it has moved on by a quarter of the
    stream.
    """
    step, announced = (plan.end - plan.start) // 4, plan.start

    def look() -> None:
        nonlocal announced
        until = evaluated_until(service, plan)
        if until is not None and until >= announced + step:
            announced += (until - announced) // step * step
            announce(until)

    caught_up = service.wait_until_evaluated(look, longest_seconds=LONGEST_SECONDS)
    alerts = service.get(ALERTS_PATH, {"model": MODEL, "state": "firing"})["alerts"]
    return Evaluated(
        caught_up,
        evaluated_until(service, plan),
        sorted(_verdicts(service, plan)),
        [(alert["kind"], alert["title"]) for alert in alerts],
        " ".join(html.unescape(service.get_text(PAGE_PATH)).split()),
    )


def evaluated_until(service: Service, plan: Plan) -> int | None:
    """The end of the newest evaluated window of the demo's version, in seconds."""
    current = service.get(VERDICTS_PATH, {"version": plan.version, "limit": "1"})["current"]
    return max((_seconds(verdict["window_end"]) for verdict in current), default=None)


def problems_of(evaluated: Evaluated, plan: Plan) -> list[str]:
    """Everything that the evaluations, the alerts or the page say otherwise than they must."""
    problems = []
    if not evaluated.caught_up:
        problems.append(f"the evaluations had not caught up after {LONGEST_SECONDS:g} s")
    if not evaluated.verdicts:
        return [*problems, "nothing was evaluated"]
    for end, drifted in evaluated.verdicts:
        unexpected = sorted(drifted - (EXPECTED if end > plan.shift else frozenset()))
        problems += [
            f"the evaluation up to {clock_time(end)} found drift in {name}, which is noise" for name in unexpected
        ]
    if evaluated.found_at(plan) is None:
        problems.append("no evaluation found all shifted features")
    kinds = {kind for kind, _ in evaluated.alerts}
    problems += [f"no alert of {kind} is firing" for kind in sorted(NEEDED_KINDS - kinds)]
    problems += [f"an alert is firing that is noise: {title}" for kind, title in evaluated.alerts if kind not in KINDS]
    problems += [f"the page does not show: {title}" for _, title in evaluated.alerts if title not in evaluated.page]
    problems += [
        f"the page does not say: {text}" for text in ("Data up to", "evaluated up to") if text not in evaluated.page
    ]
    return problems


def evaluated_lines(evaluated: Evaluated, plan: Plan) -> Iterator[str]:
    """Lines about the evaluations: how many, when the shift was found, and what is firing."""
    until, found = evaluated.until, evaluated.found_at(plan)
    last = "" if until is None else f", the last of data up to {clock_time(until)}"
    yield f"  {len(evaluated.verdicts)} evaluations{last}."
    if found is not None:
        after = f"{(found - plan.shift) // 60} minutes after it began"
        yield f"  The shift was found by the one up to {clock_time(found)}, {after}."
    for _, title in evaluated.alerts:
        yield f"  Firing: {title}"


def _verdicts(service: Service, plan: Plan) -> Iterator[tuple[int, frozenset[str]]]:
    query = {"version": plan.version, "limit": PAGE_SIZE}
    while True:
        answer: dict[str, Any] = service.get(VERDICTS_PATH, query)
        for verdict in answer["history"]:
            yield _seconds(verdict["window_end"]), frozenset(verdict["drifted"])
        if answer["next_cursor"] is None:
            return
        query = {**query, "cursor": answer["next_cursor"]}


def _seconds(text: str) -> int:
    return int(datetime.fromisoformat(text).timestamp())
