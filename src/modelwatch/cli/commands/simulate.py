"""`modelwatch simulate`: what a configuration would do with some traffic, tried with random numbers."""

from __future__ import annotations

import contextlib
import os
import re
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer

from modelwatch.cli.base import AsJson, CliError, print_json, print_out, settings_with
from modelwatch.cli.output import print_table

if TYPE_CHECKING:
    from modelwatch.monitoring.checks.rules import DriftRules
    from modelwatch.simulation import Arrivals, BaselineResult, Delay, RuleResult, Shift, Simulation

SECONDS = {"s": 1, "m": 60, "min": 60, "h": 3_600, "d": 86_400}
SLOWEST, FASTEST = 0.01, 1e8
LONGEST_PERSISTENCE = 24
ARRIVALS: dict[str, Arrivals] = {"even": "even", "poisson": "poisson"}
DEFAULT_SHIFTS = ("0.5", "1")
ALL_SHIFTS = ("0.25", "0.35", "0.5", "1", "scale:1.25", "scale:1.5", "half:1", "ramp:1", "category:0.08", "new:0.05")
BEFORE = "rules of earlier releases"
# More of them don't fit into a line.
SHIFTS_ABREAST = 2
OPTIONS = {
    "false_alarm_budget": "--budget",
    "lookbacks": "--lookbacks",
    "drift_check_interval": "--interval",
    "min_samples_for_drift": "--min-samples",
    "psi_warning_threshold": "--psi-warning",
    "psi_alert_threshold": "--psi-alert",
}


def simulate(
    features: Annotated[int, typer.Option(help="Number of watched features (subjects).", min=1, max=10_000)] = 50,
    rate: Annotated[
        str, typer.Option(help="Rate of predictions, such as 100/h, 5/min, 2000/d, or a number per hour.")
    ] = "100/h",
    reference_size: Annotated[
        int, typer.Option("--reference", help="Values in the reference.", min=1, max=10_000_000)
    ] = 10_000,
    months: Annotated[int, typer.Option(help="Months of 30 days in which nothing is wrong.", min=1, max=10_000)] = 24,
    shift: Annotated[
        list[str] | None,
        typer.Option(
            help="Shift of one feature: standard deviations (0: none), or scale:1.5, half:1, ramp:1, category:0.08,"
            " new:0.05. Repeatable.  [0.5 and 1; all kinds with --compare]"
        ),
    ] = None,
    repetitions: Annotated[int, typer.Option(help="Number of trials of each shift.", min=1, max=1_000_000)] = 200,
    budget: Annotated[str | None, typer.Option(help="False alarms per model in 30 days.  [FALSE_ALARM_BUDGET]")] = None,
    lookbacks: Annotated[str | None, typer.Option(help="Look-backs, such as 1h,6h,24h.  [LOOKBACKS]")] = None,
    interval: Annotated[str | None, typer.Option(help="Time between evaluations.  [DRIFT_CHECK_INTERVAL]")] = None,
    min_samples: Annotated[
        str | None, typer.Option(help="Values that a verdict needs.  [MIN_SAMPLES_FOR_DRIFT]")
    ] = None,
    psi_warning: Annotated[
        str | None, typer.Option(help="PSI from which a shift is a warning.  [PSI_WARNING_THRESHOLD]")
    ] = None,
    psi_alert: Annotated[
        str | None, typer.Option(help="PSI from which a shift is an alert.  [PSI_ALERT_THRESHOLD]")
    ] = None,
    persistence: Annotated[
        str | None,
        typer.Option(metavar="K/M", help="A finding needs drift in K of the last M evaluations, such as 2/3.  [1/1]"),
    ] = None,
    on_new_data: Annotated[
        bool, typer.Option(help="Also evaluate early, when 15 new predictions have arrived.")
    ] = True,
    arrivals: Annotated[str, typer.Option(help="Arrivals of predictions: even or poisson.")] = "even",
    seed: Annotated[int, typer.Option(help="The same seed gives the same result.", min=0)] = 0,
    compare: Annotated[
        bool,
        typer.Option(
            "--compare",
            help="Also simulate the rules of earlier releases (look-backs of 1, 6 and 24 h), and all kinds of shifts.",
        ),
    ] = False,
    jobs: Annotated[int | None, typer.Option(help="Number of processes.  [those of the machine]", min=1)] = None,
    as_json: AsJson = False,
) -> None:
    """Try a configuration on simulated traffic: how many false alarms it raises, and how soon it detects a real shift.

    Options that are not given are taken from the settings named beside them. docs/simulate.md describes the choice.
    """
    import msgspec

    from modelwatch.simulation import Scenario, steps
    from modelwatch.simulation import simulate as run

    overrides = {
        "false_alarm_budget": budget,
        "lookbacks": lookbacks,
        "min_samples_for_drift": min_samples,
        "psi_warning_threshold": psi_warning,
        "psi_alert_threshold": psi_alert,
    }
    scenario = Scenario(
        features=features,
        rate=parse_rate(rate),
        reference=reference_size,
        months=months,
        shifts=parse_shifts(ALL_SHIFTS if shift is None and compare else shift),
        repetitions=repetitions,
        arrivals=parse_arrivals(arrivals),
        seed=seed,
    )
    rules = rules_with(overrides, interval, persistence, on_new_data)
    began = time.perf_counter()
    others = {BEFORE: rules_of_before(rules)} if compare else {}
    with _progress_bar(steps(scenario, len(others))) as done:
        result = run(scenario, rules, done, compared=others, jobs=jobs or len(os.sched_getaffinity(0)))
    seconds = time.perf_counter() - began
    if as_json:
        print_json({**msgspec.to_builtins(result), "seconds": round(seconds, 2)})
    else:
        _show(result)


def parse_rate(text: str) -> float:
    """Predictions an hour, of a text such as 100/h, 5/min, 2000/d, or a plain number an hour. Raises CliError.

    >>> parse_rate("5/min"), parse_rate("2400/d"), parse_rate("12.5")
    (300.0, 100.0, 12.5)
    """
    match = re.fullmatch(r"(\d+(?:\.\d+)?)(?:/(s|m|min|h|d))?", text.strip())
    if match is None:
        raise CliError(f"--rate {text!r}: expected a number and a unit, such as 100/h, 5/min or 2000/d")
    rate = float(match[1]) * SECONDS["h"] / SECONDS[match[2] or "h"]
    if not SLOWEST <= rate <= FASTEST:
        raise CliError(f"--rate {text!r}: expected {SLOWEST:g}/h to {FASTEST:.0f}/h, got {rate:g}/h")
    return rate


def parse_persistence(text: str) -> tuple[int, int]:
    """Findings after K of the last M evaluations, (K, M), of a text such as 2/3. Raises CliError.

    >>> parse_persistence("2/3")
    (2, 3)
    """
    match = re.fullmatch(r"(\d{1,2})/(\d{1,2})", text.strip())
    if match is None or not 1 <= int(match[1]) <= int(match[2]) <= LONGEST_PERSISTENCE:
        raise CliError(
            f"--persistence {text!r}: expected K/M, findings after K of the last M evaluations, such as 2/3;"
            f" M is at most {LONGEST_PERSISTENCE}"
        )
    return int(match[1]), int(match[2])


def parse_shifts(shifts: Sequence[str] | None) -> tuple[Shift, ...]:
    """The shifts to try; those of 0 are none. Raises CliError for what is no shift, or beyond any feature.

    >>> [shift.title for shift in parse_shifts(["0.0", "-2", "scale:1.5"])]
    ['-2 σ', 'scale × 1.5']
    """
    from modelwatch.simulation import Shift

    found = []
    for text in dict.fromkeys(DEFAULT_SHIFTS if shifts is None else shifts):
        try:
            found.append(Shift.parsed(text))
        except ValueError as error:
            raise CliError(f"--shift {text}: {error}") from error
    return tuple(dict.fromkeys(shift for shift in found if shift.size))


def rules_of_before(rules: DriftRules) -> DriftRules:
    """Rules as they were in earlier releases, with the budget and the thresholds of these."""
    import dataclasses

    return dataclasses.replace(
        rules,
        lookbacks=("1h", "6h", "24h"),
        check_interval=3_600,
        min_samples=100,
        on_new_data=True,
        names_shifted=False,
        directed=False,
        looks_after=None,
        detects_from=None,
        least_reference=0,
    )


def parse_arrivals(text: str) -> Arrivals:
    """`even` or `poisson`. Raises CliError for anything else."""
    if text not in ARRIVALS:
        raise CliError(f"--arrivals {text!r}: expected even or poisson")
    return ARRIVALS[text]


def rules_with(
    overrides: Mapping[str, str | None], interval: str | None, persistence: str | None, on_new_data: bool
) -> DriftRules:
    """The rules of the settings, with what the options say otherwise. Raises CliError that names the option."""
    import dataclasses

    from modelwatch.config import parse_lookback
    from modelwatch.errors import SettingsError
    from modelwatch.monitoring.checks.rules import DriftRules

    given: dict[str, Any] = dict(overrides)
    for setting, value in given.items():
        if value == "":
            raise CliError(f"{OPTIONS[setting]} '': expected a value")
    if interval is not None:
        try:
            given["drift_check_interval"] = parse_lookback(interval)
        except ValueError as error:
            raise CliError(f"--interval {interval!r}: {str(error)[0].lower()}{str(error)[1:]}") from error
    try:
        rules = DriftRules.of(settings_with(given))
    except SettingsError as error:
        raise CliError(_named_as_options(str(error))) from error
    alarms, among = (rules.alarms_needed, rules.alarms_among) if persistence is None else parse_persistence(persistence)
    return dataclasses.replace(rules, alarms_needed=alarms, alarms_among=among, on_new_data=on_new_data)


def _named_as_options(message: str) -> str:
    """A message about settings, with the options that they came from."""
    for setting, option in OPTIONS.items():
        name = setting.upper()
        message = message.replace(f"{name} in the command line", option)
        message = re.sub(rf"\b{name} is (\S+) in the command line", rf"{option} is \1", message)
    return message


def _show(result: Simulation) -> None:
    from rich.text import Text

    rule = result.rule
    print_out(
        f"{result.features} features, {result.rate_per_hour:,g} predictions an hour ({result.arrivals}),"
        f" a reference of {result.reference:,}; {result.months} months, seed {result.seed}"
    )
    print_out(
        f"budget {result.budget:g}; look-backs {', '.join(result.lookbacks)}; PSI from {result.psi_warning:g};"
        f" at least {result.min_samples} values; every {_duration(result.interval_seconds)}"
        f"{' or on new data' if result.on_new_data else ''}; persistence {result.persistence}"
    )
    print_out()
    rules: list[RuleResult | BaselineResult] = [rule, *result.compared.values(), *result.baselines.values()]
    for first in range(0, max(len(rule.delays), 1), SHIFTS_ABREAST):
        some = slice(first, first + SHIFTS_ABREAST)
        heads = [f"{delay.title}:\nmedian, 90 %" for delay in rule.delays[some]]
        print_table(
            ("rule", *(("false alarms\na month", "95 %") if not first else ()), *heads),
            (
                (
                    Text(each.title, "bold" if each is rule else ""),
                    *((_number(each.false_alarms_per_model_month), _interval(each.interval_95)) if not first else ()),
                    *(_delay(delay, result.horizon_hours) for delay in each.delays[some]),
                )
                for each in rules
            ),
        )
        print_out()
    for of_service in (rule, *result.compared.values()):
        _show_delays(of_service, result.horizon_hours)
    print_table(
        ("look-back", "values", "decided", "smallest PSI seen"),
        (
            (
                window.lookback,
                f"{window.values:,.0f}",
                f"{window.share_decided:.0%}",
                "" if window.min_detectable_psi is None else f"{window.min_detectable_psi:.2g}",
            )
            for window in rule.lookbacks
        ),
        numbers=("values", "decided", "smallest PSI seen"),
    )
    print_out()
    print_out(in_words(result))


def _show_delays(rule: RuleResult, horizon: float) -> None:
    """The delays of a rule of the service, beside the least that any rule with as many false alarms could have."""
    numbers = (
        "detected:\nmedian",
        "\nmean",
        "bound of\nthe mean",
        "mean /\nbound",
        "found:\nmedian",
        "\n90 %",
        "\nseen",
    )
    rows = [
        (
            found.title,
            _within(detected.median_hours, horizon),
            "" if detected.mean_hours is None else _hours(detected.mean_hours),
            "" if detected.bound_hours is None else _hours(detected.bound_hours),
            "" if detected.ratio is None else f"{detected.ratio:.2f}",
            _within(found.median_hours, horizon),
            _within(found.p90_hours, horizon),
            f"{found.share_seen or 0.0:.0%}",
        )
        for detected, found in zip(rule.detected, rule.delays, strict=True)
    ]
    if not rows:
        return
    print_table((rule.title, *numbers), rows, numbers=numbers)
    print_out(
        "while nothing is wrong, detected whatever the size:"
        f" {_with_interval(rule.detected_per_model_month, rule.detected_interval_95)} a month; alerts:"
        f" {_with_interval(rule.alerts_per_model_month, rule.alerts_interval_95)}"
    )
    print_out()


def in_words(result: Simulation) -> str:
    """The result in a few sentences."""
    rule = result.rule
    if not any(each.share_decided for each in rule.lookbacks):
        return (
            "No look-back ever holds enough values for a verdict, so nothing is ever found. Choose longer look-backs,"
            " fewer values for a verdict, a larger budget or a larger reference."
        )
    seen = [
        f"within {_hours(delay.median_hours)}"
        if delay.median_hours is not None
        else f"within {result.horizon_hours:g} h in {delay.share_seen:.0%} of all cases"
        for delay in rule.delays
    ]
    shifts = "; ".join(f"{delay.title} {text}" for delay, text in zip(rule.delays, seen, strict=True))
    naive = result.baselines["psi_0.1_last_hour"].false_alarms_per_model_month
    surely = f", 95 %: {_interval(rule.interval_95)}" if rule.interval_95 else ""
    return (
        f"Expect {_number(rule.false_alarms_per_model_month)} false alarms a month for a model (budget"
        f" {result.budget:g}{surely}); PSI > 0.1 on the last hour raises {_number(naive)}."
        + (f" A shift of one feature is detected, in the median: {shifts}." if shifts else "")
    )


def _delay(delay: Delay, horizon: float) -> str:
    if delay.share_seen is None:
        return "-"
    return f"{_within(delay.median_hours, horizon)}, {_within(delay.p90_hours, horizon)}"


def _within(hours: float | None, horizon: float) -> str:
    return f"> {horizon:g} h" if hours is None else _hours(hours)


def _hours(hours: float) -> str:
    return f"{hours:.3g} h" if hours >= 1 else f"{hours * 60:.0f} min"


def _number(value: float) -> str:
    """Whole numbers where they are large, two digits where they are small."""
    return f"{value:,.0f}" if value >= 10 else f"{value:.2g}"


def _interval(interval: Sequence[float] | None) -> str:
    return "" if interval is None else f"{_number(interval[0])} to {_number(interval[1])}"


def _with_interval(value: float, interval: Sequence[float] | None) -> str:
    return _number(value) + (f" (95 %: {_interval(interval)})" if interval else "")


def _duration(seconds: int) -> str:
    return f"{seconds / 3_600:g} h" if seconds >= 3_600 else f"{seconds / 60:g} min"


@contextlib.contextmanager
def _progress_bar(total: int) -> Iterator[Callable[[int], None]]:
    """A bar on stderr, if that is a terminal. What it gives takes the number of further steps that are done."""
    if not sys.stderr.isatty():
        yield lambda steps: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

    columns = (TextColumn("simulate"), BarColumn(), TaskProgressColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task("simulate", total=total)
        yield lambda steps: progress.advance(task, steps)
