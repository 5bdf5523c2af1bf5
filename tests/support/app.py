"""The service's application in this process, without its background threads, over a store that tests write into."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import httpx

from modelwatch.alerting.policy import AlertPolicy
from modelwatch.config import load_settings
from modelwatch.server.build import build_service
from modelwatch.server.process_reports import ProcessReporter
from modelwatch.storage.engine.store import Store
from tests.support.alerts.assessments import Desk
from tests.support.events import put_store


class App:
    """An application and its store; `desk` writes alerts into the same store, on a clock of its own.

    settings: of the service. Alerts of the desk go to the channels in `channels`.
    """

    def __init__(self, folder: Path, channels: tuple[str, ...] = ("hook",), **settings: str) -> None:
        loaded = load_settings({"DATA_DIR": str(folder), **settings}, dotenv=None)
        if "DATABASE_URL" not in settings and not (folder / "modelwatch.db").exists():
            put_store(folder)
        self.asgi = build_service(loaded)
        self.store = Store(loaded.database_url)
        self.desk = Desk(self.store, AlertPolicy(channels=channels))

    def close(self) -> None:
        self.store.close()

    def tell(self, name: str = "watch:1", now: int | None = None, stopped: bool = False) -> None:
        """The process tells the store what it has counted, as its background thread does every few seconds."""
        service = self.asgi.app.state.service
        at = service.clock if now is None else lambda: now
        ProcessReporter(self.store, name, service.process, service.metrics.counters.counted, at).once(stopped=stopped)

    def request(self, method: str, path: str, **given: Any) -> httpx.Response:
        """One request, answered. given: as httpx takes it."""

        async def ask() -> httpx.Response:
            transport = httpx.ASGITransport(app=self.asgi, raise_app_exceptions=False)
            async with httpx.AsyncClient(transport=transport, base_url="http://watch:8000") as client:
                return await client.request(method, path, **given)

        return asyncio.run(ask())

    def get(self, path: str, **query: Any) -> Any:
        """The JSON of an answer that is 200."""
        answer = self.request("GET", f"/api/v1/{path}", params=query)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def post(self, path: str, body: object = None, status: int = 200) -> Any:
        """The JSON of an answer that has this status."""
        given = {} if body is None else {"json": body}
        answer = self.request("POST", f"/api/v1/{path}", **given)
        assert answer.status_code == status, answer.text
        return answer.json()

    def problem(self, method: str, path: str, status: int, **given: Any) -> Any:
        """The problem that a request is answered with."""
        answer = self.request(method, f"/api/v1/{path}", **given)
        assert answer.status_code == status, answer.text
        assert answer.headers["content-type"] == "application/problem+json"
        return answer.json()


def pointers(problem: Any) -> list[str]:
    """JSON pointers of a problem's errors."""
    return [error["pointer"] for error in problem["errors"]]
