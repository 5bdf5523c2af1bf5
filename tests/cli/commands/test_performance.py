"""What `modelwatch performance` prints: all that makes the verdict, the labels too."""

from __future__ import annotations

from typing import Any

import pytest

from modelwatch.cli.commands.performance import _show

NOTHING: dict[str, Any] = {
    "value": None,
    "low": None,
    "high": None,
    "reference": None,
    "n": 1_000,
    "reason": None,
    "loss": None,
    "threshold": None,
    "by_odds": False,
}


def shown(capsys: pytest.CaptureFixture[str], labels: dict[str, Any], **more: Any) -> str:
    """The text about a stream whose labels are found to be so."""
    window = {
        "lookback": "24h",
        "matured": True,
        "immature": None,
        "metrics": {"accuracy": {**NOTHING, "severity": "stable", "value": 0.9, "low": 0.88, "high": 0.92}},
        "label_drift": {**NOTHING, **labels},
        "label_coverage": {**NOTHING, "severity": "stable", "value": 0.98, "reference": 0.97},
    }
    stream = {"model_name": "m", "model_version": "1", "environment": "production"}
    _show({**stream, "severity": "alert", "reason": None, "windows": [window], **more}, every=False)
    return " ".join(capsys.readouterr().out.split())


@pytest.mark.parametrize(
    ("labels", "row", "note"),
    [
        (
            {"severity": "alert", "loss": 0.762, "threshold": 0.25},
            "Labels 24h alert – 1,000",
            "Labels 24h: PSI 0.762 (alert from 0.25).",
        ),
        (
            {"severity": "warning", "loss": 2.5, "threshold": 2.0, "by_odds": True},
            "Labels 24h warning – 1,000",
            "Labels 24h: The odds of a class have changed by a factor of 2.5 (warning from 2).",
        ),
        (
            {"severity": "warning", "loss": 2.5, "threshold": 2.0, "by_odds": True, "odds_class": "fraud"},
            "Labels 24h warning – 1,000",
            "Labels 24h: The odds of fraud have changed by a factor of 2.5 (warning from 2).",
        ),
        (
            {"severity": "alert", "value": 234.5, "reference": 144.0, "loss": 0.6, "threshold": 0.5},
            "Labels 24h alert 234 144 1,000",
            "Labels 24h: The mean has moved by 0.6 standard deviations (alert from 0.5).",
        ),
        ({"severity": "stable", "reason": "By chance."}, "Labels 24h stable – 1,000", "Labels 24h: By chance."),
    ],
)
def test_labels_that_have_shifted_are_among_what_is_judged(
    capsys: pytest.CaptureFixture[str], labels: dict[str, Any], row: str, note: str
) -> None:
    text = shown(capsys, labels)
    assert row in text
    assert note in text
    assert "24h stable 98.0 % 97.0 % 1,000" in text


def test_warnings_are_printed(capsys: pytest.CaptureFixture[str]) -> None:
    warning = "12 of 100 labels are of classes that were never predicted."
    assert warning in shown(capsys, {"severity": "stable"}, warnings=[warning])


def test_a_loss_that_is_found_before_most_labels_have_come_is_shown_where_it_decides(
    capsys: pytest.CaptureFixture[str],
) -> None:
    lost = {**NOTHING, "severity": "alert", "value": 0.8, "low": 0.75, "high": 0.85, "reference": 0.9}
    held = {**NOTHING, "severity": "immature", "value": 0.9, "low": 0.85, "high": 0.95, "reference": 0.9}
    window = {"lookback": "7d", "metrics": {"accuracy": lost, "f1": held}}
    early = {"window": window, "labelled_share": 0.623, "decides": True}
    text = shown(capsys, {"severity": "stable"}, early=early)
    assert "Accuracy 7d early alert 80.0 % 75.0 % to 85.0 % 90.0 % 1,000" in text
    assert "early: judged on 62.3 % of the usual labels; the others are still to come." in text
    assert "F1" not in text
    assert "early" not in shown(capsys, {"severity": "stable"}, early={**early, "decides": False})
