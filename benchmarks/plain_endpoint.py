"""The baseline of the ingest benchmark: FastAPI, pydantic models, an in-memory list, nothing durable."""

from __future__ import annotations

import sys
from collections import deque
from datetime import datetime
from typing import Literal

import uvicorn
from fastapi import FastAPI
from pydantic import BaseModel


class Feature(BaseModel):
    name: str
    value: float | int | str | bool | None = None
    data_type: Literal["continuous", "categorical"] | None = None


class Prediction(BaseModel):
    model_name: str
    model_version: str = "unversioned"
    environment: str = "production"
    prediction_id: str
    timestamp: datetime | None = None
    features: list[Feature]
    prediction: str | float | int | bool
    prediction_probability: float | None = None
    latency_ms: float | None = None
    ground_truth: str | float | int | bool | None = None


app = FastAPI()
kept: deque[Prediction] = deque(maxlen=100_000)


@app.get("/health")
async def health() -> dict[str, str]:
    return {"status": "healthy"}


@app.post("/api/v1/predictions", status_code=202)
async def log_prediction(prediction: Prediction) -> dict[str, str]:
    kept.append(prediction)
    return {"status": "accepted", "prediction_id": prediction.prediction_id}


if __name__ == "__main__":
    uvicorn.run(app, host="127.0.0.1", port=int(sys.argv[1]), log_level="warning", access_log=False)
