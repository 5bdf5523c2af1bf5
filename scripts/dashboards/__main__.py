"""Writes the dashboards: `make dashboards`."""

from __future__ import annotations

from pathlib import Path

from scripts.dashboards import dashboards

TARGET = Path(__file__).resolve().parents[2] / "dashboards"

for name, text in dashboards().items():
    (TARGET / name).write_text(text)
