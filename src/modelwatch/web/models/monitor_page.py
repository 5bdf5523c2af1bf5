"""Page of a model's monitor: what is compared with what, by which configuration, and how that is changed.

A change can be tried on what is stored; a window becomes the reference; the model is deleted.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import yaml
from sqlalchemy import Connection
from starlette.requests import Request
from starlette.responses import Response

from modelwatch.api.decoding.actions import FromWindowBody
from modelwatch.api.ingest.acceptance import accept_window
from modelwatch.api.routes.data.reference_windows import to_window
from modelwatch.api.routes.models.monitors import check_monitor
from modelwatch.api.state import ServiceState
from modelwatch.config.documents import decode_document
from modelwatch.config.monitors.defaults import effective_document
from modelwatch.config.monitors.monitor import MonitorConfig, as_document, parse_monitor
from modelwatch.errors import InvalidInput
from modelwatch.monitoring.backtest import Backtest, backtest
from modelwatch.monitoring.checks.rules import rules_for
from modelwatch.monitoring.references.windows import WindowOfReference, WindowThere, window_there
from modelwatch.storage.engine.models import StreamKey
from modelwatch.storage.maintenance.deletion import deletions_under_way
from modelwatch.storage.references.monitors import StoredMonitor, monitor_of, put_monitor
from modelwatch.storage.references.references import ReferenceSet, in_force, reference_sets
from modelwatch.times import SECONDS_PER_DAY, iso_of_micros
from modelwatch.web.frame.login import read_form
from modelwatch.web.frame.model_frame import ModelFrame
from modelwatch.web.frame.rendering import When, when
from modelwatch.web.frame.site import Site, action, actor_of, identity_of, page, seen_other, segment_of, site_of
from modelwatch.web.models.deletion import PartsToDelete, part_name

# A back-test of a page looks back so far, or less where that would be too many evaluations to wait for.
TRIED_DAYS = (30, 7, 2)
MOST_EVALUATIONS = 600
EPISODES_SHOWN = 12
NO_DATA = "The monitor is valid. There is no data yet to try it on."
TOO_MANY = (
    "The monitor is valid. Even two days of this model need more evaluations than a page can wait for: use"
    " `modelwatch monitors backtest`."
)
REFERENCES_SHOWN = 20


@dataclass(frozen=True, slots=True)
class Preview:
    """Findings that a configuration would have had, beside those of the one in force. days: number of days tried."""

    days: int
    proposed: Backtest
    in_force: Backtest


@dataclass(frozen=True, slots=True)
class MonitorPage(PartsToDelete):
    """Page of a monitor.

    compared: number of subjects with a reference. text: of the editor. preview: of a configuration that was tried;
    untried: why it could not be.
    window: predictions that would become the reference, where that was asked for, and the form that asked.
    """

    model: str
    monitor: StoredMonitor | None
    effective: Mapping[str, Any]
    references: Sequence[ReferenceSet]
    compared: int
    text: str
    now: int
    streams: Sequence[StreamKey]
    deleting: Sequence[str]
    preview: Preview | None = None
    window: WindowThere | None = None
    form: Mapping[str, str] | None = None
    untried: str = ""

    @property
    def revision(self) -> int:
        """Revision of the monitor; 0 for none."""
        return 0 if self.monitor is None else self.monitor.revision

    @property
    def groups(self) -> list[tuple[str, list[tuple[str, str, str]]]]:
        """Parts of the configuration: key, value and origin of each of its values."""
        own = {} if self.monitor is None else as_document(self.monitor.config)
        source = "API" if self.monitor is None or self.monitor.source == "api" else self.monitor.source
        single: list[tuple[str, str, str]] = []
        grouped: list[tuple[str, list[tuple[str, str, str]]]] = []
        for key, value in self.effective.items():
            if isinstance(value, Mapping) and key not in ("labels", "importance"):
                mine = own.get(key) or {}
                rows = [(name, _shown(each), _origin(name in mine, source)) for name, each in value.items()]
                grouped.append((key, rows))
            else:
                single.append((key, _shown(value), _origin(key in own, source)))
        return [("the model", single), *grouped]

    @property
    def episodes(self) -> list[tuple[str, str, str, When, When | None]]:
        """Severity, subject, detail, start and end of what the tried configuration would have found."""
        if self.preview is None:
            return []
        return [
            (
                each.severity,
                each.subject,
                each.detail,
                when(each.start, self.now),
                None if each.end is None else when(each.end, self.now),
            )
            for each in self.preview.proposed.episodes[:EPISODES_SHOWN]
        ]

    def when(self, at: int) -> When:
        """Moment in microseconds."""
        return when(iso_of_micros(at), self.now)


async def monitor(request: Request) -> Response:
    """Page of a model's monitor."""
    site = site_of(request)
    return await _show(request, site)


async def preview(request: Request) -> Response:
    """Page with what the configuration in the editor would have found."""
    site = site_of(request)
    model, form = await _sent(request, site)
    text = form.get("monitor", "")
    config = _parsed(site.state, model, text)

    def add(found: MonitorPage, of_model: ModelFrame) -> MonitorPage:
        stream = of_model.stream
        if stream is None or of_model.newest is None:
            return replace(found, text=text, untried=NO_DATA)
        tried = _tried(site.state, stream, config, of_model.end)
        return replace(found, text=text, preview=tried, untried=TOO_MANY if tried is None else "")

    return await _show(request, site, add)


async def save(request: Request) -> Response:
    """Sets the configuration in the editor, unless it has been changed meanwhile."""
    site = site_of(request)
    model, form = await _sent(request, site)
    config = _parsed(site.state, model, form.get("monitor", ""))
    revision = form.get("revision", "")
    await asyncio.to_thread(
        put_monitor,
        site.state.store,
        model,
        config,
        source="api",
        actor=actor_of(request, form),
        now=site.state.clock(),
        new_id=site.state.new_id,
        expected_revision=int(revision) if revision.isdecimal() and len(revision) < 10 else None,
    )
    return seen_other("../monitor")


async def reference(request: Request) -> Response:
    """Makes a window the reference; asks first, saying what that would change."""
    site = site_of(request)
    state = site.state
    model, form = await _sent(request, site)
    window = _window(model, form)
    if form.get("confirm") == "yes":
        await asyncio.to_thread(
            accept_window,
            state.store,
            state.alerts,
            window,
            actor=actor_of(request, form),
            note=form.get("note"),
            now=state.clock(),
            new_id=state.new_id,
        )
        return seen_other("../monitor")
    there = await asyncio.to_thread(window_there, state.store, window)
    return await _show(request, site, lambda found, _: replace(found, window=there, form=form))


ROUTES = (
    page("/models/{model_name:segment}/monitor", monitor),
    action("/models/{model_name:segment}/monitor/preview", preview),
    action("/models/{model_name:segment}/monitor/save", save),
    action("/models/{model_name:segment}/monitor/reference", reference),
)


async def _sent(request: Request, site: Site) -> tuple[str, dict[str, str]]:
    form = await read_form(request)
    return identity_of(request, "model_name"), form


async def _show(
    request: Request, site: Site, add: Callable[[MonitorPage, ModelFrame], MonitorPage] | None = None
) -> Response:
    """The page. add: what is put on it beside the present state, from the page and the frame of the model."""

    def make(connection: Connection, of_model: ModelFrame) -> MonitorPage:
        found = _page(connection, site.state, of_model)
        return found if add is None else add(found, of_model)

    return await site.show_model(
        request,
        "models/monitor.html",
        "monitor",
        make,
        twin=lambda of_model: f"api/v1/models/{segment_of(of_model.model)}/monitor",
    )


def _page(connection: Connection, state: ServiceState, of_model: ModelFrame) -> MonitorPage:
    stored = monitor_of(connection, of_model.model)
    config = None if stored is None else stored.config
    own = {} if config is None else as_document(config)
    return MonitorPage(
        model=of_model.model,
        monitor=stored,
        effective=effective_document(config, state.settings, sorted(state.channel_names)),
        references=reference_sets(connection, of_model.model)[:REFERENCES_SHOWN],
        compared=len(in_force(connection, of_model.model)),
        text=yaml.safe_dump(own, sort_keys=False, allow_unicode=True) if own else "",
        now=state.clock(),
        streams=of_model.streams,
        deleting=[part_name(each.part) for each in deletions_under_way(connection) if each.model == of_model.model],
    )


def _parsed(state: ServiceState, model: str, text: str) -> MonitorConfig:
    """Configuration of an editor's text, checked as over the API. Raises InvalidInput, MalformedBody."""
    data = decode_document(text.encode(), "yaml") if text.strip() else {}
    config = parse_monitor({} if data is None else data)
    check_monitor(state, model, config)
    return config


def _tried(state: ServiceState, stream: StreamKey, config: MonitorConfig, end: int) -> Preview | None:
    """Back-test over the longest time that is quick enough to wait for; None where even the shortest is too much."""
    with state.store.read() as connection:
        stored = monitor_of(connection, stream.model)
    before = rules_for(state.rules, None if stored is None else stored.config)
    after = rules_for(state.rules, config)
    for days in TRIED_DAYS:
        start, now = end - days * SECONDS_PER_DAY, state.clock()
        try:
            proposed = backtest(state.store, after, stream, now, start=start, most=MOST_EVALUATIONS)
            current = backtest(state.store, before, stream, now, start=start, most=MOST_EVALUATIONS)
        except InvalidInput:  # more evaluations than that
            continue
        return Preview(days, proposed, current)
    return None


def _window(model: str, form: Mapping[str, str]) -> WindowOfReference:
    """The window that a form names. Raises InvalidInput."""
    part = form.get("version")
    body = FromWindowBody(
        lookback=form.get("lookback", ""),
        model_version=part,
        environment=form.get("environment"),
        labels=form.get("labels") == "yes",
    )
    return to_window(model, body)


def _origin(is_own: bool, source: str) -> str:
    return source if is_own else "service"


def _shown(value: object) -> str:
    """Value of a configuration as YAML writes it, in one line."""
    if value is None:
        return "–"
    text = yaml.safe_dump(value, default_flow_style=True, allow_unicode=True, width=10_000)
    return text.removesuffix("\n...\n").strip()
