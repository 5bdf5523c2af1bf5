"""Requests in random order, cut into random pieces: the fast lane and the ordinary way give the same bytes."""

from __future__ import annotations

import random
import socket
import time
from collections.abc import Iterator
from itertools import pairwise

import pytest

from tests.support.servers.lane import LABELS, Served, answers_of, both_ways, label, post, prediction

SEQUENCES = 25


@pytest.fixture(scope="module")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Served, Served]]:
    with both_ways(tmp_path_factory.mktemp("pieces"), HOST="127.0.0.1") as servers:
        yield servers


def requests(rng: random.Random, name: str) -> list[bytes]:
    """Some requests of one connection, most of them as the lane takes them; many have the same head."""
    made = []
    for number in range(rng.randint(2, 6)):
        usual = prediction(f"{name}-{number}")
        chosen = rng.choices(range(9), [8, 2, 2, 1, 1, 1, 1, 1, 1])[0]
        made.append(
            [
                post(usual),
                post(usual).replace(b'"yes"', b"[1,2]"),
                post(label(f"{name}-{max(number - 1, 0)}"), LABELS),
                b"GET /livez HTTP/1.1\r\nHost: localhost\r\n\r\n",
                b"\r\n" + post(usual),
                post(usual, headers="Origin: http://evil.example\r\n"),
                post(usual)[:-1] + b"{",
                post(b"{}"),
                post({**usual, "features": {"x": None, "y": 2}}),
            ][chosen]
        )
    return made


def pieces_of(rng: random.Random, made: list[bytes]) -> list[bytes]:
    """All of it, cut between most requests and in some other places."""
    data = b"".join(made)
    ends = [sum(map(len, made[:number])) for number in range(1, len(made))]
    cuts = {end for end in ends if rng.random() < 0.75} | {
        rng.randrange(1, len(data)) for _ in range(rng.choice([0, 0, 1, 2]))
    }
    return [data[start:end] for start, end in pairwise([0, *sorted(cuts), len(data)])]


def sent(server: Served, pieces: list[bytes], pauses: list[bool], count: int) -> bytes:
    with socket.create_connection(("127.0.0.1", server.port), timeout=30) as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for piece, pause in zip(pieces, pauses, strict=True):
            connection.sendall(piece)
            if pause:
                # Long enough, mostly, for what came to be answered.
                time.sleep(0.02)
        return without_dates(answers_of(connection, count))


def without_dates(answers: bytes) -> bytes:
    return b"\r\n".join(line for line in answers.split(b"\r\n") if not line.startswith(b"date: "))


@pytest.mark.parametrize("seed", range(SEQUENCES))
def test_both_ways_give_the_same_bytes_however_requests_are_cut(servers: tuple[Served, Served], seed: int) -> None:
    rng = random.Random(seed)
    made = requests(rng, f"s{seed}")
    pieces = pieces_of(rng, made)
    pauses = [rng.random() < 0.7 for _ in pieces]
    in_lane, ordinary = (sent(server, pieces, pauses, len(made)) for server in servers)
    assert in_lane == ordinary
    assert in_lane.count(b"HTTP/1.1 ") == len(made)
