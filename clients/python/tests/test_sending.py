"""Outcomes of logged rows: retries, refusals, limits, and exact counts."""

from __future__ import annotations

import json
import logging
import threading
import time
from pathlib import Path

import certifi
import pytest
from client_servers import Told, free_port, until
from modelwatch_client import ApiError, Client, Unreachable
from modelwatch_client.sending.memory_queue import MemoryQueue, QueueState


def client_of(server, **settings):
    return Client(getattr(server, "url", server), model_name="m", **{"flush_interval": 0.02, **settings})


def balanced(stats):
    """True when each row is counted somewhere."""
    return stats.logged + stats.recovered == stats.sent + stats.rejected + stats.dropped + stats.queued


def test_a_row_arrives_as_it_was_logged(told):
    with client_of(told, model_version="2", api_key="secret") as client:
        identity = client.log({"amount": 1.5, "country": "DE"}, "yes", prediction_probability=0.9, latency_ms=3)
        client.log_ground_truth(identity, "no")
    (row,) = told.rows
    assert row.pop("timestamp").endswith("Z")
    assert row == {
        "prediction_id": identity,
        "features": {"amount": 1.5, "country": "DE"},
        "prediction": "yes",
        "prediction_probability": 0.9,
        "latency_ms": 3,
    }
    assert told.outcomes == [{"prediction_id": identity, "ground_truth": "no"}]
    path, query, headers = told.requests[0]
    assert (path, query) == ("/api/v1/predictions/batch", "model_name=m&model_version=2")
    assert headers["Authorization"] == "Bearer secret"


def test_many_rows_share_a_request(told):
    with client_of(told, flush_interval=5) as client:
        for number in range(2_500):
            client.log({"a": number}, 1)
    assert [row["features"]["a"] for row in told.rows] == list(range(2_500))
    assert len(told.requests) == 3


def test_a_request_stays_below_its_bytes(told):
    with client_of(told, batch_bytes=1_000) as client:
        for number in range(50):
            client.log({"a": "x" * 100}, number)
        client.log({"a": "x" * 5_000}, 50)
    assert len(told.rows) == 51
    assert len(told.requests) >= 10


def test_what_the_caller_changes_later_is_not_sent(told):
    features = {"a": 1}
    with client_of(told) as client:
        client.log(features, 1)
        features["a"] = 2
    assert told.rows[0]["features"] == {"a": 1}


def test_retry_after_is_obeyed_and_nothing_counts_twice(told):
    told.answers = [(429, {"Retry-After": "0.4"}, b"{}"), (503, {"Retry-After": "0.2"}, b"{}")]
    with client_of(told) as client:
        began = time.monotonic()
        client.log({"a": 1}, 1)
        assert client.flush(10)
        assert time.monotonic() - began >= 0.6
        assert (client.stats.sent, client.stats.retries) == (1, 2)
    assert len({row["prediction_id"] for row in told.rows}) == 1


def test_a_server_that_is_away_gets_everything_once_it_is_back(told):
    port = free_port()
    client = client_of(f"http://127.0.0.1:{port}")
    for number in range(10):
        client.log({"a": number}, 1)
    assert not client.flush(0.3)
    until(lambda: "can't be reached" in str(client.stats.last_error))
    assert client.stats.queued == 10
    back = Told(port)
    assert client.flush(10)
    assert len(back.rows) == 10
    client.close()
    back.close()


@pytest.fixture
def hurried(monkeypatch):
    """Makes pauses so short that ten failures take no time."""
    monkeypatch.setattr("modelwatch_client.sending.sender.LONGEST_PAUSE", 0.02)
    monkeypatch.setattr("modelwatch_client.sending.sender.FIRST_PAUSE", 0.01)


def test_rows_wait_for_certificates_that_are_not_there_yet(told, tmp_path, hurried):
    bundle, spool = tmp_path / "bundle.pem", tmp_path / "spool"
    with client_of(told, verify=str(bundle), spool_dir=spool) as client:
        for number in range(3):
            client.log({"a": number}, 1)
        until(lambda: client.stats.retries > 10)
        assert (client.stats.queued, client.stats.rejected) == (3, 0)
        assert "bundle.pem" in client.stats.last_error
        assert "FileNotFoundError" in client.stats.last_error
        bundle.write_text("This is no certificate.")
        until(lambda: "SSLError" in client.stats.last_error)
        bundle.write_bytes(Path(certifi.where()).read_bytes())
        assert client.flush(20)
        assert (client.stats.sent, client.stats.rejected) == (3, 0)
    assert len(told.rows) == 3


def test_questions_say_that_the_certificates_are_not_there(told, tmp_path):
    with pytest.raises(Unreachable, match=r"bundle\.pem"):
        client_of(told, verify=str(tmp_path / "bundle.pem")).check_drift()


UNUSABLE = {
    "http://..example": "Unicode",
    "http://.": "Unicode",
    f"http://{'a' * 70}.example": "Unicode",
    "http://host:abc": "Invalid port",
    "http://[::1": "InvalidURL",
}


@pytest.mark.parametrize("url", UNUSABLE)
def test_rows_wait_and_questions_say_so_where_the_address_can_not_be_used(hurried, url):
    client = client_of(url)
    client.log({"a": 1}, 1)
    until(lambda: client.stats.retries > 10)
    assert (client.stats.queued, client.stats.rejected) == (1, 0)
    assert UNUSABLE[url] in client.stats.last_error
    with pytest.raises(Unreachable, match=UNUSABLE[url]) as raised:
        client.check_drift()
    assert str(raised.value).startswith(f"{url} can't be ")
    client.close(0)


def test_rows_wait_and_questions_say_so_where_the_proxy_can_not_be_used(hurried, monkeypatch):
    monkeypatch.setenv("HTTP_PROXY", "foo://proxy.example")
    client = client_of("http://watch.example", api_key="secret")
    client.log({"a": 1}, 1)
    until(lambda: client.stats.retries > 10)
    assert (client.stats.queued, client.stats.rejected) == (1, 0)
    with pytest.raises(Unreachable, match=r"http://watch\.example can't be asked: .*foo://proxy\.example") as raised:
        client.check_drift()
    assert "secret" not in str(raised.value) + client.stats.last_error
    client.close(0)


def test_an_unexpected_error_is_kept_and_the_sender_goes_on(told, hurried, monkeypatch, caplog):
    """Neither is a row lost, nor counted twice."""
    failures = {"take": 3, "done": 2}
    for name in failures:
        original = getattr(MemoryQueue, name)

        def failing(*arguments, name=name, original=original):
            if failures[name]:
                failures[name] -= 1
                raise RuntimeError(f"{name} is broken")
            return original(*arguments)

        monkeypatch.setattr(MemoryQueue, name, failing)
    with caplog.at_level(logging.WARNING), client_of(told) as client:
        client.log({"a": 1}, 1)
        until(lambda: failures == {"take": 0, "done": 0})
        until(lambda: client.stats.last_error in ("RuntimeError: take is broken", "RuntimeError: done is broken"))
        client.log({"a": 2}, 1)
        assert client.flush(20)
        assert (client.stats.sent, client.stats.rejected, client.stats.retries) == (2, 0, 0)
    assert [row["features"]["a"] for row in told.rows] == [1, 2]
    assert sum("is broken" in record.message for record in caplog.records) == 1


def test_a_part_that_could_not_be_counted_is_sent_again_and_counted_once(told, hurried, monkeypatch):
    original, failures = QueueState.settle, [RuntimeError("no")] * 2

    def failing(self, **counts):
        if failures and counts.get("sent"):
            raise failures.pop()
        original(self, **counts)

    monkeypatch.setattr(QueueState, "settle", failing)
    told.always = lambda lines: (413, {}, b"") if len(lines) > 2 else None
    with client_of(told, flush_interval=5) as client:
        for number in range(8):
            client.log({"a": number}, 1)
        assert client.flush(20)
        stats = client.stats
        assert (stats.sent, stats.duplicates, stats.queued) == (8, 2, 0)
    assert len({row["prediction_id"] for row in told.rows}) == 8


def test_a_logging_handler_that_raises_has_no_effect(told, hurried):
    class Broken(logging.Handler):
        def emit(self, record):
            raise RuntimeError("The disk is full.")

    handler = Broken()
    logging.getLogger("modelwatch_client").addHandler(handler)
    told.answers = [(503, {}, b""), (422, {}, b"")]
    try:
        with client_of(told) as client:
            client.log({"a": [1]}, 1)
            assert client.flush(20)
            client.log([1], 1)
            client.log({"a": 2}, 1)
            assert client.flush(20)
            assert (client.stats.sent, client.stats.rejected) == (1, 2)
    finally:
        logging.getLogger("modelwatch_client").removeHandler(handler)


def test_an_answer_that_was_lost_is_asked_for_again_with_the_same_ids(told):
    def take_and_fail(lines):
        told.known.update(line["prediction_id"] for line in lines)
        return (502, {}, b"")

    told.answers = [take_and_fail]
    with client_of(told) as client:
        client.log({"a": 1}, 1)
    assert (client.stats.sent, client.stats.duplicates) == (1, 1)


def test_refused_rows_are_counted_with_their_reason_and_not_sent_again(told, caplog):
    answer = {"accepted": 1, "duplicates": 0, "rejected": [{"index": 1, "pointer": "/1/features/a", "message": "no"}]}
    told.answers = [(202, {}, json.dumps(answer).encode())]
    with caplog.at_level(logging.WARNING), client_of(told, flush_interval=5) as client:
        client.log({"a": 1}, 1)
        client.log({"a": 2}, 1)
        client.flush()
        assert (client.stats.sent, client.stats.rejected) == (1, 1)
        assert client.stats.last_error == "/1/features/a: no"
    assert len(told.requests) == 1
    assert "1 rejected" in caplog.text


@pytest.mark.parametrize("status", [400, 401, 403, 404, 422])
def test_a_refused_request_is_not_sent_again(told, status):
    told.answers = [(status, {}, b'{"detail": "The key is not valid."}')]
    with client_of(told) as client:
        client.log({"a": 1}, 1)
        client.flush()
        assert (client.stats.rejected, client.stats.queued) == (1, 0)
        assert "The key is not valid." in client.stats.last_error


@pytest.mark.parametrize("status", [408, 425, 429, 500, 501, 503, 507, 520, 522, 524, 530, 599])
def test_an_answer_that_may_pass_keeps_the_rows(told, status):
    told.answers = [(status, {}, b"")]
    with client_of(told) as client:
        client.log({"a": 1}, 1)
        assert client.flush(10)
        assert (client.stats.sent, client.stats.rejected, client.stats.retries) == (1, 0, 1)
        assert str(status) in client.stats.last_error


def test_a_body_that_is_too_large_is_halved(told):
    told.always = lambda lines: (413, {}, b"{}") if len(lines) > 3 else None
    with client_of(told, flush_interval=5) as client:
        for number in range(20):
            client.log({"a": number}, 1)
    assert sorted(row["features"]["a"] for row in told.rows) == list(range(20))


def test_a_row_at_which_the_service_fails_is_found_and_the_others_are_sent(told):
    told.always = lambda lines: (500, {}, b"{}") if any(line["features"]["a"] == 3 for line in lines) else None
    with client_of(told, flush_interval=5) as client:
        for number in range(8):
            client.log({"a": number}, 1)
        assert client.flush(60)
        assert (client.stats.sent, client.stats.rejected) == (7, 1)


def test_another_server_at_the_address_is_not_taken_for_the_service(told):
    told.always = (200, {}, b"<html>Welcome</html>")
    with client_of(told) as client:
        client.log({"a": 1}, 1)
        assert not client.flush(0.5)
        until(lambda: "is this its address?" in str(client.stats.last_error))
        client.close(0)


@pytest.mark.parametrize("when_full", ["drop_oldest", "drop_newest"])
def test_a_full_queue_drops_and_counts(told, when_full, caplog):
    told.hang.set()
    with caplog.at_level(logging.WARNING):
        client = client_of(told, max_queue=100, batch_rows=10, when_full=when_full, timeout=1)
        for number in range(1_000):
            client.log({"a": number}, 1)
        stats = client.stats
        assert (stats.logged, stats.dropped, stats.queued) == (1_000, 900, 100)
        client.close(0)
        # The rows of a request that is under way are dropped when that has had its time.
        until(lambda: client.stats.queued == 0)
    stats = client.stats
    assert (stats.dropped, stats.queued) == (1_000, 0)
    assert balanced(stats)
    assert sum("dropped" in record.message for record in caplog.records) == 1


def test_blocking_waits_for_room_and_no_longer(told):
    told.hang.set()
    client = client_of(told, max_queue=5, when_full="block", block_seconds=0.2)
    for _ in range(5):
        client.log({}, 1)
    began = time.monotonic()
    client.log({}, 1)
    assert 0.15 < time.monotonic() - began < 10
    assert client.stats.dropped == 1
    client.close(0)


def test_what_is_logged_after_the_end_is_counted_as_dropped(told):
    client = client_of(told)
    client.log({}, 1)
    client.close(5)
    client.log({}, 1)
    assert (client.stats.sent, client.stats.dropped, client.stats.queued) == (1, 1, 0)


def test_logging_never_raises(told, caplog):
    class Hostile(dict):
        def keys(self):
            raise RuntimeError("no")

        def items(self):
            raise RuntimeError("no")

    with caplog.at_level(logging.WARNING), client_of(told) as client:
        for features in ([1, 2], 5, None, object(), Hostile(a=1)):
            client.log(features, 1)
        client.log({"a": 1}, object())
        client.log({"a": 1}, 1, timestamp=object())
        client.log_ground_truth("p", {})
        client.log_batch(5)
        client.log({"a": 1}, 1)
        assert client.flush(10)
        assert client.stats.sent == 2
        assert client.stats.rejected == 8
        assert balanced(client.stats)


def test_threads_together(told):
    with client_of(told, max_queue=100_000) as client:
        workers = [threading.Thread(target=lambda: [client.log({"a": 1}, 1) for _ in range(500)]) for _ in range(8)]
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join()
    assert len({row["prediction_id"] for row in told.rows}) == 4_000


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"model_name": ""}, "model_name"),
        ({"when_full": "explode"}, "when_full is 'explode': expected one of drop_oldest, drop_newest, block"),
        ({"max_queue": 0}, "max_queue"),
        ({"batch_rows": 20_000}, "batch_rows is 20000: expected at most 10,000"),
        ({"timeout": float("nan")}, "timeout"),
        ({"fsync": "yes"}, "fsync"),
        ({"url": "localhost:8000"}, "url is 'localhost:8000'"),
        ({"model_name": "\udcff"}, r"model_name is '\\udcff': expected text that UTF-8 can encode"),
        ({"model_version": "1\udce9"}, r"model_version is '1\\udce9'"),
        ({"environment": "prod\udce9"}, r"environment is 'prod\\udce9'"),
        ({"environment": "é" * 2_000}, "environment is 12,000 characters in an address: expected at most 10,000"),
    ],
)
def test_settings_that_can_not_be_are_refused_by_name(settings, message):
    with pytest.raises(ValueError, match=message):
        Client(**{"url": "http://localhost", "model_name": "m", **settings})


@pytest.mark.parametrize("key", ["geheim-é", "geheim\n", "geheim ", "geheim\u20ac", "geheim\x7f", " "])
@pytest.mark.parametrize("origin", ["argument", "environment"])
def test_a_key_that_can_not_be_sent_is_refused_and_not_shown(monkeypatch, key, origin):
    if origin == "environment":
        monkeypatch.setenv("MODELWATCH_API_KEY", key)
    with pytest.raises(ValueError, match="api_key can't be sent") as raised:
        Client("http://localhost", model_name="m", api_key=key if origin == "argument" else None)
    assert "geheim" not in str(raised.value)


def test_keys_and_names_that_can_be_sent_are_sent(told):
    longest = "é" * 1_666
    names = {"model_name": longest, "model_version": longest, "environment": longest}
    for key in ("a b\tc~!", " a", ""):
        with Client(told.url, api_key=key, **names) as client:
            client.log({"a": 1}, 1)
            assert client.flush(10)
            assert client.stats.sent == 1
    assert [headers.get("Authorization") for _, _, headers in told.requests] == ["Bearer a b\tc~!", "Bearer  a", None]


def test_the_address_comes_from_the_environment(monkeypatch):
    for name in ("MODELWATCH_URL", "HOST", "PORT"):
        monkeypatch.delenv(name, raising=False)
    assert Client(model_name="m").url == "http://127.0.0.1:8000"
    monkeypatch.setenv("HOST", "0.0.0.0")
    monkeypatch.setenv("PORT", "9000")
    assert Client(model_name="m").url == "http://127.0.0.1:9000"
    monkeypatch.setenv("MODELWATCH_URL", "https://watch.example/")
    assert Client(model_name="m").url == "https://watch.example"


def test_questions_say_where_nobody_answers():
    url = f"http://127.0.0.1:{free_port()}"
    with pytest.raises(Unreachable, match=url):
        Client(url, model_name="m").check_drift()


def test_questions_say_why_they_are_refused(told):
    told.always = (404, {}, b'{"detail": "There is no model m."}')
    with pytest.raises(ApiError, match="There is no model m") as refused:
        client_of(told).check_drift()
    assert refused.value.status == 404


class Profile:
    """The counts of a data set, as `send_profile` takes them."""

    def requests(self, timestamp):
        yield {"prediction_id": "x"}


def test_a_profile_is_sent_again_after_an_answer_that_may_pass(told):
    told.answers = [(520, {}, b""), (425, {}, b""), (200, {}, b'{"status": "accepted"}')]
    assert client_of(told).send_profile(Profile(), seconds=20) == [{"status": "accepted"}]
    assert len(told.requests) == 3


def test_a_profile_that_is_refused_is_not_sent_again(told):
    told.answers = [(409, {}, b"")]
    with pytest.raises(ApiError, match="409"):
        client_of(told).send_profile(Profile(), seconds=20)
    assert len(told.requests) == 1


def test_a_frame_is_logged_row_by_row(told):
    pd = pytest.importorskip("pandas")
    frame = pd.DataFrame(
        {"a": [1, 2], "b": ["x", None], "y": ["no", "yes"], "p": [0.1, float("nan")], "id": ["i", "j"]}
    )
    with client_of(told) as client:
        assert client.log_batch(frame, prediction="y", score="p", prediction_id="id") == ["i", "j"]
    first, second = told.rows
    assert first["features"] == {"a": 1, "b": "x"}
    assert (first["prediction"], first["prediction_probability"]) == ("no", 0.1)
    assert second["features"] == {"a": 2, "b": None}
    assert "prediction_probability" not in second


def test_a_frame_larger_than_the_queue_waits_for_it(told):
    with client_of(told, max_queue=100, batch_rows=50) as client:
        assert len(client.log_batch({"a": list(range(2_000)), "prediction": [1] * 2_000})) == 2_000
    assert (client.stats.sent, client.stats.dropped) == (2_000, 0)


def test_a_frame_without_predictions_is_named(told):
    with client_of(told) as client:
        assert client.log_batch({"a": [1]}) == []
        assert "no column 'prediction'" in client.stats.last_error


def test_a_warning_of_a_kind_comes_once_a_minute(told, caplog):
    with caplog.at_level(logging.WARNING), client_of(told) as client:
        for _ in range(20):
            client.log({"a": [1]}, 1)
    assert sum("The feature 'a'" in record.message for record in caplog.records) == 1


def test_flush_returns_soon_without_anything_to_do(told):
    client = client_of(told)
    began = time.monotonic()
    assert client.flush()
    client.log({}, 1)
    assert client.flush()
    assert client.flush()
    assert time.monotonic() - began < 5
    client.close()
    until(lambda: not client._thread.is_alive())
