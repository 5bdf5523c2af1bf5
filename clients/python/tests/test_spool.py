"""Rows in the spool directory outlive the process that logged them, and count once."""

from __future__ import annotations

import errno
import fcntl
import logging
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
from modelwatch_client.rows import Prediction
from modelwatch_client.sending import segments, spool
from modelwatch_client.sending.counts import Warnings
from modelwatch_client.sending.memory_queue import Limits, QueueState
from modelwatch_client.sending.segments import Segment
from modelwatch_client.sending.spool import SpoolQueue


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


@pytest.mark.parametrize(
    "head",
    [
        b"[1]",
        b"{}",
        b"{",
        b"\xff",
        b'{"model_name": "m", "environment": "prod\\udce9"}',
        b'{"model_name": "%s"}' % (b"m" * 70_000),
    ],
    ids=["list", "empty", "torn", "binary", "surrogate", "long"],
)
def test_a_file_whose_names_no_request_can_have_is_left_alone(told, tmp_path, head):
    path = tmp_path / "other.spool"
    path.write_bytes(b"modelwatch 1 %016d\n" % 60 + head + b"\n" + b"P{}\n" * 30)
    with client_of(told.url, tmp_path) as client:
        client.log({"a": 1}, 1)
        assert client.flush(10)
    assert len(told.rows) == 1
    assert path.exists()


def test_a_file_that_was_not_finished_is_removed_unless_it_is_in_use(told, tmp_path):
    left, used, foreign = (tmp_path / f"{name}.new" for name in ("0" * 32, "f" * 32, "settings"))
    for path in (left, used, foreign):
        path.write_bytes(bytes(1_000))
    with used.open("rb") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        with client_of(told.url, tmp_path):
            until(lambda: not left.exists())
    assert {path.name for path in tmp_path.iterdir()} == {used.name, foreign.name}


def test_a_file_is_made_again_where_another_process_took_it_for_one_left_behind(tmp_path):
    stop = threading.Event()

    def remove():
        while not stop.is_set():
            for path in tmp_path.glob("*.new"):
                path.unlink(missing_ok=True)

    thread = threading.Thread(target=remove)
    thread.start()
    try:
        for _ in range(300):
            segment = Segment.create(tmp_path, 4_096, {"model_name": "m"})
            assert segment.path.exists()
            segment.remove()
    finally:
        stop.set()
        thread.join()
    assert list(tmp_path.iterdir()) == []


def test_files_are_looked_for_while_others_begin_and_end(tmp_path):
    """The set of the client's own files is taken at once: threads that log add to it meanwhile."""
    state = QueueState(Limits(10, "block", 0.1, 1_000, 1 << 20, 1.0), Warnings())
    queue = SpoolQueue(state, tmp_path, {"model_name": "m"}, most_bytes=65_536, fsync="never")
    queue._size, queue._most = 4_096, 200
    stop = threading.Event()

    def write():
        while not stop.is_set():
            queue.put(Prediction("p", 1, {"x": "y" * 3_500}, 1, None, None, None, None))
            with state.lock:
                while len(queue._segments) > 100:
                    queue._segments.popleft().remove()

    thread = threading.Thread(target=write)
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    thread.start()
    try:
        for _ in range(50):
            assert queue.recover() == 0
    finally:
        stop.set()
        thread.join()
        sys.setswitchinterval(interval)
        state.close(0)
        queue.abandon()


def test_the_sender_goes_on_when_the_folder_can_not_be_read_for_a_while(told, tmp_path, monkeypatch, caplog):
    original, failures = SpoolQueue.recover, [OSError("The folder is gone.")] * 3
    monkeypatch.setattr(
        SpoolQueue, "recover", lambda self: original(self) if not failures else (_ for _ in ()).throw(failures.pop())
    )
    with caplog.at_level(logging.WARNING), client_of(told.url, tmp_path) as client:
        client.log({"a": 1}, 1)
        assert client.flush(20)
        assert client.stats.last_error == "OSError: The folder is gone."
    assert len(told.rows) == 1
    assert sum("The folder is gone." in record.message for record in caplog.records) == 1
    assert list(tmp_path.iterdir()) == []


def test_a_batch_that_could_not_be_marked_as_sent_is_marked_later(told, tmp_path, monkeypatch):
    original, failures = Segment.mark_sent, [OSError("no")] * 2

    def mark(self, place):
        if failures and place == self.end and self.sent:
            raise failures.pop()
        original(self, place)

    monkeypatch.setattr(Segment, "mark_sent", mark)
    with client_of(told.url, tmp_path) as client:
        client.log({"a": 1}, 1)
        until(lambda: not failures)
        client.flush(20)
    assert (client.stats.sent, len(told.rows)) == (1, 1)
    assert list(tmp_path.iterdir()) == []


@pytest.fixture
def disk(monkeypatch):
    """What the disk has: how many bytes of each file, by its name, and the folders that were synced."""
    kept = {}
    sync, sync_folder = Segment.sync, segments._sync_folder

    def keep(segment):
        sync(segment)
        kept[segment.path.name] = segment.synced

    def keep_folder(folder):
        sync_folder(folder)
        kept[folder] = True

    monkeypatch.setattr(Segment, "sync", keep)
    monkeypatch.setattr(segments, "_sync_folder", keep_folder)
    return kept


def all_is_kept(disk, client, folder):
    with client._state.lock:
        return disk == {**{segment.path.name: segment.end for segment in client._queue._segments}, folder: True}


@pytest.mark.parametrize("how", ["nobody there", "it hangs", "it fails"])
def test_each_interval_forces_all_rows_to_the_disk_whatever_the_service_does(told, tmp_path, monkeypatch, disk, how):
    monkeypatch.setattr(spool, "SEGMENT_BYTES", 4_096)
    told.always = (503, {"Retry-After": "60"}, b"")
    if how == "it hangs":
        told.hang.set()
    url = f"http://127.0.0.1:{free_port()}" if how == "nobody there" else told.url
    client = client_of(url, tmp_path, fsync="batch", batch_rows=2)
    for number in range(40):
        client.log({"a": number, "b": "x" * 500}, 1)
        time.sleep(0.002)
    assert len(client._queue._segments) > 3
    until(lambda: all_is_kept(disk, client, tmp_path), 10)
    client.log({"a": "the last"}, 1)
    until(lambda: all_is_kept(disk, client, tmp_path), 10)
    client.close(0)


def test_rows_of_an_ended_process_are_forced_to_the_disk_too(tmp_path, disk):
    url = f"http://127.0.0.1:{free_port()}"
    first = client_of(url, tmp_path)
    first.log({"a": 1}, 1)
    first.close(0)
    assert disk == {}
    client = client_of(url, tmp_path, fsync="batch")
    until(lambda: client.stats.recovered == 1)
    until(lambda: all_is_kept(disk, client, tmp_path), 10)
    client.close(0)


def test_closing_forces_the_last_rows_to_the_disk(tmp_path, disk):
    others = set(threading.enumerate())
    client = client_of(f"http://127.0.0.1:{free_port()}", tmp_path, fsync="batch", flush_interval=60)
    client.log({"a": 1}, 1)
    end = client._queue._segments[-1].end
    client.close(0.1)
    (path,) = tmp_path.iterdir()
    assert disk[path.name] == end
    until(lambda: others.issuperset(threading.enumerate()))


def test_each_row_is_on_the_disk_before_logging_returns(told, tmp_path, monkeypatch, disk):
    monkeypatch.setattr(spool, "SEGMENT_BYTES", 4_096)
    told.hang.set()
    client = client_of(told.url, tmp_path, fsync="always")
    for number in range(20):
        client.log({"a": number, "b": "x" * 500}, 1)
        assert all_is_kept(disk, client, tmp_path)
    client.close(0)


def test_nothing_is_forced_to_the_disk_unless_asked(told, tmp_path, disk):
    with client_of(told.url, tmp_path) as client:
        client.log({"a": 1}, 1)
    assert disk == {}


@pytest.mark.parametrize("fsync", ["batch", "always"])
def test_a_disk_that_fails_is_told_and_each_row_counts_once(told, tmp_path, monkeypatch, caplog, fsync):
    def fail(self):
        raise OSError("The disk is broken.")

    monkeypatch.setattr(Segment, "sync", fail)
    told.answers = [(503, {}, b"")]
    with caplog.at_level(logging.WARNING), client_of(told.url, tmp_path, fsync=fsync) as client:
        for number in range(5):
            client.log({"a": number}, 1)
        until(lambda: "can't be forced to the disk: The disk is broken." in str(client.stats.last_error))
        assert client.flush(20)
        assert (client.stats.logged, client.stats.sent, client.stats.rejected) == (5, 5, 0)
    assert len(told.rows) == 5
    assert sum("The disk is broken." in record.message for record in caplog.records) <= 1


def test_a_folder_that_needs_no_sync_is_no_problem(tmp_path, monkeypatch):
    def refuse(descriptor):
        raise OSError(code, "no")

    monkeypatch.setattr(os, "fsync", refuse)
    code = errno.EINVAL
    segments._sync_folder(tmp_path)
    code = errno.EIO
    with pytest.raises(OSError, match="no"):
        segments._sync_folder(tmp_path)


def test_a_row_that_can_not_be_sent_is_never_counted_as_one_that_waits(tmp_path, monkeypatch):
    """Else the sender would look for it in the files, and no row after it would wake it."""
    queued = []
    original = QueueState.failed_once

    def watching(self, error, *, retried):
        queued.append(self.counts.pending)
        original(self, error, retried=retried)

    monkeypatch.setattr(QueueState, "failed_once", watching)
    client = client_of(f"http://127.0.0.1:{free_port()}", tmp_path)
    client.log({"a": 1}, object())
    assert queued == [0]
    assert (client.stats.logged, client.stats.rejected) == (1, 1)
    client.close(0)


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
