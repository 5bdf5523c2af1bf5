"""The baseline of the ingest benchmark: FastAPI, pydantic models, an in-memory list, nothing durable."""

from __future__ import annotations

import sys
from collections import deque
from datetime import datetime
from typing import Literal

import uvicorn
from fastapi import FastAPI
from pydantic import BaseModel

Scalar = float | int | str | bool | None


class Feature(BaseModel):
    name: str
    value: Scalar = None
    data_type: Literal["continuous", "categorical"] | None = None


class BasePrediction(BaseModel):
    model_name: str
    model_version: str = "unversioned"
    environment: str = "production"
    prediction_id: str
    timestamp: datetime | None = None
    prediction: str | float | int | bool
    prediction_probability: float | None = None
    latency_ms: float | None = None
    ground_truth: str | float | int | bool | None = None


class Prediction(BasePrediction):
    features: list[Feature]


class MappedPrediction(BasePrediction):
    features: dict[str, Scalar]


app = FastAPI()
# Few: with 100,000 of them the collector of Python's garbage takes longer than all else.
kept: deque[BasePrediction] = deque(maxlen=1_000)


@app.get("/health")
async def health() -> dict[str, str]:
    return {"status": "healthy"}


@app.post("/api/v1/predictions", status_code=202)
async def log_prediction(prediction: Prediction) -> dict[str, str]:
    kept.append(prediction)
    return {"status": "accepted", "prediction_id": prediction.prediction_id}


@app.post("/api/v1/predictions/batch", status_code=202)
async def log_predictions(predictions: list[Prediction]) -> dict[str, int]:
    kept.extend(predictions)
    return {"accepted": len(predictions)}


@app.post("/api/v1/predictions/maps", status_code=202)
async def log_mapped_predictions(predictions: list[MappedPrediction]) -> dict[str, int]:
    kept.extend(predictions)
    return {"accepted": len(predictions)}


if __name__ == "__main__":
    uvicorn.run(app, host="127.0.0.1", port=int(sys.argv[1]), log_level="warning", access_log=False)
