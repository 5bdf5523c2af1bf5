"""Rows in the spool directory outlive the process that logged them, and count once."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import threading
import time

import pytest
from client_servers import SOURCE, free_port, run_script, until
from modelwatch_client import Client


def client_of(url, folder, **settings):
    return Client(url, model_name="m", spool_dir=folder, **{"flush_interval": 0.02, **settings})


def test_rows_wait_on_disk_and_the_files_go(told, tmp_path):
    with client_of(told.url, tmp_path) as client:
        for number in range(500):
            client.log({"a": number}, 1)
            client.log_ground_truth(str(number), 1)
    assert [row["features"]["a"] for row in told.rows] == list(range(500))
    assert len(told.outcomes) == 500
    assert list(tmp_path.iterdir()) == []
    assert client.stats.sent == 1_000


def test_what_was_not_sent_at_the_end_is_sent_by_the_next_process(told, tmp_path):
    client = client_of(f"http://127.0.0.1:{free_port()}", tmp_path)
    for number in range(100):
        client.log({"a": number}, 1)
    client.close(0.1)
    assert client.stats.queued == 100
    with client_of(told.url, tmp_path) as later:
        until(lambda: later.stats.recovered == 100)
        assert later.flush(10)
    assert [row["features"]["a"] for row in told.rows] == list(range(100))
    assert list(tmp_path.iterdir()) == []


def test_rows_of_another_model_keep_its_name(told, tmp_path):
    away = Client(f"http://127.0.0.1:{free_port()}", model_name="other", model_version="7", spool_dir=tmp_path)
    away.log({"a": 1}, 1)
    away.close(0)
    with client_of(told.url, tmp_path) as client:
        client.log({"a": 2}, 1)
        until(lambda: len(told.rows) == 2)
    queries = {query for _, query, _ in told.requests}
    assert queries == {"model_name=m", "model_name=other&model_version=7"}


def test_a_killed_process_loses_nothing(told, tmp_path):
    script = (
        "import sys, os\nfrom modelwatch_client import Client\n"
        "client = Client(sys.argv[1], model_name='m', spool_dir=sys.argv[2])\n"
        "for n in range(10**9):\n"
        "    client.log({'n': n}, 1, prediction_id=f'{os.getpid()}-{n}')\n"
        "    os.write(1, b'%d\\n' % n)\n"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", script, f"http://127.0.0.1:{free_port()}", str(tmp_path)],
        env={**os.environ, "PYTHONPATH": str(SOURCE)},
        stdout=subprocess.PIPE,
    )
    printed = b""
    while printed.count(b"\n") < 3_000:
        printed += os.read(process.stdout.fileno(), 65_536)
    process.send_signal(signal.SIGKILL)
    printed += process.stdout.read()
    process.wait()
    logged = printed.count(b"\n")
    with client_of(told.url, tmp_path) as client:
        until(lambda: client.stats.recovered)
        assert client.flush(30)
    numbers = sorted(row["features"]["n"] for row in told.rows)
    # One more may have been logged, and not said.
    assert numbers in (list(range(logged)), list(range(logged + 1)))


def test_a_segment_in_use_is_not_taken_over(told, tmp_path):
    away = client_of(f"http://127.0.0.1:{free_port()}", tmp_path)
    away.log({"a": 1}, 1)
    with client_of(told.url, tmp_path) as client:
        client.log({"a": 2}, 1)
    assert [row["features"]["a"] for row in told.rows] == [2]
    away.close(0)


def test_a_full_folder_drops_the_newest_and_counts(tmp_path):
    client = client_of(f"http://127.0.0.1:{free_port()}", tmp_path, spool_bytes=65_536)
    for number in range(2_000):
        client.log({"a": number, "b": "x" * 100}, 1)
    stats = client.stats
    assert stats.dropped > 0
    assert stats.logged == stats.queued + stats.dropped == 2_000
    client.log({"a": "x" * 100_000}, 1)
    assert client.stats.dropped == stats.dropped + 1
    client.close(0)


def test_a_broken_file_is_left_alone(told, tmp_path):
    (tmp_path / "broken.spool").write_bytes(b"something else" * 100)
    (tmp_path / "empty.spool").write_bytes(b"")
    with client_of(told.url, tmp_path) as client:
        client.log({"a": 1}, 1)
    assert len(told.rows) == 1
    assert {path.name for path in tmp_path.iterdir()} == {"broken.spool", "empty.spool"}


def test_a_torn_row_is_no_row(told, tmp_path):
    client = client_of(f"http://127.0.0.1:{free_port()}", tmp_path)
    client.log({"a": 1}, 1)
    client.close(0)
    (path,) = tmp_path.glob("*.spool")
    content = path.read_bytes()
    end = content.rstrip(b"\0")
    path.write_bytes(end + b'P{"predict' + content[len(end) + 10 :])
    with client_of(told.url, tmp_path) as later:
        until(lambda: later.stats.recovered == 1)
        later.log({"a": 2}, 1)
    assert [row["features"]["a"] for row in told.rows] == [1, 2]


@pytest.mark.parametrize("fsync", ["batch", "always"])
def test_rows_are_forced_to_the_disk_when_asked(told, tmp_path, fsync):
    with client_of(told.url, tmp_path, fsync=fsync) as client:
        for number in range(20):
            client.log({"a": number}, 1)
    assert len(told.rows) == 20


@pytest.mark.skipif(not hasattr(os, "fork"), reason="This system has no fork.")
def test_a_forked_child_has_files_of_its_own(told, tmp_path):
    run_script(
        "import os, sys\nfrom modelwatch_client import Client\n"
        "client = Client(sys.argv[1], model_name='m', spool_dir=sys.argv[2], flush_interval=.02)\n"
        "client.log({}, 1, prediction_id='before')\n"
        "child = os.fork()\n"
        "client.log({}, 1, prediction_id='parent' if child else 'child'); assert client.flush(20); client.close()\n"
        "if child: os.waitpid(child, 0)\n",
        told.url,
        str(tmp_path),
    )
    assert sorted(row["prediction_id"] for row in told.rows) == ["before", "child", "parent"]


@pytest.mark.timeout(300)
@pytest.mark.parametrize(("rows", "with_spool"), [(50_000, True), (20_000, False)])
def test_many_rows_while_the_service_is_killed_and_started_again(service, tmp_path, rows, with_spool):
    """With a spool directory each row counts once; without, what is missing was counted as dropped, exactly."""
    chance = random.Random(7)
    stop = threading.Event()

    def disturb():
        while not stop.wait(chance.uniform(1.0, 2.5)):
            service.kill()
            if stop.wait(chance.uniform(0.0, 0.5)):
                break
            service.start()
            service.wait()

    thread = threading.Thread(target=disturb)
    client = Client(
        service.url,
        model_name="m",
        spool_dir=tmp_path / "spool" if with_spool else None,
        max_queue=2_000,
        flush_interval=0.05,
        timeout=5,
    )
    thread.start()
    began = time.monotonic()
    for number in range(rows):
        client.log({"n": number, "kind": "abc"[number % 3]}, number % 2)
        if number % 200 == 0:
            time.sleep(max(0.0, began + number / 5_000 - time.monotonic()))
    stop.set()
    thread.join()
    service.kill()
    service.start()
    service.wait()
    assert client.flush(120)
    stats = client.stats
    client.close()
    assert stats.logged == rows
    assert stats.rejected == stats.queued == 0
    if with_spool:
        assert stats.dropped == 0
    assert service.count("m") == stats.sent == rows - stats.dropped
