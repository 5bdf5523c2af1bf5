"""`modelwatch segments`: where a model got worse."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any
from urllib.parse import quote

import typer

from modelwatch.charts.drawing.numbers import percent
from modelwatch.cli.base import DEFAULT_URL, AsJson, OfEnvironment, OfVersion, Url, connected, print_json, print_out
from modelwatch.cli.output import print_notes, print_table
from modelwatch.measures import chance, metric_change, metric_value, plain, psi_text, score_value

# A p-value above this, times the number of segments, may well be chance.
CHANCE = 0.05
SHOWN_DRIFT = 0.01
COLUMNS = ("segment", "values", "share", "metric", "before", "contributes", "p", "sound")


def segments(
    model: Annotated[str, typer.Argument(help="Model.")],
    url: Url = DEFAULT_URL,
    metric: Annotated[
        str | None, typer.Option(help="Metric, such as accuracy, log_loss or mae. Default: the first monitored one.")
    ] = None,
    lookback: Annotated[
        str | None, typer.Option(help="Look-back from the newest data, such as 6h. Default: 24h.")
    ] = None,
    version: OfVersion = None,
    environment: OfEnvironment = None,
    baseline_start: Annotated[str | None, typer.Option(help="Start of the window to compare with.")] = None,
    baseline_end: Annotated[str | None, typer.Option(help="End of the window to compare with.")] = None,
    as_json: AsJson = False,
) -> None:
    """Ask a service in which segments a model got worse; its monitor names the segments."""
    params = {
        "metric": metric,
        "lookback": lookback,
        "version": version,
        "environment": environment,
        "baseline_start": baseline_start,
        "baseline_end": baseline_end,
    }
    with connected(url, patience=10.0) as service:
        given = {name: value for name, value in params.items() if value is not None}
        answer = service.get(f"/api/v1/models/{quote(model, safe='')}/segments", given)
    if as_json:
        print_json(answer)
        return
    for definition in answer["definitions"]:
        if definition["reason"]:
            print_out(f"{definition['feature_name']}: {definition['reason']}")
    if not answer["streams"]:
        print_out("No predictions of this version and environment.")
    for report in answer["streams"]:
        _show(model, report)


def _show(model: str, report: Mapping[str, Any]) -> None:
    metric = report["metric"]
    now = _value(metric, report["now"])
    span = report["labelled"]
    window = f", {span['start'][:16]} to {span['end'][:16]}".replace("T", " ") if span else ""
    told = "no metric yet" if metric is None else f"{metric} {now}".strip()
    print_out(f"{model} {report['model_version']} in {report['environment']}: {told}{window}")
    if report["reason"]:
        print_out(report["reason"])
    for feature in report["features"]:
        _feature(feature, metric)
    if report["worst"]:
        _worst(report)
    elif report["now"] is not None and report["now"]["value"] is not None:
        print_out("No segment got worse.")
    print_out()


def _feature(feature: Mapping[str, Any], metric: str | None) -> None:
    print_out()
    print_out(f"{feature['feature_name']}{_compared(feature['baseline'])}")
    if feature["reason"]:
        print_out(feature["reason"])
    rows, notes = [], []
    for line in feature["segments"]:
        part = line["contribution"] or {"total": None, "mix": None, "level": None}
        rows.append(
            (
                line["value"],
                f"{line['predictions']:,}",
                _percent(line["share"]),
                _bare(metric, line["metric"]),
                _bare(metric, line["before"]),
                _change(metric, part["total"]),
                _chance(line["adjusted_p_value"]),
                _percent(line["quality_score"]),
            )
        )
        said = {
            "metric": _value(metric, line["metric"]),
            "before": _value(metric, line["before"]),
            "mix": _change(metric, part["mix"]),
            "level": _change(metric, part["level"]),
            "share before": _percent(line["share_before"]),
            "drift": ", ".join(_drift(each) for each in line["drift"] if each["contribution"] >= SHOWN_DRIFT),
        }
        notes.append((line["value"], "; ".join(f"{name} {text}" for name, text in said.items() if text)))
    # A service of an earlier release sends none.
    if feature.get("mix") is not None:
        level, mix = (_change(metric, feature[name]) for name in ("level", "mix"))
        print_out(f"Change of {metric}: {level} by the segments themselves, {mix} by a shift of their shares (mix).")
    print_table(COLUMNS, rows, numbers=COLUMNS[1:])
    print_notes((name, text) for name, text in notes if text)


def _worst(report: Mapping[str, Any]) -> None:
    print_out()
    what = "their own part in the loss" if report["divides"] else "their own loss"
    metric = report["metric"]
    print_out(f"Segments that got worse, by {what} of {metric}:")
    for each in report["worst"][:10]:
        chance = each["adjusted_p_value"]
        doubt = "" if chance is not None and chance < CHANCE else "  (may be chance)"
        own = each["loss"] if each["level"] is None else each["level"]
        loss = plain(score_value(f"loss of {metric}", own))
        before, now = (plain(metric_value(metric, each[name])) for name in ("before", "value"))
        print_out(f"  {loss}  {each['segment']}: {before} -> {now}{doubt}")


def _compared(baseline: Mapping[str, Any] | None) -> str:
    if baseline is None:
        return ""
    if baseline["kind"] == "reference":
        return f", compared with the reference ({baseline['n']:,} labels)"
    if baseline["start"] is None:
        return ", compared with nothing"
    window = f"{baseline['start'][:16]} to {baseline['end'][:16]}".replace("T", " ")
    return f", compared with {window} ({baseline['n']:,} labels)"


def _value(metric: str | None, value: Mapping[str, Any] | None) -> str:
    """A metric with its interval.

    >>> _value("accuracy", {"value": 0.9, "low": 0.85, "high": 0.94}), _value("mae", None)
    ('90.0 % (85.0 % to 94.0 %)', '')
    """
    if metric is None or value is None or value["value"] is None:
        return ""
    now, low, high = (plain(metric_value(metric, value[name])) for name in ("value", "low", "high"))
    return now if value["low"] is None or value["high"] is None else f"{now} ({low} to {high})"


def _bare(metric: str | None, value: Mapping[str, Any] | None) -> str:
    return (
        "" if metric is None or value is None or value["value"] is None else plain(metric_value(metric, value["value"]))
    )


def _change(metric: str | None, change: float | None) -> str:
    return "" if metric is None or change is None else plain(metric_change(metric, change))


def _percent(share: float | None) -> str:
    return "" if share is None else plain(percent(share))


def _drift(each: Mapping[str, Any]) -> str:
    return f"{each['feature_name']} {plain(psi_text(each['contribution']))}"


def _chance(p_value: float | None) -> str:
    return "" if p_value is None else plain(chance(p_value))
