"""POST and GET /reference."""

from __future__ import annotations

import asyncio

import msgspec
from fastapi import APIRouter, Request, Response

from modelwatch.api.auth.scopes import grant_of, require_reading
from modelwatch.api.ingest.intake import read_body
from modelwatch.api.openapi import REFERENCE_CONTENT, answers, query_parameters
from modelwatch.api.routes.common import json_answer, state_of
from modelwatch.errors import FieldError, InvalidInput
from modelwatch.monitoring.checks.drift.evidence import effective_rules
from modelwatch.monitoring.checks.performance.labels.interpretation import (
    meaning_warnings,
    positive_class_reason,
    task_reason,
)
from modelwatch.monitoring.references.outcome_layouts import task_of_monitor
from modelwatch.monitoring.references.references import ReferenceWarning, set_reference_frame, warnings_about
from modelwatch.stats.outcomes.tasks import StatedTask
from modelwatch.storage.engine.models import require_model
from modelwatch.storage.references.outcome_references import StoredOutcomes, outcomes_in_force
from modelwatch.storage.references.references import all_references
from modelwatch.storage.references.subjects import StoredReference
from modelwatch.times import iso_of_seconds

router = APIRouter(tags=["reference"])


class ReferenceReport(msgspec.Struct):
    """One reference: its cells and counts, and whether it is in force."""

    id: str
    feature_name: str
    kind: str
    feature_type: str
    model_version: str | None
    state: str
    source: str
    created_at: str
    binning_id: str
    reference_size: int
    missing: int
    invalid: int
    cells: list[str]
    counts: list[int]


class LabelledReport(msgspec.Struct):
    """The outcome layout, and the labelled rows that performance is compared with.

    labels: 0 for a layout that the first labels have settled; then nothing is compared. score_of: the class that a
    prediction_probability of one number is about. task_reason, positive_class_reason: reasons for these, and settings
    to change if they are wrong. warnings: where they may well be.
    """

    id: str
    model_version: str | None
    state: str
    source: str
    created_at: str
    labels: int
    task: str | None
    classes: list[str]
    positive_class: str | None
    score_of: str | None
    task_reason: str | None
    positive_class_reason: str | None
    warnings: list[str]


class ReferenceAnswer(msgspec.Struct):
    """The references that this request put in force. labelled: of a frame with `ground_truth`.

    warnings: reasons why they are weak.
    """

    status: str
    model_name: str
    model_version: str | None
    references: list[ReferenceReport]
    labelled: LabelledReport | None
    warnings: list[ReferenceWarning]


class ReferenceList(msgspec.Struct):
    """All references of a model: by subject, newest first. labelled: those in force, one for each version."""

    model_name: str
    references: list[ReferenceReport]
    labelled: list[LabelledReport]


@router.post(
    "/reference",
    status_code=201,
    summary="Set the reference of one feature, several, or a whole frame",
    operation_id="set_reference",
    openapi_extra={
        "requestBody": REFERENCE_CONTENT,
        "parameters": query_parameters(
            model_name="The model of an Arrow or Parquet frame.",
            model_version="The version that the frame is for; without it, every version.",
            task="Task of the labels of a frame: binary, multiclass or regression. Default: inferred.",
            positive_class="For a binary task, the class that precision, recall and scores mean. Default: inferred.",
        ),
    },
    responses=answers({201: ReferenceAnswer}, 400, 413, 415, 422, 503),
)
async def set_reference(request: Request) -> Response:
    """Freezes the cells. Earlier predictions are recounted in them, so a verdict is available at once."""
    state = state_of(request)
    body = await read_body(request, state.settings.max_body_bytes, state.settings.request_timeout_seconds)
    query, grant = request.query_params, grant_of(request)

    def work() -> ReferenceAnswer:
        content_type = request.headers.get("content-type", "application/json")
        frame = state.decoder.reference(
            body,
            content_type,
            query.get("model_name"),
            query.get("model_version"),
            query.get("task"),
            query.get("positive_class"),
        )
        grant.require_writing(frame.model_name)
        set_reference_frame(state.store, frame, now=state.clock(), new_id=state.new_id)
        wanted = {(sample.kind, sample.name) for sample in frame.samples}
        with state.store.read() as connection:
            references = all_references(connection, frame.model_name)
            outcomes = outcomes_in_force(connection, frame.model_name)
            rules = effective_rules(connection, state.rules, frame.model_name)
            stated = task_of_monitor(connection, frame.model_name)
        taken = [
            reference
            for reference in references
            if reference.state == "active"
            and reference.version == frame.model_version
            and (reference.subject.kind, reference.subject.name) in wanted
        ]
        return ReferenceAnswer(
            "active",
            frame.model_name,
            frame.model_version,
            [_report(reference) for reference in taken],
            None
            if frame.truths is None
            else next((_labelled(each, stated) for each in outcomes if each.version == frame.model_version), None),
            warnings_about(taken, rules),
        )

    return json_answer(await asyncio.to_thread(work), 201)


@router.get(
    "/reference",
    summary="The references of a model",
    operation_id="get_reference",
    openapi_extra={"parameters": query_parameters(required=("model_name",), model_name="The model.")},
    responses=answers({200: ReferenceList}, 404, 422, 503),
)
async def get_reference(request: Request) -> Response:
    """Active, provisional and retired references with their cells and counts."""
    state = state_of(request)
    model = request.query_params.get("model_name")
    if not model or "\0" in model:
        wrong = "Expected text without NUL characters" if model else "Required in the query"
        raise InvalidInput("The model is missing.", (FieldError("/model_name", wrong),))

    require_reading(grant_of(request), model)

    def work() -> ReferenceList:
        with state.store.read() as connection:
            require_model(connection, model)
            return ReferenceList(
                model,
                [_report(reference) for reference in all_references(connection, model)],
                [_labelled(each, task_of_monitor(connection, model)) for each in outcomes_in_force(connection, model)],
            )

    return json_answer(await asyncio.to_thread(work))


def _report(reference: StoredReference) -> ReferenceReport:
    profile = reference.profile
    return ReferenceReport(
        id=reference.id,
        feature_name=reference.subject.name or reference.subject.kind,
        kind=reference.subject.kind,
        feature_type=profile.binning.kind,
        model_version=reference.version,
        state=reference.state,
        source=reference.source,
        created_at=iso_of_seconds(reference.created_at // 1_000_000),
        binning_id=profile.binning.id,
        reference_size=profile.n,
        missing=profile.missing,
        invalid=profile.invalid,
        cells=list(profile.binning.coarse_labels()),
        counts=[int(count) for count in profile.coarse],
    )


def _labelled(found: StoredOutcomes, stated: StatedTask) -> LabelledReport:
    layout = found.layout
    return LabelledReport(
        id=found.id,
        model_version=found.version,
        state=found.state,
        source=found.source,
        created_at=iso_of_seconds(found.created_at // 1_000_000),
        labels=found.counts.n,
        task=layout.task,
        classes=list(layout.classes),
        positive_class=layout.positive,
        score_of=layout.score_of if layout.task == "binary" else None,
        task_reason=task_reason(layout, stated),
        positive_class_reason=positive_class_reason(layout, stated),
        warnings=meaning_warnings(layout, stated),
    )
