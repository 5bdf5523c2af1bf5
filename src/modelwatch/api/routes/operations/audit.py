"""GET /audit."""

from __future__ import annotations

import asyncio

import msgspec
from fastapi import APIRouter, Request, Response

from modelwatch.alerting.queries import list_audit
from modelwatch.alerting.views.operations import AuditLine
from modelwatch.api.openapi import answers
from modelwatch.api.routes.common import Cursor, Limit, Text, cursor_of, json_answer, position_of, state_of

router = APIRouter(tags=["audit"])


class AuditList(msgspec.Struct):
    """Entries of the audit trail, newest first. next_cursor: start of the next page."""

    entries: list[AuditLine]
    next_cursor: str | None


@router.get("/audit", summary="Audit trail", operation_id="list_audit", responses=answers({200: AuditList}, 422, 503))
async def get_audit(
    request: Request,
    actor: Text = None,
    action: Text = None,
    target: Text = None,
    limit: Limit = 50,
    cursor: Cursor = None,
) -> Response:
    """Actions of people on alerts, silences, deliveries and monitors. Entries are never changed."""
    store = state_of(request).store
    before = None if cursor is None else position_of(cursor)

    def work() -> AuditList:
        with store.read() as connection:
            page = list_audit(connection, actor=actor, action=action, target=target, before=before, limit=limit)
        return AuditList(list(page.lines), None if page.following is None else cursor_of(page.following))

    return json_answer(await asyncio.to_thread(work))
