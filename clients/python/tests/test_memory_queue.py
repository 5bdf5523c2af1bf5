"""The queue in memory: when a batch is taken that is not full."""

from __future__ import annotations

import threading

from modelwatch_client.rows import Outcome
from modelwatch_client.sending.counts import Warnings
from modelwatch_client.sending.memory_queue import Limits, MemoryQueue, QueueState

SOON = 10.0


def taken(queue):
    """The batch that the sender takes, or None when it still waits for a fuller one."""
    batches = []
    sender = threading.Thread(target=lambda: batches.append(queue.take()), daemon=True)
    sender.start()
    sender.join(SOON)
    return batches[0] if batches else None


def test_a_flush_that_ends_leaves_the_hurry_of_another():
    state = QueueState(Limits(100, "drop_oldest", 1.0, 100, 1_000_000, interval=3_600.0), Warnings())
    queue = MemoryQueue(state, {})
    queue.put(Outcome("first", None, 1))
    flushed = []
    longer = threading.Thread(target=lambda: flushed.append(state.flush(6 * SOON)), daemon=True)
    longer.start()
    # Taken before its hour is over: the longer flush has begun.
    assert len(taken(queue)) == 1

    assert state.flush(0) is False
    queue.put(Outcome("second", None, 1))
    assert len(taken(queue) or ()) == 1

    state.settle(sent=2)
    longer.join(SOON)
    assert flushed == [True]
    state.close(0)
