"""`modelwatch simulate`: the promise in numbers, as anybody can have them printed."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import pty
import re
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import msgspec
import pytest

from modelwatch.cli import main
from modelwatch.cli.commands.simulate import in_words, parse_rate
from modelwatch.config import Settings
from modelwatch.monitoring.checks.rules import DriftRules
from modelwatch.simulation import Scenario, Shift, Simulation, simulate
from tests.cli.conftest import REPOSITORY, RunCli
from tests.proofs.lock import Proofs

FEW = ("--features", 2, "--months", 2, "--repetitions", 4, "--jobs", 1)


def simulated(budget: float, months: int, *shifts: float) -> Simulation:
    """The default traffic: 50 features, 100 predictions an hour, a reference of 10,000."""
    rules = dataclasses.replace(DriftRules.of(Settings()), budget=budget)
    located = tuple(Shift("location", shift) for shift in shifts)
    return simulate(Scenario(features=50, rate=100, reference=10_000, months=months, shifts=located), rules)


@pytest.mark.timeout(600)
def test_the_promise_at_a_budget_of_one(proofs: Proofs) -> None:
    result = proofs.figures(simulated, 1.0, 24, 0.5, 1.0)
    rule, naive = result.rule, result.baselines["psi_0.1_last_hour"]
    assert rule.evaluations_per_model_month == 4_320.0
    assert rule.false_alarms_per_model_month <= 1.0
    assert rule.interval_95 is not None
    assert rule.interval_95[1] <= 1.0
    assert naive.false_alarms_per_model_month > 10_000
    assert rule.median_delay_hours is not None
    assert rule.median_delay_hours <= 1.5
    assert [delay.shift for delay in rule.delays] == [0.5, 1.0]
    assert rule.delays[1].median_hours is not None
    assert rule.delays[1].median_hours <= 1.0
    assert rule.share_seen == 1.0


@pytest.mark.timeout(600)
def test_the_promise_at_a_tenth_of_it(proofs: Proofs) -> None:
    rule = proofs.figures(simulated, 0.1, 24).rule
    # Of the eight look-backs six hold 30 values, which is the least that may show a shift.
    assert rule.alpha == pytest.approx(0.05 / (720 * 50 * 6), rel=1e-9)
    assert rule.false_alarms_per_model_month <= 0.1


def test_the_traffic_of_the_promise_is_what_the_command_simulates_by_default(run_cli: RunCli) -> None:
    done = run_cli("simulate", "--months", 1, "--budget", 0.1, "--shift", 0, "--json", "--jobs", 1)
    assert msgspec.json.decode(done.stdout, type=Simulation) == simulated(0.1, 1)


def test_the_result_has_the_promised_shape(run_cli: RunCli) -> None:
    done = run_cli("simulate", *FEW, "--jobs", 2, "--json")
    assert (done.returncode, done.stderr) == (0, "")
    result = json.loads(done.stdout)
    for rule in (result["rule"], *result["baselines"].values()):
        assert rule["false_alarms_per_model_month"] >= 0
        assert rule["median_delay_hours"] > 0
    assert {"psi_0.1_last_hour", "psi_0.25_last_hour", "ks_0.05_last_day", "ks_bonferroni_last_day"} <= set(
        result["baselines"]
    )
    assert "(feature, evaluation)" in result["rule"]["counted"]
    assert result["seconds"] > 0
    again = json.loads(run_cli("simulate", *FEW, "--json").stdout)
    assert {**again, "seconds": 0} == {**result, "seconds": 0}


def test_people_get_a_table_and_a_sentence(run_cli: RunCli) -> None:
    done = run_cli("simulate", *FEW, "--shift", "2")
    assert (done.returncode, done.stderr) == (0, "")
    assert "PSI > 0.1, last hour" in done.stdout
    assert "2 σ:" in done.stdout
    assert "bound of" in done.stdout
    assert "smallest PSI seen" in done.stdout
    last = done.stdout.strip().splitlines()[-1]
    assert re.match(
        r"Expect [\d.]+ false alarms a month for a model \(budget 1, 95 %: [\d.]+ to [\d.]+\); PSI > 0.1", last
    )
    assert re.search(r"A shift of one feature is detected, in the median: 2 σ within \d+ (min|h)\.$", last)


def test_what_is_not_given_is_as_in_the_settings(run_cli: RunCli) -> None:
    done = run_cli("simulate", *FEW, "--shift", 0, "--json", FALSE_ALARM_BUDGET="2", LOOKBACKS="2h,12h")
    result = json.loads(done.stdout)
    assert (result["budget"], result["lookbacks"], result["min_samples"]) == (2.0, ["2h", "12h"], 100)
    words = "--budget 3 --lookbacks 1h --interval 30m --min-samples 70 --psi-warning 0.2 --psi-alert 0.5".split()
    done = run_cli("simulate", *FEW, "--shift", 0, "--json", *words, "--persistence", "2/3", FALSE_ALARM_BUDGET="2")
    result = json.loads(done.stdout)
    assert [result[name] for name in ("budget", "lookbacks", "interval_seconds", "min_samples")] == [
        3.0,
        ["1h"],
        1_800,
        70,
    ]
    assert [result[name] for name in ("psi_warning", "psi_alert", "persistence")] == [0.2, 0.5, "2/3"]
    assert result["rule"]["evaluations_per_model_month"] == 4_320.0


def all_that_is_shown(terminal: int) -> bytes:
    """What is written to a terminal until it is closed; it holds some 4 KB, and then whoever writes waits."""
    shown = bytearray()
    with contextlib.suppress(OSError):  # how Linux says that the other end is closed
        while chunk := os.read(terminal, 100_000):
            shown += chunk
    return bytes(shown)


def test_progress_is_shown_on_a_terminal_beside_the_result(tmp_path: Path) -> None:
    ours, theirs = pty.openpty()
    with ThreadPoolExecutor(1) as pool:
        reading = pool.submit(all_that_is_shown, ours)
        try:
            done = subprocess.run(
                [sys.executable, "-m", "modelwatch", "simulate", *map(str, FEW), "--json"],
                cwd=tmp_path,
                env={**os.environ, "PYTHONPATH": str(REPOSITORY / "src"), "TERM": "xterm"},
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=theirs,
                timeout=100,
                check=False,
            )
        finally:
            os.close(theirs)
        shown = reading.result().decode()
    os.close(ours)
    assert "simulate" in shown
    assert "%" in shown
    assert json.loads(done.stdout)["months"] == 2


def test_comparing_adds_the_rules_of_before_and_all_kinds_of_shifts(run_cli: RunCli) -> None:
    done = run_cli("simulate", "--features", 1, "--months", 1, "--repetitions", 2, "--compare", "--jobs", 1)
    assert (done.returncode, done.stderr) == (0, "")
    for text in (
        "rules of earlier releases",
        "bound of",
        "a category 2 % → 8 %",
        "ramp to 1 σ in 24 h",
        "test of all cells",
    ):
        assert text in done.stdout


def test_without_a_verdict_the_sentence_says_what_to_change() -> None:
    scenario = Scenario(features=1, rate=0.1, months=1, repetitions=1)
    result = simulate(scenario, DriftRules.of(Settings()))
    assert in_words(result).startswith("No look-back ever holds enough values")
    assert "longer look-backs" in in_words(result)


def test_hours_beyond_the_horizon_and_parts_of_an_hour_are_readable(run_cli: RunCli) -> None:
    words = ("--rate", "20000/h", "--interval", "15m", "--shift", "0.2", "--shift", "2")
    done = run_cli("simulate", "--features", 1, "--months", 1, "--repetitions", 3, "--jobs", 1, *words)
    assert "every 15 min or on new data" in done.stdout
    line = next(line for line in done.stdout.splitlines() if line.startswith("this"))
    assert "> 72 h, > 72 h" in line
    assert " min, " in line


def test_a_shift_below_the_threshold_is_told_as_unseen() -> None:
    scenario = Scenario(features=5, months=1, shifts=(Shift("location", 0.05),), repetitions=5)
    text = in_words(simulate(scenario, DriftRules.of(Settings())))
    assert text.endswith("0.05 σ within 72 h in 0% of all cases.")


@pytest.mark.parametrize(
    ("text", "rate"),
    [("100/h", 100.0), ("5/min", 300.0), ("5/m", 300.0), ("2/s", 7_200.0), ("2400/d", 100.0), ("7.5", 7.5)],
)
def test_rates_have_units(text: str, rate: float) -> None:
    assert parse_rate(text) == rate


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("--rate", "many"),
        ("--rate", "100/week"),
        ("--rate", "0/h"),
        ("--rate", "-5/h"),
        ("--rate", "1000000/s"),
        ("--features", "0"),
        ("--reference", "0"),
        ("--months", "0"),
        ("--repetitions", "0"),
        ("--shift", "nan"),
        ("--shift", "1000"),
        ("--shift", "large"),
        ("--shift", "scale:0"),
        ("--shift", "category:1"),
        ("--shift", "sideways:1"),
        ("--jobs", "0"),
        ("--budget", "0"),
        ("--budget", "a lot"),
        ("--budget", ""),
        ("--lookbacks", "7m"),
        ("--interval", "90s"),
        ("--interval", "2w"),
        ("--min-samples", "0"),
        ("--psi-warning", "-1"),
        ("--psi-warning", "0.5"),
        ("--psi-alert", "0.05"),
        ("--persistence", "3/2"),
        ("--persistence", "0/2"),
        ("--persistence", "2/99"),
        ("--persistence", "2"),
        ("--arrivals", "never"),
        ("--seed", "-1"),
    ],
)
def test_wrong_options_are_named(
    option: str, value: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["simulate", f"{option}={value}"]) == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert option in said.err
    assert "in the command line" not in said.err
