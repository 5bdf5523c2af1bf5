"""PSI of each subject in the newest verdict on drift."""

from __future__ import annotations

import msgspec
from sqlalchemy import Connection

from modelwatch.storage.engine.models import StreamKey
from modelwatch.storage.verdicts.verdicts import DRIFT, newest_verdict


class _Psi(msgspec.Struct):
    score: float


class _Subject(msgspec.Struct):
    feature_name: str
    kind: str
    psi: _Psi | None = None


class _Report(msgspec.Struct):
    drift_results: list[_Subject] = []


_decode = msgspec.json.Decoder(_Report).decode


def judged_psi(connection: Connection, stream: StreamKey) -> dict[tuple[str, str], float]:
    """PSI in the look-back that decides, by kind and name of the subject; without those that have none, and empty
    before the first verdict."""
    verdict = newest_verdict(connection, stream, DRIFT)
    if verdict is None:
        return {}
    found = _decode(verdict.result).drift_results
    return {(each.kind, each.feature_name): each.psi.score for each in found if each.psi is not None}
