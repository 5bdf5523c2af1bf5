"""Common parts of panels, variables and links."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any, TypeVar

from grafana_foundation_sdk.builders import common as common_builder
from grafana_foundation_sdk.builders import dashboard as dashboard_builder
from grafana_foundation_sdk.builders import stat, timeseries
from grafana_foundation_sdk.builders.prometheus import Dataquery
from grafana_foundation_sdk.cog.builder import Builder
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models import common, dashboard
from grafana_foundation_sdk.models.prometheus import PromQueryFormat

SOURCE = common.DataSourceRef(type_val="prometheus", uid="${datasource}")
GREEN, YELLOW, RED, BLUE, LIGHT_BLUE, GREY = "green", "#EAB839", "red", "blue", "#8AB8FF", "#8e8e8e"
# What the builders of panels have in common has no name in the SDK.
Panel = Builder[dashboard.Panel]
# The plugin of the panel decides which methods its builder has; those used here are the same in all.
PanelT = TypeVar("PanelT", bound=Any)
Step = tuple[float | None, str]


def as_json(built: dashboard.Dashboard) -> str:
    """The text of a dashboard's file. Panels get their ids by their order."""
    document = json.loads(json.dumps(built, cls=JSONEncoder))
    for number, panel in enumerate(document["panels"], start=1):
        panel["id"] = number
    # The builders write more than the schema takes: what belongs to variables of another type, and a copy of the query.
    for listed in document["templating"]["list"]:
        for name in ("auto", "auto_count", "auto_min", "definition"):
            listed.pop(name, None)
    return json.dumps(document, indent=2, ensure_ascii=False) + "\n"


def query(expression: str, legend: str = "", *, ref: str = "A", now: bool = False, table: bool = False) -> Dataquery:
    """A query. now: of the end of the time range alone. table: rows instead of series."""
    built = Dataquery().expr(expression).legend_format(legend or "__auto").ref_id(ref).datasource(SOURCE)
    if table:
        built = built.format(PromQueryFormat.TABLE)
    return built.instant() if now else built.range()


def filled(
    panel: PanelT,
    title: str,
    description: str,
    queries: Sequence[Dataquery],
    *,
    unit: str,
    width: int,
    height: int = 8,
    nothing: str = "No data in this time range",
) -> PanelT:
    """The panel with what every panel must have. nothing: what it says when there is nothing to show."""
    panel = panel.title(title).description(description).datasource(SOURCE).unit(unit).no_value(nothing)
    panel = panel.span(width).height(height)
    for each in queries:
        panel = panel.with_target(each)
    return panel


def steps(*given: Step) -> dashboard_builder.ThresholdsConfig:
    """Colours from a value on; the first value is None."""
    return (
        dashboard_builder.ThresholdsConfig()
        .mode(dashboard.ThresholdsMode.ABSOLUTE)
        .steps([dashboard.Threshold(value=value, color=color) for value, color in given])
    )


def by_thresholds() -> dashboard_builder.FieldColor:
    """Colours from the thresholds."""
    return dashboard_builder.FieldColor().mode(dashboard.FieldColorModeId.THRESHOLDS)


def words(meanings: dict[str, tuple[str, str]]) -> list[dashboard.ValueMapping]:
    """Words and colours for values."""
    results = {
        value: dashboard.ValueMappingResult(text=text, color=color, index=index)
        for index, (value, (text, color)) in enumerate(meanings.items())
    }
    return [dashboard.ValueMap(options=results)]


def legend_below() -> common_builder.VizLegendOptions:
    """A legend that is a list below the chart."""
    return (
        common_builder.VizLegendOptions()
        .display_mode(common.LegendDisplayMode.LIST)
        .placement(common.LegendPlacement.BOTTOM)
        .show_legend(True)
        .calcs([])
    )


def source_variable() -> dashboard_builder.DatasourceVariable:
    """Variable that selects the Prometheus data source."""
    return dashboard_builder.DatasourceVariable("datasource").label("Prometheus").type("prometheus")


def url_variable() -> dashboard_builder.QueryVariable:
    """Variable with the address of the service's own pages; hidden, for links."""
    return variable("url", "Service", "label_values(modelwatch_service_info, url)").hide(
        dashboard.VariableHide.HIDE_VARIABLE
    )


def variable(name: str, label: str, asked: str, *, several: bool = False) -> dashboard_builder.QueryVariable:
    """A variable whose values come from Prometheus. several: any number of them, all of them at first."""
    built = (
        dashboard_builder.QueryVariable(name)
        .label(label)
        .datasource(SOURCE)
        .query({"query": asked, "refId": f"variable-{name}", "qryType": 1})
        .refresh(dashboard.VariableRefresh.ON_TIME_RANGE_CHANGED)
        .sort(dashboard.VariableSort.ALPHABETICAL_ASC)
        .options([])
    )
    if not several:
        return built.multi(False).include_all(False)
    everything = dashboard.VariableOption(selected=True, text=["All"], value=["$__all"])
    return built.multi(True).include_all(True).all_value(".*").current(everything)


def link(title: str, url: str, tooltip: str) -> dashboard_builder.DashboardLink:
    """A link in the head of a dashboard or a panel."""
    return (
        dashboard_builder.DashboardLink(title)
        .type(dashboard.DashboardLinkType.LINK)
        .url(url)
        .tooltip(tooltip)
        .icon("external link")
        .tags([])
        .as_dropdown(False)
        .target_blank(True)
        .include_vars(False)
        .keep_time(False)
    )


def other_dashboard(title: str, uid: str) -> dashboard_builder.DashboardLink:
    """A link to another of the dashboards, with the same time and variables."""
    return link(title, f"/d/{uid}", f"The dashboard {title}").icon("dashboard").include_vars(True).keep_time(True)


def annotation(name: str, expression: str, title: str, tags: str, color: str) -> dashboard_builder.AnnotationQuery:
    """Marks in all charts, wherever the expression has values."""
    return (
        dashboard_builder.AnnotationQuery()
        .name(name)
        .datasource(SOURCE)
        .enable(True)
        .hide(False)
        .icon_color(color)
        .expr(expression)
        .title_format(title)
        .tag_keys(tags)
        .use_value_for_time(False)
        .step("60s")
    )


def number(title: str, description: str, expression: str, unit: str, nothing: str, *colors: Step) -> stat.Panel:
    """One number, as of the end of the time range. colors: from which value on; blue without any."""
    panel = filled(
        stat.Panel(), title, description, [query(expression, now=True)], unit=unit, width=4, height=4, nothing=nothing
    )
    panel = panel.graph_mode(common.BigValueGraphMode.NONE).reduce_options(
        common_builder.ReduceDataOptions().calcs(["lastNotNull"]).values(False).fields("")
    )
    given = colors or ((None, BLUE),)
    return panel.thresholds(steps(*given)).color_scheme(by_thresholds())


def lines(
    title: str, description: str, queries: Sequence[Dataquery], unit: str, width: int = 12, nothing: str = ""
) -> timeseries.Panel:
    """Lines over time."""
    panel = filled(
        timeseries.Panel(),
        title,
        description,
        queries,
        unit=unit,
        width=width,
        nothing=nothing or "No data in this time range",
    )
    return panel.legend(legend_below()).line_width(1).fill_opacity(0).show_points(common.VisibilityMode.AUTO)
