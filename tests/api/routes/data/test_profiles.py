"""Profiles instead of predictions: the same verdicts as their rows, each counted once, and refusals that say why."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import modelwatch as mw
from modelwatch.api.auth.scopes import need_of
from modelwatch.events import DEFAULT_VERSION
from tests.support.app import App, pointers
from tests.support.stores.privacy import KEY

pytestmark = pytest.mark.both_engines

PARQUET = {"Content-Type": "application/vnd.apache.parquet"}
HOURS, AN_HOUR = 26, 80


@pytest.fixture
def app(tmp_path: Path, store_url: str) -> Iterator[App]:
    app = App(tmp_path, DATABASE_URL=store_url)
    batcher = app.asgi.app.state.service.batcher
    batcher.start()
    yield app
    batcher.close()
    app.close()


def reference_frame() -> pd.DataFrame:
    rng = np.random.default_rng(1)
    rows = 2_000
    return pd.DataFrame(
        {
            "amount": rng.normal(0, 1, rows),
            "country": rng.choice(["DE", "FR", "IT"], rows),
            "prediction": rng.choice(["no", "yes"], rows),
            "prediction_probability": rng.random(rows),
        }
    )


def recent_frame() -> pd.DataFrame:
    """A day and two hours up to now, moved, with missing and unseen values, and gaps in its volume."""
    rng = np.random.default_rng(2)
    rows = HOURS * AN_HOUR
    start = datetime.now(UTC) - timedelta(hours=HOURS)
    frame = pd.DataFrame(
        {
            "amount": np.where(rng.random(rows) < 0.2, np.nan, rng.normal(0.7, 1, rows)),
            "country": rng.choice(["DE", "FR", "a secret"], rows),
            "prediction": rng.choice(["no", "yes"], rows, p=[0.7, 0.3]),
            "prediction_probability": rng.random(rows),
            "latency_ms": rng.exponential(20, rows),
            "timestamp": start + pd.to_timedelta(np.sort(rng.random(rows)) * HOURS * 3_600, unit="s"),
        }
    )
    return frame.astype({"timestamp": "datetime64[us, UTC]"})


def parquet_of(frame: pd.DataFrame) -> bytes:
    sink = io.BytesIO()
    pq.write_table(pa.Table.from_pandas(frame, preserve_index=False), sink)
    return sink.getvalue()


def put(app: App, path: str, frame: pd.DataFrame, model: str, status: int) -> None:
    answer = app.request(
        "POST", f"/api/v1/{path}", params={"model_name": model}, content=parquet_of(frame), headers=PARQUET
    )
    assert answer.status_code == status, answer.text


def send(app: App, profile: mw.Profile, model: str) -> list[Any]:
    return [app.post("profiles", {"model_name": model, **body}, 202) for body in profile.requests()]


def without_names(found: Any) -> Any:
    """The answer without what differs between two models: names, ids, times of the answer."""
    text = json.dumps(found).replace('"rows"', '"m"').replace('"counted"', '"m"')
    found = json.loads(text)

    def cleaned(part: Any) -> Any:
        if isinstance(part, dict):
            return {name: cleaned(each) for name, each in part.items() if not name.endswith("_id") and name != "as_of"}
        return [cleaned(each) for each in part] if isinstance(part, list) else part

    return cleaned(found)


def test_verdicts_are_those_of_the_rows(app: App) -> None:
    recent = recent_frame()
    for model in ("rows", "counted"):
        put(app, "reference", reference_frame(), model, 201)
    put(app, "predictions/batch", recent, "rows", 202)
    answers = send(app, mw.profile(recent, like=app.get("reference/binnings", model_name="counted")), "counted")
    assert sum(answer["predictions"] for answer in answers) == len(recent)
    found = []
    for model in ("rows", "counted"):
        drift = app.post("drift/check", {"model_name": model, "lookback": "24h"})
        quality = app.get(f"models/{model}/quality")
        assert drift["summary"]["severity"] == "alert"
        found.append(without_names([drift, quality["current"], app.get(f"models/{model}/volume")]))
    (rows_drift, [rows_quality], rows_volume), (drift, [quality], volume) = found
    assert drift == rows_drift
    assert volume == rows_volume
    # How far the extremes are off is looked up in stored values, of which there are none.
    [extremes] = [each for each in quality["not_judged"] if each not in rows_quality["not_judged"]]
    assert extremes["subjects"] == ["amount: extreme"]
    assert quality | {"not_judged": []} == rows_quality | {"not_judged": []}
    assert quality["severity"] == "alert"
    assert "a secret" not in json.dumps(app.get("reference", model_name="counted"))
    assert app.get("models/counted")["model_name"] == "counted"


def test_a_profile_counts_once_however_often_it_is_sent(app: App) -> None:
    put(app, "reference", reference_frame(), "m", 201)
    profile = mw.profile(recent_frame(), like=app.get("reference/binnings", model_name="m"))
    first, second = send(app, profile, "m"), send(app, mw.Profile.from_bytes(profile.to_bytes()), "m")
    assert {answer["status"] for answer in first} == {"accepted"}
    assert {(answer["status"], answer["predictions"]) for answer in second} == {("duplicate", 0)}
    drift = app.post("drift/check", {"model_name": "m", "lookback": "7d"})
    assert drift["drift_results"][0]["sample_size"] <= HOURS * AN_HOUR == first_total(first)
    metrics = app.request("GET", "/metrics").text
    assert f'ml_profiles_total{{model_name="m",status="accepted"}} {float(len(first))}' in metrics
    assert f'ml_profiles_total{{model_name="m",status="duplicate"}} {float(len(first))}' in metrics
    stream = f'environment="production",model_name="m",model_version="{DEFAULT_VERSION}"'
    assert f"ml_predictions_total{{{stream}}} {float(HOURS * AN_HOUR)}" in metrics
    # A reference that has been replaced makes a repetition no error.
    put(app, "reference", recent_frame(), "m", 201)
    assert {answer["status"] for answer in send(app, profile, "m")} == {"duplicate"}


def first_total(answers: list[Any]) -> int:
    return sum(answer["predictions"] for answer in answers)


def test_a_library_s_reference_has_the_cells_of_the_service(app: App) -> None:
    put(app, "reference", reference_frame(), "m", 201)
    answer = app.get("reference/binnings", model_name="m")
    fitted = mw.Reference.fit(reference_frame())
    profile = mw.profile(recent_frame(), like=fitted)
    assert answer["id"] == profile.binnings_id
    assert {answer["status"] for answer in send(app, profile, "m")} == {"accepted"}


def test_other_cells_are_refused(app: App) -> None:
    put(app, "reference", reference_frame(), "m", 201)
    binnings = app.get("reference/binnings", model_name="m")
    profile = mw.profile(recent_frame(), like=binnings)
    put(app, "reference", recent_frame()[["amount", "country"]], "m", 201)
    assert app.get("reference/binnings", model_name="m")["id"] != binnings["id"]
    body = {"model_name": "m", **next(profile.requests())}
    problem = app.problem("POST", "profiles", 409, json=body)
    assert "other cells than those of the reference in force: amount, country" in problem["detail"]
    assert "/api/v1/reference/binnings" in problem["detail"]
    # Nothing of it was kept: counted again, the same id is new.
    again = mw.profile(recent_frame(), like=app.get("reference/binnings", model_name="m"), id=body["profile_id"])
    assert send(app, again, "m")[0]["status"] == "accepted"


def test_models_without_a_reference(app: App) -> None:
    assert app.problem("GET", "reference/binnings", 404, params={"model_name": "m"})["status"] == 404
    app.post("predictions", {"model_name": "m", "features": {"x": 1}, "prediction": "a"}, 202)
    assert "has no reference" in app.problem("GET", "reference/binnings", 409, params={"model_name": "m"})["detail"]
    profile = mw.profile(recent_frame(), like=mw.Reference.fit(reference_frame()))
    body = next(profile.requests())
    assert "has no reference" in app.problem("POST", "profiles", 409, json={"model_name": "m", **body})["detail"]
    app.problem("POST", "profiles", 404, json={"model_name": "unknown", **body})


def test_wrong_fields_are_named(app: App) -> None:
    put(app, "reference", reference_frame()[["amount", "country"]], "m", 201)
    data = {"amount": [0.5, None], "country": ["DE", "FR"]}
    [good] = mw.profile(data, like=app.get("reference/binnings", model_name="m")).requests()
    good["model_name"] = "m"

    def wrong(pointer: str, **changes: Any) -> None:
        problem = app.problem("POST", "profiles", 422, json={**good, **changes})
        assert pointers(problem) == [pointer], problem

    part, subjects = good["parts"][0], good["subjects"]
    wrong("/profile_id", profile_id="")
    wrong("/model_name", model_name="a\0b")
    wrong("/subjects", subjects=[])
    wrong("/subjects", subjects=[subjects[0], subjects[0]])
    wrong("/subjects/0/kind", subjects=[{**subjects[0], "kind": "other"}, subjects[1]])
    wrong("/parts", parts=[])
    wrong("/parts", parts=[part, part])
    wrong("/parts/0/window_start", parts=[{**part, "window_start": "2026-01-05T12:01:00Z"}])
    wrong("/parts/0/latest", parts=[{**part, "latest": "2026-01-05T12:01:00Z"}])
    wrong("/parts/0/predictions", parts=[{**part, "predictions": 0}])
    wrong("/parts/0/counts", parts=[{**part, "counts": part["counts"][:1]}])
    wrong("/parts/0/counts/0", parts=[{**part, "counts": [[1], part["counts"][1]]}])
    wrong("/parts/0/counts/0", parts=[{**part, "predictions": 3}])
    negative = [-1, *part["counts"][0][1:]]
    wrong("/parts/0/counts/0/0", parts=[{**part, "counts": [negative, part["counts"][1]]}])
    outside = [*part["counts"][0][:-1], 2]
    wrong("/parts/0/counts/0", parts=[{**part, "counts": [outside, part["counts"][1]]}])
    later = datetime.now(UTC).replace(microsecond=0, second=0, minute=0) + timedelta(hours=5)
    wrong("/parts/0/latest", parts=[{**part, "window_start": later.isoformat(), "latest": later.isoformat()}])
    assert app.post("profiles", good, 202)["status"] == "accepted"


def test_a_key_needs_its_scope() -> None:
    assert need_of("log_profile").scope == "ingest"
    assert need_of("get_binnings").scope == "read"


def test_what_is_hashed_can_not_be_counted_elsewhere(tmp_path: Path) -> None:
    app = App(tmp_path, ENCRYPTION_KEY=KEY)
    monitor = {"privacy": {"features": {"country": "hash"}}}
    assert app.request("PUT", "/api/v1/models/m/monitor", json=monitor).status_code in (200, 201)
    put(app, "reference", reference_frame(), "m", 201)
    answer = app.get("reference/binnings", model_name="m")
    assert [each["name"] for each in answer["subjects"] if each["hashed"]] == ["country"]
    profile = mw.profile(recent_frame(), like=answer)
    assert "country" in profile.left_out
    assert send(app, profile, "m")[0]["status"] == "accepted"
    [hashed] = [each for each in answer["subjects"] if each["hashed"]]
    body = next(profile.requests())
    body["profile_id"] = "another"
    body["subjects"].append({name: hashed[name] for name in ("kind", "name", "binning_id")})
    for part in body["parts"]:
        part["counts"].append([part["predictions"], *[0] * 5])
    assert "hashed with a key" in app.problem("POST", "profiles", 409, json={"model_name": "m", **body})["detail"]
    app.close()


def test_a_wide_profile_is_sent_in_parts_of_bounded_size(monkeypatch: pytest.MonkeyPatch) -> None:
    profile = mw.profile(recent_frame(), like=mw.Reference.fit(reference_frame()), id="wide")
    monkeypatch.setattr("modelwatch.library.profile.MOST_COUNTS", 3 * profile_size(profile))
    found = list(profile.requests())
    assert {len(each["parts"]) for each in found[:-1]} == {3}
    assert [each["profile_id"] for each in found[:2]] == ["wide-0", "wide-1"]
    assert found == list(profile.requests())


def profile_size(profile: mw.Profile) -> int:
    return sum(each.size for each in profile.binnings.values())
