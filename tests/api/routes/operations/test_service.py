"""The service as its API tells of it."""

from __future__ import annotations

import asyncio
import io
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pyarrow import csv

from modelwatch.storage.engine.sizes import save_size
from modelwatch.times import MICROS_PER_SECOND, iso_of_micros, iso_of_seconds
from tests.support.app import App
from tests.support.data.streams import normal, send
from tests.support.events import NOON, Clock, event, open_ledger


def test_what_is_refused_is_counted_by_reason(app: App) -> None:
    before = app.get("service")["ingest"]
    assert (before["accepted"], before["refused"], before["waiting"]) == (0, {}, 0)
    app.post("predictions", {"model_name": "m"}, 422)
    app.post("predictions", {"features": {}}, 422)
    app.problem("GET", "models/nobody", 404)
    app.tell()
    after = app.get("service")["ingest"]
    assert after["refused"]["invalid-input"] == 2
    assert list(after["refused"].values()) == sorted(after["refused"].values(), reverse=True)
    assert after["most_waiting"] == app.asgi.app.state.service.settings.max_buffer_size


def test_a_batch_without_a_valid_row_counts_as_its_rows(app: App) -> None:
    bad = {"model_name": "m"}
    app.post("predictions/batch", [bad] * 7, 422)
    app.post("predictions/batch", {"predictions": [bad] * 5}, 422)
    app.post("ground-truth/batch", [bad] * 3, 422)
    app.tell()
    assert app.get("service")["ingest"]["refused"]["invalid-input"] == 15


@pytest.mark.parametrize("kind", ["arrow", "parquet", "csv"])
def test_a_table_with_wrong_columns_counts_as_its_rows_and_a_reference_as_one(app: App, kind: str) -> None:
    table, sink = pa.table({"model_name": ["m"] * 9, "timestamp": [True] * 9}), io.BytesIO()
    if kind == "arrow":
        with pa.ipc.new_stream(sink, table.schema) as stream:
            stream.write_table(table, max_chunksize=4)
    elif kind == "parquet":
        pq.write_table(table, sink)
    else:
        csv.write_csv(table, sink)
    name = {"arrow": "application/vnd.apache.arrow.stream", "parquet": "application/vnd.apache.parquet"}
    sent = {"content": sink.getvalue(), "headers": {"content-type": name.get(kind, "text/csv")}}
    refused = app.problem("POST", "predictions/batch", 422, **sent)
    assert [each["pointer"] for each in refused["errors"]] == ["/timestamp", "/prediction"]
    [wrong] = app.problem("POST", "reference?model_name=m", 422, **sent)["errors"]
    assert wrong["pointer"] == "/timestamp"
    app.tell()
    assert app.get("service")["ingest"]["refused"]["invalid-input"] == 10


def test_the_store_has_a_size_by_table(app: App) -> None:
    send(app.store, Clock(NOON), normal(100), at=NOON)
    found = app.get("service")
    assert found["store"]["engine"] == "sqlite"
    sizes = {each["name"]: each["bytes"] for each in found["store"]["tables"]}
    assert {"prediction", "profile", "verdict"} <= sizes.keys()
    assert 0 < sum(sizes.values()) <= found["store"]["bytes"]
    assert list(sizes.values()) == sorted(sizes.values(), reverse=True)
    assert found["evaluation"]["status"] == "up to date"
    assert (found["version"], found["ingest"]["predictions_last_hour"]) == (app.asgi.app.state.service.version, 0)


def test_processes_that_write_are_named_while_they_do(app: App) -> None:
    assert app.get("service")["processes"] == []
    ledger = open_ledger(app.store, Clock(NOON))
    ledger.commit([event("p1", {"x": 1.0})])
    [process] = app.get("service")["processes"]
    assert process["writes_since"] == iso_of_micros(NOON)
    ledger.close()
    assert app.get("service")["processes"] == []


def test_two_processes_of_one_store_tell_the_same_and_the_sum(tmp_path: Path) -> None:
    one, two = App(tmp_path), App(tmp_path)
    one.post("predictions", {"model_name": "m"}, 422)
    two.post("predictions", {"model_name": "m"}, 422)
    two.problem("POST", "nothing/predictions", 404)
    one.tell("a:1")
    two.tell("b:2")
    answers = [each.get("service") for each in (one, two)]
    for answer in answers:
        # Of the moment, as the clock of each has it.
        answer["evaluation"].pop("waiting_seconds")
    assert answers[0] == answers[1]
    assert answers[0]["ingest"]["refused"] == {"invalid-input": 2, "not-found": 1}
    assert [(each["name"], each["refused"]) for each in answers[0]["processes"]] == [
        ("a:1", {"invalid-input": 1}),
        ("b:2", {"invalid-input": 1, "not-found": 1}),
    ]
    assert {each["state"] for each in answers[0]["processes"]} == {"running"}
    one.close()
    two.close()


def test_the_counts_of_a_process_outlive_it_for_a_day(app: App) -> None:
    app.post("predictions", {"model_name": "m"}, 422)
    now = app.asgi.app.state.service.clock()
    app.tell("killed:1", now - 90 * MICROS_PER_SECOND)
    app.tell("stopped:2", now - 80 * MICROS_PER_SECOND, stopped=True)
    found = app.get("service")
    assert [(each["name"], each["state"]) for each in found["processes"]] == [
        ("killed:1", "silent"),
        ("stopped:2", "stopped"),
    ]
    assert found["ingest"]["refused"] == {"invalid-input": 2}
    app.tell("new:3", now + 86_400 * MICROS_PER_SECOND)
    assert [each["name"] for each in app.get("service")["processes"]] == ["new:3"]


def test_requests_and_evaluations_are_timed(app: App) -> None:
    assert app.get("service")["ingest"]["durations"] == []
    counters = app.asgi.app.state.service.metrics.counters
    counters.counted(app.asgi.app.state.service.clock())
    for seconds in [0.002] * 98 + [0.5] * 2:
        counters.accepted("prediction", seconds)
    counters.evaluated("m", 0.25)
    app.tell()
    found = app.get("service")
    [timed] = found["ingest"]["durations"]
    assert (timed["what"], timed["count"]) == ("prediction", 100)
    assert timed["p50_seconds"] == pytest.approx(0.002, rel=0.06)
    assert timed["p99_seconds"] == pytest.approx(0.5, rel=0.06)
    assert found["evaluation_duration"]["count"] == 1
    assert found["evaluation_duration"]["p99_seconds"] == pytest.approx(0.25, rel=0.06)


def test_growth_is_told_of_a_store_that_is_an_hour_old(app: App) -> None:
    now = app.asgi.app.state.service.clock()
    assert save_size(app.store, now - 12 * 3_600 * MICROS_PER_SECOND)
    assert not save_size(app.store, now - 12 * 3_600 * MICROS_PER_SECOND + 1)
    before = app.get("service")["store"]
    send(app.store, Clock(NOON), normal(3_000), at=NOON)
    after = app.get("service")["store"]
    grown = after["bytes"] - before["bytes"]
    assert grown > 0
    # Half a day has passed.
    assert after["bytes_per_day"] == pytest.approx(2 * grown, rel=1e-3)
    assert after["growth_since"] == iso_of_seconds(now // MICROS_PER_SECOND - 12 * 3_600)
    growth = {each["name"]: each["bytes_per_day"] for each in after["tables"]}
    assert growth["prediction"] > growth["alert"] == 0.0


def test_growth_is_not_told_in_the_first_hour(app: App) -> None:
    save_size(app.store, app.asgi.app.state.service.clock() - 60 * MICROS_PER_SECOND)
    store = app.get("service")["store"]
    assert (store["bytes_per_day"], store["growth_since"]) == (None, None)
    assert {each["bytes_per_day"] for each in store["tables"]} == {None}


def test_a_store_that_hangs_makes_a_process_unready_and_takes_up_one_thread(
    app: App, monkeypatch: pytest.MonkeyPatch
) -> None:
    let_go, begun = threading.Event(), []

    def hang(*_given: object) -> None:
        begun.append(threading.current_thread())
        let_go.wait(30)

    with monkeypatch.context() as hanging:
        hanging.setattr("modelwatch.api.routes.operations.service._evaluation", hang)
        hanging.setattr("modelwatch.api.routes.operations.service.PROBE_SECONDS", 0.05)
        for _ in range(3):
            answer = app.request("GET", "/readyz")
            assert (answer.status_code, answer.json()["checks"]["store"]) == (
                503,
                "The store did not answer within 0.05 s.",
            )
    assert len(begun) == 1
    let_go.set()
    begun[0].join(30)
    assert app.request("GET", "/readyz").json()["checks"]["store"] == "ok"


def test_requests_that_wait_for_the_store_take_no_place_of_probes_and_scrapes(app: App) -> None:
    let_go = threading.Event()

    async def ask() -> list[int]:
        threads = ThreadPoolExecutor(1)
        asyncio.get_running_loop().set_default_executor(threads)
        threads.submit(let_go.wait, 60)
        transport = httpx.ASGITransport(app=app.asgi)
        async with httpx.AsyncClient(transport=transport, base_url="http://watch:8000") as client:
            waits = asyncio.create_task(client.get("/api/v1/alerts"))
            try:
                answers = await asyncio.wait_for(asyncio.gather(*map(client.get, ("/readyz", "/metrics"))), 30)
                assert not waits.done()
            finally:
                let_go.set()
                await waits
        return [each.status_code for each in answers]

    # The writer does not run here, so the process is not ready; what counts is that it says so.
    assert asyncio.run(ask()) == [503, 200]
