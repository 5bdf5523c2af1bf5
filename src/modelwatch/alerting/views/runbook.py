"""Steps to take for each alert: the runbooks' steps as data."""

from __future__ import annotations

from functools import cache
from importlib.resources import files

import msgspec

from modelwatch.findings import FindingSeverity, Kind

_SECTIONS: dict[tuple[Kind, FindingSeverity], str] = {
    ("performance", "alert"): "ModelPerformanceDegraded",
    ("performance", "warning"): "ModelPerformanceSlipping",
    ("volume", "alert"): "ModelVolumeUnusual",
    ("volume", "warning"): "ModelVolumeUnusual",
    ("freshness", "alert"): "ModelSilent",
    ("freshness", "warning"): "ModelSilent",
}
# Sections that refer to another one for their steps.
_AS = {"modelperformanceslipping": "modelperformancedegraded"}
_MISSING = (": missing", ": disappeared")


class Runbook(msgspec.Struct, frozen=True):
    """The section of the runbooks that an alert belongs to: its name, its path on this service, and its steps."""

    name: str
    page: str
    steps: tuple[str, ...]


def runbook_for(kind: Kind, severity: FindingSeverity, subject: str, model: str = "NAME") -> Runbook:
    """The runbook for an alert of this kind and severity. subject: of its worst member. model: in place of NAME.

    >>> found = runbook_for("freshness", "alert", "predictions")
    >>> found.name, found.page, len(found.steps)
    ('ModelSilent', '/ui/runbooks#modelsilent', 4)
    """
    if kind == "data_quality":
        name = "ModelDataMissing" if subject.endswith(_MISSING) else "ModelDataUnsound"
    else:
        drift = "ModelDriftSignificant" if severity == "alert" else "ModelDriftModerate"
        name = _SECTIONS.get((kind, severity), drift)
    anchor = name.lower()
    steps = _steps()[_AS.get(anchor, anchor)]
    return Runbook(name, f"/ui/runbooks#{anchor}", tuple(step.replace("NAME", model) for step in steps))


@cache
def _steps() -> dict[str, list[str]]:
    raw = files("modelwatch.alerting.views").joinpath("runbook_steps.json").read_bytes()
    return msgspec.json.decode(raw, type=dict[str, list[str]])
