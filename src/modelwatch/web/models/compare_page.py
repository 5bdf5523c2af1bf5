"""Page that compares two sides of one model: what its address asks for, read, and its form."""

from __future__ import annotations

from dataclasses import replace

from starlette.requests import Request

from modelwatch.api.state import ServiceState
from modelwatch.config import BASE_WINDOW_SECONDS
from modelwatch.monitoring.checks.rules import rules_for
from modelwatch.storage.counts.volumes import first_window
from modelwatch.storage.engine.models import require_model
from modelwatch.storage.references.layouts import read_layouts
from modelwatch.storage.references.monitors import monitor_of
from modelwatch.views.models.compared_sides import SideQuery, settled_sides
from modelwatch.views.models.comparison import (
    compare_sides,
    nothing_to_compare,
)
from modelwatch.views.quality.volume import VolumeSeries, volume_series
from modelwatch.views.stretches.labelled_stretch import StretchQuery
from modelwatch.views.stretches.stretch import SeriesQuery
from modelwatch.web.frame.model_frame import ModelFrame
from modelwatch.web.frame.selection import moment_of, text_of
from modelwatch.web.frame.site import views_page
from modelwatch.web.models.compare_content import ComparePage


def read_page(state: ServiceState, of_model: ModelFrame, request: Request) -> ComparePage:
    """The page of what is asked for. Raises InvalidInput for a time, a segment or a side that can't be had."""
    query = request.query_params
    there = SideQuery(
        text_of(query, "with_version"),
        text_of(query, "with_environment"),
        moment_of(query, "with_from"),
        moment_of(query, "with_to"),
        # An empty field asks for all predictions.
        query["with_segment"][:1_024] if "with_segment" in query else None,
    )
    with state.store.read() as connection:
        generation = require_model(connection, of_model.model)
        segmentation = read_layouts(connection, of_model.model, generation).segmentation
        monitor = monitor_of(connection, of_model.model)
        settled = began = None
        if of_model.stream is not None:
            _, version, environment = of_model.stream
            segment = of_model.selection.segment_text or None
            here = SideQuery(version, environment, of_model.start, of_model.end, segment)
            first = first_window(connection, of_model.stream)
            is_in_range = first is not None and of_model.start <= first < of_model.end
            if there == SideQuery() and first is not None and is_in_range:
                began = first
                here, there = _halves(here, first, of_model.end)
            settled = settled_sides(connection, of_model.model, here, there)
    texts = tuple(text for feature in segmentation.features for text in feature.texts)
    if settled is None:
        return ComparePage(of_model, nothing_to_compare(of_model.model), None, None, texts)
    config = None if monitor is None else monitor.config
    drift, performance = rules_for(state.rules, config), state.performance.with_monitor(config)
    comparison = compare_sides(state.store, drift, performance, *settled)
    volumes = None
    if comparison.reason is None:
        volumes = (_volume(state, settled[0]), _volume(state, settled[1]))
    return ComparePage(of_model, comparison, settled, volumes, texts, began)


def _halves(side: SideQuery, start: int, end: int) -> tuple[SideQuery, SideQuery]:
    """The later half of a stretch and the earlier one, of the same stream."""
    middle = start + (end - start) // 2 // BASE_WINDOW_SECONDS * BASE_WINDOW_SECONDS
    middle = max(middle, start + BASE_WINDOW_SECONDS)
    return replace(side, start=middle, end=max(end, middle + BASE_WINDOW_SECONDS)), SideQuery(start=start, end=middle)


def _volume(state: ServiceState, side: StretchQuery) -> VolumeSeries:
    _, version, environment = side.stream
    return volume_series(
        state.store, SeriesQuery(side.stream.model, environment, version, side.start, side.end), state.clock()
    )


ROUTES = (
    views_page(
        "compare",
        "models/compare.html",
        read_page,
    ),
)
