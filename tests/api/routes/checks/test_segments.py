"""Where a model got worse, over HTTP: one country fails, and the ranking finds it."""

from __future__ import annotations

import uuid
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pytest

from modelwatch.monitoring.references.references import take_provisional_reference
from tests.support.app import App, pointers
from tests.support.background import new_id
from tests.support.events import NOON, Clock, event, open_ledger

START = datetime(2026, 1, 5, tzinfo=UTC)
COUNTRIES, WEIGHTS = ["DE", "FR", "IT"], [0.5, 0.3, 0.2]


def rows(n: int, seed: int, *, wrong: dict[str, float] | None = None, weights: list[float] | None = None) -> list[Any]:
    """Predictions that are right in 90 % of all cases, and wrong in these shares of those of a country."""
    rng = np.random.default_rng(seed)
    found = []
    for number in range(n):
        country = str(rng.choice(COUNTRIES, p=weights or WEIGHTS))
        truth = rng.random() < 0.5
        wrongly = rng.random() < (wrong or {}).get(country, 0.1)
        score = float(rng.uniform(0.5, 1.0) if truth != wrongly else rng.uniform(0.0, 0.5))
        # Where it goes wrong, the amounts have moved.
        amount = float(rng.normal(200.0 if (wrong or {}).get(country, 0.1) > 0.2 else 100.0, 20.0))
        found.append(
            {
                "country": country,
                "amount": amount,
                "prediction": "yes" if score > 0.5 else "no",
                "prediction_probability": score,
                "ground_truth": "yes" if truth else "no",
                "seed": f"{seed}-{number}",
            }
        )
    return found


def reference(app: App, found: list[Any], model: str = "m") -> None:
    body = {
        "model_name": model,
        "features": {name: [row[name] for row in found] for name in ("country", "amount")},
        **{name: [row[name] for row in found] for name in ("prediction", "prediction_probability", "ground_truth")},
    }
    app.post("reference", body, 201)


def send(app: App, found: list[Any], at: datetime = START, *, labelled: bool = True, **fields: Any) -> None:
    """The rows as predictions from `at` on, ten seconds apart, each with its truth."""
    times = [int((at + timedelta(seconds=10 * number)).timestamp()) * 1_000_000 for number in range(len(found))]
    ledger = open_ledger(app.store, Clock(times[-1]), prefix=uuid.uuid4().hex)
    ledger.commit(
        [
            event(
                row["seed"],
                {"country": row["country"], "amount": row["amount"]},
                timestamp=time,
                prediction=row["prediction"],
                probability=row["prediction_probability"],
                ground_truth=row["ground_truth"] if labelled else None,
                **fields,
            )
            for row, time in zip(found, times, strict=True)
        ]
    )
    ledger.close()


def monitor(app: App, model: str = "m", **keys: Any) -> Any:
    document = {"positive_class": "yes", "segments": ["country", {"feature": "amount", "cuts": 2}], **keys}
    answer = app.request("PUT", f"/api/v1/models/{model}/monitor", json=document)
    assert answer.status_code in (200, 201), answer.text
    return answer.json()


@pytest.fixture
def italy(app: App) -> App:
    """A labelled reference that knows its segments, and a day on which half of Italy is wrong."""
    monitor(app)
    reference(app, rows(3_000, 1))
    send(app, rows(2_000, 2, wrong={"IT": 0.5}))
    return app


def segments_of(report: Any, feature: str) -> dict[str, Any]:
    [found] = [each for each in report["features"] if each["feature_name"] == feature]
    return {line["segment"]: line for line in found["segments"]}


def test_the_segment_that_got_worse_is_first_and_the_contributions_add_up(italy: App) -> None:
    answer = italy.get("models/m/segments", metric="accuracy")
    assert [each["feature_name"] for each in answer["definitions"]] == ["country", "amount"]
    [report] = answer["streams"]
    assert (report["model_version"], report["environment"]) == ("1", "production")
    assert (report["metric"], report["divides"], report["reason"]) == ("accuracy", True, None)
    by_country = {each["segment"]: each for each in report["worst"] if each["feature_name"] == "country"}
    assert next(iter(by_country)) == "country=IT"
    assert by_country["country=IT"]["adjusted_p_value"] < 1e-6
    assert by_country["country=IT"]["level"] == pytest.approx(0.2 * 0.4, abs=0.02)
    for feature in report["features"]:
        assert feature["baseline"] == {"kind": "reference", "start": None, "end": None, "n": 3_000}
        total = sum(line["contribution"]["total"] for line in feature["segments"])
        assert total == pytest.approx(report["now"]["value"] - feature["before"]["value"], abs=1e-12)
        assert feature["change"] == pytest.approx(total, abs=1e-12)
        assert sum(line["predictions"] for line in feature["segments"]) == 2_000
        assert sum(line["share"] for line in feature["segments"]) == pytest.approx(1.0)
        assert sum(line["share_before"] for line in feature["segments"]) == pytest.approx(1.0)
        for drift in feature["drift"]:
            assert drift["baseline"] == "reference"
            assert sum(drift["contributions"].values()) == pytest.approx(drift["psi"], abs=1e-12)
    assert report["features"][0]["segments"][0]["segment"] == "country=IT"
    line = segments_of(report, "country")["country=IT"]
    assert line["metric"]["low"] < line["metric"]["value"] < line["metric"]["high"] < line["before"]["low"]
    assert line["drift"][0]["feature_name"] == "amount"
    # Amounts beyond the reference's range are unsound.
    assert line["quality_score"] < 0.6
    assert segments_of(report, "country")["country=DE"]["quality_score"] > 0.99


def test_a_segment_that_only_gained_share_did_not_get_worse(app: App) -> None:
    """Italy is right more often than before, and there is more of it: the accuracy fell by the mix alone."""
    monitor(app, segments=["country"])
    reference(app, rows(6_000, 1, wrong={"IT": 0.5}))
    send(app, rows(6_000, 2, wrong={"DE": 0.08, "FR": 0.08, "IT": 0.45}, weights=[0.25, 0.15, 0.6]))
    [report] = app.get("models/m/segments", metric="accuracy")["streams"]
    [country] = report["features"]
    assert country["change"] < -0.1
    assert report["worst"] == []
    assert country["mix"] < -0.12
    assert country["level"] > 0.0
    assert country["mix"] + country["level"] == pytest.approx(country["change"], abs=1e-12)


def test_segments_that_got_worse_are_ranked_by_their_own_loss(app: App) -> None:
    """Germany lost more by itself, though its share shrank; Italy fell a little, and grew."""
    monitor(app, segments=["country"])
    reference(app, rows(6_000, 1, wrong={"IT": 0.4}))
    send(app, rows(6_000, 2, wrong={"DE": 0.3, "FR": 0.05, "IT": 0.45}, weights=[0.4, 0.2, 0.4]))
    [report] = app.get("models/m/segments", metric="accuracy")["streams"]
    assert [each["segment"] for each in report["worst"]] == ["country=DE", "country=IT"]
    germany, italy = report["worst"]
    assert germany["level"] > italy["level"] > 0.0
    assert italy["mix"] > 0.0
    for each in report["worst"]:
        assert each["value"] < each["before"]
        assert each["mix"] + each["level"] == pytest.approx(each["loss"], abs=1e-12)


@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_a_segment_whose_bias_changes_sign_got_worse(app: App, sign: float) -> None:
    """Germany's errors went from one side of zero to the other, and with them the mean error of all rows; Italy's are
    where they were. Germany was left out, since its bias is no larger than before."""
    monitor(app, segments=["country"], positive_class=None)
    rng = np.random.default_rng(3)

    def priced(germany: float) -> list[Any]:
        found = []
        for number in range(2_000):
            country, truth = ("DE", "IT")[number % 2], float(rng.uniform(100.0, 200.0))
            error = sign * (germany if country == "DE" else 5.0) + float(rng.normal())
            row = {"country": country, "amount": truth, "prediction": truth + error, "ground_truth": truth}
            found.append(row | {"prediction_probability": None, "seed": f"{germany}-{number}"})
        return found

    before = priced(-5.0)
    body = {"model_name": "m", "features": {name: [row[name] for row in before] for name in ("country", "amount")}}
    app.post("reference", body | {name: [row[name] for row in before] for name in ("prediction", "ground_truth")}, 201)
    send(app, priced(4.85))
    [report] = app.get("models/m/segments", metric="mean_error")["streams"]
    [country] = report["features"]
    germany = report["worst"][0]
    assert germany["segment"] == "country=DE"
    assert germany["level"] == pytest.approx(sign * country["level"], abs=0.1)
    assert germany["level"] == pytest.approx(4.9, abs=0.2)
    assert germany["adjusted_p_value"] < 1e-6
    assert all(each["adjusted_p_value"] > 1e-3 for each in report["worst"][1:])


def test_the_psi_is_that_of_a_drift_check(italy: App) -> None:
    [report] = italy.get("models/m/segments")["streams"]
    start, end = report["window"]["start"], report["window"]["end"]
    checked = italy.post("drift/check", {"model_name": "m", "start": start, "end": end})
    expected = {each["feature_name"]: each["psi"]["score"] for each in checked["drift_results"]}
    for feature in report["features"]:
        assert {each["feature_name"]: each["psi"] for each in feature["drift"]} == pytest.approx(expected)


def test_the_metric_is_that_of_the_performance(italy: App) -> None:
    [report] = italy.get("models/m/segments", metric="f1", lookback="24h")["streams"]
    windows = italy.get("models/m/performance")["current"][0]["windows"]
    [matured] = [each for each in windows if each["lookback"] == "24h" and each["matured"]]
    assert report["labelled"] == {"start": matured["start"], "end": matured["end"]}
    f1 = matured["metrics"]["f1"]
    assert (report["now"]["value"], report["now"]["low"]) == pytest.approx((f1["value"], f1["low"]))
    assert report["features"][0]["before"]["value"] == pytest.approx(f1["reference"])


def test_a_reference_that_knows_no_segments_gives_way_to_the_stretch_before(app: App) -> None:
    reference(app, rows(3_000, 1))
    monitor(app)
    send(app, rows(1_500, 2), START)
    send(app, rows(1_500, 3, wrong={"FR": 0.6}), START + timedelta(hours=6))
    [report] = app.get("models/m/segments", metric="accuracy", lookback="6h")["streams"]
    feature = report["features"][0]
    assert (feature["baseline"]["kind"], feature["baseline"]["n"] > 1_000) == ("earlier", True)
    assert next(each["segment"] for each in report["worst"] if each["feature_name"] == "country") == "country=FR"
    assert {each["baseline"] for each in feature["drift"]} == {"earlier"}


def test_a_baseline_can_be_given(italy: App) -> None:
    send(italy, rows(1_000, 5, weights=[0.2, 0.2, 0.6]), START - timedelta(days=20))
    start, end = START - timedelta(days=20), START - timedelta(days=19)
    [report] = italy.get(
        "models/m/segments",
        metric="accuracy",
        baseline_start=start.isoformat(),
        baseline_end=end.isoformat(),
    )["streams"]
    country = report["features"][0]
    assert country["baseline"] == {
        "kind": "earlier",
        "start": "2025-12-16T00:00:00Z",
        "end": "2025-12-17T00:00:00Z",
        "n": 1_000,
    }
    italians = segments_of(report, "country")["country=IT"]
    assert italians["share_before"] == pytest.approx(0.6, abs=0.05)
    assert italians["share"] == pytest.approx(0.2, abs=0.05)
    total = sum(line["contribution"]["total"] for line in country["segments"])
    assert total == pytest.approx(country["change"], abs=1e-12)


def test_an_area_is_told_of_each_segment_but_not_divided(italy: App) -> None:
    [report] = italy.get("models/m/segments", metric="roc_auc")["streams"]
    assert not report["divides"]
    assert "can't be divided" in report["features"][0]["reason"]
    line = segments_of(report, "country")["country=IT"]
    assert (line["contribution"], line["metric"]["value"] < line["before"]["value"]) == (None, True)
    assert next(each for each in report["worst"] if each["feature_name"] == "country")["segment"] == "country=IT"


def test_without_labels_drift_and_quality_are_told(app: App) -> None:
    monitor(app)
    reference(app, rows(500, 1))
    send(app, rows(300, 2, wrong={"DE": 0.9}), labelled=False)
    [report] = app.get("models/m/segments")["streams"]
    assert (report["metric"], report["now"]["n"], report["worst"]) == ("accuracy", 0, [])
    line = segments_of(report, "country")["country=DE"]
    assert line["drift"][0]["feature_name"] == "amount"
    assert line["metric"]["value"] is None


def test_the_first_predictions_are_a_reference_with_segments(app: App) -> None:
    monitor(app)
    assert app.get("models/m/monitor")["effective"]["segments"][0] == {"feature": "country"}
    send(app, rows(400, 1))
    assert app.get("models/m/segments")["definitions"][0]["segments"] == []
    assert take_provisional_reference(app.store, "m", 300, now=NOON, new_id=new_id)
    answer = app.get("models/m/segments")
    assert answer["definitions"][0]["segments"][:3] == ["country=DE", "country=FR", "country=IT"]
    [report] = answer["streams"]
    assert {each["baseline"] for each in report["features"][0]["drift"]} == {"reference"}
    assert report["metric"] is None
    assert "Too few labels" in report["reason"]
    assert sum(line["predictions"] for line in report["features"][0]["segments"]) == 400


def test_a_model_without_segments_says_how_to_get_some(app: App) -> None:
    send(app, rows(10, 1))
    answer = app.get("models/m/segments")
    assert answer["definitions"] == []
    assert "name features under `segments`" in answer["streams"][0]["reason"]


def test_each_version_is_told_by_itself(italy: App) -> None:
    send(italy, rows(100, 9), version="2", environment="staging")
    assert len(italy.get("models/m/segments")["streams"]) == 2
    [report] = italy.get("models/m/segments", version="2", environment="staging")["streams"]
    assert sum(line["predictions"] for line in report["features"][0]["segments"]) == 100


@pytest.mark.parametrize(
    ("query", "pointer"),
    [
        ({"metric": "mae"}, "/metric"),
        ({"lookback": "soon"}, "/lookback"),
        ({"baseline_start": "2026-01-01T00:00:00Z"}, "/baseline_end"),
        ({"baseline_end": "2026-01-01T00:00:00Z"}, "/baseline_start"),
        ({"baseline_start": "2026-01-02T00:00:00Z", "baseline_end": "2026-01-01T00:00:00Z"}, "/baseline_end"),
    ],
)
def test_what_can_not_be_asked_is_named(italy: App, query: dict[str, str], pointer: str) -> None:
    assert pointers(italy.problem("GET", "models/m/segments", 422, params=query)) == [pointer]


def test_an_unknown_model_is_404(app: App) -> None:
    app.problem("GET", "models/nobody/segments", 404)


def test_a_monitor_with_segments_that_can_not_be_is_refused(app: App) -> None:
    refused = app.problem("PUT", "models/m/monitor", 422, json={"segments": ["a", "a"]})
    assert pointers(refused) == ["/segments"]


@pytest.mark.parametrize("start", ["0001-01-01T00:00:00Z", "1900-01-01T00:00:00Z", "9999-12-31T00:00:00Z"])
def test_no_stretch_is_an_internal_error(app: App, start: str) -> None:
    monitor(app, segments=["country"])
    reference(app, rows(60, 1))
    send(app, rows(60, 2))
    end = "9999-12-31T23:59:59Z"
    for address in (
        *(
            f"{each}?start={start}&end={end}"
            for each in ("compare", "performance", "quality", "drift/series", "volume")
        ),
        f"segments?baseline_start={start}&baseline_end={end}",
        f"segments?end={start}",
    ):
        assert app.request("GET", f"/api/v1/models/m/{address}").status_code in (200, 404, 422), address
    body = {"model_name": "m", "start": start, "end": end}
    assert app.request("POST", "/api/v1/drift/check", json=body).status_code in (200, 422)


@pytest.mark.parametrize(
    ("start", "end"),
    [("0001-01-01T00:00:00Z", "1899-01-01T00:00:00Z"), ("9999-12-31T01:00:00Z", "9999-12-31T05:00:00Z")],
)
def test_a_stretch_beyond_all_data_is_empty_and_its_end_is_after_its_start(app: App, start: str, end: str) -> None:
    monitor(app, segments=["country"])
    reference(app, rows(60, 1))
    send(app, rows(60, 2))
    for address in ("drift/series", "volume", "performance", "performance/stretch", "quality"):
        for first, last, status in ((start, end, 200), (end, start, 422)):
            answer = app.request("GET", f"/api/v1/models/m/{address}?start={first}&end={last}")
            assert answer.status_code == (200 if address == "quality" else status), (address, answer.text)
    assert app.request("GET", f"/api/v1/models/m/compare?with_start={start}&with_end={end}").status_code == 200
    assert app.request("GET", f"/api/v1/models/m/segments?baseline_start={start}&baseline_end={end}").status_code == 200


@pytest.mark.parametrize(
    ("query", "pointer", "message"),
    [
        (
            "start=2020-01-01T00:00:00Z&end=2026-01-06T00:00:00Z&step=31d",
            "/step",
            "Expected a multiple of 5 minutes, the base window, up to 30d",
        ),
        (
            "start=1990-01-01T00:00:00Z&end=2026-01-06T00:00:00Z",
            "/step",
            "1,880 steps, but at most 1,500 are possible: expected 12,640m or longer",
        ),
        (
            "start=1900-01-01T00:00:00Z&end=2026-01-06T00:00:00Z",
            "/start",
            "The stretch is too long: its steps are at most 30d, and at most 1,500 are possible",
        ),
    ],
)
def test_a_step_that_can_not_be_had_is_named(app: App, query: str, pointer: str, message: str) -> None:
    send(app, rows(60, 2))
    [error] = app.problem("GET", f"models/m/volume?{query}", 422)["errors"]
    assert (error["pointer"], error["message"]) == (pointer, message)
    if "expected " in message:
        step = message.split("expected ")[1].split("m")[0].replace(",", "")
        assert app.request("GET", f"/api/v1/models/m/volume?{query}&step={step}m").status_code == 200


def test_a_look_back_beyond_all_data_is_refused(app: App) -> None:
    reference(app, rows(60, 1))
    for answer in (
        app.request("GET", "/api/v1/models/m/segments?lookback=999999w"),
        app.request("POST", "/api/v1/drift/check", json={"model_name": "m", "lookback": "999999w"}),
    ):
        assert answer.status_code == 422
        assert answer.json()["errors"][0]["pointer"] == "/lookback"
        assert "Expected at most 36500d" in answer.text
