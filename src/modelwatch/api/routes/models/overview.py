"""GET /overview: a page of the models, with what is read of them at a glance."""

from __future__ import annotations

import asyncio
from typing import Annotated, Literal

import msgspec
from fastapi import APIRouter, Query, Request, Response

from modelwatch.api.auth.scopes import grant_of
from modelwatch.api.openapi import answers
from modelwatch.api.routes.common import Cursor, Text, cursor_of, json_answer, position_of, state_of
from modelwatch.views.models.list import ModelsOverview, models_overview
from modelwatch.views.models.rows import ModelState, Wanted

MOST_LINES = 100

router = APIRouter(tags=["models"])

Lines = Annotated[int, Query(ge=1, le=MOST_LINES, description="Maximum number of lines in the page.")]


@router.get(
    "/overview",
    summary="Models at a glance, worst first",
    operation_id="get_overview",
    responses=answers({200: ModelsOverview}, 422, 503),
)
async def get_overview(
    request: Request,
    search: Text = None,
    state: ModelState | None = None,
    environment: Text = None,
    owner: Text = None,
    tag: Text = None,
    sort: Literal["worst", "name"] = "worst",
    stretch: Annotated[Literal["24h", "7d", "30d"], Query(alias="range", description="Of the small series.")] = "7d",
    limit: Lines = 50,
    cursor: Cursor = None,
) -> Response:
    """Each model in each environment: its state and a sentence on it, the worst finding and since when, small series
    of the largest PSI, the main metric and the volume, labels, data, evaluation and reference. In pages."""
    service, grant = state_of(request), grant_of(request)
    offset = 0 if cursor is None else max(position_of(cursor)[0], 0)
    wanted = Wanted(search, state, environment, owner, tag, sort, stretch)

    def work() -> ModelsOverview:
        with service.store.read() as connection:
            view, following = models_overview(
                connection, wanted, now=service.clock(), offset=offset, limit=limit, only=grant.is_for
            )
        return view if following is None else msgspec.structs.replace(view, next_cursor=cursor_of((following, "")))

    return json_answer(await asyncio.to_thread(work))
