"""The demo from beginning to end."""

from __future__ import annotations

import contextlib
import json
import signal
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import FrameType

import numpy as np

from modelwatch.demo.evaluations import evaluated_lines, problems_of, watch_evaluations
from modelwatch.demo.generator import MODEL
from modelwatch.demo.labels import PendingLabels
from modelwatch.demo.others import send_others
from modelwatch.demo.process import DemoFailed, ServiceProcess, address, choose_port
from modelwatch.demo.report import (
    as_data,
    clock_time,
    drift_lines,
    performance_lines,
    seen_line,
    stable_lines,
    where_lines,
    window_lines,
)
from modelwatch.demo.story import (
    REFERENCE_DAYS,
    SEED,
    Plan,
    Service,
    check_drift,
    next_version,
    pending_labels,
    problems_of_answers,
    send_live,
    send_stream,
    set_reference,
)

__all__ = ["DemoFailed", "run_demo"]

LIVE_SECONDS = 0.2
READY_SECONDS = 30.0
INTERRUPTED = 130
TERMINATED = 143


class _Terminated(BaseException):
    """SIGTERM or SIGHUP came."""


def run_demo(
    connect: Callable[[str], Service],
    *,
    once: bool,
    data_dir: Path | None,
    host: str,
    port: int | None,
    as_json: bool,
    write: Callable[[str], object],
) -> int:
    """Shows the demo and returns the exit code: 0 when exactly the known shift was found, 1 otherwise.

    connect: makes a client of the service at an address. write: prints a line. data_dir: where the service keeps its
    data; None: a temporary folder that is removed at the end. Raises DemoFailed, and what the client raises.
    """
    show = (lambda _line: None) if as_json else write
    with contextlib.ExitStack() as stack:
        try:
            stack.enter_context(_raised_signals())
            folder = data_dir
            if folder is None:
                folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="modelwatch-demo-")))
            began = time.monotonic()
            process = stack.enter_context(ServiceProcess(host, choose_port(host, port), folder))
            url = address(process.host, process.port)
            kept = "removed at the end" if data_dir is None else "kept"
            show(f"modelwatch demo: two days of card payments, scored by the model {MODEL}")
            show(f"  The service runs at {url} (process {process.pid}); its data is in {process.data_dir} ({kept}).")
            service = stack.enter_context(connect(url))
            _wait_until_ready(process, service)
            rng = np.random.default_rng(SEED)
            plan = Plan.ending(time.time(), next_version(service))
            pending = pending_labels(service)
            problems = _run_story(service, plan, rng, pending, url, show, write if as_json else None, began)
            if not once:
                show("")
                show("The service keeps running: five payments a second, labels as they become known. Ctrl-C ends it.")
                _trickle(process, service, plan, rng, pending)
        except _Terminated:
            return TERMINATED
        except KeyboardInterrupt:
            return INTERRUPTED
        return 1 if problems else 0


def _run_story(
    service: Service,
    plan: Plan,
    rng: np.random.Generator,
    pending: PendingLabels,
    url: str,
    show: Callable[[str], object],
    write_json: Callable[[str], object] | None,
    began: float,
) -> list[str]:
    """Sends the data, checks drift and reports. Returns the problems."""
    size = set_reference(service, plan, rng)
    show("\nData sent")
    show(
        f"  The reference: {size:,} payments of the {REFERENCE_DAYS} days before: features, prediction, score,\n"
        "  latency, and which of them were frauds."
    )
    sent = send_stream(service, plan, rng, pending, time.monotonic)
    show(
        f"  The stream: {sent.accepted:,} payments from {clock_time(plan.start)} to {clock_time(plan.end)} UTC, sent in"
        f" {sent.seconds:.1f} s ({sent.accepted / sent.seconds:,.0f} a second),"
    )
    show(f"  and in between {sent.labels:,} labels, as they became known: hours after their payments, and not for all.")
    show(f"  The shift, {clock_time(plan.shift)}: amounts more than double, and people buy other things.")
    show("  The model uses both, so its score and its predictions must shift too. Everything else stays the same.")
    others = send_others(service, plan, rng)
    show(
        f"  In addition, a day of {others} small models: healthy, drifting, without a reference, silent, without"
        " labels."
    )
    show("\nEvaluation, window by window")
    evaluated = watch_evaluations(
        service,
        plan,
        lambda until: show(f"  evaluated up to {clock_time(until)} UTC ({time.monotonic() - began:.0f} s)"),
    )
    findings = check_drift(service, plan)
    problems = [*problems_of_answers(sent, findings), *problems_of(evaluated, plan)]
    for title, lines in (
        ("Result of the evaluations, as on the page", evaluated_lines(evaluated, plan)),
        ("Drift checks of six hours each (UTC, predictions)", window_lines(findings)),
        ("Time of detection", iter([seen_line(plan, findings)])),
        ("Drift of the last 24 hours against the reference", drift_lines(findings)),
        ("Features without drift", stable_lines(findings)),
        ("Model performance, by the labels so far", performance_lines(plan, findings)),
        ("Where to look next", where_lines(url)),
    ):
        show(f"\n{title}")
        for line in lines:
            show(line)
    seconds = time.monotonic() - began
    show("")
    if problems:
        show(f"Not as expected ({seconds:.1f} s):")
        for problem in problems:
            show(f"  - {problem}")
    else:
        show(f"Exactly the known shift was found, and nothing else. ({seconds:.1f} s)")
    if write_json is not None:
        data = {
            "url": url,
            **as_data(plan, sent, findings),
            **evaluated.as_data(plan),
            "problems": problems,
            "seconds": round(seconds, 2),
        }
        write_json(json.dumps(data, indent=2))
    return problems


def _wait_until_ready(process: ServiceProcess, service: Service) -> None:
    deadline = time.monotonic() + READY_SECONDS
    while not service.is_ready():
        process.check_alive()
        if time.monotonic() > deadline:
            raise DemoFailed(f"The service was not ready within {READY_SECONDS:g} s; its log is {process.log}")
        time.sleep(0.05)
    # Another program may have taken the port in between and answer in its place.
    process.check_alive()


def _trickle(
    process: ServiceProcess, service: Service, plan: Plan, rng: np.random.Generator, pending: PendingLabels
) -> None:
    """Sends payments of this moment, and labels, until Ctrl-C, which is how it is meant to end."""
    number = 0
    due = time.monotonic()
    with contextlib.suppress(KeyboardInterrupt):
        while True:
            process.check_alive()
            number += 1
            send_live(service, plan, rng, pending, number, time.time())
            due = max(due + LIVE_SECONDS, time.monotonic())
            time.sleep(max(0.0, due - time.monotonic()))


@contextlib.contextmanager
def _raised_signals() -> Iterator[None]:
    """SIGTERM and SIGHUP raise, so that what was started is stopped."""

    def end(_number: int, _frame: FrameType | None) -> None:
        raise _Terminated

    # nohup has SIGHUP ignored, and means it.
    numbers = [number for number in (signal.SIGTERM, signal.SIGHUP) if signal.getsignal(number) != signal.SIG_IGN]
    before = {number: signal.signal(number, end) for number in numbers}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
