"""Amounts many of which are 0, as of insurance claims, rain or clicks: their page and their report draw them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

import modelwatch as mw
from tests.support.app import App

ROWS = 600


def side(zeros: float, seed: int) -> dict[str, Any]:
    rng = np.random.default_rng(seed)
    amounts = np.where(rng.random(ROWS) < zeros, 0.0, rng.exponential(100, ROWS))
    return {"claims": amounts.round(2).tolist()}


def test_the_page_and_the_report_show_the_share_of_zeros(tmp_path: Path) -> None:
    app = App(tmp_path)
    before, now = side(0.6, 1), side(0.3, 2)
    app.post("reference", {"model_name": "m", "features": before}, 201)
    profile = mw.profile(now, like=app.get("reference/binnings", model_name="m"))
    for body in profile.requests():
        app.post("profiles", {"model_name": "m", **body}, 202)
    page = app.request("GET", "/ui/models/m/features/claims")
    assert page.status_code == 200
    assert "= 0: reference" in page.text
    assert "= 0: reference" in mw.compare(before, now).to_html()
    app.close()
