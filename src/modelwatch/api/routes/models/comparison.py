"""GET /models/{model}/compare."""

# No postponed annotations: the framework reads those of a class's constructor where they are.
import asyncio
from dataclasses import dataclass
from typing import Annotated

from fastapi import APIRouter, Depends, Query, Request, Response

from modelwatch.api.openapi import answers
from modelwatch.api.routes.common import Moment, Name, Text, json_answer, seconds_of, state_of
from modelwatch.monitoring.checks.rules import rules_for
from modelwatch.storage.engine.models import require_model
from modelwatch.storage.references.monitors import monitor_of
from modelwatch.views.models.compared_sides import SideQuery, settled_sides
from modelwatch.views.models.comparison import ModelComparison, compare_sides, nothing_to_compare

router = APIRouter(tags=["comparison"])

OtherSegment = Annotated[
    str | None, Query(max_length=1_024, description="Segment of the other side; empty for all predictions.")
]


@dataclass(frozen=True)
class SideParameters:
    """Both sides of a comparison; `with_` is the one that the other is compared with."""

    version: Text = None
    environment: Text = None
    start: Moment = None
    end: Moment = None
    segment: Text = None
    with_version: Text = None
    with_environment: Text = None
    with_start: Moment = None
    with_end: Moment = None
    with_segment: OtherSegment = None

    @property
    def current(self) -> SideQuery:
        """The side that is compared. Raises InvalidInput for a time that can't be had."""
        return SideQuery(
            self.version,
            self.environment,
            *seconds_of(self.start, self.end),
            self.segment,
        )

    @property
    def baseline(self) -> SideQuery:
        """The side that it is compared with. Raises InvalidInput for a time that can't be had."""
        return SideQuery(
            self.with_version,
            self.with_environment,
            *seconds_of(self.with_start, self.with_end, ("/with_start", "/with_end")),
            self.with_segment,
        )


Sides = Annotated[SideParameters, Depends()]


@router.get(
    "/models/{model_name:segment}/compare",
    summary="Two sides of a model",
    operation_id="compare_model",
    responses=answers({200: ModelComparison}, 404, 422, 503),
)
async def compare_model(request: Request, model_name: Name, sides: Sides) -> Response:
    """Two versions, two time ranges or two segments: drift between them, metrics with the difference and its
    interval, and volume.

    What is left out for the other side is taken from the first; where nothing differs, it is the preceding range."""
    state = state_of(request)

    def work() -> ModelComparison:
        with state.store.read() as connection:
            require_model(connection, model_name)
            monitor = monitor_of(connection, model_name)
            settled = settled_sides(connection, model_name, sides.current, sides.baseline)
        if settled is None:
            return nothing_to_compare(model_name)
        config = None if monitor is None else monitor.config
        drift, performance = rules_for(state.rules, config), state.performance.with_monitor(config)
        return compare_sides(state.store, drift, performance, *settled)

    return json_answer(await asyncio.to_thread(work))
