"""The commands put together. What a command takes and does is in its own file below `commands`."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Annotated, Any

import typer

from modelwatch.cli.base import (
    EXIT_INTERRUPTED,
    EXIT_OK,
    EXIT_UNREACHABLE,
    EXIT_USAGE,
    CliError,
    never_fail_at_a_character,
    print_err,
    print_out,
)
from modelwatch.cli.commands.alerts import alerts
from modelwatch.cli.commands.check import check
from modelwatch.cli.commands.compare import compare
from modelwatch.cli.commands.doctor import doctor
from modelwatch.cli.commands.erase import erase
from modelwatch.cli.commands.health import health
from modelwatch.cli.commands.keys import encryption_key, keys
from modelwatch.cli.commands.models import models
from modelwatch.cli.commands.monitors import monitors
from modelwatch.cli.commands.performance import performance
from modelwatch.cli.commands.quality import quality
from modelwatch.cli.commands.reference import reference
from modelwatch.cli.commands.replay import replay
from modelwatch.cli.commands.report import report
from modelwatch.cli.commands.segments import segments
from modelwatch.cli.commands.serve import demo, migrate, serve
from modelwatch.cli.commands.simulate import simulate
from modelwatch.cli.commands.verify_verdict import verify_verdict
from modelwatch.cli.server_packages import how_to_install
from modelwatch.errors import StartupError, StoreUnreachable

# Help texts keep their lines; tracebacks stay Python's own.
app = typer.Typer(
    name="modelwatch",
    help="Monitors machine-learning models in production: drift, performance, data quality.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _print_version(wanted: bool) -> None:
    if wanted:
        from modelwatch.config.documentation import release_version

        print_out(f"modelwatch {release_version()}")
        raise typer.Exit


@app.callback()
def modelwatch(
    version: Annotated[
        bool, typer.Option("--version", help="Print the version and exit.", callback=_print_version, is_eager=True)
    ] = False,
) -> None:
    """Monitors machine-learning models in production: drift, performance, data quality."""


# In the order of the help.
for command in (
    serve,
    demo,
    replay,
    compare,
    check,
    performance,
    quality,
    segments,
    alerts,
    report,
    erase,
    migrate,
    verify_verdict,
    simulate,
    doctor,
    health,
):
    app.command()(command)
for group, name in (
    (reference, "reference"),
    (models, "models"),
    (monitors, "monitors"),
    (keys, "keys"),
    (encryption_key, "encryption-key"),
):
    app.add_typer(group, name=name)


@functools.cache
def whole_command() -> Callable[..., Any]:
    """The command with all below it, made once in a process: reading the options of all functions takes its time."""
    return typer.main.get_command(app)


def run(argv: list[str] | None) -> int:
    """Runs one command and returns its exit code."""
    never_fail_at_a_character()
    try:
        whole_command()(args=argv, prog_name="modelwatch")
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else EXIT_OK
    except CliError as error:
        print_err(error.message)
        return error.code
    except StartupError as error:
        print_err(str(error))
        return EXIT_UNREACHABLE if isinstance(error, StoreUnreachable) else EXIT_USAGE
    except ModuleNotFoundError as error:
        missing = how_to_install(error)
        if missing is None:
            raise
        print_err(missing)
        return EXIT_USAGE
    except KeyboardInterrupt:
        return EXIT_INTERRUPTED
    return EXIT_OK
