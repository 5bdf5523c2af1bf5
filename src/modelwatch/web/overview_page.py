"""Page with the overview of one model."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import Connection
from starlette.requests import Request
from starlette.responses import Response

from modelwatch.charts.drawing.marks import STATES
from modelwatch.web.model_frame import ModelFrame
from modelwatch.web.site import page, segment_of, site_of
from modelwatch.web.verdict import Verdict


@dataclass(frozen=True, slots=True)
class OverviewPage:
    """Overview of a model."""

    verdict: Verdict


async def overview(request: Request) -> Response:
    """Page with the overview of a model."""

    def make(_connection: Connection, of_model: ModelFrame) -> OverviewPage:
        return OverviewPage(Verdict(of_model.state, f"{of_model.model}: {STATES[of_model.state]}."))

    return await site_of(request).show_model(
        request, "overview.html", "", make, twin=lambda of_model: f"api/v1/models/{segment_of(of_model.model)}"
    )


ROUTES = (page("/models/{model_name:segment}", overview),)
