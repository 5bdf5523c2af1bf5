"""The fast lane beside the ordinary way: the same bytes for the same requests, usual and odd, on real connections."""

from __future__ import annotations

import json
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from modelwatch.access import known_keys
from tests.support.servers.lane import (
    DEADLINE,
    LABELS,
    PREDICTIONS,
    Served,
    answers_of,
    both_ways,
    label,
    post,
    prediction,
)
from tests.support.servers.live_service import LiveService

# What is sent, how many answers come, and whether the lane takes all of it.
Case = tuple[list[bytes], int, bool]

USUAL: dict[str, Case] = {
    "a new prediction": ([post(prediction("a"))], 1, True),
    "a duplicate": ([post(prediction("a"))], 1, True),
    "an id with quotes and another script": ([post(prediction('"\\ü漢'))], 1, True),
    "a label that is accepted": ([post(label("a"), LABELS)], 1, True),
    "the same label again": ([post(label("a"), LABELS)], 1, True),
    "a correction": ([post(label("a", "no"), LABELS)], 1, True),
    "a label that waits": ([post(label("nobody"), LABELS)], 1, True),
    "a label of a model that there is not": ([post(label("a", model_name="mm"), LABELS)], 1, True),
    "a client's usual headers": (
        [post(prediction("b"), headers="User-Agent: x\r\nAccept: */*\r\nAccept-Encoding: gzip\r\ntraceparent: 00\r\n")],
        1,
        True,
    ),
    "three, one after the other": ([post(prediction(f"c{each}")) for each in range(3)], 3, True),
    "an expired day": ([post(prediction("old", timestamp="1999-01-01T00:00:00Z"))], 1, True),
}
ODD: dict[str, Case] = {
    "no JSON": ([post(b"{")], 1, False),
    "no body": ([post(b"")], 1, False),
    "a field of the wrong type": ([post(prediction("d", latency_ms="slow"))], 1, False),
    "a missing field": ([post({"model_name": "m"})], 1, False),
    "a zero byte": ([post(prediction("d\0"))], 1, False),
    "two at once": ([post([prediction("e1"), prediction("e2")])], 1, False),
    "another content type": ([post(prediction("f"), headers="Content-Type: text/plain\r\n")], 1, False),
    "JSON with a charset": (
        [post(prediction("g"), headers="Content-Type: application/json; charset=utf-8\r\n")],
        1,
        False,
    ),
    "a cookie": ([post(prediction("h"), headers="Cookie: a=b\r\n")], 1, False),
    "a page of another site": ([post(prediction("i"), headers="Origin: http://evil.example\r\n")], 1, False),
    "a broken encoding": ([post(prediction("j"), headers="Content-Encoding: gzip\r\n")], 1, False),
    "an unknown parameter": ([post(prediction("k"), f"{PREDICTIONS}?x=1")], 1, False),
    "an encoded path": ([post(prediction("l"), "/api/v1/predict%69ons")], 1, False),
    "a foreign host": ([post(prediction("m"), host="evil.example")], 1, False),
    "a proxy's prefix": ([post(prediction("n"), headers="X-Forwarded-Prefix: /watch\r\n")], 1, False),
    "an offered upgrade": (
        [post(prediction("o"), headers="Connection: Upgrade\r\nUpgrade: h2c\r\n")],
        1,
        True,
    ),
    "a chunked body": (
        [
            post(
                b"%x\r\n%s\r\n0\r\n\r\n" % (len(json.dumps(prediction("p"))), json.dumps(prediction("p")).encode()),
                headers="Transfer-Encoding: chunked\r\n",
            )
        ],
        1,
        False,
    ),
    "the last request of a connection": ([post(prediction("q"), headers="Connection: close\r\n")], 1, False),
    "HTTP/1.0": ([post(prediction("r"), version="1.0")], 1, False),
    "GET": ([b"GET /api/v1/predictions HTTP/1.1\r\nHost: localhost\r\n\r\n"], 1, False),
    "a body that comes in two pieces": ([post(prediction("s"))[:-20], post(prediction("s"))[-20:]], 1, False),
    "a head that comes in two pieces": ([post(prediction("t"))[:30], post(prediction("t"))[30:]], 1, True),
    "byte by byte at the end": (
        [post(prediction("u"))[:-3], *(b"%c" % byte for byte in post(prediction("u"))[-3:])],
        1,
        False,
    ),
    "pipelined": ([b"".join(post(prediction(f"v{each}")) for each in range(5))], 5, False),
    "pipelined, and cut in the middle": (
        [
            b"".join(post(prediction(f"w{each}")) for each in range(3))[:-40],
            post(prediction("w2"))[-40:] + post(prediction("w3")),
        ],
        4,
        False,
    ),
    "pipelined, another route behind": (
        [post(prediction("x")) + b"GET /livez HTTP/1.1\r\nHost: localhost\r\n\r\n" + post(prediction("x"))],
        3,
        False,
    ),
    "pipelined, the first is wrong": ([post(b"{}") + post(prediction("y"))], 2, False),
    "no HTTP behind it": ([post(prediction("z")) + b"nonsense\r\n\r\n"], 1, True),
    "too long a body": ([post(prediction("aa", prediction="x" * 200_000))], 1, False),
}
# Of an even length, so that blank lines can be as long.
BODY = json.dumps(prediction("again")).encode().ljust(200)
# The lane knows the head of the first request when the second one comes: pieces that look like such a request.
KNOWN_HEAD: dict[str, Case] = {
    "the same head three times": ([post(prediction(f"ka{each}")) for each in range(3)], 3, True),
    "its body in two pieces": (
        [post(prediction("kb1")), post(prediction("kb2"))[:-5], post(prediction("kb2"))[-5:]],
        2,
        False,
    ),
    "another request behind it": (
        [post(prediction("kc1")), post(prediction("kc2")) + post(prediction("kc3"))],
        3,
        False,
    ),
    "a wrong body of its length": (
        [post(prediction("kd1")), post(prediction("kd2")).replace(b'"yes"', b"[1,2]"), post(prediction("kd3"))],
        3,
        False,
    ),
    "no JSON of its length": ([post(prediction("ke1")), post(prediction("ke2"))[:-1] + b"{"], 2, False),
    "its body alone": ([post(prediction("kf1")), json.dumps(prediction("kf2")).encode()], 2, True),
    "the end of a head that came in two pieces": (
        [post(prediction("kg"))[:30], post(prediction("kg"))[30:], post(prediction("kg"))[30:]],
        2,
        True,
    ),
    "blank lines before it": ([post(prediction("kh1")), b"\r\n\r\n" + post(prediction("kh2"))], 2, True),
    "another route between": (
        [post(prediction("ki1")), b"GET /livez HTTP/1.1\r\nHost: localhost\r\n\r\n", post(prediction("ki2"))],
        3,
        False,
    ),
    "blank lines of its length, and a body without a head": (
        [post(BODY), b"\r\n" * (len(BODY) // 2), b"\r\n\r\n" + BODY],
        2,
        True,
    ),
    "blank lines like a head, and a body without one": (
        [post(BODY), b"\r\n\r\n" + b"\r\n" * (len(BODY) // 2), b"\r\n\r\n" + BODY],
        2,
        True,
    ),
    "the same body without a head, twice": ([post(BODY), b"\r\n\r\n" + BODY, b"\r\n\r\n" + BODY], 2, True),
    "a longer body": ([post(prediction("kj1")), post(prediction("kj2", prediction="maybe"))], 2, True),
}
WITH_KEYS: dict[str, Case] = {
    "a key that may send": ([post(prediction("a"), headers="Authorization: Bearer {sender}\r\n")], 1, True),
    "a key in its other header": ([post(prediction("b"), headers="X-Api-Key: {sender}\r\n")], 1, False),
    "no key": ([post(prediction("c"))], 1, False),
    "an unknown key": ([post(prediction("d"), headers="Authorization: Bearer mw_x\r\n")], 1, False),
    "a key that may only read": ([post(prediction("e"), headers="Authorization: Bearer {reader}\r\n")], 1, False),
    "a wrong body of the same length, with a key": (
        [
            post(prediction("k1"), headers="Authorization: Bearer {sender}\r\n"),
            post(prediction("k2"), headers="Authorization: Bearer {sender}\r\n").replace(b'"yes"', b"[1,2]"),
        ],
        2,
        False,
    ),
    "a key for another model": ([post(prediction("f"), headers="Authorization: Bearer {other}\r\n")], 1, False),
    "a wrong body, with a key": ([post(b"{}", headers="Authorization: Bearer {sender}\r\n")], 1, False),
    "one too many": (
        [post(prediction(f"g{each}"), headers="Authorization: Bearer {slow}\r\n") for each in range(3)],
        3,
        False,
    ),
    "a body beyond the key's limit": ([post(prediction("h"), headers="Authorization: Bearer {small}\r\n")], 1, False),
    "two keys": (
        [post(prediction("i"), headers="Authorization: Bearer x\r\nAuthorization: Bearer {sender}\r\n")],
        1,
        True,
    ),
}


@pytest.fixture(scope="module")
def open_servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Served, Served]]:
    with both_ways(tmp_path_factory.mktemp("open"), HOST="127.0.0.1", PREDICTION_RETENTION_DAYS="30") as servers:
        for each in servers:
            # What labels and repeats are about, whichever test runs first or alone.
            each.talk(post(prediction("a")), answers=1)
        yield servers


@pytest.fixture(scope="module")
def servers_with_keys(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Served, Served]]:
    with both_ways(tmp_path_factory.mktemp("keys"), API_KEYS_REQUIRED="true") as servers:
        for each in servers:
            each.make_keys()
            each.talk(post(prediction("first"), headers="Authorization: Bearer {sender}\r\n"), answers=1)
        with pytest.MonkeyPatch.context() as patch:
            # A request after keys have got old reads them anew, the ordinary way: not here, however slow the machine.
            patch.setattr(known_keys, "FRESH_SECONDS", 3_600)
            yield servers


def compare(servers: tuple[Served, Served], case: Case) -> bytes:
    pieces, answers, is_taken = case
    in_lane, ordinary = servers
    before = len(in_lane.application.calls)
    got = in_lane.talk(*pieces, answers=answers)
    assert got == ordinary.talk(*pieces, answers=answers)
    assert got.count(b"HTTP/1.1 ") >= answers
    assert (len(in_lane.application.calls) == before) is is_taken
    return got


@pytest.mark.parametrize("name", [*USUAL, *ODD, *KNOWN_HEAD])
def test_both_ways_give_the_same_bytes(open_servers: tuple[Served, Served], name: str) -> None:
    compare(open_servers, (USUAL | ODD | KNOWN_HEAD)[name])


@pytest.mark.parametrize("name", WITH_KEYS)
def test_both_ways_know_the_same_keys(servers_with_keys: tuple[Served, Served], name: str) -> None:
    compare(servers_with_keys, WITH_KEYS[name])


def test_what_the_lane_takes_is_stored_once(open_servers: tuple[Served, Served]) -> None:
    in_lane, _ = open_servers
    calls = len(in_lane.application.calls)
    statuses = [in_lane.talk(*[post(prediction("once"))] * 3, answers=3) for _ in range(2)]
    assert len(in_lane.application.calls) == calls
    assert [each.count(b'"accepted"') for each in statuses] == [1, 0]
    assert [each.count(b'"duplicate"') for each in statuses] == [2, 3]


def test_the_path_of_the_public_address_is_taken_off(tmp_path: Path) -> None:
    with both_ways(tmp_path, PUBLIC_URL="https://ml.example/watch", HOST="127.0.0.1") as servers:
        compare(servers, ([post(prediction("a"), f"/watch{PREDICTIONS}")], 1, True))
        compare(servers, ([post(prediction("b"))], 1, True))


def test_with_a_low_limit_of_bodies_the_lane_is_closed(tmp_path: Path) -> None:
    with both_ways(tmp_path, MAX_BODY_BYTES="1024", HOST="127.0.0.1") as servers:
        compare(servers, ([post(prediction("a"))], 1, False))
        compare(servers, ([post(prediction("b", prediction="x" * 2_000))], 1, False))


def test_a_stop_answers_what_is_owed_and_then_closes(tmp_path: Path) -> None:
    """A commit waits for its companions while the service is told to stop."""
    with (
        LiveService(tmp_path, COMMIT_LINGER_MS="1000") as service,
        socket.create_connection(("127.0.0.1", service.port), timeout=DEADLINE) as connection,
    ):
        connection.sendall(post(prediction("owed")))
        time.sleep(0.3)
        stopped = threading.Thread(target=service.stop)
        stopped.start()
        got = b""
        while part := connection.recv(65_536):
            got += part
        stopped.join(DEADLINE)
    assert got.startswith(b"HTTP/1.1 202 Accepted\r\n")
    assert b"\r\nconnection: close\r\n" in got
    assert got.endswith(b'{"status":"accepted","prediction_id":"owed"}')


@pytest.mark.parametrize("lane", [True, False])
def test_a_connection_ends_when_it_has_rested_since_its_last_answer(tmp_path: Path, lane: bool) -> None:
    with (
        Served(tmp_path, lane=lane, keep_alive=2, HOST="127.0.0.1") as server,
        socket.create_connection(("127.0.0.1", server.port), timeout=DEADLINE) as connection,
    ):
        for name in ("first", "last"):
            connection.sendall(post(prediction(name)))
            assert answers_of(connection, 1).startswith(b"HTTP/1.1 202 ")
            answered = time.monotonic()
            if name == "first":
                time.sleep(1.2)
        assert connection.recv(1) == b""
        assert time.monotonic() - answered > 1.9


def test_a_store_that_is_away_is_said_in_time(tmp_path: Path) -> None:
    with both_ways(tmp_path, HOST="127.0.0.1", REQUEST_TIMEOUT_SECONDS="1") as servers:
        compare(servers, ([post(prediction("a"))], 1, True))
        for each in servers:
            database = Path(each.settings.data_dir) / "modelwatch.db"
            database.rename(database.with_suffix(".away"))
        got = compare(servers, ([post(prediction("b"))], 1, True))
        assert got.startswith(b"HTTP/1.1 503 ")
        for each in servers:
            database = Path(each.settings.data_dir) / "modelwatch.db"
            database.with_suffix(".away").rename(database)
        assert compare(servers, ([post(prediction("b"))], 1, True)).startswith(b"HTTP/1.1 202 ")
