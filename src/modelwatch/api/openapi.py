"""The OpenAPI document: schemas come from the msgspec types that the wire really uses."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

import msgspec
from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

from modelwatch.api.auth.scopes import OPEN_OPERATIONS, need_of
from modelwatch.api.decoding.actions import ActionBody, ActorBody, FromWindowBody, KeyBody, SilenceBody
from modelwatch.api.decoding.profiles import ProfileBody
from modelwatch.api.problems import Problem
from modelwatch.config.monitors.monitor import MonitorConfig
from modelwatch.events import DriftCheckBody, GroundTruthBody, PredictionBody, ReferenceBody

REF = "#/components/schemas/{name}"
NDJSON = "application/x-ndjson"
ARROW = "application/vnd.apache.arrow.stream"
PARQUET = "application/vnd.apache.parquet"
CSV = "text/csv"

Responses = dict[int | str, dict[str, Any]]


class PredictionBatchBody(msgspec.Struct):
    """Many predictions in one object."""

    predictions: list[PredictionBody]


class GroundTruthBatchBody(msgspec.Struct):
    """Many labels in one object."""

    ground_truths: list[GroundTruthBody]


_answer_types: set[type] = {Problem}


def answers(ok: dict[int, type], *problems: int) -> Responses:
    """FastAPI's `responses`: what is answered when it works, and which problems there can be."""
    _answer_types.update(ok.values())
    result: Responses = {
        status: {
            "description": (answer.__doc__ or HTTPStatus(status).phrase).strip().splitlines()[0],
            "content": {"application/json": {"schema": _ref(answer)}},
        }
        for status, answer in ok.items()
    }
    for status in problems:
        result[status] = {
            "description": HTTPStatus(status).phrase,
            "content": {"application/problem+json": {"schema": _ref(Problem)}},
        }
    return result


def csv_answers() -> Responses:
    """The same of a series as CSV."""
    table = {"description": "One row a step", "content": {CSV: {"schema": {"type": "string"}}}}
    return {200: table, **answers({}, 404, 422, 503)}


def operation(
    *, tag: str, operation_id: str, summary: str, description: str, request: dict[str, Any], responses: Responses
) -> dict[str, Any]:
    """An operation of the document that is no route of the framework."""
    return {
        "tags": [tag],
        "summary": summary,
        "description": description,
        "operationId": operation_id,
        "requestBody": request,
        "responses": {str(status): answer for status, answer in responses.items()},
    }


def query_parameters(required: tuple[str, ...] = (), **descriptions: str) -> list[dict[str, Any]]:
    """Query parameters that a route reads by itself."""
    return [
        {
            "name": name,
            "in": "query",
            "required": name in required,
            "description": description,
            "schema": {"type": "string", "minLength": 1},
        }
        for name, description in descriptions.items()
    ]


def _monitor_components() -> dict[str, Any]:
    schema = MonitorConfig.model_json_schema(by_alias=True, ref_template="#/components/schemas/{model}")
    parts: dict[str, Any] = schema.pop("$defs", {})
    return {**parts, "MonitorConfig": schema}


def _ref(kind: type) -> dict[str, str]:
    return {"$ref": REF.format(name=kind.__name__)}


def _binary(description: str) -> dict[str, Any]:
    return {"schema": {"type": "string", "format": "binary", "description": description}}


PREDICTION_EXAMPLE = {
    "model_name": "fraud_detection_v2",
    "model_version": "2.1.0",
    "environment": "production",
    "prediction_id": "pred-12345",
    "timestamp": "2026-01-01T00:00:00Z",
    "features": [
        {"name": "transaction_amount", "value": 127.5, "data_type": "continuous"},
        {"name": "merchant_category", "value": "grocery", "data_type": "categorical"},
    ],
    "prediction": "legitimate",
    "prediction_probability": 0.92,
    "latency_ms": 45.2,
}
LABEL_EXAMPLE = {
    "model_name": "fraud_detection_v2",
    "prediction_id": "pred-12345",
    "ground_truth": "fraud",
    "timestamp": "2026-01-02T09:30:00Z",
}
REFERENCE_EXAMPLE = {
    "model_name": "fraud_detection_v2",
    "feature_name": "transaction_amount",
    "data_type": "continuous",
    "values": [101.2, 87.5, 122.9, 95.0],
}

JSON_PREDICTION = {
    "required": True,
    "content": {"application/json": {"schema": _ref(PredictionBody), "example": PREDICTION_EXAMPLE}},
}
BATCH_CONTENT = {
    "required": True,
    "content": {
        "application/json": {
            "schema": {"anyOf": [{"type": "array", "items": _ref(PredictionBody)}, _ref(PredictionBatchBody)]},
            "example": {"predictions": [PREDICTION_EXAMPLE]},
        },
        NDJSON: _binary("One prediction in JSON on each line."),
        ARROW: _binary("An Arrow IPC stream with a column for each feature."),
        PARQUET: _binary("A Parquet file with a column for each feature."),
        CSV: _binary("A CSV file with a column for each feature."),
    },
}
JSON_LABEL = {
    "required": True,
    "content": {"application/json": {"schema": _ref(GroundTruthBody), "example": LABEL_EXAMPLE}},
}
LABELS_CONTENT = {
    "required": True,
    "content": {
        "application/json": {
            "schema": {"anyOf": [{"type": "array", "items": _ref(GroundTruthBody)}, _ref(GroundTruthBatchBody)]},
            "example": {"ground_truths": [LABEL_EXAMPLE]},
        },
        NDJSON: _binary("One label in JSON on each line."),
        ARROW: _binary("An Arrow IPC stream with the columns prediction_id, ground_truth, timestamp, model_name."),
        PARQUET: _binary("A Parquet file with the columns prediction_id, ground_truth, timestamp, model_name."),
        CSV: _binary("A CSV file with the columns prediction_id, ground_truth, timestamp, model_name."),
    },
}
PROFILE_EXAMPLE = {
    "profile_id": "7b0a3c2e-2026-01-05",
    "model_name": "fraud_detection_v2",
    "model_version": "2.1.0",
    "subjects": [{"kind": "feature", "name": "is_new", "binning_id": "0f4be1d8a2c64c1f9d07a1b2c3d4e5f6"}],
    "parts": [
        {
            "window_start": "2026-01-05T12:00:00Z",
            "latest": "2026-01-05T12:04:59Z",
            "predictions": 1200,
            "counts": [[900, 290, 0, 0, 10, 0]],
        }
    ],
}
PROFILE_CONTENT = {
    "required": True,
    "content": {"application/json": {"schema": _ref(ProfileBody), "example": PROFILE_EXAMPLE}},
}
REFERENCE_CONTENT = {
    "required": True,
    "content": {
        "application/json": {"schema": _ref(ReferenceBody), "example": REFERENCE_EXAMPLE},
        ARROW: _binary("An Arrow IPC stream with a column for each feature."),
        PARQUET: _binary("A Parquet file with a column for each feature."),
        CSV: _binary("A CSV file with a column for each feature."),
    },
}
DRIFT_CHECK_CONTENT = {
    "required": True,
    "content": {
        "application/json": {
            "schema": _ref(DriftCheckBody),
            "example": {"model_name": "fraud_detection_v2", "min_samples": 100},
        }
    },
}
MONITOR_EXAMPLE = {"drift": {"psi_alert": 0.3, "leave_out": ["request_id"]}, "schedule": {"every": "15m"}}
_MONITOR_TYPE = {"schema": {"$ref": REF.format(name="MonitorConfig")}, "example": MONITOR_EXAMPLE}
MONITOR_CONTENT = {"required": True, "content": {"application/json": _MONITOR_TYPE, "application/yaml": _MONITOR_TYPE}}
BACKTEST_CONTENT = {
    "required": True,
    "content": {
        "application/json": {
            "schema": {
                "type": "object",
                "additionalProperties": False,
                "properties": {
                    "monitor": {"$ref": REF.format(name="MonitorConfig")},
                    "model_version": {"type": "string"},
                    "environment": {"type": "string"},
                    "start": {"type": "string", "format": "date-time"},
                    "end": {"type": "string", "format": "date-time"},
                },
            },
            "example": {"monitor": MONITOR_EXAMPLE, "environment": "production"},
        }
    },
}
ACTION_CONTENT = {
    "required": False,
    "content": {
        "application/json": {"schema": _ref(ActionBody), "example": {"actor": "ann", "note": "Looking at the feed."}}
    },
}
ACTOR_CONTENT = {
    "required": False,
    "content": {"application/json": {"schema": _ref(ActorBody), "example": {"actor": "ann"}}},
}
FROM_WINDOW_CONTENT = {
    "required": True,
    "content": {
        "application/json": {
            "schema": _ref(FromWindowBody),
            "example": {"lookback": "7d", "features": ["transaction_amount"], "actor": "ann", "note": "New prices."},
        }
    },
}
SILENCE_CONTENT = {
    "required": True,
    "content": {
        "application/json": {
            "schema": _ref(SilenceBody),
            "example": {
                "matchers": [
                    {"name": "model", "value": "fraud_detection_v2"},
                    {"name": "environment", "value": "staging"},
                ],
                "duration": "8h",
                "comment": "Load test until tonight.",
                "actor": "ann",
            },
        }
    },
}
KEY_CONTENT = {
    "required": True,
    "content": {
        "application/json": {
            "schema": _ref(KeyBody),
            "example": {"name": "trainer", "scopes": ["ingest"], "models": ["fraud_detection_v2"], "duration": "90d"},
        }
    },
}
METRICS_CONTENT: Responses = {
    200: {
        "description": "Metrics in the Prometheus text format, or OpenMetrics when the client accepts it",
        "content": {
            "text/plain": {"schema": {"type": "string"}},
            "application/openmetrics-text": {"schema": {"type": "string"}},
        },
    }
}


# What each operation may answer as soon as keys are required, or rates limited.
REFUSALS = (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN, HTTPStatus.TOO_MANY_REQUESTS)


def _say_what_is_needed(schema: dict[str, Any]) -> None:
    """Adds the scope that a key must have, and the answers to a request without it."""
    schema["components"]["securitySchemes"] = {
        "key": {"type": "http", "scheme": "bearer", "description": "An API key, where the service requires one."}
    }
    for path in schema["paths"].values():
        for operation in path.values():
            if operation["operationId"] in OPEN_OPERATIONS:
                continue
            need = need_of(operation["operationId"])
            operation["security"] = [{"key": []}]
            operation["x-scope"] = need.scope
            operation["x-all-models"] = need.all_models
            for status in REFUSALS:
                content = {"application/problem+json": {"schema": _ref(Problem)}}
                operation["responses"].setdefault(str(int(status)), {"description": status.phrase, "content": content})


BODY_TYPES = (
    PredictionBody,
    PredictionBatchBody,
    ProfileBody,
    GroundTruthBody,
    GroundTruthBatchBody,
    ReferenceBody,
    DriftCheckBody,
    ActionBody,
    ActorBody,
    FromWindowBody,
    KeyBody,
    SilenceBody,
)


def install(app: FastAPI, posts: Mapping[str, dict[str, Any]]) -> None:
    """Makes `app.openapi()` give the document with the wire's own schemas.

    posts: operations by path that are answered by POST in front of the framework.
    """

    def document() -> dict[str, Any]:
        if app.openapi_schema is None:
            schema = get_openapi(
                title=app.title,
                version=app.version,
                summary=app.summary,
                description=app.description,
                routes=app.routes,
                # Relative to the document itself: right also behind a proxy that adds a path.
                servers=[{"url": "./"}],
            )
            posted = {path: {"post": copy.deepcopy(post)} for path, post in posts.items()}
            schema["paths"] = posted | schema["paths"]
            types = [*_answer_types, *BODY_TYPES]
            types.sort(key=lambda kind: kind.__name__)
            _, components = msgspec.json.schema_components(types, ref_template=REF)
            components |= _monitor_components()
            schema.setdefault("components", {})["schemas"] = dict(sorted(components.items()))
            _say_what_is_needed(schema)
            app.openapi_schema = schema
        return app.openapi_schema

    app.openapi = document  # type: ignore[method-assign]
