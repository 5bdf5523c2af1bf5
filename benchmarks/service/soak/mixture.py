"""A steady mixture of what clients do, as far as memory may depend on it.

Some models live now; others are replayed, so that hours of event time pass in minutes: their windows close, they are
evaluated, they drift and recover, alerts open and end. Versions come and go, values come that no reference has, labels
come early, late, twice and corrected, predictions are erased, references and monitors are set again, and everything
that can be read is read.
"""

from __future__ import annotations

import collections
import json
import random
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import httpx

LIVE = [f"live_{index}" for index in range(8)]
REPLAYED = [f"replayed_{index}" for index in range(4)]
NUMBERS, CATEGORIES = 24, 8
LEVELS = [f"level_{index}" for index in range(12)]
REFERENCE_SIZE = 2_000
# Event time of the replayed models passes so much faster; it changes its world every so many seconds.
PACE = 60
WORLD_SECONDS = 3 * 3_600
BEGAN_BEFORE_SECONDS = 3 * 86_400
BATCH = 150
REPLAYED_BATCH = 60
REMEMBERED = 20_000
UNSEEN_SHARE = 0.01
# Of each model so many versions, which come again and again: all are known before the first half is over.
MOST_VERSIONS = 5
SEGMENTS = "segments: [category_0]"
SEES = "schedule: {{every: {minutes}m}}\n" + SEGMENTS

# Every so many seconds; what each does is a method of Mixture.
PERIODS = {
    "single": 1 / 25,
    "batch": 1.0,
    "replay": 1.0,
    "labels": 0.5,
    "read": 0.25,
    "scrape": 2.0,
    "erase": 1.0,
    "refuse": 1.0,
    "refer": 60.0,
    "configure": 20.0,
    "deploy": 4.0,
    "tend": 5.0,
}
OF_MODEL = ("", "/drift", "/performance", "/quality", "/monitor", "/segments")
OF_ALL = ("models", "alerts", "alerts?state=resolved", "silences", "channels", "deliveries", "audit", "monitors")
APART = ("/ui/alerts", "/ui/alerts?tab=resolved", "/ui/runbooks", "/docs", "/openapi.json", "/readyz", "/version")


class Mixture:
    """Sends until it is stopped. headers: of every request. failures: what was answered that must not be."""

    def __init__(self, url: str, headers: dict[str, str], seed: int = 7) -> None:
        self.accepted = 0
        self.answers: collections.Counter[tuple[str, int]] = collections.Counter()
        self.late = 0
        self._url = url
        self._headers = headers
        self._seed = seed
        self._began = time.time()
        self._known: collections.deque[tuple[str, str, str]] = collections.deque(maxlen=REMEMBERED)
        self._versions = dict.fromkeys((*LIVE, *REPLAYED), 1)
        self._numbers: collections.Counter[str] = collections.Counter()
        self._stopped = threading.Event()
        self._threads: list[threading.Thread] = []
        self._lock = threading.Lock()

    def start(self) -> None:
        """Sets the references, then lets every part run in its own thread."""
        rng = random.Random(self._seed)
        with self._client() as client:
            for model in (*LIVE, *REPLAYED):
                self._refer(client, rng, model)
                self._monitor(client, rng, model)
        for name, period in PERIODS.items():
            thread = threading.Thread(target=self._repeat, args=(name, period), name=name, daemon=True)
            thread.start()
            self._threads.append(thread)

    def stop(self) -> None:
        """Returns when every part has ended."""
        self._stopped.set()
        for thread in self._threads:
            thread.join()

    @property
    def streams(self) -> int:
        """Number of versions so far."""
        return sum(min(versions, MOST_VERSIONS) for versions in self._versions.values())

    def problems(self) -> list[str]:
        """Answers that a service at this rate should never give."""
        return [f"{count} x {status} to {what}" for (what, status), count in self.answers.items() if status >= 500]

    def _repeat(self, name: str, period: float) -> None:
        work: Callable[[httpx.Client, random.Random], None] = getattr(self, f"_{name}")
        rng = random.Random(f"{self._seed} {name}")
        due = time.monotonic()
        with self._client() as client:
            while not self._stopped.wait(max(0.0, due - time.monotonic())):
                work(client, rng)
                due += period
                if time.monotonic() - due > 1.0:  # it can't keep up; what was missed is not made up for
                    with self._lock:
                        self.late += 1
                    due = time.monotonic()

    def _client(self) -> httpx.Client:
        return httpx.Client(base_url=self._url, headers=self._headers, timeout=60)

    def _ask(self, client: httpx.Client, what: str, method: str, path: str, **more: Any) -> httpx.Response:
        if "json" in more:
            more["content"] = json.dumps(more.pop("json"))
            more["headers"] = {"content-type": "application/json"}
        answer = client.request(method, path, **more)
        with self._lock:
            self.answers[what, answer.status_code] += 1
        return answer

    def _single(self, client: httpx.Client, rng: random.Random) -> None:
        row = self._live_row(rng, rng.choice(LIVE))
        if self._ask(client, "single", "POST", "/api/v1/predictions", json=row).status_code == 202:
            self._took([row], 1)

    def _batch(self, client: httpx.Client, rng: random.Random) -> None:
        model = rng.choice(LIVE)
        self._send(client, "batch", [self._live_row(rng, model) for _ in range(BATCH)])

    def _replay(self, client: httpx.Client, rng: random.Random) -> None:
        model = rng.choice(REPLAYED)
        behind = BEGAN_BEFORE_SECONDS - PACE * (time.time() - self._began)
        at = time.time() - behind
        shifted = int(at // WORLD_SECONDS) % 2 == 1
        rows = [self._row(rng, model, at + rng.random() * 300, shifted) for _ in range(REPLAYED_BATCH)]
        self._send(client, "replay", rows)

    def _labels(self, client: httpx.Client, rng: random.Random) -> None:
        with self._lock:
            some = rng.sample(self._known, min(60, len(self._known)))
        body = []
        for model, identity, said in some:
            truth = said if rng.random() < 0.9 else rng.choice(["yes", "no"])
            body.append({"model_name": model, "prediction_id": identity, "ground_truth": truth})
        early = rng.choice(LIVE)
        body.append({"model_name": early, "prediction_id": f"early-{rng.random()}", "ground_truth": "yes"})
        self._ask(client, "labels", "POST", "/api/v1/ground-truth/batch", json=body)

    def _read(self, client: httpx.Client, rng: random.Random) -> None:
        model = rng.choice((*LIVE, *REPLAYED))
        version = f"1.{rng.randrange(min(self._versions[model], MOST_VERSIONS))}"
        kind = rng.randrange(10)
        if kind < 5:
            name = rng.choice(OF_MODEL)
            path = f"/api/v1/models/{model}{name}"
            parameters = {"version": version, "environment": "production"} if name in OF_MODEL[1:4] else {}
            if name == "/segments":
                parameters = {"version": version, "metric": "accuracy", "lookback": "24h"}
            self._ask(client, f"GET {name or '/model'}", "GET", path, params=parameters)
        elif kind < 7:
            name = rng.choice(OF_ALL)
            self._ask(client, f"GET {name}", "GET", f"/api/v1/{name}")
        elif kind < 8:
            self._ask(client, "GET reference", "GET", "/api/v1/reference", params={"model_name": model})
        elif kind < 9:
            body = {"model_name": model, "model_version": version, "lookback": rng.choice(["1h", "6h", "24h"])}
            self._ask(client, "drift/check", "POST", "/api/v1/drift/check", json=body)
        else:
            path = rng.choice(APART)
            self._ask(client, path, "GET", path)

    def _scrape(self, client: httpx.Client, _rng: random.Random) -> None:
        self._ask(client, "/metrics", "GET", "/metrics")

    def _erase(self, client: httpx.Client, rng: random.Random) -> None:
        with self._lock:
            if not self._known:
                return
            model, identity, _ = rng.choice(self._known)
        self._ask(client, "erase", "DELETE", f"/api/v1/models/{model}/predictions/{identity}")

    def _refuse(self, client: httpx.Client, rng: random.Random) -> None:
        row = self._live_row(rng, rng.choice(LIVE)) | {"timestamp": "never", f"odd_{rng.random()}": 1}
        self._ask(client, "refused", "POST", "/api/v1/predictions", json=row)
        self._ask(client, "nothing there", "GET", f"/api/v1/models/unknown-{rng.random()}/drift")

    def _refer(self, client: httpx.Client, rng: random.Random, model: str | None = None) -> None:
        chosen = model or rng.choice(LIVE)
        names = None if model else {f"number_{rng.randrange(NUMBERS)}" for _ in range(5)}
        rows = [self._features(rng, shifted=False) for _ in range(REFERENCE_SIZE)]
        columns = {name: [row[name] for row in rows] for name in rows[0] if names is None or name in names}
        body = {"model_name": chosen, "features": columns}
        self._ask(client, "reference", "POST", "/api/v1/reference", json=body)

    def _monitor(self, client: httpx.Client, rng: random.Random, model: str) -> None:
        content = SEES.format(minutes=rng.choice([5, 10, 15]))
        headers = {"content-type": "application/yaml"}
        self._ask(client, "monitor", "PUT", f"/api/v1/models/{model}/monitor", content=content, headers=headers)

    def _configure(self, client: httpx.Client, rng: random.Random) -> None:
        self._monitor(client, rng, rng.choice((*LIVE, *REPLAYED)))

    def _deploy(self, _client: httpx.Client, rng: random.Random) -> None:
        self._versions[rng.choice(LIVE)] += 1

    def _tend(self, client: httpx.Client, rng: random.Random) -> None:
        """Acts on alerts as operators do."""
        found = self._ask(client, "GET alerts", "GET", "/api/v1/alerts").json()
        for alert in found.get("alerts", [])[:3]:
            name = alert["alert_id"]
            self._ask(client, "GET alert", "GET", f"/api/v1/alerts/{name}")
            self._ask(client, "page of an alert", "GET", f"/ui/alerts/{name}")
            if rng.random() < 0.2:
                self._ask(client, "acknowledge", "POST", f"/api/v1/alerts/{name}/acknowledge", json={})

    def _send(self, client: httpx.Client, what: str, rows: list[dict[str, Any]]) -> None:
        answer = self._ask(client, what, "POST", "/api/v1/predictions/batch", json=rows)
        if answer.is_success:
            self._took(rows, int(answer.json()["accepted"]))

    def _took(self, rows: list[dict[str, Any]], accepted: int) -> None:
        with self._lock:
            self.accepted += accepted
            self._known.extend((row["model_name"], row["prediction_id"], row["prediction"]) for row in rows)

    def _live_row(self, rng: random.Random, model: str) -> dict[str, Any]:
        late = rng.random() * 6 * 3_600 if rng.random() < 0.02 else 0.0
        return self._row(rng, model, time.time() - late, shifted=False)

    def _row(self, rng: random.Random, model: str, at: float, shifted: bool) -> dict[str, Any]:
        with self._lock:
            self._numbers[model] += 1
            number = self._numbers[model]
        # One in a hundred is sent again.
        number -= 1 if rng.random() < 0.01 else 0
        return {
            "model_name": model,
            "model_version": f"1.{(self._versions[model] - 1) % MOST_VERSIONS}",
            "prediction_id": f"{model}-{number}",
            "timestamp": datetime.fromtimestamp(at, UTC).isoformat(),
            "features": self._features(rng, shifted=shifted),
            "prediction": rng.choice(["yes", "no"]),
            "prediction_probability": rng.random(),
            "latency_ms": rng.expovariate(0.02),
        }

    def _features(self, rng: random.Random, *, shifted: bool) -> dict[str, Any]:
        centre = 130 if shifted else 100
        found: dict[str, Any] = {f"number_{index}": rng.gauss(centre, 25) for index in range(NUMBERS)}
        for index in range(CATEGORIES):
            unseen = rng.random() < UNSEEN_SHARE
            found[f"category_{index}"] = f"unseen_{rng.random()}" if unseen else rng.choice(LEVELS)
        if rng.random() < 0.05:
            found["number_0"] = None
        return found
