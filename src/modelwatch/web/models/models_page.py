"""Page with the list of models, the worst first, and the start for a service without any."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import get_args
from urllib.parse import quote, urlencode

from markupsafe import Markup
from sqlalchemy import Connection
from starlette.requests import Request
from starlette.responses import Response

from modelwatch.charts.drawing.marks import STATES as STATE_WORDS
from modelwatch.charts.drawing.numbers import number, percent
from modelwatch.charts.small import spark_bars, sparkline
from modelwatch.errors import FieldError, InvalidInput, excerpt
from modelwatch.measures import in_sentence, metric_value, psi_text
from modelwatch.text import span
from modelwatch.times import MICROS_PER_SECOND, SECONDS_PER_DAY, SECONDS_PER_HOUR
from modelwatch.views.models.line import ModelLine
from modelwatch.views.models.list import RANGES, ModelsOverview, models_overview
from modelwatch.views.models.rows import ModelState, Wanted
from modelwatch.web.frame.page_frame import Entry
from modelwatch.web.frame.rendering import When, about, drawn, microseconds, when
from modelwatch.web.frame.site import page, segment_of, site_of

LINES_A_PAGE = 50
RANGE_NAMES = {"24h": "24 h", "7d": "7 d", "30d": "30 d"}
LOOKS = {"table": "Table", "tiles": "Tiles"}
STYLES = {"alert": "f-alert", "warning": "f-warning", None: "f-reference"}
# A PSI of so much is far beyond any threshold; the scale is the same for all lines up to there.
LARGEST_PSI = 1.0
LONGEST_SEARCH = 200


@dataclass(frozen=True, slots=True)
class ModelsPage:
    """Page of the list. look: table or tiles. offset, following: where this page and the next one begin. now:
    microseconds. address: of the service."""

    view: ModelsOverview
    wanted: Wanted
    look: str
    offset: int
    following: int | None
    now: int
    address: str
    needs_key: bool

    @property
    def is_start(self) -> bool:
        """True when there is nothing to list at all."""
        return not any(self.view.states.values())

    @property
    def tally(self) -> list[tuple[ModelState, str, int, str]]:
        """Each state that there is, with its word, number and address."""
        return [
            (state, STATE_WORDS[state], number_of, self.query(state=None if state == self.wanted.state else state))
            for state, number_of in self.view.states.items()
            if number_of or state == self.wanted.state
        ]

    @property
    def looks(self) -> list[Entry]:
        return [Entry(name, self.query(look=each), each == self.look) for each, name in LOOKS.items()]

    @property
    def ranges(self) -> list[Entry]:
        return [Entry(RANGE_NAMES[each], self.query(range=each), each == self.wanted.range) for each in RANGES]

    @property
    def filters(self) -> list[tuple[str, str, Sequence[str], str | None]]:
        """Name, label, choices and the chosen one of each filter that has any."""
        found = (
            ("environment", "environment", self.view.environments, self.wanted.environment),
            ("owner", "owner", self.view.owners, self.wanted.owner),
            ("tag", "tag", self.view.tags, self.wanted.tag),
        )
        return [each for each in found if len(each[2]) > 1 or each[3] is not None]

    @property
    def kept(self) -> list[tuple[str, str]]:
        """Fields of the address that the form keeps."""
        return [(name, value) for name, value in self._fields().items() if name in ("state", "look", "range", "sort")]

    @property
    def is_narrowed(self) -> bool:
        wanted = self.wanted
        return any((wanted.search, wanted.state, wanted.environment, wanted.owner, wanted.tag))

    @property
    def newer(self) -> str:
        return self.query(offset=max(self.offset - LINES_A_PAGE, 0)) if self.offset else ""

    @property
    def older(self) -> str:
        return "" if self.following is None else self.query(offset=self.following)

    @property
    def range_name(self) -> str:
        return RANGE_NAMES[self.wanted.range]

    def query(self, **changes: str | int | None) -> str:
        """Query of the address of the same list but for these; another list begins at its first page."""
        fields = {**self._fields(), **changes}
        given = {name: value for name, value in fields.items() if value}
        return f"?{urlencode(given, quote_via=quote)}" if given else "?"

    def _fields(self) -> dict[str, str]:
        wanted = self.wanted
        fields = {
            "search": wanted.search,
            "state": wanted.state,
            "environment": wanted.environment,
            "owner": wanted.owner,
            "tag": wanted.tag,
            "sort": None if wanted.sort == "worst" else wanted.sort,
            "range": None if wanted.range == "7d" else wanted.range,
            "look": None if self.look == "table" else self.look,
        }
        return {name: value for name, value in fields.items() if value is not None}

    def when(self, iso: str) -> When:
        """Moment of an RFC 3339 text."""
        return when(iso, self.now)

    def ago(self, iso: str) -> str:
        """Time since a moment, in its largest unit.

        Less than five minutes are now: windows are as long.
        """
        micros = max(self.now - microseconds(iso), 0)
        return "now" if micros < 5 * 60 * MICROS_PER_SECOND else about(micros)

    def below(self, line: ModelLine) -> str:
        """Way from this page to the model's overview."""
        environment = "" if line.environment is None else f"?environment={quote(line.environment, safe='')}"
        return f"models/{segment_of(line.model_name)}{environment}"

    def psi_chart(self, line: ModelLine) -> Markup:
        values = [math.nan if each is None else min(each, LARGEST_PSI) for each in line.series.psi]
        title = f"Largest PSI over {self.range_name}"
        styles = [STYLES[each] for each in line.series.severity]
        return drawn(
            spark_bars(title, values, styles=styles, threshold=line.psi_threshold or 0.25, highest=LARGEST_PSI)
        )

    def metric_chart(self, line: ModelLine) -> Markup:
        values = [math.nan if each is None else each for each in line.series.metric]
        reference = None if line.metric is None else line.metric.reference
        name = "Main metric" if line.metric is None else in_sentence(line.metric.name)
        return drawn(sparkline(f"{name} over {self.range_name}", values, reference=reference))

    def volume_chart(self, line: ModelLine) -> Markup:
        values = [math.nan if each is None else each for each in line.series.predictions_per_hour]
        return drawn(spark_bars(f"Predictions an hour over {self.range_name}", values))

    def psi(self, line: ModelLine) -> str:
        return psi_text(line.psi)

    def metric(self, line: ModelLine) -> str:
        return "–" if line.metric is None else metric_value(line.metric.name, line.metric.value)

    def metric_name(self, line: ModelLine) -> str:
        return "" if line.metric is None or line.metric.value is None else in_sentence(line.metric.name)

    def volume(self, line: ModelLine) -> str:
        return "–" if line.predictions is None else number(line.predictions)

    def volume_span(self, line: ModelLine) -> str:
        seconds = line.predictions_seconds
        return "" if seconds in (None, SECONDS_PER_DAY) else f"in {span(seconds or SECONDS_PER_HOUR)}"

    def coverage(self, line: ModelLine) -> str:
        if line.metric is None or line.metric.coverage is None:
            return "none"
        return percent(round(line.metric.coverage, 2))

    def reference(self, line: ModelLine) -> str:
        if line.reference is None:
            return "none"
        return f"{line.reference.kind}, {self.ago(line.reference.set_at)}".replace(", now", ", today")


async def models(request: Request) -> Response:
    """Page with the list of models."""
    site = site_of(request)
    wanted, look, offset = _wanted(request.query_params)
    settings = site.state.settings

    def make(connection: Connection) -> ModelsPage:
        now = site.state.clock()
        view, following = models_overview(connection, wanted, now=now, offset=offset, limit=LINES_A_PAGE)
        address = (settings.public_url or str(request.base_url).removesuffix("ui/")).rstrip("/")
        return ModelsPage(view, wanted, look, offset, following, now, address, settings.keys_required)

    return await site.show(request, "models/models.html", make, twin="api/v1/overview")


ROUTES = (page("/models", models),)


def _wanted(query: Mapping[str, str]) -> tuple[Wanted, str, int]:
    def text(name: str) -> str | None:
        value = query.get(name) or None
        if value is not None and (len(value) > LONGEST_SEARCH or "\0" in value):
            raise _refused(name, f"Expected at most {LONGEST_SEARCH} characters, none of them NUL", value)
        return value

    def one_of(name: str, choices: Sequence[str], default: str | None) -> str | None:
        value = query.get(name) or default
        if value is not None and value not in choices:
            raise _refused(name, f"Expected one of {', '.join(choices)}", value)
        return value

    offset = query.get("offset") or "0"
    if not (offset.isascii() and offset.isdigit() and len(offset) < 10):
        raise _refused("offset", "Expected the number of the first line", offset)
    state = next((each for each in get_args(ModelState) if each == one_of("state", get_args(ModelState), None)), None)
    wanted = Wanted(
        search=text("search"),
        state=state,
        environment=text("environment"),
        owner=text("owner"),
        tag=text("tag"),
        sort=one_of("sort", ("worst", "name"), "worst") or "worst",
        range=one_of("range", tuple(RANGES), "7d") or "7d",
    )
    return wanted, one_of("look", tuple(LOOKS), "table") or "table", int(offset)


def _refused(name: str, message: str, given: str) -> InvalidInput:
    return InvalidInput("There is no such list of models.", (FieldError(f"/{name}", message, excerpt(given)),))
