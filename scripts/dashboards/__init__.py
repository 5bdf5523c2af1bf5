"""The dashboards of Grafana as code: `make dashboards` writes dashboards/*.json.

The file format is that of classic dashboards (schemaVersion 42). Gauges of state are asked for with `max by`, which
makes one series of those of all replicas, and counters with `sum by`. The panels ask for raw series, not for recorded
ones, so they also work where the rules are not loaded.
"""

from __future__ import annotations

from scripts.dashboards.models import models_dashboard
from scripts.dashboards.parts import as_json
from scripts.dashboards.service import service_dashboard

__all__ = ["dashboards"]


def dashboards() -> dict[str, str]:
    """The text of every file, by its name."""
    return {
        "model-monitoring.json": as_json(models_dashboard()),
        "modelwatch-service.json": as_json(service_dashboard()),
    }
