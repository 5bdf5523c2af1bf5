"""What must hold after any run, by the store, by what clients were told, and by the answers of every replica."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import httpx
from sqlalchemy import func, select

from modelwatch.monitoring.scheduler.failures import RETRY_SECONDS
from modelwatch.storage.engine import tables
from modelwatch.storage.engine.store import Store
from modelwatch.storage.maintenance.backfill_profiles import backfill_profiles
from modelwatch.storage.verdicts.evaluations import evaluation_failures, evaluation_progress
from tests.chaos.load import MODEL, Taken
from tests.support.events import ALWAYS, stored_and_counted
from tests.support.servers.doubles import Receiver
from tests.support.stores.labels import joined, summed_outcomes
from tests.support.stores.stored import block_rows, stored_features

# On a busy machine the evaluations and notifications of a run take their time; what must not be is that nothing moves.
# A check that failed, as where the server was killed, is tried again after a minute.
STUCK_SECONDS = RETRY_SECONDS + 30
LONGEST_SECONDS = 240
PATIENCE_SECONDS = 10
# What is of the process that answers, and of this moment.
OF_THE_PROCESS = {"/api/v1/service"}


@dataclass
class Outcome:
    """The numbers of a run, and in `differences` whatever does not agree."""

    acknowledged: int = 0
    stored: int = 0
    counted: int = 0
    in_blocks: int = 0
    labels_acknowledged: int = 0
    labels_stored: int = 0
    verdicts: int = 0
    notifications: int = 0
    received: int = 0
    repeats: int = 0
    duplicates: int = 0
    answers: int = 0
    faults: dict[str, int] = field(default_factory=dict)
    differences: list[str] = field(default_factory=list)

    def lines(self) -> list[str]:
        """The report."""
        shown = {name.replace("_", " "): value for name, value in vars(self).items() if name != "differences"}
        numbers = [f"{name:>20} {value}" for name, value in shown.items()]
        return [*numbers, *(f"DIFFERENCE: {each}" for each in self.differences or ["none"])]


def settle(services: Sequence[str], store: Store, problems: list[str]) -> dict[str, bytes]:
    """Waits until nothing is left to do and nothing changes, and returns every answer of the first service by its path.

    That nothing changes for some seconds is not enough: background work rests between two rounds.
    """
    began = moved = time.monotonic()
    since = time.time_ns() // 1_000
    before: dict[str, bytes] = {}
    waiting = _waiting(store, since)
    while True:
        found = answers(services[0])
        changed = sorted(path for path in {*found, *before} if found.get(path) != before.get(path))
        waited, waiting = waiting, _waiting(store, since)
        if not changed and not waiting:
            return found
        now = time.monotonic()
        if changed or waiting != waited:
            moved = now
        if now - moved > STUCK_SECONDS or now - began > LONGEST_SECONDS:
            problems.append(f"not quiet after {now - began:.0f} s: waiting: {waiting}; changing: {changed}")
            return found
        before = found
        time.sleep(3.0)


def _side_by_side(one: str, other: str) -> tuple[dict[str, bytes], dict[str, bytes]]:
    """The answers of two services in a time in which those of the first stayed as they are: each five minutes there is
    something new to evaluate."""
    deadline = time.monotonic() + LONGEST_SECONDS
    while True:
        before, others, after = answers(one), answers(other), answers(one)
        if before == after or time.monotonic() > deadline:
            return after, others


def examine(services: Sequence[str], store: Store, clients: Sequence[Taken], hook: Receiver) -> Outcome:
    """Compares everything with everything."""
    outcome = Outcome()
    problems = outcome.differences
    found = settle(services, store, problems)
    outcome.answers = len(found)
    predictions = {each.prediction_id: each for client in clients for each in client.predictions}
    labels = [each for client in clients for each in client.labels]
    outcome.acknowledged = len(predictions)
    outcome.labels_acknowledged = len({each.prediction_id for each in labels})
    outcome.repeats = sum(client.repeats for client in clients)
    outcome.duplicates = sum(client.duplicates for client in clients)
    for url in services[1:]:
        found, other = _side_by_side(services[0], url)
        problems += [
            f"{url} answers {path} otherwise: {other.get(path, b'')[:300]!r}, not {found[path][:300]!r}"
            for path in sorted(found)
            if other.get(path) != found[path]
        ]
        problems += [f"{url} has {path} more" for path in sorted(set(other) - set(found))]
    backfill_profiles(store, MODEL, *ALWAYS)
    with store.read() as connection:
        stored = list(connection.execute(select(tables.prediction.c.prediction_id)).scalars())
        known = set(connection.execute(select(tables.label.c.prediction_id)).scalars())
        verdict = tables.verdict.c
        ends, generations = func.count(verdict.window_end.distinct()), func.count(verdict.generation.distinct())
        by_check = select(func.count(verdict.id), ends, generations).group_by(
            verdict.model, verdict.environment, verdict.version, verdict.check_name
        )
        evaluated = connection.execute(by_check).all()
        outbox = dict(connection.execute(select(tables.outbox.c.key, tables.outbox.c.state)).all())
    outcome.stored, outcome.counted = stored_and_counted(store, MODEL)
    outcome.in_blocks = sum(map(len, block_rows(store).values()))
    kept = {key.split()[0]: features for key, features in stored_features(store, MODEL).items()}
    sent = {identity: each.features for identity, each in predictions.items()}
    if other := [identity for identity in sorted(kept.keys() & sent.keys()) if kept[identity] != sent[identity]]:
        problems.append(f"{len(other)} predictions have other features than were sent: {other[:3]}")
    outcome.labels_stored = len(known)
    outcome.verdicts = sum(verdicts for verdicts, _, _ in evaluated)
    outcome.notifications, outcome.received = len(outbox), len(set(hook.keys))
    _compare(problems, "acknowledged and stored ids", set(predictions), set(stored))
    if len(stored) != len(set(stored)):
        problems.append(f"{len(stored) - len(set(stored))} ids are stored more than once")
    if outcome.counted != outcome.stored:
        problems.append(f"{outcome.stored} predictions are stored, {outcome.counted} counted")
    _compare(problems, "acknowledged and stored labels", {each.prediction_id for each in labels}, known)
    if summed_outcomes(store, MODEL) != joined(store, predictions.values(), labels, MODEL):
        problems.append("the counted outcomes are not those of the labelled predictions")
    # The newest window is looked at again when the model's counts have got another layout, which may be after the first
    # of its labels; no other one is.
    if again := sum(max(0, verdicts - windows - (known_as - 1)) for verdicts, windows, known_as in evaluated):
        problems.append(f"{again} windows have more than one verdict")
    if not evaluated:
        problems.append("there is no verdict")
    undelivered = sorted(key for key, state in outbox.items() if state != "delivered")
    if undelivered:
        problems.append(f"not delivered: {undelivered}")
    _compare(problems, "notifications and what was received", set(outbox), set(hook.keys))
    if not outbox:
        problems.append("there is no notification")
    return outcome


def answers(url: str) -> dict[str, bytes]:
    """Every GET of the API that has an answer for this run, by its path."""
    with httpx.Client(base_url=url, timeout=30) as http:
        paths = {
            path: {each["name"] for each in methods["get"].get("parameters", ()) if each["in"] == "query"}
            for path, methods in http.get("/openapi.json").json()["paths"].items()
            if "get" in methods
        }
        ids = {
            "model_name": [MODEL],
            "alert_id": _ids(http.get("/api/v1/alerts").json()),
            "verdict_id": _ids(http.get(f"/api/v1/models/{MODEL}/drift").json())[:5],
        }
        found = {}
        for path in sorted(path for path in paths.keys() - OF_THE_PROCESS if path.startswith("/api/v1")):
            for concrete in _filled(path, ids):
                answer = _asked(http, concrete, {"model_name": MODEL} if "model_name" in paths[path] else {})
                if answer.status_code not in {404, 422}:
                    found[concrete] = str(answer.status_code).encode() + b" " + _lasting(path, answer.content)
        return found


def _asked(http: httpx.Client, path: str, query: dict[str, str]) -> httpx.Response:
    """The answer, once it is one: a worker may have lost a connection to a server that was killed."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while True:
        answer = http.get(path, params=query)
        if answer.status_code != 503 or time.monotonic() > deadline:
            return answer
        time.sleep(0.2)


def _lasting(path: str, content: bytes) -> bytes:
    """The answer without what is said as of now: for how long a model has been silent."""
    if not path.endswith("/quality"):
        return content
    said = json.loads(content)
    said.pop("freshness")
    return json.dumps(said).encode()


def _filled(path: str, ids: dict[str, list[str]]) -> list[str]:
    for name, values in ids.items():
        if f"{{{name}}}" in path:
            return [path.replace(f"{{{name}}}", value) for value in values]
    return [] if "{" in path else [path]


def _ids(answer: Any) -> list[str]:
    """Every value of a key `id` anywhere in the answer."""
    if isinstance(answer, dict):
        own = [answer["id"]] if isinstance(answer.get("id"), str) else []
        return own + [found for value in answer.values() for found in _ids(value)]
    return [found for value in answer for found in _ids(value)] if isinstance(answer, list) else []


def _waiting(store: Store, since: int) -> list[str]:
    """What is still to be done of all that came before a time in microseconds."""
    table = tables.outbox
    with store.read() as connection:
        pending = connection.execute(
            select(func.count()).select_from(table).where(table.c.state == "pending")
        ).scalar_one()
        progress = evaluation_progress(connection)
        failures = evaluation_failures(connection)
    waiting = [f"{pending} notifications"] if pending else []
    if progress is None or progress.looked_at < since:
        waiting.append("a look at what is to be evaluated")
    elif progress.waiting:
        waiting.append(f"evaluations of {progress.waiting} streams")
    return waiting + [f"another try of {each.check}: {each.error}" for each in failures]


def _compare(problems: list[str], what: str, first: set[str], second: set[str]) -> None:
    if first != second:
        missing, more = sorted(first - second), sorted(second - first)
        problems.append(
            f"{what}: {len(missing)} only in the first ({missing[:3]}), {len(more)} only in the second ({more[:3]})"
        )
