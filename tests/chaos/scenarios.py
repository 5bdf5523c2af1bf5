"""Rare accidents, each on its own: what clients were told must be what is stored and counted afterwards."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
from sqlalchemy import func, select

from modelwatch.storage.engine import tables
from modelwatch.storage.engine.store import Store
from modelwatch.storage.maintenance.deletion import Deletion, deletion_by_id
from modelwatch.times import SECONDS_PER_DAY
from tests.support.data.streams import normal
from tests.support.events import back_up, stored_and_counted
from tests.support.servers.live_service import REPOSITORY, LiveService
from tests.support.servers.postgres import cluster

MODEL = "m"
BATCH = 50
PATIENCE_SECONDS = 60
SLOW_SECONDS = 5.0
DOOMED, DOOMED_ROWS = "doomed", 20_000
MOST_KILLS = 4
CLOCK = Path(__file__).parent / "clock"


class Sender:
    """Sends batches of numbered predictions, the same again for the same number; remembers what was acknowledged."""

    def __init__(self, url: str, model: str = MODEL) -> None:
        self.acknowledged: set[int] = set()
        self.problems: list[str] = []
        self._model = model
        self._http = httpx.Client(base_url=url, timeout=30)

    def close(self) -> None:
        self._http.close()

    def send(self, number: int) -> bool:
        """Whether it was acknowledged."""
        answer = self._http.post("/api/v1/predictions/batch", json=batch(self._model, number))
        if answer.status_code == 202:
            self.acknowledged.add(number)
        elif answer.status_code != 503:
            self.problems.append(f"batch {number} was answered {answer.status_code}: {answer.text[:200]}")
        return answer.status_code == 202

    def insist(self, number: int) -> None:
        """Sends until it is acknowledged."""
        if not within(PATIENCE_SECONDS, lambda: self.send(number)):
            self.problems.append(f"batch {number} was never acknowledged")

    def refuse(self, number: int, why: str) -> None:
        """It must not be acknowledged."""
        if self.send(number):
            self.acknowledged.discard(number)
            self.problems.append(f"batch {number} was acknowledged although {why}")

    def compare(self, url: str) -> None:
        """Compares what is stored and counted with what was acknowledged."""
        store = Store(url)
        found = stored_and_counted(store, self._model)
        store.close()
        wanted = BATCH * len(self.acknowledged)
        if found != (wanted, wanted):
            self.problems.append(f"acknowledged {wanted}, stored {found[0]}, counted {found[1]}")


def batch(model: str, number: int) -> list[dict[str, Any]]:
    """Predictions with ids and times that follow from the number."""
    at = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0) - timedelta(days=2)
    return [
        {
            "model_name": model,
            "prediction_id": f"{number}-{index}",
            "timestamp": (at + timedelta(minutes=number)).isoformat(),
            "features": {"x": float(index)},
            "prediction": "yes",
        }
        for index in range(BATCH)
    ]


def within(seconds: float, done: Callable[[], bool]) -> bool:
    """Whether it was done in that time."""
    deadline = time.monotonic() + seconds
    while not done():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.1)
    return True


def replace_the_file(folder: Path) -> list[str]:
    """SQLite: a back-up is moved over the file in use, the file comes back, and then it is removed."""
    file, former, backup = folder / "modelwatch.db", folder / "former.db", folder / "backup.db"
    with LiveService(folder, REQUEST_TIMEOUT_SECONDS="2", WORKERS="2") as live:
        sender = Sender(live.url)
        sender.insist(0)
        back_up(file, backup)
        sender.insist(1)
        os.link(file, former)
        backup.rename(file)
        for number in (2, 3):
            sender.refuse(number, "the file was replaced")
        former.rename(file)
        for number in (1, 2, 3):
            sender.insist(number)
        sender.compare(f"sqlite:///{file}")
        for each in folder.glob("modelwatch.db*"):
            each.unlink()
        for number in (4, 5):
            sender.refuse(number, "the file was removed")
        if httpx.get(f"{live.url}/readyz").status_code != 503:
            sender.problems.append("the service says that it is ready without its file")
        live.stop()
        live.start()
        sender.acknowledged.clear()
        for number in range(6):
            sender.insist(number)
        sender.compare(f"sqlite:///{file}")
        sender.close()
    return sender.problems


def set_the_database_back(folder: Path) -> list[str]:
    """PostgreSQL: a server that knows less takes over, as a standby that was behind."""
    with cluster(durable=True) as server, server.database() as url, LiveService(folder, DATABASE_URL=url) as live:
        sender = Sender(live.url)
        for number in range(3):
            sender.insist(number)
        server.keep()
        for number in (1, 3, 4):
            sender.insist(number)
        server.set_back()
        # What was acknowledged since is lost; what is there now must be counted exactly.
        sender.acknowledged = {0, 1, 2}
        for number in (4, 5):
            sender.insist(number)
        sender.compare(url)
        for number in range(8):
            sender.insist(number)
        sender.compare(url)
        sender.close()
    return sender.problems


def set_ahead(file: Path, seconds: int) -> None:
    """Put the clock ahead: in one step, since each call for the time reads the file."""
    fresh = file.with_suffix(".fresh")
    fresh.write_text(str(seconds))
    fresh.replace(file)


def put_the_clock_ahead(folder: Path) -> list[str]:
    """The clock is a day ahead, is set right while the service runs, and once more while it is down."""
    ahead = folder / "ahead"
    folder.mkdir(parents=True, exist_ok=True)
    set_ahead(ahead, SECONDS_PER_DAY)
    path = f"{CLOCK}:{REPOSITORY / 'src'}"
    live = LiveService(
        folder,
        interpreter=True,
        PYTHONPATH=path,
        CHAOS_CLOCK_FILE=str(ahead),
        LEASE_SECONDS="2",
        LOOKBACKS="1h,6h",
        DRIFT_CHECK_INTERVAL="300",
        MIN_SAMPLES_FOR_DRIFT="30",
        FALSE_ALARM_BUDGET="100",
    )
    problems: list[str] = []
    with live:
        sender = Sender(live.url)
        sender.insist(0)
        set_ahead(ahead, 0)
        if not within(PATIENCE_SECONDS, lambda: "jumped back" in live.output()):
            problems.append("a clock that was set back is not logged")
        set_ahead(ahead, SECONDS_PER_DAY)
        if not within(PATIENCE_SECONDS, lambda: "jumped ahead" in live.output()):
            problems.append("a clock that was put ahead is not logged")
        live.kill()
        set_ahead(ahead, 0)
        live.start()
        for number in range(1, 4):
            sender.insist(number)
        problems += _judged(live.url)
        sender.compare(f"sqlite:///{folder / 'modelwatch.db'}")
        sender.close()
    return problems + sender.problems


def _judged(url: str) -> list[str]:
    """Whether a model that drifts now is judged soon."""
    with httpx.Client(base_url=url, timeout=30) as http:
        body = {"model_name": "drifting", "feature_name": "x", "data_type": "continuous", "values": normal(2_000)}
        http.post("/api/v1/reference", json=body).raise_for_status()
        start = datetime.now(UTC) - timedelta(hours=2)
        events = [
            {
                "model_name": "drifting",
                "prediction_id": str(index),
                "timestamp": (start + timedelta(minutes=index / 5)).isoformat(),
                "features": {"x": value + 2.0},
                "prediction": "yes",
            }
            for index, value in enumerate(normal(500, seed=1))
        ]
        http.post("/api/v1/predictions/batch", json=events).raise_for_status()
        began = time.monotonic()
        if not within(PATIENCE_SECONDS, lambda: bool(http.get("/api/v1/models/drifting/drift").json()["history"])):
            return ["nothing was judged after the clock was right again"]
        print(f"judged {time.monotonic() - began:.1f} s after the clock was right again")
    return []


POISON = """
CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF NEW.prediction_id = 'poison' THEN
    RAISE EXCEPTION 'index row size exceeds btree maximum' USING ERRCODE = 'program_limit_exceeded';
  END IF;
  RETURN NEW;
END $$;
CREATE TRIGGER refuse BEFORE INSERT ON prediction FOR EACH ROW EXECUTE FUNCTION refuse();
"""


def send_a_poison_row(folder: Path) -> list[str]:
    """PostgreSQL: one row is refused by the server whatever comes with it. Only that one fails, and nobody waits."""
    with cluster() as server, server.database() as url, LiveService(folder, DATABASE_URL=url) as live:
        server.execute(POISON, url.rpartition("/")[2])
        sender = Sender(live.url)
        slowest = 0.0
        with httpx.Client(base_url=live.url, timeout=30) as http, ThreadPoolExecutor(1) as beside:
            for number in range(10):
                rows = [*batch("poisoned", number), {**batch("poisoned", number)[0], "prediction_id": "poison"}]
                poisoned = beside.submit(http.post, "/api/v1/predictions/batch", json=rows)
                began = time.monotonic()
                sender.insist(number)
                slowest = max(slowest, time.monotonic() - began)
                answer = poisoned.result()
                if answer.status_code != 202 or [each["index"] for each in answer.json()["rejected"]] != [BATCH]:
                    sender.problems.append(f"the poisoned batch was answered {answer.status_code}: {answer.text[:200]}")
            alone = http.post("/api/v1/predictions", json=rows[-1])
            if alone.status_code != 422:
                sender.problems.append(f"the poisoned row was answered {alone.status_code}: {alone.text[:200]}")
        print(f"beside poisoned batches another client waited for {slowest:.2f} s at most")
        if slowest > SLOW_SECONDS:
            sender.problems.append(f"another client waited for {slowest:.1f} s")
        sender.compare(url)
        store = Store(url)
        found = stored_and_counted(store, "poisoned")
        store.close()
        if found != (10 * BATCH, 10 * BATCH):
            sender.problems.append(f"of the poisoned batches {found[0]} are stored, {found[1]} counted")
        sender.close()
    return sender.problems


def kill_while_deleting(folder: Path) -> list[str]:
    """SQLite: killed again and again while a model is deleted, which ends, once and wholly, and takes nothing else."""
    problems: list[str] = []
    with LiveService(folder, LEASE_SECONDS="2") as live:
        kept, doomed = Sender(live.url), Sender(live.url, DOOMED)
        store = Store(f"sqlite:///{folder / 'modelwatch.db'}")
        kept.insist(0)
        with httpx.Client(base_url=f"{live.url}/api/v1", timeout=60) as http:
            identity = _begin_deletion(http)
            before, kills = _deletion(store, identity), 0
            for _ in range(MOST_KILLS):
                if _moved_on(store, identity, before).finished_at is not None:
                    break
                live.kill()
                kills += 1
                before = _deletion(store, identity)
                left = _rows(store, DOOMED)["prediction"]
                if left + before.predictions != DOOMED_ROWS:
                    problems.append(f"{before.predictions} predictions are said to be deleted, {left} are there")
                live.start()
                kept.insist(kills)
            if not kills:
                problems.append("the deletion was over before the service was killed")
            address = f"/deletions/{identity}"
            if not within(PATIENCE_SECONDS, lambda: http.get(address).json()["status"] == "deleted"):
                problems.append(f"the deletion did not end: {http.get(address).text}")
            found = _deletion(store, identity)
            print(
                f"killed {kills} times while {found.predictions:,} predictions and {found.removed:,} rows were deleted"
            )
            if found.predictions != DOOMED_ROWS:
                problems.append(f"{found.predictions} of {DOOMED_ROWS} predictions are said to be deleted")
            if any(rows := _rows(store, DOOMED).values()):
                problems.append(f"something is left: {rows}")
            if http.get(f"/models/{DOOMED}").status_code != 404:
                problems.append("the model is still there")
        store.close()
        for sender in (kept, doomed):
            sender.insist(MOST_KILLS + 1)
            sender.compare(f"sqlite:///{folder / 'modelwatch.db'}")
            sender.close()
    return [*problems, *kept.problems, *doomed.problems]


def _begin_deletion(http: httpx.Client) -> str:
    """Sends a model of many predictions, some with labels, and a reference; returns the id of its deletion."""
    body = {"model_name": DOOMED, "feature_name": "x", "data_type": "continuous", "values": normal(1_000)}
    http.post("/reference", json=body).raise_for_status()
    rows = [row for number in range(DOOMED_ROWS // BATCH) for row in batch(DOOMED, number)]
    for start in range(0, len(rows), DOOMED_ROWS // 4):
        http.post("/predictions/batch", json=rows[start : start + DOOMED_ROWS // 4]).raise_for_status()
    labels = [{"model_name": DOOMED, "prediction_id": row["prediction_id"], "ground_truth": "no"} for row in rows[::10]]
    http.post("/ground-truth/batch", json=labels).raise_for_status()
    identity: str = http.delete(f"/models/{DOOMED}").raise_for_status().json()["deletion_id"]
    return identity


def _deletion(store: Store, identity: str) -> Deletion:
    with store.read() as connection:
        found = deletion_by_id(connection, identity)
    assert found is not None
    return found


def _moved_on(store: Store, identity: str, before: Deletion) -> Deletion:
    """The deletion as soon as it is another than before, or after a while."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while (found := _deletion(store, identity)) == before and time.monotonic() < deadline:
        time.sleep(0.002)
    return found


def _rows(store: Store, model: str) -> dict[str, int]:
    """How many rows each table has of a model."""
    of_model = [tables.prediction, tables.label, tables.profile, tables.outcome, tables.verdict, tables.reference]
    with store.read() as connection:
        return {
            table.name: connection.execute(
                select(func.count()).select_from(table).where(table.c.model == model)
            ).scalar_one()
            for table in [*of_model, tables.stream, tables.monitor, tables.alert]
        }


SCENARIOS: dict[str, Callable[[Path], list[str]]] = {
    "the store's file replaced": replace_the_file,
    "the database set back": set_the_database_back,
    "the clock ahead": put_the_clock_ahead,
    "a poison row": send_a_poison_row,
    "killed while a model is deleted": kill_while_deleting,
}
