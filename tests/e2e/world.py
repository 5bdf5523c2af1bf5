"""A model in production as Prometheus sees it: its traffic, with everything in it that a panel or a rule is about."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from tests.support.servers.live_service import LiveService

MODEL, VERSION, ENVIRONMENT = "fraud", "2.1", "production"
MERCHANTS = ("grocery", "travel", "fuel")
AN_HOUR = 300
# The flow of time in the data. It begins in the past, so that there is room for what comes after.
BEGIN = datetime.now(UTC).replace(minute=0, second=0, microsecond=0) - timedelta(hours=40)


@dataclass
class Traffic:
    """Sends hour after hour of event time, in turn to each service."""

    services: Sequence[LiveService]
    hour: int = 0
    sent: int = 0
    rng: np.random.Generator = field(default_factory=lambda: np.random.default_rng(5))

    def reference(self) -> None:
        """The labelled reference, as a frame."""
        rows = [self._row(shift=0.0, sound=True) for _ in range(4_000)]
        table = pa.Table.from_pylist(
            [{**row["features"], **{name: row[name] for name in row if name != "features"}} for row in rows]
        )
        buffer = io.BytesIO()
        pq.write_table(table, buffer)
        answer = httpx.post(
            f"{self.services[0].url}/api/v1/reference",
            params={"model_name": MODEL},
            content=buffer.getvalue(),
            headers={"Content-Type": "application/vnd.apache.parquet"},
            timeout=30,
        )
        assert answer.status_code == 201, answer.text

    def hours(self, count: int, *, shift: float = 0.0) -> None:
        """So many hours. shift: of the amounts, in standard deviations; the model is wrong more often then."""
        for _ in range(count):
            service = self.services[self.hour % len(self.services)]
            begin = BEGIN + timedelta(hours=self.hour)
            batch = [
                {
                    **self._row(shift=shift, sound=False),
                    "model_name": MODEL,
                    "model_version": VERSION,
                    "environment": ENVIRONMENT,
                    "prediction_id": f"{self.hour}-{index}",
                    "timestamp": (begin + timedelta(seconds=3_600 * index / AN_HOUR)).isoformat(),
                }
                for index in range(AN_HOUR)
            ]
            labels = [
                {
                    "model_name": MODEL,
                    "prediction_id": row["prediction_id"],
                    "ground_truth": row.pop("ground_truth"),
                    "timestamp": row["timestamp"],
                }
                for row in batch
            ]
            self._post(service, "predictions/batch", batch)
            self._post(service, "ground-truth/batch", labels)
            self.sent += len(batch)
            self.hour += 1

    def mistakes(self) -> None:
        """What clients do wrong: predictions sent twice, and one that can't be read, to each service."""
        for number, service in enumerate(self.services):
            hour = self.hour - 1 - (self.hour - 1 - number) % len(self.services)
            begin = BEGIN + timedelta(hours=hour)
            row = {**self._row(shift=0.0, sound=True), "model_name": MODEL, "model_version": VERSION}
            del row["ground_truth"]
            again = {**row, "environment": ENVIRONMENT, "prediction_id": f"{hour}-0", "timestamp": begin.isoformat()}
            assert self._post(service, "predictions/batch", [again])["duplicates"] == 1
            refused = httpx.post(f"{service.url}/api/v1/predictions", json={"model_name": MODEL}, timeout=30)
            assert refused.status_code == 422

    def _post(self, service: LiveService, route: str, body: Any) -> Any:
        answer = httpx.post(f"{service.url}/api/v1/{route}", json=body, timeout=30)
        assert answer.status_code == 202, answer.text
        return answer.json()

    def _row(self, *, shift: float, sound: bool) -> dict[str, Any]:
        amount: float | None = float(self.rng.normal(100 + 25 * shift, 25))
        merchant = str(self.rng.choice(MERCHANTS, p=[0.6, 0.3, 0.1]))
        fraud = bool(self.rng.random() < 0.3)
        right = self.rng.random() < (0.6 if shift else 0.92)
        if not sound and self.rng.random() < 0.02:
            amount = None
        if not sound and self.rng.random() < 0.02:
            merchant = "casino"
        return {
            "features": {"amount": amount, "merchant": merchant},
            "prediction": "fraud" if fraud else "legitimate",
            "prediction_probability": float(self.rng.uniform(0.6, 1.0)),
            "ground_truth": "fraud" if fraud == right else "legitimate",
            "latency_ms": float(self.rng.lognormal(3.0, 0.5)),
        }
