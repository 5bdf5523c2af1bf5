"""One of each chart, for tests and for the eye: `python -m tests.charts.gallery FILE`. The numbers are invented."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np

from modelwatch.charts.annotations import Event, Level, Note, Span
from modelwatch.charts.bars import Stack, bar_chart, share_chart
from modelwatch.charts.curves import (
    AgreementPoint,
    CalibrationPoint,
    Curve,
    Driver,
    agreement_curve,
    calibration_curve,
    delay_curve,
    precision_recall_curve,
    quadrant,
    roc_curve,
)
from modelwatch.charts.drawing.marks import STATES, definitions, key, mark
from modelwatch.charts.drawing.markup import element, written
from modelwatch.charts.drawing.plot import stylesheet
from modelwatch.charts.heatmap import HeatRow, heat_class, heatmap
from modelwatch.charts.histogram import histogram, histogram_table
from modelwatch.charts.lines import line_chart, quantile_fan
from modelwatch.charts.matrix import confusion_matrix
from modelwatch.charts.rows import Category, Contribution, categories, waterfall
from modelwatch.charts.series import Series
from modelwatch.charts.small import Metric, histogram_pair, spark_bars, sparkline, tile
from modelwatch.charts.timeline import EventMark, Lane, Step, event_marks, lanes, timeline

END = 1_795_985_400.0  # Sun 29 Nov 2026, 20:50
HOUR = 3_600.0
START = END - 48 * HOUR
ONSET = END - 24 * HOUR
RANGE = (START, END)
EDGES = [19.93, 30.21, 40.15, 51.26, 64.96, 80.05, 102.1, 137.5, 203.9]
NOW = [0.015, 0.03, 0.038, 0.052, 0.065, 0.074, 0.102, 0.127, 0.167, 0.33]
PARTS = [0.16, 0.08, 0.06, 0.03, 0.01, 0.01, 0.0, 0.01, 0.03, 0.27]
EVENTS = [
    Event(ONSET, "began Sat 20:50, seen 21:15", "since"),
    Event(ONSET + 0.5 * HOUR, "seen"),
    Event(ONSET + 8 * HOUR, "accuracy alert 04:50"),
    Event(START + HOUR, "version 2.1.0"),
]
CATEGORIES = [
    Category("grocery", 0.285, 0.163),
    Category("restaurant", 0.187, 0.122),
    Category("fuel", 0.127, 0.092),
    Category("clothing", 0.121, 0.098),
    Category("electronics", 0.084, 0.195),
    Category("pharmacy", 0.08, 0.061),
    Category("travel", 0.05, 0.085),
    Category("gaming", 0.041, 0.089),
    Category("gift_cards", 0.024, 0.095),
]
NAMES = [
    "transaction_amount",
    "merchant_category",
    "דירוג_אשראי",
    "信用スコアの変化率",
    "<b>markup</b>&amp;",
    "x" * 1_000,
    "device_trust_score",
    "country",
    "عمر_الحساب",
    "is_online",
]


PAGE_STYLE = """
body { margin: 0; padding: 24px; background: #f6f7f9; color: #1a1f26; }
body { font: 15px -apple-system, "Segoe UI", Arial, sans-serif; }
main { display: grid; gap: 16px; align-items: start; }
main { grid-template-columns: repeat(auto-fill, minmax(min(100%, 600px), 1fr)); }
h2 { font-size: 14px; margin: 0 0 10px; }
.card { background: #fff; border: 1px solid #dce0e6; border-radius: 8px; padding: 14px 16px; min-width: 0; }
.all, .cells { grid-column: 1/-1; }
.cells { display: grid; grid-template-columns: repeat(auto-fill, minmax(180px, 1fr)); gap: 16px; }
@media (max-width: 700px) { body { padding: 8px; } }
@media screen and (prefers-color-scheme: dark) {
  body { background: #12161b; color: #e4e8ed; }
  .card { background: #1a2027; border-color: #2d3640; }
}
"""


def _rng() -> np.random.Generator:
    return np.random.default_rng(7)


def psi() -> Series:
    """PSI every quarter of an hour, with a gap and a rise."""
    rng = _rng()
    times = np.arange(START, END, HOUR / 4)
    values = np.where(times < ONSET, 0.015, 0.68) * np.exp(rng.normal(0, 0.12, len(times)))
    values[30:37] = np.nan
    return Series("transaction_amount", times, values, area=True)


def accuracy(*, role: str = "now") -> Series:
    """Accuracy every two hours with its interval; the last eight hours are immature."""
    rng = _rng()
    times = np.arange(START, END, 2 * HOUR)
    values = np.where(times < ONSET, 0.9, 0.845) + rng.normal(0, 0.008, len(times))
    values[-4:] -= np.array([0.01, 0.03, 0.07, 0.14])
    return Series("accuracy", times, values, 2 * HOUR, values - 0.02, values + 0.02, immature=END - 8 * HOUR)


def estimate() -> Series:
    """Estimate of the accuracy without labels."""
    rng = _rng()
    times = np.arange(START, END, 2 * HOUR)
    return Series(
        "estimated without labels",
        times,
        np.where(times < ONSET, 0.895, 0.81) + rng.normal(0, 0.004, len(times)),
        2 * HOUR,
        role="estimate",
    )


def volume() -> tuple[np.ndarray, np.ndarray]:
    """Predictions a half hour, by the hour of the day."""
    times = np.arange(START, END, HOUR / 2)
    hours = (times / HOUR) % 24
    return times, np.round(320 + 200 * np.sin((hours - 8) / 24 * 2 * np.pi) + _rng().normal(0, 14, len(times)))


def _quantiles() -> tuple[np.ndarray, list[np.ndarray]]:
    times = np.arange(START, END, HOUR / 2)
    rng, level = _rng(), np.where(np.arange(START, END, HOUR / 2) < ONSET, 62.8, 134.2)
    return times, [level * factor * np.exp(rng.normal(0, 0.06, len(times))) for factor in (0.22, 0.55, 1, 1.8, 4.2)]


def _shares() -> tuple[np.ndarray, list[tuple[str, np.ndarray]]]:
    times = np.arange(START, END, 1.5 * HOUR)
    rows = np.array([[each.reference if at < ONSET else each.current for at in times] for each in CATEGORIES])
    rows = rows * np.exp(_rng().normal(0, 0.05, rows.shape))
    rows /= rows.sum(axis=0)
    rows[:, 9] = np.nan
    return times, [(each.name, rows[index]) for index, each in enumerate(CATEGORIES)]


def _heat() -> list[HeatRow]:
    rng, columns = _rng(), 96
    rows = []
    for index, name in enumerate(NAMES):
        psi = np.exp(rng.normal(-4.2, 0.6, columns))
        found = index < 2
        if found:
            psi[48:] = (0.68, 0.36)[index] * np.exp(rng.normal(0, 0.25, 48))
        cells: list[str | None] = [
            heat_class(float(value), "alert" if found and column >= 48 else "stable")
            for column, value in enumerate(psi)
        ]
        cells[20:24] = [None] * 4
        if index == 3:
            cells = [heat_class(float("nan"), "unknown")] * columns
        heading = {0: "2 drift now", 2: "8 as in the reference"}.get(index, "")
        rows.append(
            HeatRow(
                name,
                cells,
                f"{psi[-1]:.2f} since Sat" if found else "no reference" if index == 3 else f"{psi[-1]:.2f}",
                "alert" if found else "stable",
                heading,
            )
        )
    return rows


def _roc(power: float) -> tuple[np.ndarray, np.ndarray]:
    x = np.linspace(0, 1, 101)
    return x, x**power


def lanes_of_a_model(left: int = 48) -> str:
    """Overview of a model: five lanes on one time axis."""
    at, counts = volume()
    share = np.where(np.arange(START, END, 2 * HOUR) < END - 8 * HOUR, 0.9, 0.4)
    return lanes(
        [
            Lane(
                "Volume",
                bar_chart(
                    "Volume",
                    RANGE,
                    at,
                    [Stack("predictions", counts)],
                    HOUR / 2,
                    usual=(counts * 0.8, counts * 1.2),
                    events=EVENTS,
                    left=left,
                    axis=False,
                    height=46,
                ),
                "predictions per half hour",
                "331",
                "as usual",
            ),
            Lane(
                "PSI",
                line_chart(
                    "PSI of transaction_amount",
                    RANGE,
                    [psi()],
                    levels=[Level(0.25, "alert from 0.25", "alert"), Level(0.1, "warning from 0.1", "warning")],
                    events=EVENTS,
                    spans=[Span(ONSET + HOUR / 2, END, "alert")],
                    left=left,
                    axis=False,
                    flags=False,
                    height=100,
                ),
                "of the last hour",
                "0.68",
                "24 h",
                "alert",
            ),
            Lane(
                "Accuracy",
                line_chart(
                    "Accuracy",
                    RANGE,
                    [accuracy(), estimate()],
                    levels=[Level(0.898, "reference 89.8 %"), Level(0.858, "alert below 85.8 %", "alert")],
                    form="percent",
                    events=EVENTS,
                    left=left,
                    axis=False,
                    flags=False,
                ),
                "2 h steps, 95 % interval",
                "84.2 %",
                "since Sat 20:50",
                "alert",
            ),
            Lane(
                "Labelled",
                bar_chart(
                    "Labelled",
                    RANGE,
                    np.arange(START, END, 2 * HOUR),
                    [Stack("labelled", share)],
                    2 * HOUR,
                    form="percent",
                    events=EVENTS,
                    left=left,
                    axis=False,
                    flags=False,
                    height=40,
                ),
                "share of predictions",
                "90 %",
                "come within 8 h",
            ),
            Lane(
                "Latency",
                line_chart(
                    "Latency",
                    RANGE,
                    [
                        Series("95 %", at, 37 + _rng().normal(0, 2, len(at)), role="quiet"),
                        Series("median", at, 23 + _rng().normal(0, 1, len(at))),
                    ],
                    events=EVENTS,
                    left=left,
                    flags=False,
                    height=56,
                ),
                "ms",
                "23 ms",
                "37 ms, steady",
            ),
        ]
    )


def charts() -> dict[str, str]:
    """One of each chart by its name."""
    at, counts = volume()
    fan_at, fan = _quantiles()
    shares_at, shares = _shares()
    rng = _rng()
    drivers = [
        Driver(f"feature_{index}", float(np.exp(rng.normal(-4, 1))), float(np.exp(rng.normal(-3.6, 0.5))))
        for index in range(57)
    ]
    drivers += [
        Driver("income_monthly", 0.117, 0.211, "alert"),
        Driver("debt_ratio", 0.094, 0.16, "warning"),
        Driver("app_version", 0.003, 0.227, "warning"),
    ]
    return {
        "PSI with thresholds and states": line_chart(
            "PSI",
            RANGE,
            [psi()],
            levels=[Level(0.25, "alert from 0.25", "alert"), Level(0.1, "warning from 0.1", "warning")],
            events=EVENTS,
            spans=[
                Span(START, ONSET + HOUR / 2, "stable"),
                Span(ONSET + HOUR / 2, ONSET + HOUR, "warning"),
                Span(ONSET + HOUR, END, "alert"),
            ],
            notes=[Note(END - 7 * HOUR, 0.74, "0.90 at Sun 13:45")],
            height=150,
        ),
        "accuracy with interval, estimate and what is immature": line_chart(
            "Accuracy",
            RANGE,
            [accuracy(), estimate()],
            levels=[
                Level(0.898, "reference 89.8 %"),
                Level(0.878, "warning below 87.8 %", "warning"),
                Level(0.858, "alert below 85.8 %", "alert"),
            ],
            form="percent",
            events=EVENTS[:1],
            height=170,
        ),
        "two series": line_chart(
            "PSI",
            RANGE,
            [psi(), Series("merchant_category", psi().times, np.asarray(psi().values) * 0.55, role="second")],
            levels=[Level(0.25, "alert from 0.25", "alert")],
            events=EVENTS[:2],
        ),
        "quantiles": quantile_fan(
            "Values",
            RANGE,
            fan_at,
            fan,
            reference=[14, 34.5, 62.8, 113, 264],
            step=HOUR / 2,
            logarithmic=True,
            events=EVENTS[:1],
        ),
        "volume": bar_chart(
            "Volume",
            RANGE,
            at,
            [Stack("predictions", np.where((at > START + 5 * HOUR) & (at < START + 8 * HOUR), np.nan, counts))],
            HOUR / 2,
            usual=(counts * 0.8, counts * 1.2),
            events=EVENTS[:1],
        ),
        "stacked volume": bar_chart(
            "Refused and taken",
            RANGE,
            at,
            [Stack("taken", counts, "f-now"), Stack("refused", counts * 0.2, "c2"), Stack("late", counts * 0.1, "c-2")],
            HOUR / 2,
        ),
        "shares of categories": share_chart(
            "Shares",
            RANGE,
            shares_at,
            shares,
            1.5 * HOUR,
            reference=[each.reference for each in CATEGORIES],
            events=EVENTS[:1],
        ),
        "histogram": histogram("transaction_amount", EDGES, [0.1] * 10, NOW, parts=PARTS),
        "histogram to scale, with missing": histogram(
            "transaction_amount",
            EDGES,
            [0.095] * 10 + [0.05],
            [*(each * 0.9 for each in NOW), 0.1],
            extra=["missing"],
            to_scale=True,
        ),
        "categories": categories(
            "merchant_category", [*CATEGORIES, *(Category(name, 0.01, 0.02) for name in NAMES[2:6])]
        ),
        "heat map": heatmap("Drift of features", RANGE, _heat(), step=HOUR / 2, events=EVENTS, readings=120),
        "heat map of a week": heatmap(
            "Drift of features",
            (END - 168 * HOUR, END),
            _heat(),
            step=1.75 * HOUR,
            events=[Event(END - 60 * HOUR, "version 4.2.0")],
        ),
        "confusion matrix": confusion_matrix(
            "Right and wrong", ["fraud", "legitimate"], [[878, 1094], [743, 10789]], reference=[[270, 900], [120, 8710]]
        ),
        "confusion matrix of ten classes": confusion_matrix(
            "Digits", [str(each) for each in range(10)], (np.eye(10) * 90 + rng.integers(0, 12, (10, 10))).tolist()
        ),
        "ROC": roc_curve(
            "ROC", [Curve("now 0.834", *_roc(0.2)), Curve("reference 0.846", *_roc(0.17), role="reference")]
        ),
        "precision and recall": precision_recall_curve(
            "Precision and recall",
            [
                Curve("now", np.linspace(0, 1, 50), 1 - np.linspace(0, 1, 50) ** 2 * 0.8),
                Curve("reference", np.linspace(0, 1, 50), 1 - np.linspace(0, 1, 50) ** 3 * 0.8, role="reference"),
            ],
            base=0.1,
        ),
        "agreement": agreement_curve(
            "Predicted and actual",
            [AgreementPoint(x, 0.9 * x + 8, 0.9 * x, 0.9 * x + 16) for x in range(10, 310, 30)],
            reference=[AgreementPoint(x, x) for x in range(10, 310, 30)],
        ),
        "calibration": calibration_curve(
            "How right the scores are",
            [
                CalibrationPoint(x, y, y - 0.03, y + 0.03)
                for x, y in (
                    (0.03, 0.02),
                    (0.14, 0.1),
                    (0.25, 0.16),
                    (0.35, 0.22),
                    (0.45, 0.3),
                    (0.55, 0.42),
                    (0.65, 0.44),
                    (0.75, 0.58),
                    (0.84, 0.74),
                    (0.94, 0.86),
                )
            ],
        ),
        "delay of labels": delay_curve(
            "How long labels take",
            np.linspace(0, 16 * HOUR, 33),
            1 - np.exp(-np.linspace(0, 16, 33) / 3.4),
            marks=[(0.5, "half"), (0.9, "90 %")],
        ),
        "quadrant": quadrant("Importance and drift", drivers),
        "waterfall": waterfall(
            "Points of accuracy",
            [
                Contribution("country = DE", -0.014),
                Contribution("category = electronics", -0.011),
                Contribution("device_trust_score ≤ 0.6798", -0.01),
                Contribution("category = gift_cards", -0.008, certain=False),
                Contribution("all other segments", 0.008),
            ],
            form="percent",
        ),
        "events": event_marks(
            "Events",
            RANGE,
            [
                EventMark(START, "M", "Monitor changed"),
                EventMark(START + 3 * HOUR, "V", "Version 2.1.0 first seen in production"),
                EventMark(START + 4 * HOUR, "R", "Reference of 12 subjects set"),
                EventMark(ONSET, "A", "Feature drift in payments (production): transaction_amount", "alert"),
                EventMark(END, "✓", "resolved", "stable"),
            ],
            left=48,
        ),
        "timeline": timeline(
            "What happened",
            (ONSET - 2 * HOUR, END),
            [
                Step(ONSET, "began"),
                Step(ONSET + 0.4 * HOUR, "found as a warning", "PSI 0.125", "warning"),
                Step(ONSET + 0.7 * HOUR, "rose to an alert", "PSI 0.34", "alert"),
                Step(ONSET + 12 * HOUR, "acknowledged by ada"),
                Step(END - 0.2 * HOUR, "still found", "", "alert"),
            ],
            spans=[Span(ONSET + 0.4 * HOUR, ONSET + 0.7 * HOUR, "warning"), Span(ONSET + 0.7 * HOUR, END, "alert")],
        ),
    }


def small() -> dict[str, str]:
    """One of each small chart."""
    values = np.asarray(psi().values)
    return {
        "sparkline": sparkline("accuracy", np.asarray(accuracy().values), reference=0.898),
        "sparkline with a gap": sparkline("psi", values, threshold=0.25),
        "not judged": sparkline("none", []),
        "bars": spark_bars(
            "PSI",
            values[::3],
            styles=["f-alert" if each > 0.25 else "f-reference" for each in values[::3]],
            threshold=0.25,
        ),
        "volume": spark_bars("volume", volume()[1]),
        "histograms": histogram_pair("amount", [0.1] * 10, NOW, moved=True),
        "histograms of what is stable": histogram_pair(
            "amount", [0.1] * 10, [0.1, 0.11, 0.09, 0.1, 0.1, 0.12, 0.1, 0.08, 0.1, 0.1]
        ),
    }


def page() -> str:
    """All charts on one page, with its style sheet inside."""
    cards = "".join(
        f'<section class="card"><h2>{written(name)}</h2>{chart}</section>' for name, chart in charts().items()
    )
    cells = "".join(
        f'<section class="card cell"><h2>{written(name)}</h2>{chart}</section>' for name, chart in small().items()
    )
    tiles = "".join(
        f'<section class="card cell">{tile(each)}</section>'
        for each in (
            Metric("accuracy", 0.842, 0.833, 0.85, 0.898, 0.858, "percent", "alert"),
            Metric("precision", 0.541, 0.517, 0.565, 0.686, 0.646, "percent", "warning"),
            Metric("ROC AUC", 0.834, 0.824, 0.843, 0.846, 0.806),
            Metric("MAE", float("nan"), reference=4.4, state="unknown"),
        )
    )
    marks = "".join(f"<span>{mark(state)} {word}</span> " for state, word in STATES.items())
    keys = key(
        [
            ("h0 h1 h2 h3", "no finding"),
            ("hw", "warning"),
            ("ha hb hc", "alert"),
            ("hu", "not judged"),
            ("c-2 c-1 c0 c1 c2 c3", "fewer to more"),
            ("s-estimate", "estimate"),
        ]
    )
    twin = histogram_table("Amount", EDGES, [0.1] * 10, NOW)
    body = (
        f'{definitions()}<main><section class="card all"><h2>Lanes</h2>{lanes_of_a_model()}</section>'
        f'<div class="cells">{tiles}{cells}</div><section class="card all">{marks}{keys}{twin}</section>{cards}</main>'
    )
    named = '<meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>Charts</title>'
    head = f"{named}<style>{PAGE_STYLE}{stylesheet()}</style>"
    return "<!doctype html>" + element("html", element("head", head) + element("body", body), lang="en")


if __name__ == "__main__":
    Path(sys.argv[1]).write_text(page(), "utf-8")
