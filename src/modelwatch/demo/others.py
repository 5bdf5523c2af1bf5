"""The other models of the demo: small ones, each in a state of its own, so that a list of models says something."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

import msgspec
import numpy as np
from numpy.typing import NDArray

from modelwatch.demo.story import BATCH_PATH, REFERENCE_PATH, Plan, Service, iso

REFERENCE_ROWS = 4_000
HOURS = 24
# A look every two hours: some dozens of small evaluations for all of them.
SCHEDULE = {"every": "2h", "on_new_data": False}


@dataclass(frozen=True, slots=True)
class OtherModel:
    """A small model. rows: predictions in the newest day. features: mean and deviation. shift: by how many deviations
    the first feature has moved in the last third. silent_hours: since the last prediction. labelled: whether its
    reference says what was true; no labels come, they take weeks."""

    name: str
    owner: str
    tags: tuple[str, ...]
    rows: int
    features: dict[str, tuple[float, float]]
    shift: float = 0.0
    silent_hours: int = 0
    has_reference: bool = True
    labelled: bool = False


OTHERS = (
    OtherModel(
        "credit_risk",
        "risk",
        ("tier-1",),
        2_400,
        {"income_monthly": (3_400, 900), "debt_ratio": (0.32, 0.1)},
        shift=0.8,
    ),
    OtherModel("image_moderation", "trust", ("vision",), 2_000, {"brightness": (0.5, 0.15), "faces": (1.5, 0.6)}),
    OtherModel(
        "loan_default", "risk", ("tier-1",), 1_200, {"age": (41, 11), "loan_amount": (12_000, 4_000)}, labelled=True
    ),
    OtherModel("ltv_forecast", "growth", (), 640, {"orders": (4, 1.5), "basket": (38, 12)}, has_reference=False),
    OtherModel("search_ranking", "search", ("tier-1",), 1_500, {"query_length": (18, 6)}, silent_hours=9),
)


def send_others(service: Service, plan: Plan, rng: np.random.Generator) -> int:
    """Sends the other models: monitor, reference and a day of predictions of each. Returns how many it sent."""
    for other in OTHERS:
        monitor = {"owner": other.owner, "tags": list(other.tags), "schedule": SCHEDULE}
        if other.labelled:
            monitor["positive_class"] = "yes"
        service.put_json(f"/api/v1/models/{quote(other.name)}/monitor", monitor)
        if other.has_reference:
            frame = _reference(other, plan, rng)
            service.post(REFERENCE_PATH, frame, "application/vnd.apache.parquet", {"model_name": other.name})
        service.post(BATCH_PATH, msgspec.json.encode(_predictions(other, plan, rng)), "application/json")
    return len(OTHERS)


def _columns(other: OtherModel, rng: np.random.Generator, moved: NDArray[np.bool_]) -> dict[str, NDArray[np.float64]]:
    columns = {name: rng.normal(mean, deviation, len(moved)) for name, (mean, deviation) in other.features.items()}
    first, (_, deviation) = next(iter(other.features.items()))
    columns[first] = columns[first] + other.shift * deviation * moved
    return columns


def _scores(rng: np.random.Generator, count: int) -> NDArray[np.float64]:
    return np.clip(rng.beta(2, 5, count), 0.001, 0.999)


def _reference(other: OtherModel, plan: Plan, rng: np.random.Generator) -> bytes:
    import pyarrow as pa
    import pyarrow.parquet as pq

    times = np.linspace(plan.start - 14 * 86_400, plan.start, REFERENCE_ROWS, endpoint=False)
    columns: dict[str, Any] = dict(_columns(other, rng, np.zeros(REFERENCE_ROWS, dtype=np.bool_)))
    score = _scores(rng, REFERENCE_ROWS)
    columns["prediction"] = np.where(score > 0.5, "yes", "no")
    columns["prediction_probability"] = score
    if other.labelled:
        columns["ground_truth"] = np.where(rng.random(REFERENCE_ROWS) < score, "yes", "no")
    columns["timestamp"] = pa.array((times * 1e6).astype(np.int64), pa.timestamp("us", "UTC"))
    sink = pa.BufferOutputStream()
    pq.write_table(pa.table(columns), sink)
    return bytes(sink.getvalue())


def _predictions(other: OtherModel, plan: Plan, rng: np.random.Generator) -> list[dict[str, Any]]:
    end = plan.end - other.silent_hours * 3_600
    times = np.linspace(end - HOURS * 3_600, end, other.rows, endpoint=False)
    columns = _columns(other, rng, times >= end - HOURS * 1_200)
    score = _scores(rng, other.rows)
    return [
        {
            "model_name": other.name,
            "model_version": plan.version,
            "environment": "production",
            "prediction_id": f"demo-{plan.version}-{plan.end}-{index}",
            "timestamp": iso(float(times[index])),
            "features": {name: float(values[index]) for name, values in columns.items()},
            "prediction": "yes" if score[index] > 0.5 else "no",
            "prediction_probability": float(score[index]),
        }
        for index in range(other.rows)
    ]
