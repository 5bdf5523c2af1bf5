"""What the demo believes of the evaluations, the alerts and the page: nothing that it has not seen."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest

from modelwatch.cli.client import ServiceClient
from modelwatch.demo.evaluations import Evaluated, evaluated_lines, problems_of, watch_evaluations
from modelwatch.demo.story import EXPECTED, Plan, iso

PLAN = Plan.ending(1_767_225_755.0, "2.1.0")
HOUR = 3_600
ALERTS = [("feature_drift", "Feature drift in m: a"), ("prediction_drift", "Prediction drift in m: b")]
PAGE = "Data up to 1 January · evaluated up to 1 January Feature drift in m: a Prediction drift in m: b"
GOOD = Evaluated(
    True,
    PLAN.end,
    [(PLAN.shift - HOUR, frozenset()), (PLAN.shift + HOUR, EXPECTED), (PLAN.end, EXPECTED)],
    ALERTS,
    PAGE,
)


def test_the_shift_in_verdicts_alerts_and_page_is_right() -> None:
    assert problems_of(GOOD, PLAN) == []
    text = "\n".join(evaluated_lines(GOOD, PLAN))
    assert "60 minutes after it began" in text
    assert "Firing: Feature drift in m: a" in text
    assert GOOD.as_data(PLAN)["found_at"] == iso(PLAN.shift + HOUR)


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        ({"caught_up": False}, "had not caught up"),
        ({"verdicts": []}, "nothing was evaluated"),
        ({"verdicts": [(PLAN.shift - HOUR, EXPECTED), *GOOD.verdicts]}, "which is noise"),
        ({"verdicts": [(PLAN.end, frozenset({"country"}))]}, "found drift in country, which is noise"),
        ({"verdicts": [(PLAN.end, frozenset())]}, "no evaluation found all shifted features"),
        ({"alerts": ALERTS[:1]}, "no alert of prediction_drift is firing"),
        ({"alerts": [*ALERTS, ("data_quality", "Feature drift in m: a")]}, "firing that is noise"),
        ({"page": "Data up to now, evaluated up to now"}, "the page does not show: Feature drift in m: a"),
        ({"page": PAGE.replace("evaluated", "")}, "the page does not say: evaluated up to"),
    ],
)
def test_every_way_to_be_wrong_is_told(changed: dict[str, Any], told: str) -> None:
    assert any(told in problem for problem in problems_of(replace(GOOD, **changed), PLAN))


class Catching(ServiceClient):
    """A service whose evaluations move on with each look, and are through when they are at the end."""

    def __init__(self) -> None:
        self.until, self.now = PLAN.start, 1_000_000.0
        super().__init__("http://127.0.0.1:1", clock=lambda: self.now, sleep=self.wait)

    def get(self, path: str, params: Mapping[str, str] | None = None) -> Any:
        if path == "/readyz":
            waiting = 0 if self.until >= PLAN.end else 1
            status = "waiting" if waiting else "up to date"
            return {"evaluation": {"status": status, "looked_at": iso(int(self.now)), "waiting": waiting}}
        if path == "/api/v1/alerts":
            return {"alerts": [{"kind": kind, "title": title} for kind, title in ALERTS]}
        verdict = {"window_end": iso(self.until), "drifted": []}
        return {"current": [verdict], "history": [verdict], "next_cursor": None}

    def get_text(self, path: str) -> str:
        return PAGE

    def wait(self, seconds: float) -> None:
        self.until += 6 * HOUR
        self.now += seconds


def test_it_waits_until_nothing_is_due_and_tells_how_far_it_is() -> None:
    service, told = Catching(), list[int]()
    found = watch_evaluations(service, PLAN, told.append)
    assert (found.caught_up, found.until, found.alerts) == (True, PLAN.end, ALERTS)
    assert told == [PLAN.start + quarter * 12 * HOUR for quarter in (1, 2, 3, 4)]
