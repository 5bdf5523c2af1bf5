"""kill -9 while notices are on their way: each arrives, in order for its alert, and a repeat is known by its key."""

from __future__ import annotations

import random
import signal
import time
from collections import defaultdict
from multiprocessing.process import BaseProcess
from pathlib import Path

import pytest

from modelwatch.storage.engine.store import Store
from tests.support.alerts.delivering import deliver_until_killed
from tests.support.alerts.notifications import outbox, put, row, states
from tests.support.events import open_store
from tests.support.servers.doubles import Receiver, Reply, eventually
from tests.support.servers.forking import forked

KILLS = 20
ALERTS = 20
CHANGES = 20
MOST_BETWEEN_KILLS = 10
# Every kind of failure now and then, and mostly success.
REPLIES = (
    [Reply(200)] * 14
    + [Reply(500), Reply(503), Reply(408), Reply(act="reset"), Reply(act="reset")]
    + [Reply(429, {"Retry-After": "0"})]
)


def start(store: Store, url: str, holder: str) -> BaseProcess:
    return forked(deliver_until_killed, str(store.url), url, holder)


@pytest.mark.timeout(180)
def test_every_notice_arrives_once_and_in_order_over_twenty_kills(tmp_path: Path) -> None:
    rng = random.Random(20)
    store = open_store(tmp_path)
    rows = [row("hook", alert=f"a{alert}", sequence=step) for step in range(1, CHANGES + 1) for alert in range(ALERTS)]
    # As many come with each process as there are alerts; it is killed before it can have delivered them all.
    script = [rng.choice(REPLIES) for _ in range(20_000)]
    with Receiver(*script, Reply(200)) as receiver:
        for kill in range(KILLS):
            before = len(receiver.requests)
            put(store, *rows[kill * ALERTS : (kill + 1) * ALERTS])
            child = start(store, receiver.url, f"holder-{kill}")
            some = before + rng.randint(1, MOST_BETWEEN_KILLS)
            eventually(lambda: len(receiver.requests) >= some, "some deliveries")  # noqa: B023
            time.sleep(rng.uniform(0, 0.01))
            child.kill()
            child.join()
            assert child.exitcode == -signal.SIGKILL
            assert "pending" in states(store).values()
        child = start(store, receiver.url, "last")
        try:
            eventually(lambda: set(states(store).values()) == {"delivered"}, "the delivery of everything", seconds=60)
        finally:
            child.kill()
            child.join()
    requests = list(receiver.requests)
    assert {request.headers["Idempotency-Key"] for request in requests} == {each.key for each in rows}
    # What a receiver that knows repeats makes of it: per alert the steps in order, each once.
    first_seen: dict[str, list[int]] = defaultdict(list)
    for request in requests:
        told = request.json["modelwatch"]
        steps = first_seen[told["alert_id"]]
        if told["sequence"] not in steps:
            steps.append(told["sequence"])
        # A repeat is of the latest step, never of one that was followed by another.
        assert steps[-1] == told["sequence"]
    assert set(map(tuple, first_seen.values())) <= {tuple(sorted(steps)) for steps in first_seen.values()}
    assert sum(map(len, first_seen.values())) == ALERTS * CHANGES
    assert sum(each.attempts for each in outbox(store).values()) >= len(requests)
    assert len(requests) > len(rows), "nothing was ever repeated"
    store.close()
