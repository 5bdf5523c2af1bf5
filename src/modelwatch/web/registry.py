"""Modules whose `ROUTES` are the pages: a new page is one more line here."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from starlette.routing import Route

from modelwatch.web.alerts import alerts_pages, channels_page, silences_page
from modelwatch.web.drift import drift_page, subject_page
from modelwatch.web.models import compare_page, deletion, models_page, monitor_page, overview_page
from modelwatch.web.operations import keys_page, service_page
from modelwatch.web.performance import performance_page, segments_page
from modelwatch.web.quality import quality_page


class PageModule(Protocol):
    """Module of pages."""

    @property
    def ROUTES(self) -> Sequence[Route]: ...  # noqa: N802


MODULES: tuple[PageModule, ...] = (
    alerts_pages,
    channels_page,
    compare_page,
    deletion,
    drift_page,
    keys_page,
    models_page,
    monitor_page,
    overview_page,
    performance_page,
    quality_page,
    segments_page,
    service_page,
    silences_page,
    subject_page,
)
