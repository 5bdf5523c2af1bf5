"""Files replayed to a real service: nothing is lost, nothing counts twice."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import httpx
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq
import pytest

from tests.cli.conftest import REPOSITORY, RunCli
from tests.support.data.traffic import predictions
from tests.support.servers.live_service import LiveService


def stored(live: LiveService, model: str) -> int:
    answer = httpx.get(f"{live.url}/api/v1/models/{model}", timeout=30)
    return 0 if answer.status_code == 404 else int(answer.json()["predictions"])


def as_table(count: int, **options: Any) -> pa.Table:
    """Predictions in columns, without names and ids."""
    rows = [
        {**row["features"], "prediction": row["prediction"], "timestamp": row["timestamp"], "ms": row["latency_ms"]}
        for row in predictions(count, **options)
    ]
    return pa.Table.from_pylist(rows)


@pytest.mark.parametrize("kind", ["parquet", "csv"])
def test_a_table_without_ids_counts_once_however_often_it_is_replayed(
    service: LiveService, run_cli: RunCli, tmp_path: Path, kind: str
) -> None:
    table, path, model = as_table(1_200), tmp_path / f"p.{kind}", f"table-{kind}"
    if kind == "parquet":
        pq.write_table(table, path)
    else:
        pyarrow.csv.write_csv(table, path)
    words = ("replay", path, "--url", service.url, "--model", model, "--column-map", "ms=latency_ms", "--json")
    results = []
    for size in (500, 700):
        done = run_cli(*words, "--batch-size", size)
        assert done.returncode == 0, done.stderr
        assert ("Read as numbers: amount, ms" in done.stderr) == (kind == "csv")
        results.append(json.loads(done.stdout))
    assert [(each["accepted"], each["duplicates"]) for each in results] == [(1_200, 0), (0, 1_200)]
    assert stored(service, model) == 1_200
    [stream] = httpx.get(f"{service.url}/api/v1/models/{model}").json()["streams"]
    assert stream["first_window"] == "2026-01-01T12:00:00Z"


def test_rejected_rows_are_named_and_are_exit_code_1(service: LiveService, run_cli: RunCli, tmp_path: Path) -> None:
    rows = [json.dumps(row) for row in predictions(20, model="rejected")]
    rows[3] = "{broken"
    rows[7] = json.dumps({"model_name": "rejected", "features": {}})
    path = tmp_path / "p.ndjson"
    path.write_text("\n".join(rows))
    done = run_cli("replay", path, "--url", service.url)
    assert done.returncode == 1
    assert "row 4:" in done.stdout
    assert "row 8: /prediction" in done.stdout
    assert stored(service, "rejected") == 18


def test_labels_of_rejected_rows_wait_also_where_a_part_of_the_file_was_replayed_before(
    service: LiveService, run_cli: RunCli, tmp_path: Path
) -> None:
    """Of 20 rows row 18 is refused, and the label of row 15."""
    rows = predictions(20, model="known")
    for row in rows:
        row.update(ground_truth=1, ground_truth_timestamp=row["timestamp"])
    rows[17]["prediction_probability"] = 7.0
    rows[14]["ground_truth"] = "x" * 5_000
    path, labels = tmp_path / "p.ndjson", []
    for count in (10, 20):
        path.write_text("".join(json.dumps(row) + "\n" for row in rows[:count]))
        done = run_cli("replay", path, "--url", service.url, "--json")
        labels.append(json.loads(done.stdout)["labels"])
    names = ("sent", "accepted", "duplicates", "waiting", "rejected")
    assert [tuple(each[name] for name in names) for each in labels] == [(10, 10, 0, 0, 0), (20, 8, 10, 1, 1)]


def test_a_column_that_is_not_taken_is_explained(service: LiveService, run_cli: RunCli, tmp_path: Path) -> None:
    path = tmp_path / "p.csv"
    path.write_text("x,prediction,seen\n1,0,2026-01-01T00:00:00Z\n")
    done = run_cli("replay", path, "--url", service.url, "--model", "column")
    assert done.returncode == 2
    assert "/seen" in done.stderr
    assert "--column-map" in done.stderr
    assert run_cli("replay", path, "--url", service.url, "--model", "column", "--column-map", "seen=").returncode == 0


def test_rows_without_a_time_get_the_files_own(service: LiveService, run_cli: RunCli, tmp_path: Path) -> None:
    path = tmp_path / "p.csv"
    path.write_text("x,prediction\n" + "1,0\n" * 10)
    os.utime(path, (1_767_268_800, 1_767_268_800))
    done = run_cli("replay", path, "--url", service.url, "--model", "timeless")
    assert done.returncode == 0
    assert "2026-01-01T12:00:00Z" in done.stderr
    [stream] = httpx.get(f"{service.url}/api/v1/models/timeless").json()["streams"]
    assert stream["first_window"] == "2026-01-01T12:00:00Z"
    refused = run_cli("replay", path, "--url", service.url, "--model", "timeless", "--speed", "60")
    assert refused.returncode == 2
    assert "timestamp" in refused.stderr


@pytest.mark.parametrize("form", ["csv", "parquet", "ndjson"])
def test_how_many_rows_of_a_file_with_times_have_none_is_said(
    service: LiveService, run_cli: RunCli, tmp_path: Path, form: str
) -> None:
    path = tmp_path / f"rows.{form}"
    if form == "parquet":
        times = pa.array([1_748_736_000_000, None, None], pa.timestamp("ms"))
        pq.write_table(pa.table({"timestamp": times, "x": [1.0, 2.0, 3.0], "prediction": ["a", "b", "a"]}), path)
    elif form == "csv":
        path.write_text("timestamp,x,prediction\n2025-06-01T00:00:00Z,1,a\n,2,b\nNA,3,a\n")
    else:
        line = '{"timestamp":%s,"features":{"x":1},"prediction":"a"}\n'
        path.write_text("".join(line % time for time in ('"2025-06-01T00:00:00Z"', "null", "null")))
    done = run_cli(
        "replay", path, "--url", service.url, "--model", f"some-{form}", "--timestamp", "2025-06-02T00:00:00Z"
    )
    assert done.returncode == 0, done.stderr
    assert "Rows without a timestamp: 2; they got 2025-06-02T00:00:00Z (from --timestamp)." in done.stderr


def test_event_time_is_played_back(service: LiveService, run_cli: RunCli, tmp_path: Path) -> None:
    path = tmp_path / "p.ndjson"
    path.write_text(
        "".join(
            json.dumps({"features": {"x": 1}, "prediction": 1, "timestamp": f"2026-01-01T00:{minute:02}:00Z"}) + "\n"
            for minute in range(31)
        )
    )
    done = run_cli("replay", path, "--url", service.url, "--model", "paced", "--speed", "900", "--json")
    result = json.loads(done.stdout)
    assert result["accepted"] == 31
    assert 1.4 <= result["seconds"] < 20


def test_a_service_that_is_killed_and_comes_back_has_every_row_once(tmp_path: Path) -> None:
    path = tmp_path / "p.parquet"
    pq.write_table(as_table(20_000), path)
    with LiveService(tmp_path / "data") as live:
        words = ["replay", str(path), "--url", live.url, "--model", "killed", "--batch-size", "100", "--json"]
        words += ["--column-map", "ms=latency_ms"]
        replay = start(words)
        wait_until(lambda: stored(live, "killed") > 1_000)
        live.kill()
        live.start()
        output, errors = replay.communicate(timeout=100)
        assert (replay.returncode, errors) == (0, "")
        result = json.loads(output)
        assert result["accepted"] + result["duplicates"] == 20_000
        assert stored(live, "killed") == 20_000


def test_ctrl_c_ends_with_a_summary_and_the_next_replay_sends_the_rest(service: LiveService, tmp_path: Path) -> None:
    path = tmp_path / "p.parquet"
    pq.write_table(as_table(20_000), path)
    words = ["replay", str(path), "--url", service.url, "--model", "stopped", "--column-map", "ms=latency_ms"]
    replay = start([*words, "--batch-size", "50"])
    wait_until(lambda: stored(service, "stopped") > 200)
    replay.send_signal(signal.SIGINT)
    output, errors = replay.communicate(timeout=30)
    assert (replay.returncode, errors) == (130, "")
    assert output.startswith("Interrupted after")
    assert 0 < stored(service, "stopped") < 20_000
    rest = start(words)
    assert "Sent 20,000 of 20,000" in rest.communicate(timeout=100)[0]
    assert stored(service, "stopped") == 20_000


def test_the_progress_bar_is_for_terminals(service: LiveService, tmp_path: Path) -> None:
    path = tmp_path / "p.ndjson"
    path.write_text("".join(json.dumps(row) + "\n" for row in predictions(300, model="bar")))
    master, slave = os.openpty()
    replay = start(["replay", str(path), "--url", service.url, "--batch-size", "10"], stderr=slave)
    os.close(slave)
    shown = bytearray()
    reader = threading.Thread(target=read_all, args=(master, shown))
    reader.start()
    output, _ = replay.communicate(timeout=30)
    reader.join(timeout=10)
    assert replay.returncode == 0
    assert b"sent" in shown
    assert "accepted" in output
    assert "━" not in output


def start(words: list[str], stderr: int = subprocess.PIPE) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "modelwatch", *words],
        env={**os.environ, "PYTHONPATH": str(REPOSITORY / "src")},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=stderr,
        text=True,
    )


def read_all(descriptor: int, into: bytearray) -> None:
    """Everything that is written to a terminal until its other side closes."""
    try:
        while part := os.read(descriptor, 65_536):
            into.extend(part)
    except OSError:  # Linux's way to say that nobody has the terminal open any more
        pass
    finally:
        os.close(descriptor)


def wait_until(holds: Any, seconds: float = 30) -> None:
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.01)
