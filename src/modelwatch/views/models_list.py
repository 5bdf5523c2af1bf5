"""List of models: one line a model and environment, the worst first."""

from __future__ import annotations

import msgspec
from sqlalchemy import Connection

from modelwatch.alerting.reading import open_alerts
from modelwatch.storage.counts.streams import newest_windows
from modelwatch.storage.engine.models import StreamKey
from modelwatch.storage.verdicts.verdicts import newest_severity
from modelwatch.views.model_state import STATES, ModelState, model_state


class ModelLine(msgspec.Struct, frozen=True):
    """A model in an environment, by its stream with the newest data. data_until: microseconds."""

    model_name: str
    environment: str
    model_version: str
    state: ModelState
    alerts: int
    data_until: int


def models_list(connection: Connection) -> list[ModelLine]:
    """Every model in each environment that it has sent predictions from."""
    alerts = open_alerts(connection)
    newest = newest_windows(connection)
    of_model: dict[tuple[str, str], StreamKey] = {}
    for stream, window in newest.items():
        key = (stream.model, stream.environment)
        if key not in of_model or newest[of_model[key]].latest_ts < window.latest_ts:
            of_model[key] = stream
    found = []
    for (model, environment), stream in of_model.items():
        severities = [each.severity for each in alerts if each.model_name == model and each.environment == environment]
        state = model_state(severities, newest_severity(connection, stream), has_data=True)
        found.append(ModelLine(model, environment, stream.version, state, len(severities), newest[stream].latest_ts))
    return sorted(found, key=lambda line: (STATES.index(line.state), line.model_name, line.environment))
