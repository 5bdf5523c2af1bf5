"""A real service with protected features: their values are nowhere, and erasing survives kill -9."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from sqlalchemy import select

from modelwatch.storage.engine import tables
from modelwatch.storage.engine.store import Store
from modelwatch.storage.maintenance.backfill_profiles import backfill_profiles
from tests.support.events import ALWAYS, stored_and_counted
from tests.support.servers.live_service import LiveService
from tests.support.stores.privacy import KEY, with_keys

MODEL = "fraud"
START = "2026-01-01T12:00:00Z"
TREATMENTS = {"iban": "encrypt", "mail": "hash", "name": "drop", "income": "encrypt", "debt": "drop"}
PAGES = (
    "/metrics",
    "/ui/alerts",
    "/openapi.json",
    "/api/v1/models",
    *(f"/api/v1/models/{{model}}/{what}" for what in ("drift", "quality", "performance", "monitor")),
    "/api/v1/reference?model_name={model}",
    "/api/v1/monitors",
    "/api/v1/audit",
    "/api/v1/alerts",
)


def canary(feature: str, number: int) -> str:
    """A value that occurs nowhere else: of it `CANARY` and the feature's name are looked for."""
    return f"CANARY-{feature}-{number % 40}"


def features(number: int) -> dict[str, object]:
    return {
        "iban": canary("iban", number),
        "mail": canary("mail", number),
        "name": canary("name", number),
        "income": number_of(number),
        "debt": number_of(number),
        "age": 20 + number % 50,
    }


def number_of(number: int) -> float:
    """Another one for each number: a reference keeps its smallest and largest value, and frequent ones."""
    return 57_005.123456789 + 1.7 * number


LOOKED_FOR = (b"CANARY", *(repr(number_of(number)).encode() for number in range(5, 240)))
PREDICTIONS = 250


@pytest.fixture
def live(tmp_path: Path) -> Iterator[LiveService]:
    with LiveService(
        tmp_path / "data",
        ENCRYPTION_KEY=KEY,
        DEBUG="true",
        DRIFT_CHECK_INTERVAL="300",
        PROVISIONAL_REFERENCE_SIZE=str(PREDICTIONS),
    ) as service:
        yield service


def prediction(model: str, number: int) -> dict[str, object]:
    return {
        "model_name": model,
        "prediction_id": f"p-{number}",
        "timestamp": START,
        "features": features(number),
        "prediction": "yes",
        "prediction_probability": 0.5,
    }


def send_everything(http: httpx.Client, model: str) -> None:
    """Predictions in every way that there is, labels, repeats, and a reference."""
    for number in range(5):
        http.post("/api/v1/predictions", json=prediction(model, number)).raise_for_status()
    batch = [prediction(model, number) for number in range(200)]
    http.post("/api/v1/predictions/batch", json=batch).raise_for_status()
    frame = pa.table(
        {
            "prediction_id": [f"f-{number}" for number in range(50)],
            "prediction": ["yes"] * 50,
            **{name: [features(number)[name] for number in range(200, PREDICTIONS)] for name in features(0)},
        }
    )
    sink = pa.BufferOutputStream()
    pq.write_table(frame, sink)
    http.post(
        "/api/v1/predictions/batch",
        params={"model_name": model},
        content=sink.getvalue().to_pybytes(),
        headers={"content-type": "application/vnd.apache.parquet"},
    ).raise_for_status()
    wrong = {**prediction(model, 0), "prediction_id": "", "features": {**features(0), "iban": [canary("iban", 0)]}}
    assert http.post("/api/v1/predictions", json=wrong).status_code == 422
    assert http.post("/api/v1/predictions", content=str(wrong).encode()).status_code in (400, 415)
    for number in range(20):
        label = {"model_name": model, "prediction_id": f"p-{number}", "ground_truth": "no"}
        http.post("/api/v1/ground-truth", json=label).raise_for_status()


def wait_for_reference(http: httpx.Client, model: str) -> None:
    """Until the first predictions have become a provisional one."""
    deadline = time.monotonic() + 60
    while not http.get("/api/v1/reference", params={"model_name": model}).json()["references"]:
        assert time.monotonic() < deadline, "no provisional reference was taken"
        time.sleep(0.1)


def everything_said(http: httpx.Client, model: str) -> bytes:
    check = http.post("/api/v1/drift/check", json={"model_name": model, "min_samples": 10})
    check.raise_for_status()
    answers = [http.get(path.format(model=model)) for path in PAGES]
    assert [answer.status_code for answer in answers] == [200] * len(answers)
    return b"\n".join([check.content, *(answer.content for answer in answers)])


def remains(content: bytes) -> list[bytes]:
    """The canaries in it, each with what stands around it."""
    return [
        content[max(0, content.find(value) - 60) : content.find(value) + 60] for value in LOOKED_FOR if value in content
    ]


def test_values_of_protected_features_are_nowhere(live: LiveService) -> None:
    with httpx.Client(base_url=live.url, timeout=30) as http:
        privacy = {"features": TREATMENTS}
        http.put(f"/api/v1/models/{MODEL}/monitor", json={"privacy": privacy}).raise_for_status()
        http.put("/api/v1/models/profiles/monitor", json={"privacy": {"store": "profiles"}}).raise_for_status()
        said = b""
        for model in (MODEL, "profiles"):
            send_everything(http, model)
            wait_for_reference(http, model)
            said += everything_said(http, model)
        reference = {name: [value] * 20 for name, value in features(1).items() if name in ("iban", "mail", "name")}
        numbers = {name: [float(value) for value in range(20)] for name in ("income", "debt", "age")}
        body = {"model_name": MODEL, "features": {**reference, **numbers}}
        answer = http.post("/api/v1/reference", json=body)
        assert answer.status_code == 201
        said += answer.content + everything_said(http, MODEL)
        assert b"hmac:" in said, "names of hashed categories are shown as hashes"
        assert not remains(said)
        store = live.data_dir / "modelwatch.db"
        for _ in range(2):
            files = [path for path in live.data_dir.iterdir() if path.is_file()]
            assert store in files
            for path in files:
                assert not remains(path.read_bytes()), path.name
            live.stop()


def test_a_value_that_is_kept_would_have_been_found(tmp_path: Path) -> None:
    with LiveService(tmp_path / "data") as live, httpx.Client(base_url=live.url, timeout=30) as http:
        http.post("/api/v1/predictions", json=prediction(MODEL, 10)).raise_for_status()
        files = [path for path in live.data_dir.iterdir() if path.is_file()]
        assert len(remains(b"".join(path.read_bytes() for path in files))) >= 2


@pytest.mark.timeout(180)
def test_erasing_is_exact_over_kills(tmp_path: Path) -> None:
    rng = random.Random(5)
    service = LiveService(tmp_path / "data", PROVISIONAL_REFERENCE_SIZE="100", ENCRYPTION_KEY=KEY)
    count = 400
    done: set[str] = set()
    stop = threading.Event()

    def erase_all() -> None:
        with httpx.Client(base_url=service.url, timeout=5) as http:
            for number in range(0, count, 2):
                while not stop.is_set():
                    try:
                        answer = http.delete(f"/api/v1/models/{MODEL}/predictions/p-{number}")
                    except httpx.HTTPError:
                        stop.wait(0.02)
                        continue
                    # 404: a try before this one was killed after its commit.
                    assert answer.status_code in (200, 404, 503), answer.text
                    if answer.status_code != 503:
                        done.add(f"p-{number}")
                        break

    eraser = threading.Thread(target=erase_all)
    kills = 0
    try:
        service.start()
        with httpx.Client(base_url=service.url, timeout=30) as http:
            privacy = {"features": {"iban": "encrypt", "mail": "hash"}}
            http.put(f"/api/v1/models/{MODEL}/monitor", json={"privacy": privacy}).raise_for_status()
            batch = [prediction(MODEL, number) for number in range(count)]
            http.post("/api/v1/predictions/batch", json=batch).raise_for_status()
            labels = [
                {"model_name": MODEL, "prediction_id": f"p-{number}", "ground_truth": "no"}
                for number in range(0, count, 3)
            ]
            http.post("/api/v1/ground-truth/batch", json=labels).raise_for_status()
        eraser.start()
        while eraser.is_alive() and kills < 3:
            time.sleep(rng.uniform(0.1, 0.3))
            if eraser.is_alive():
                service.kill()
                kills += 1
                service.start()
        eraser.join(90)
    finally:
        stop.set()
        eraser.join(10)
        service.stop()
    assert kills >= 2
    assert len(done) == count // 2
    store = Store(f"sqlite:///{tmp_path / 'data' / 'modelwatch.db'}")
    with_keys(store, KEY)
    backfill_profiles(store, MODEL, *ALWAYS)
    with store.read() as connection:
        left = set(connection.execute(select(tables.prediction.c.prediction_id)).scalars())
        labelled = set(connection.execute(select(tables.label.c.prediction_id)).scalars())
    assert left == {f"p-{number}" for number in range(1, count, 2)}
    assert labelled == {f"p-{number}" for number in range(3, count, 6)}
    assert stored_and_counted(store, MODEL) == (count // 2, count // 2)
    store.close()
