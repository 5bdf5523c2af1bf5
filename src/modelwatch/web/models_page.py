"""Page with the list of models, the worst first."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import Connection
from starlette.requests import Request
from starlette.responses import Response

from modelwatch.times import iso_of_micros
from modelwatch.views.models_list import ModelLine, models_list
from modelwatch.web.rendering import When, when
from modelwatch.web.site import page, segment_of, site_of


@dataclass(frozen=True, slots=True)
class ModelsPage:
    """Page of the list. now: microseconds."""

    lines: Sequence[ModelLine]
    now: int

    def when(self, micros: int) -> When:
        return when(iso_of_micros(micros), self.now)

    def address(self, line: ModelLine) -> str:
        """Way from this page to the model's overview."""
        return f"models/{segment_of(line.model_name)}"


async def models(request: Request) -> Response:
    """Page with the list of models."""
    site = site_of(request)

    def make(connection: Connection) -> ModelsPage:
        return ModelsPage(models_list(connection), site.state.clock())

    return await site.show(request, "models.html", make)


ROUTES = (page("/models", models),)
