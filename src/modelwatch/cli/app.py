"""The commands and their options. What a command does lives in a module of its own, imported when it is called."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from modelwatch.cli.base import (
    DEFAULT_URL,
    EXIT_FOUND,
    EXIT_INTERRUPTED,
    EXIT_OK,
    EXIT_UNREACHABLE,
    EXIT_USAGE,
    AsJson,
    CliError,
    Url,
    print_err,
    print_out,
    settings_with,
)
from modelwatch.cli.key_commands import encryption_key, keys
from modelwatch.cli.monitor_commands import monitors
from modelwatch.errors import StartupError, StoreUnreachable

# Help texts keep their lines; tracebacks stay Python's own.
app = typer.Typer(
    name="modelwatch",
    help="Watches machine-learning models in production: has the data moved, is the model still right?",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
reference = typer.Typer(help="What drift is measured against.", no_args_is_help=True)
models = typer.Typer(help="The models of a service.", no_args_is_help=True)
app.add_typer(reference, name="reference")
app.add_typer(models, name="models")
app.add_typer(monitors, name="monitors")
app.add_typer(keys, name="keys")
app.add_typer(encryption_key, name="encryption-key")

ColumnMapOption = Annotated[
    list[str] | None,
    typer.Option(
        "--column-map",
        metavar="OLD=NEW",
        help="What a column of the file is called here; OLD= leaves it out. Repeat it.",
    ),
]
ColumnTypeOption = Annotated[
    list[str] | None,
    typer.Option(
        "--type",
        metavar="COLUMN=TYPE",
        help="Take a column as categorical or continuous, such as zip=categorical. Repeat it.",
    ),
]
MissingOption = Annotated[
    str | None,
    typer.Option(
        "--missing-values",
        metavar="A,B",
        help="What stands for no value in a CSV file, beside an empty field. Default: NA, NaN, null and their like.",
    ),
]
FormatOption = Annotated[str, typer.Option("--format", help="auto, parquet, csv or ndjson.")]


def run(argv: list[str] | None) -> int:
    """Runs one command and returns its exit code."""
    try:
        app(args=argv, prog_name="modelwatch")
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else EXIT_OK
    except CliError as error:
        print_err(error.message)
        return error.code
    except StoreUnreachable as error:
        print_err(str(error))
        return EXIT_UNREACHABLE
    except StartupError as error:
        print_err(str(error))
        return EXIT_USAGE
    except KeyboardInterrupt:
        return EXIT_INTERRUPTED
    return EXIT_OK


@app.command("serve")
def serve_command(
    host: Annotated[str | None, typer.Option(help="Address to listen on.  [HOST]")] = None,
    port: Annotated[int | None, typer.Option(help="Port to listen on; 0 takes a free one.  [PORT]")] = None,
    workers: Annotated[int | None, typer.Option(help="Processes that serve.  [WORKERS]")] = None,
    data_dir: Annotated[Path | None, typer.Option(help="Folder for what is kept on disk.  [DATA_DIR]")] = None,
    database_url: Annotated[
        str | None, typer.Option(help="The store; with a password rather by [DATABASE_URL], since others see options.")
    ] = None,
    debug: Annotated[bool | None, typer.Option("--debug/--no-debug", help="Log in detail.  [DEBUG]")] = None,
    log_format: Annotated[str | None, typer.Option(help="text or json.  [LOG_FORMAT]")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="The same as --log-format json.")] = False,
) -> None:
    """Start the service.

    Every option is a setting, whose name stands beside it; docs/settings.md has them all.
    """
    from modelwatch.server.serving import serve

    overrides = {
        "host": host,
        "port": port,
        "workers": workers,
        "data_dir": None if data_dir is None else str(data_dir),
        "database_url": database_url,
        "debug": debug,
        "log_format": "json" if as_json else log_format,
    }
    ended_well = serve(settings_with(overrides), overrides, print_out)
    raise typer.Exit(EXIT_OK if ended_well else EXIT_FOUND)


@app.command()
def demo(
    once: Annotated[
        bool, typer.Option("--once", help="End after the report; exit code 0 if it is as expected.")
    ] = False,
    data_dir: Annotated[Path | None, typer.Option(help="Keep the data here; else it is removed at the end.")] = None,
    port: Annotated[int | None, typer.Option(help="Port to use; else 8000, or another if that is taken.")] = None,
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    as_json: AsJson = False,
) -> None:
    """See a drift being found: a service, two days of traffic, a shift half-way, and what is said about it."""
    from modelwatch.cli.client import ServiceClient
    from modelwatch.demo import DemoFailed, run_demo

    try:
        code = run_demo(
            ServiceClient, once=once, data_dir=data_dir, host=host, port=port, as_json=as_json, write=typer.echo
        )
    except DemoFailed as error:
        raise CliError(str(error), EXIT_FOUND) from error
    raise typer.Exit(code)


@app.command()
def replay(
    file: Annotated[Path, typer.Argument(help="Predictions as Parquet, CSV or NDJSON; one row each.")],
    url: Url = DEFAULT_URL,
    model: Annotated[str | None, typer.Option(help="Model of the rows that name none.")] = None,
    version: Annotated[str | None, typer.Option(help="Version of the rows that name none.")] = None,
    environment: Annotated[str | None, typer.Option(help="Environment of the rows that name none.")] = None,
    format_name: FormatOption = "auto",
    column_map: ColumnMapOption = None,
    timestamp: Annotated[
        str | None, typer.Option(help="Time of the rows that have none, or `now`; else the time of the file.")
    ] = None,
    label_column: Annotated[
        str | None, typer.Option(help="Column with what was true; else `ground_truth`, if there is one.")
    ] = None,
    label_time_column: Annotated[
        str | None, typer.Option(help="Column with the time when that became known; else `ground_truth_timestamp`.")
    ] = None,
    speed: Annotated[str, typer.Option(help="How much faster than it was lived, such as 60, or max.")] = "max",
    batch_size: Annotated[int, typer.Option(help="Rows in one request.", min=1, max=1_000_000)] = 5_000,
    column_type: ColumnTypeOption = None,
    missing_values: MissingOption = None,
    wait: Annotated[bool, typer.Option("--wait", help="Return when all of it has been evaluated.")] = False,
    as_json: AsJson = False,
) -> None:
    """Send the predictions of a file to a service, and what was true about them.

    Rows without a prediction_id get one made of the file's content and their number, so a second replay counts nothing
    twice. A label with a time of its own is sent at that time, between the predictions; one without goes with its row.
    Exit code 1 when rows or labels were rejected.
    """
    from modelwatch.api.decoding.columns.csv_table import CsvReading
    from modelwatch.cli.columns import ColumnMap, ColumnTypes
    from modelwatch.cli.commands import replay as command
    from modelwatch.cli.replay.labels import TRUTH, TRUTH_TIME

    columns = ColumnMap.parse(column_map or ())
    columns = columns.with_column("--label-column", label_column, TRUTH)
    playback = command.Playback(
        path=file,
        url=url,
        model=model,
        version=version,
        environment=environment,
        format_name=format_name,
        columns=columns.with_column("--label-time-column", label_time_column, TRUTH_TIME),
        timestamp=timestamp,
        speed=command.parse_speed(speed),
        batch_size=batch_size,
        as_json=as_json,
        reading=CsvReading.parse(ColumnTypes.parse(column_type or ()).types, missing_values),
        wait=wait,
    )
    raise typer.Exit(command.replay(playback))


@app.command()
def check(
    model: Annotated[str, typer.Argument(help="The model to look at.")],
    url: Url = DEFAULT_URL,
    version: Annotated[str | None, typer.Option(help="One version; else all that share the reference.")] = None,
    environment: Annotated[str | None, typer.Option(help="Else production.")] = None,
    feature: Annotated[list[str] | None, typer.Option(help="Only this feature. Repeat it for more.")] = None,
    lookback: Annotated[str | None, typer.Option(help="Such as 6h; else those of the service's LOOKBACKS.")] = None,
    start: Annotated[str | None, typer.Option(help="Begin of the window, such as 2026-01-31T12:00:00Z.")] = None,
    end: Annotated[str | None, typer.Option(help="End of the window.")] = None,
    min_samples: Annotated[int | None, typer.Option(help="Values that a verdict needs.", min=1)] = None,
    compat: Annotated[str | None, typer.Option(help="Also the scores as this other tool defines them.")] = None,
    fail_on: Annotated[
        list[str] | None,
        typer.Option(
            metavar="warning|alert|no-verdict",
            help="Exit code 1 on a warning (or worse) or an alert, 4 on anything without a verdict. Repeat it.",
        ),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Ask a service for drift now.

    With --fail-on the exit code is 1 when that was found, and 4 when nothing could be judged; without it, it is 0.
    """
    from modelwatch.cli.commands import check as checking

    body = {
        "model_name": model,
        "model_version": version,
        "environment": environment,
        "features": feature,
        "lookback": lookback,
        "start": start,
        "end": end,
        "min_samples": min_samples,
        "compat": compat,
    }
    raise typer.Exit(checking.check(url, body, fail_on or (), as_json))


@app.command()
def segments(
    model: Annotated[str, typer.Argument(help="The model to look at.")],
    url: Url = DEFAULT_URL,
    metric: Annotated[str | None, typer.Option(help="Such as accuracy, log_loss or mae; else what is watched.")] = None,
    lookback: Annotated[str | None, typer.Option(help="Back from the newest data, such as 6h; else 24h.")] = None,
    version: Annotated[str | None, typer.Option(help="One version; else all.")] = None,
    environment: Annotated[str | None, typer.Option(help="One environment; else all.")] = None,
    baseline_start: Annotated[str | None, typer.Option(help="Compare with a stretch from here.")] = None,
    baseline_end: Annotated[str | None, typer.Option(help="Compare with a stretch up to here.")] = None,
    as_json: AsJson = False,
) -> None:
    """Ask a service where a model got worse, by the segments of its monitor."""
    from modelwatch.cli.commands import segments as segmenting

    params = {
        "metric": metric,
        "lookback": lookback,
        "version": version,
        "environment": environment,
        "baseline_start": baseline_start,
        "baseline_end": baseline_end,
    }
    raise typer.Exit(segmenting.segments(model, url, params, as_json))


@reference.command("upload")
def reference_upload(
    file: Annotated[Path, typer.Argument(help="The sample as Parquet or CSV; one column for each feature.")],
    model: Annotated[str, typer.Option(help="The model that it is for.")],
    url: Url = DEFAULT_URL,
    version: Annotated[str | None, typer.Option(help="Only for this version of the model.")] = None,
    task: Annotated[
        str | None, typer.Option(help="What the labels are: binary, multiclass or regression. Default: inferred.")
    ] = None,
    positive_class: Annotated[
        str | None, typer.Option(help="Of two classes the one that precision and scores are about. Default: inferred.")
    ] = None,
    format_name: FormatOption = "auto",
    column_map: ColumnMapOption = None,
    column_type: ColumnTypeOption = None,
    missing_values: MissingOption = None,
    as_json: AsJson = False,
) -> None:
    """Set a model's reference from a file."""
    from modelwatch.api.decoding.columns.csv_table import CsvReading
    from modelwatch.cli.columns import ColumnMap, ColumnTypes
    from modelwatch.cli.commands import reference as references

    columns = ColumnMap.parse(column_map or ())
    reading = CsvReading.parse(ColumnTypes.parse(column_type or ()).types, missing_values)
    said = {"model_version": version, "task": task, "positive_class": positive_class}
    params = {"model_name": model} | {name: value for name, value in said.items() if value is not None}
    raise typer.Exit(references.upload(file, url, params, format_name, columns, reading, as_json))


@reference.command("from-window")
def reference_from_window(
    model: Annotated[str, typer.Option(help="The model that it is for.")],
    url: Url = DEFAULT_URL,
    lookback: Annotated[str | None, typer.Option(help="Back from the newest data, such as 7d.")] = None,
    start: Annotated[str | None, typer.Option(help="Start of the window, such as 2026-01-31T12:00:00Z.")] = None,
    end: Annotated[str | None, typer.Option(help="End of the window.")] = None,
    version: Annotated[str | None, typer.Option(help="Its predictions alone, for this version of the model.")] = None,
    environment: Annotated[str | None, typer.Option(help="Default: production.")] = None,
    feature: Annotated[list[str] | None, typer.Option(help="Only this feature. Repeat it for more.")] = None,
    labels: Annotated[bool, typer.Option("--labels", help="Also what performance is compared with.")] = False,
    note: Annotated[str | None, typer.Option(help="Why, for the audit trail and the alerts that it ends.")] = None,
    as_json: AsJson = False,
) -> None:
    """Accept what was received as the new normal: a window of stored predictions becomes the reference."""
    from modelwatch.cli.commands import reference as references

    body = {
        "lookback": lookback,
        "start": start,
        "end": end,
        "model_version": version,
        "environment": environment,
        "features": feature,
        "labels": labels,
        "note": note,
    }
    raise typer.Exit(references.from_window(model, url, body, as_json))


@models.command("list")
def models_list(url: Url = DEFAULT_URL, as_json: AsJson = False) -> None:
    """List the models, and what each has sent."""
    from modelwatch.cli.commands import models as models_module

    raise typer.Exit(models_module.list_models(url, as_json))


@models.command("delete")
def models_delete(
    model: Annotated[str, typer.Argument(help="The model to delete.")],
    url: Url = DEFAULT_URL,
    version: Annotated[str | None, typer.Option(help="Only this version of it.")] = None,
    environment: Annotated[str | None, typer.Option(help="Only this environment of it.")] = None,
    yes: Annotated[bool, typer.Option("--yes", help="Yes, remove it for good.")] = False,
    no_wait: Annotated[bool, typer.Option("--no-wait", help="Don't wait until all of it is gone.")] = False,
    as_json: AsJson = False,
) -> None:
    """Delete a model, or a version or an environment of it, with everything that is stored of it.

    Exit code 1 if there is nothing of that name.
    """
    from modelwatch.cli.commands import models as models_module

    raise typer.Exit(models_module.delete_model(url, model, version, environment, yes, not no_wait, as_json))


@app.command()
def erase(
    model: Annotated[str, typer.Argument(help="The model that the prediction is of.")],
    prediction_id: Annotated[str, typer.Argument(help="The id of the prediction.")],
    url: Url = DEFAULT_URL,
    day: Annotated[str | None, typer.Option(help="Only that of this UTC day, such as 2026-01-31.")] = None,
    leave_counts: Annotated[
        bool, typer.Option("--leave-counts", help="Also where a feature's value is not stored: leave its counts.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Erase a prediction: its row, its label and what it added to the counts. Exit code 1 if nothing is there."""
    from modelwatch.cli.commands import erase as erasing

    raise typer.Exit(erasing.erase(model, prediction_id, url, day, leave_counts, as_json))


@app.command()
def migrate(
    database_url: Annotated[str | None, typer.Option(help="The store.  [DATABASE_URL]")] = None,
    as_json: AsJson = False,
) -> None:
    """Bring the store's schema up to date. The service does it by itself when it starts."""
    from modelwatch.cli import migrating

    raise typer.Exit(migrating.migrate(database_url, as_json))


@app.command("verify-verdict")
def verify_verdict(
    verdict: Annotated[str, typer.Argument(help="The id of the verdict.")],
    url: Annotated[str | None, typer.Option(help="A service that does it; else it is done here.")] = None,
    database_url: Annotated[str | None, typer.Option(help="The store.  [DATABASE_URL]")] = None,
    as_json: AsJson = False,
) -> None:
    """Compute a verdict again from its evidence. Exit code 1 when it was changed, 5 when newer rules say otherwise."""
    from modelwatch.cli.commands import verify_verdict as verifying

    raise typer.Exit(verifying.verify(verdict, url, database_url, as_json))


@app.command()
def simulate(
    features: Annotated[int, typer.Option(help="Features (subjects) that are watched.", min=1, max=10_000)] = 50,
    rate: Annotated[
        str, typer.Option(help="Predictions, such as 100/h, 5/min, 2000/d, or a number an hour.")
    ] = "100/h",
    reference_size: Annotated[
        int, typer.Option("--reference", help="Values in the reference.", min=1, max=10_000_000)
    ] = 10_000,
    months: Annotated[int, typer.Option(help="Months of 30 days in which nothing is wrong.", min=1, max=10_000)] = 24,
    shift: Annotated[
        list[float] | None,
        typer.Option(help="Shift of one feature in standard deviations; 0: none. Repeat it.  [0.5 and 1]"),
    ] = None,
    repetitions: Annotated[int, typer.Option(help="How often each shift is tried.", min=1, max=1_000_000)] = 1_000,
    budget: Annotated[str | None, typer.Option(help="False alarms per model in 30 days.  [FALSE_ALARM_BUDGET]")] = None,
    lookbacks: Annotated[str | None, typer.Option(help="Such as 1h,6h,24h.  [LOOKBACKS]")] = None,
    interval: Annotated[str | None, typer.Option(help="Between evaluations.  [DRIFT_CHECK_INTERVAL]")] = None,
    min_samples: Annotated[
        str | None, typer.Option(help="Values that a verdict needs.  [MIN_SAMPLES_FOR_DRIFT]")
    ] = None,
    psi_warning: Annotated[
        str | None, typer.Option(help="PSI from which a shift matters.  [PSI_WARNING_THRESHOLD]")
    ] = None,
    psi_alert: Annotated[str | None, typer.Option(help="PSI from which it is an alert.  [PSI_ALERT_THRESHOLD]")] = None,
    persistence: Annotated[
        str | None, typer.Option(metavar="K/M", help="K of the last M evaluations must say drift, such as 2/3.  [1/1]")
    ] = None,
    on_new_data: Annotated[
        bool, typer.Option(help="Also evaluate when that many new predictions have come before the interval is over.")
    ] = True,
    arrivals: Annotated[str, typer.Option(help="How predictions come: even or poisson.")] = "even",
    seed: Annotated[int, typer.Option(help="The same seed gives the same result.", min=0)] = 0,
    as_json: AsJson = False,
) -> None:
    """Try a configuration on simulated traffic: how often it cries wolf, and how long a real shift goes unseen.

    What is not given is as in the settings, whose names stand beside the options. docs/simulate.md says how to choose.
    """
    from modelwatch.cli.commands import simulate as simulating
    from modelwatch.simulation import Scenario

    overrides = {
        "false_alarm_budget": budget,
        "lookbacks": lookbacks,
        "min_samples_for_drift": min_samples,
        "psi_warning_threshold": psi_warning,
        "psi_alert_threshold": psi_alert,
    }
    scenario = Scenario(
        features=features,
        rate=simulating.parse_rate(rate),
        reference=reference_size,
        months=months,
        shifts=simulating.parse_shifts(shift),
        repetitions=repetitions,
        arrivals=simulating.parse_arrivals(arrivals),
        seed=seed,
    )
    rules = simulating.rules_with(overrides, interval, persistence, on_new_data)
    raise typer.Exit(simulating.simulate(scenario, rules, as_json))


@app.command()
def doctor(as_json: AsJson = False) -> None:
    """Look at everything a service needs here: settings, disk, store, port, clock. Exit code 1 if something fails."""
    from modelwatch.cli.commands import doctor as doctor_module

    raise typer.Exit(doctor_module.doctor(as_json))


@app.command()
def health(
    url: Annotated[str | None, typer.Option(help="Another service than the one that has these settings.")] = None,
    live: Annotated[bool, typer.Option("--live", help="Only whether it is alive, not whether it can work.")] = False,
    timeout: Annotated[float, typer.Option(help="Seconds to wait for the answer.", min=0.1, max=600)] = 4.0,
    as_json: AsJson = False,
) -> None:
    """Ask a running service whether it is ready. Exit code 1 when it says no, 3 when it does not answer."""
    from modelwatch.cli.commands import health as health_module

    raise typer.Exit(health_module.health(url, live, timeout, as_json))
