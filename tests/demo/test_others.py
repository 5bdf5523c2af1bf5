"""The small models beside the demo's story: each is in a state of its own."""

from __future__ import annotations

import io
import json
from collections.abc import Mapping
from typing import Any

import numpy as np
import pyarrow.parquet as pq

from modelwatch.demo.others import OTHERS, send_others
from modelwatch.demo.story import Plan, iso

PLAN = Plan.ending(1_795_900_500, "2.1.0")


class Taken:
    """A service that takes down what it is sent."""

    def __init__(self) -> None:
        self.monitors: dict[str, Any] = {}
        self.references: dict[str, Any] = {}
        self.predictions: dict[str, list[dict[str, Any]]] = {}

    def put_json(self, path: str, body: Any) -> None:
        self.monitors[path.split("/")[4]] = body

    def post(self, path: str, content: bytes, content_type: str, params: Mapping[str, str] | None = None) -> None:
        if params is not None:
            self.references[params["model_name"]] = pq.read_table(io.BytesIO(content)).to_pydict()
        else:
            rows = json.loads(content)
            self.predictions[rows[0]["model_name"]] = rows


def sent() -> Taken:
    taken = Taken()
    assert send_others(taken, PLAN, np.random.default_rng(1)) == len(OTHERS)  # type: ignore[arg-type]
    return taken


def test_each_has_an_owner_a_day_of_predictions_and_all_but_one_a_reference() -> None:
    taken = sent()
    assert {name: monitor["owner"] for name, monitor in taken.monitors.items()} == {
        each.name: each.owner for each in OTHERS
    }
    assert {name: len(rows) for name, rows in taken.predictions.items()} == {each.name: each.rows for each in OTHERS}
    assert set(taken.predictions) - set(taken.references) == {"ltv_forecast"}
    assert [name for name, columns in taken.references.items() if "ground_truth" in columns] == ["loan_default"]


def test_one_has_drifted_in_the_last_third_and_one_is_silent() -> None:
    taken = sent()
    income = [row["features"]["income_monthly"] for row in taken.predictions["credit_risk"]]
    third = len(income) // 3
    assert np.mean(income[-third:]) - np.mean(income[:third]) > 500
    newest = {name: max(row["timestamp"] for row in rows) for name, rows in taken.predictions.items()}
    assert newest["search_ranking"] < iso(PLAN.end - 9 * 3_600)
    assert all(newest[name] > iso(PLAN.end - 600) for name in newest if name != "search_ranking")
