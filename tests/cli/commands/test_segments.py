"""Asking from the command line where a model got worse."""

from __future__ import annotations

import json
import re
from contextlib import nullcontext
from types import SimpleNamespace

import httpx
import pytest

from tests.cli.conftest import RunCli
from tests.support.servers.live_service import LiveService

MODEL = "divided"


def rows(number: int, wrong: str) -> list[dict[str, object]]:
    """A tenth is wrong, and every second one of one country."""
    found = []
    for index in range(number):
        country = "DE" if index % 3 else "IT"
        truth = "yes" if index % 2 else "no"
        is_wrong = index % 10 == 0 or (country == wrong and index % 4 < 2)
        said = ("no" if truth == "yes" else "yes") if is_wrong else truth
        found.append({"country": country, "prediction": said, "ground_truth": truth})
    return found


@pytest.fixture(scope="module")
def divided(service: LiveService) -> LiveService:
    """The service with a model that got worse in Italy."""
    before, now = rows(600, ""), rows(600, "IT")
    with httpx.Client(base_url=f"{service.url}/api/v1", timeout=30) as client:
        document = {"positive_class": "yes", "segments": ["country", "channel"]}
        client.put(f"/models/{MODEL}/monitor", json=document).raise_for_status()
        reference = {
            "model_name": MODEL,
            "features": {"country": [row["country"] for row in before]},
            **{name: [row[name] for row in before] for name in ("prediction", "ground_truth")},
        }
        client.post("/reference", json=reference).raise_for_status()
        predictions = [
            {
                "model_name": MODEL,
                "prediction_id": str(number),
                "timestamp": f"2026-01-01T0{number // 100}:{number % 60:02}:00Z",
                "features": {"country": row["country"]},
                "prediction": row["prediction"],
                "ground_truth": row["ground_truth"],
            }
            for number, row in enumerate(now)
        ]
        client.post("/predictions/batch", json=predictions).raise_for_status()
    return service


def test_the_segments_are_a_table_with_the_worst_below(divided: LiveService, run_cli: RunCli) -> None:
    done = run_cli("segments", MODEL, "--url", divided.url, "--metric", "accuracy")
    assert (done.returncode, done.stderr) == (0, "")
    assert "channel: It has no reference yet" in done.stdout
    assert "country, compared with the reference (600 labels)" in done.stdout
    ranking = done.stdout.partition("Segments that got worse, by their own part in the loss of accuracy:")[2].strip()
    assert re.fullmatch(r"[\d.]+ points  country=IT: [\d.]+ % -> [\d.]+ %", ranking)
    assert "(may be chance)" not in done.stdout
    assert re.search(
        r"Change of accuracy: −[\d.]+ points by the segments themselves, .+ by a shift of their shares", done.stdout
    )


def test_the_answer_of_an_earlier_release_is_shown(
    divided: LiveService, run_cli: RunCli, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It has no mix and no level of a whole feature."""
    answer = httpx.get(f"{divided.url}/api/v1/models/{MODEL}/segments", params={"metric": "accuracy"}).json()
    for feature in answer["streams"][0]["features"]:
        del feature["mix"], feature["level"]
    earlier = SimpleNamespace(get=lambda path, params: answer)
    monkeypatch.setattr("modelwatch.cli.commands.segments.connected", lambda url, patience: nullcontext(earlier))
    done = run_cli("segments", MODEL, "--metric", "accuracy")
    assert (done.returncode, done.stderr) == (0, "")
    assert "country=IT" in done.stdout
    assert "Change of accuracy" not in done.stdout


def test_the_answer_is_json_for_programs(divided: LiveService, run_cli: RunCli) -> None:
    done = run_cli("segments", MODEL, "--url", divided.url, "--json", "--lookback", "6h", "--version", "unversioned")
    assert done.returncode == 0
    [report] = json.loads(done.stdout)["streams"]
    assert report["worst"][0]["segment"] == "country=IT"


def test_a_metric_that_the_model_does_not_have_is_an_error(divided: LiveService, run_cli: RunCli) -> None:
    done = run_cli("segments", MODEL, "--url", divided.url, "--metric", "mae")
    assert done.returncode == 2
    assert "/metric: Expected one of" in done.stderr


def test_a_version_that_was_never_seen_is_said(divided: LiveService, run_cli: RunCli) -> None:
    done = run_cli("segments", MODEL, "--url", divided.url, "--version", "7")
    assert done.returncode == 0
    assert "No predictions of this version and environment." in done.stdout
